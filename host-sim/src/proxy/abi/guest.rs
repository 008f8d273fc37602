//! A hostcall's access to the guest: its memory, and the VM's state.

use crate::proxy::process::counts::Hostcall;
use crate::proxy::stream::Stream;
use crate::proxy::vm::{Restriction, Status, VmState};
use wasmtime::{AsContextMut, Caller, Error};

/// Status of a hostcall; `Ok` is status 0.
pub(crate) type HostcallResult = Result<(), Status>;

/// A guest that has made a hostcall.
pub(crate) struct Guest<'a> {
    caller: Caller<'a, VmState>,
}

/// Message of V8's exception, which Envoy logs with the name of the running function.
const RESTRICTED: &str = "restricted_callback";

impl<'a> Guest<'a> {
    /// Counts the hostcall. Traps if the guest may not make it now.
    pub(super) fn enter(
        mut caller: Caller<'a, VmState>,
        which: Hostcall,
    ) -> Result<Guest<'a>, Error> {
        let state = caller.data_mut();
        state.process.counts.count_hostcall(which);
        if state.restriction != Restriction::None && !is_allowed(state.restriction, which) {
            return Err(Error::msg(RESTRICTED));
        }
        Ok(Guest { caller })
    }

    /// Returns the VM's state.
    pub(super) fn state(&mut self) -> &mut VmState {
        self.caller.data_mut()
    }

    /// Returns the stream that the hostcall acts on.
    pub(super) fn stream(&mut self) -> Option<&mut Stream> {
        let state = self.caller.data_mut();
        let stream = state.subject_stream()?;
        state.process.streams.get_mut(stream)
    }

    /// Borrows the guest's memory and the VM's state at the same time.
    pub(super) fn parts(&mut self) -> (&mut [u8], &mut VmState) {
        match self.caller.data().memory {
            Some(memory) => memory.data_and_store_mut(&mut self.caller),
            None => (&mut [], self.caller.data_mut()),
        }
    }

    /// Returns the `len` bytes at `at`.
    pub(super) fn bytes(&mut self, at: u32, len: u32) -> Result<&[u8], Status> {
        slice(self.parts().0, at, len)
    }

    /// Returns several byte ranges, and the VM's state.
    pub(super) fn slices<const COUNT: usize>(
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
    pub(super) fn write(&mut self, at: u32, bytes: &[u8]) -> HostcallResult {
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
    pub(super) fn write_u32(&mut self, at: u32, number: u32) -> HostcallResult {
        self.write(at, &number.to_le_bytes())
    }

    /// Writes a 64-bit number.
    pub(super) fn write_u64(&mut self, at: u32, number: u64) -> HostcallResult {
        self.write(at, &number.to_le_bytes())
    }

    /// Passes bytes to the guest, in memory that the guest allocates. Writes their address to
    /// `at_out` and their length to `len_out`. Empty bytes have a null pointer.
    pub(super) fn give(&mut self, bytes: &[u8], at_out: u32, len_out: u32) -> HostcallResult {
        let fill = |target: &mut [u8]| target.copy_from_slice(bytes);
        self.give_with(bytes.len(), fill, at_out, len_out)
    }

    /// Like [`Guest::give`], for `len` bytes that `fill` writes.
    pub(super) fn give_with(
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

    /// Calls the guest's allocator. If it traps, the VM has failed, but the hostcall returns a
    /// status and the guest continues, as under V8.
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
    let logs_or_reads_clock = matches!(
        which,
        Hostcall::Log | Hostcall::FdWrite | Hostcall::ClockTimeGet
    );
    let starting = matches!(
        which,
        Hostcall::RandomGet | Hostcall::OtherWasi | Hostcall::NotifyMemoryGrowth
    );
    match restriction {
        Restriction::None => true,
        Restriction::Starting => logs_or_reads_clock || starting,
        Restriction::Allocating => logs_or_reads_clock || which == Hostcall::NotifyMemoryGrowth,
    }
}
