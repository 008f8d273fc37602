//! The guest from a hostcall's point of view: its memory, and its machine's state.

use crate::proxy::process::counts::Hostcall;
use crate::proxy::stream::Stream;
use crate::proxy::vm::{Restriction, Status, VmState};
use wasmtime::{AsContextMut, Caller, Error};

/// Status of a hostcall; `Ok` is status 0.
pub(crate) type HostcallResult = Result<(), Status>;

/// A guest that has called a function of the host.
pub(crate) struct Guest<'a> {
    caller: Caller<'a, VmState>,
}

/// What V8 throws; Envoy logs it with the function that was running.
const RESTRICTED: &str = "restricted_callback";

impl<'a> Guest<'a> {
    /// Counts the call, and traps if it is not allowed now.
    pub fn enter(mut caller: Caller<'a, VmState>, which: Hostcall) -> Result<Guest<'a>, Error> {
        let state = caller.data_mut();
        state.process.counts.count_hostcall(which);
        if state.restriction != Restriction::None && !is_allowed(state.restriction, which) {
            return Err(Error::msg(RESTRICTED));
        }
        Ok(Guest { caller })
    }

    /// The machine's state.
    pub fn state(&mut self) -> &mut VmState {
        self.caller.data_mut()
    }

    /// The stream that the call acts on.
    pub fn stream(&mut self) -> Option<&mut Stream> {
        let state = self.caller.data_mut();
        let stream = state.subject_stream()?;
        state.process.streams.get_mut(stream)
    }

    /// The guest's memory and the machine's state side by side.
    pub fn parts(&mut self) -> (&mut [u8], &mut VmState) {
        match self.caller.data().memory {
            Some(memory) => memory.data_and_store_mut(&mut self.caller),
            None => (&mut [], self.caller.data_mut()),
        }
    }

    /// `len` bytes at `at`.
    pub fn bytes(&mut self, at: u32, len: u32) -> Result<&[u8], Status> {
        slice(self.parts().0, at, len)
    }

    /// Several runs of bytes, and the state.
    pub fn slices<const COUNT: usize>(
        &mut self,
        places: [(u32, u32); COUNT],
    ) -> Result<([&[u8]; COUNT], &mut VmState), Status> {
        let (memory, state) = self.parts();
        let memory = &*memory;
        let mut found: [&[u8]; COUNT] = [&[]; COUNT];
        for (slot, (at, len)) in found.iter_mut().zip(places) {
            *slot = slice(memory, at, len)?;
        }
        Ok((found, state))
    }

    /// Writes bytes to `at`.
    pub fn write(&mut self, at: u32, bytes: &[u8]) -> HostcallResult {
        let start = at as usize;
        let end = start
            .checked_add(bytes.len())
            .ok_or(Status::InvalidMemoryAccess)?;
        let target = self.parts().0.get_mut(start..end);
        target
            .ok_or(Status::InvalidMemoryAccess)?
            .copy_from_slice(bytes);
        Ok(())
    }

    /// Writes a 32-bit number.
    pub fn write_u32(&mut self, at: u32, number: u32) -> HostcallResult {
        self.write(at, &number.to_le_bytes())
    }

    /// Writes a 64-bit number.
    pub fn write_u64(&mut self, at: u32, number: u64) -> HostcallResult {
        self.write(at, &number.to_le_bytes())
    }

    /// Hands bytes over: in memory that the guest allocates, with its place at
    /// `at_out` and its length at `len_out`. No bytes are the null pointer.
    pub fn give(&mut self, bytes: &[u8], at_out: u32, len_out: u32) -> HostcallResult {
        let fill = |target: &mut [u8]| target.copy_from_slice(bytes);
        self.give_with(bytes.len(), fill, at_out, len_out)
    }

    /// The same with `len` bytes that `fill` writes.
    pub fn give_with(
        &mut self,
        len: usize,
        fill: impl FnOnce(&mut [u8]),
        at_out: u32,
        len_out: u32,
    ) -> HostcallResult {
        let len_u32 = u32::try_from(len).map_err(|_| Status::InvalidMemoryAccess)?;
        let mut at = 0;
        if len > 0 {
            at = self.allocate(len_u32)?;
            let start = at as usize;
            let end = start.checked_add(len).ok_or(Status::InvalidMemoryAccess)?;
            let target = self.parts().0.get_mut(start..end);
            fill(target.ok_or(Status::InvalidMemoryAccess)?);
        }
        self.write_u32(at_out, at)?;
        self.write_u32(len_out, len_u32)
    }

    /// Lets the guest allocate. A trap in there fails the machine, but the guest's
    /// outer function goes on with a status, as under V8.
    fn allocate(&mut self, len: u32) -> Result<u32, Status> {
        let state = self.caller.data_mut();
        let malloc = state.malloc.clone().ok_or(Status::InvalidMemoryAccess)?;
        let before = std::mem::replace(&mut state.restriction, Restriction::Allocating);
        let result = malloc.call(self.caller.as_context_mut(), len);
        let state = self.caller.data_mut();
        state.restriction = before;
        match result {
            Ok(0) => Err(Status::InvalidMemoryAccess),
            Ok(at) => Ok(at),
            Err(error) => {
                state.fail_inside("malloc", &error);
                Err(Status::InvalidMemoryAccess)
            }
        }
    }
}

fn slice(memory: &[u8], at: u32, len: u32) -> Result<&[u8], Status> {
    let start = at as usize;
    let end = start
        .checked_add(len as usize)
        .ok_or(Status::InvalidMemoryAccess)?;
    memory.get(start..end).ok_or(Status::InvalidMemoryAccess)
}

fn is_allowed(restriction: Restriction, which: Hostcall) -> bool {
    let talks_or_tells_time = matches!(
        which,
        Hostcall::Log | Hostcall::FdWrite | Hostcall::ClockTimeGet
    );
    let starts = matches!(
        which,
        Hostcall::RandomGet | Hostcall::OtherWasi | Hostcall::NotifyMemoryGrowth
    );
    match restriction {
        Restriction::None => true,
        Restriction::Starting => talks_or_tells_time || starts,
        Restriction::Allocating => talks_or_tells_time || which == Hostcall::NotifyMemoryGrowth,
    }
}
