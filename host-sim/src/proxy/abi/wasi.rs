//! WASI preview 1, as far as Envoy implements it: logging to stdout and stderr, clocks, random
//! bytes. Functions for files, arguments and sockets exist and return an error.

use wasmtime::{Caller, Linker, Result};

use super::guest::Guest;
use crate::proxy::process::counts::Hostcall;
use crate::proxy::process::log::LogLevel;
use crate::proxy::vm::{Status, VmState};

/// Modules import from one name or the other.
const MODULES: [&str; 2] = ["wasi_snapshot_preview1", "wasi_unstable"];

const SUCCESS: i32 = 0;
const BAD_DESCRIPTOR: i32 = 8;
const FAULT: i32 = 21;
const INVALID: i32 = 28;
const NO_ENTRY: i32 = 44;
const NO_SYSTEM_CALL: i32 = 52;
const NOT_SUPPORTED: i32 = 58;

const STDOUT: u32 = 1;
const STDERR: u32 = 2;
const RANDOM_BYTES_MAX: u32 = 64 * 1024;
/// No guest needs more. A larger count is garbage.
const BUFFERS_MAX: u32 = 1_024;

fn errno(outcome: Result<(), Status>) -> i32 {
    outcome.map_or(FAULT, |()| SUCCESS)
}

pub(super) fn register(linker: &mut Linker<VmState>) -> wasmtime::Result<()> {
    for module in MODULES {
        implemented(linker, module)?;
        constant(linker, module)?;
        unimplemented(linker, module)?;
    }
    Ok(())
}

macro_rules! functions {
    ($linker:expr, $module:expr; $($which:ident $name:literal => $work:expr,
        ($($param:ident $type:ty),*);)+) => {
        $($linker.func_wrap(
            $module,
            $name,
            |caller: Caller<'_, VmState>, $($param: $type),*| -> Result<i32> {
                let mut guest = Guest::enter(caller, Hostcall::$which)?;
                let work: fn(&mut Guest<'_>, $($type),*) -> i32 = $work;
                let parameters = [$((stringify!($param), $param as i64)),*];
                let tape = guest.begin_tape($name, &parameters);
                let error = work(&mut guest, $($param),*);
                guest.end_tape(tape, error);
                Ok(error)
            },
        )?;)+
    };
}

fn implemented(linker: &mut Linker<VmState>, module: &str) -> wasmtime::Result<()> {
    functions! { linker, module;
        FdWrite "fd_write" => fd_write, (fd u32, list u32, count u32, written_out u32);
        ClockTimeGet "clock_time_get" => clock_time_get, (clock u32, precision u64, out u32);
        RandomGet "random_get" => random_get, (out u32, len u32);
        OtherWasi "fd_fdstat_get" => fd_fdstat_get, (fd u32, out u32);
        OtherWasi "environ_sizes_get" => environ_sizes_get, (count_out u32, size_out u32);
        OtherWasi "environ_get" => environ_get, (list u32, texts u32);
        OtherWasi "args_sizes_get" => two_zeros, (count_out u32, size_out u32);
        OtherWasi "poll_oneoff" => poll_oneoff,
            (subscriptions u32, events u32, count u32, events_out u32);
    }
    Ok(())
}

/// Functions with a constant result, as in Envoy.
#[rustfmt::skip]
fn constant(linker: &mut Linker<VmState>, module: &str) -> wasmtime::Result<()> {
    functions! { linker, module;
        OtherWasi "args_get" => |_, _, _| SUCCESS, (list u32, texts u32);
        OtherWasi "fd_seek" => |_, _, _, _, _| SUCCESS, (fd u32, to i64, whence u32, out u32);
        OtherWasi "fd_close" => |_, _| SUCCESS, (fd u32);
        OtherWasi "fd_prestat_get" => |_, _, _| BAD_DESCRIPTOR, (fd u32, out u32);
        OtherWasi "path_open" => |_, _, _, _, _, _, _, _, _, _| NO_ENTRY,
            (fd u32, a u32, b u32, c u32, d u32, e u64, f u64, g u32, out u32);
        OtherWasi "sched_yield" => |_| SUCCESS, ();
    }
    // The guest traps by itself afterwards: the compiler puts an `unreachable` there.
    linker.func_wrap(
        module,
        "proc_exit",
        |caller: Caller<'_, VmState>, _code: u32| -> Result<()> {
            Guest::enter(caller, Hostcall::OtherWasi).map(|_| ())
        },
    )?;
    Ok(())
}

/// Functions that are not implemented.
#[rustfmt::skip]
fn unimplemented(linker: &mut Linker<VmState>, module: &str) -> wasmtime::Result<()> {
    functions! { linker, module;
        OtherWasi "fd_read" => |_, _, _, _, _| NO_SYSTEM_CALL, (a u32, b u32, c u32, d u32);
        OtherWasi "fd_prestat_dir_name" => |_, _, _, _| NO_SYSTEM_CALL, (a u32, b u32, c u32);
        OtherWasi "clock_res_get" => |_, _, _| NO_SYSTEM_CALL, (a u32, b u32);
        OtherWasi "fd_advise" => |_, _, _, _, _| NO_SYSTEM_CALL, (a u32, b u64, c u64, d u32);
        OtherWasi "fd_allocate" => |_, _, _, _| NO_SYSTEM_CALL, (a u32, b u64, c u64);
        OtherWasi "fd_datasync" => |_, _| NO_SYSTEM_CALL, (a u32);
        OtherWasi "fd_fdstat_set_flags" => |_, _, _| NO_SYSTEM_CALL, (a u32, b u32);
        OtherWasi "fd_fdstat_set_rights" => |_, _, _, _| NO_SYSTEM_CALL, (a u32, b u64, c u64);
        OtherWasi "fd_filestat_get" => |_, _, _| NO_SYSTEM_CALL, (a u32, b u32);
        OtherWasi "fd_filestat_set_size" => |_, _, _| NO_SYSTEM_CALL, (a u32, b u64);
        OtherWasi "fd_filestat_set_times" => |_, _, _, _, _| NO_SYSTEM_CALL,
            (a u32, b u64, c u64, d u32);
        OtherWasi "fd_pread" => |_, _, _, _, _, _| NO_SYSTEM_CALL,
            (a u32, b u32, c u32, d u64, e u32);
        OtherWasi "fd_pwrite" => |_, _, _, _, _, _| NO_SYSTEM_CALL,
            (a u32, b u32, c u32, d u64, e u32);
        OtherWasi "fd_readdir" => |_, _, _, _, _, _| NO_SYSTEM_CALL,
            (a u32, b u32, c u32, d u64, e u32);
        OtherWasi "fd_renumber" => |_, _, _| NO_SYSTEM_CALL, (a u32, b u32);
        OtherWasi "fd_sync" => |_, _| NO_SYSTEM_CALL, (a u32);
        OtherWasi "fd_tell" => |_, _, _| NO_SYSTEM_CALL, (a u32, b u32);
        OtherWasi "path_create_directory" => |_, _, _, _| NO_SYSTEM_CALL, (a u32, b u32, c u32);
        OtherWasi "path_filestat_get" => |_, _, _, _, _, _| NO_SYSTEM_CALL,
            (a u32, b u32, c u32, d u32, e u32);
        OtherWasi "path_filestat_set_times" => |_, _, _, _, _, _, _, _| NO_SYSTEM_CALL,
            (a u32, b u32, c u32, d u32, e u64, f u64, g u32);
        OtherWasi "path_link" => |_, _, _, _, _, _, _, _| NO_SYSTEM_CALL,
            (a u32, b u32, c u32, d u32, e u32, f u32, g u32);
        OtherWasi "path_readlink" => |_, _, _, _, _, _, _| NO_SYSTEM_CALL,
            (a u32, b u32, c u32, d u32, e u32, f u32);
        OtherWasi "path_remove_directory" => |_, _, _, _| NO_SYSTEM_CALL, (a u32, b u32, c u32);
        OtherWasi "path_rename" => |_, _, _, _, _, _, _| NO_SYSTEM_CALL,
            (a u32, b u32, c u32, d u32, e u32, f u32);
        OtherWasi "path_symlink" => |_, _, _, _, _, _| NO_SYSTEM_CALL,
            (a u32, b u32, c u32, d u32, e u32);
        OtherWasi "path_unlink_file" => |_, _, _, _| NO_SYSTEM_CALL, (a u32, b u32, c u32);
        OtherWasi "proc_raise" => |_, _| NO_SYSTEM_CALL, (a u32);
        OtherWasi "sock_accept" => |_, _, _, _| NO_SYSTEM_CALL, (a u32, b u32, c u32);
        OtherWasi "sock_recv" => |_, _, _, _, _, _, _| NO_SYSTEM_CALL,
            (a u32, b u32, c u32, d u32, e u32, f u32);
        OtherWasi "sock_send" => |_, _, _, _, _, _| NO_SYSTEM_CALL,
            (a u32, b u32, c u32, d u32, e u32);
        OtherWasi "sock_shutdown" => |_, _, _| NO_SYSTEM_CALL, (a u32, b u32);
    }
    Ok(())
}

/// Waits for nothing, and reports that nothing happened.
fn poll_oneoff(guest: &mut Guest<'_>, _: u32, _: u32, _: u32, events_out: u32) -> i32 {
    errno(guest.write_u32(events_out, 0))
}

/// Writes to the log: stdout at level info, stderr at level error.
fn fd_write(guest: &mut Guest<'_>, fd: u32, list: u32, count: u32, written_out: u32) -> i32 {
    let level = match fd {
        STDOUT => LogLevel::Info,
        STDERR => LogLevel::Error,
        _ => return BAD_DESCRIPTOR,
    };
    let Ok(text) = gather(guest, list, count) else {
        return FAULT;
    };
    let written = u32::try_from(text.len()).unwrap_or(u32::MAX);
    if written > 0 {
        let line = text.strip_suffix(b"\n").unwrap_or(&text);
        let line = String::from_utf8_lossy(line).into_owned();
        let state = guest.state();
        let thread = state.setup.id.thread;
        state.process.log(thread, level, line);
    }
    errno(guest.write_u32(written_out, written))
}

fn gather(guest: &mut Guest<'_>, list: u32, count: u32) -> Result<Vec<u8>, Status> {
    if count > BUFFERS_MAX {
        return Err(Status::InvalidMemoryAccess);
    }
    let mut text = Vec::new();
    for index in 0..count {
        let entry = list
            .checked_add(index * 8)
            .ok_or(Status::InvalidMemoryAccess)?;
        let entry = guest.bytes(entry, 8)?;
        let word = |bytes: &[u8]| bytes.try_into().map_or(0, u32::from_le_bytes);
        let (at, len) = entry.split_at(4);
        let (at, len) = (word(at), word(len));
        text.extend_from_slice(guest.bytes(at, len)?);
    }
    Ok(text)
}

fn clock_time_get(guest: &mut Guest<'_>, clock: u32, _precision: u64, out: u32) -> i32 {
    let process = &guest.state().process;
    let now = match clock {
        0 => process.wall_ns(),
        1 => process.monotonic_ns(),
        _ => return NOT_SUPPORTED,
    };
    errno(guest.write_u64(out, now))
}

fn random_get(guest: &mut Guest<'_>, out: u32, len: u32) -> i32 {
    if len > RANDOM_BYTES_MAX {
        return INVALID;
    }
    let mut bytes = vec![0; len as usize];
    guest.state().random.fill(&mut bytes);
    errno(guest.write(out, &bytes))
}

/// Only stdout and stderr exist, and they are writable.
fn fd_fdstat_get(guest: &mut Guest<'_>, fd: u32, out: u32) -> i32 {
    const RIGHTS_FD_WRITE: u8 = 64;
    if fd != STDOUT && fd != STDERR {
        return BAD_DESCRIPTOR;
    }
    let mut status = [0; 24];
    status[8] = RIGHTS_FD_WRITE;
    // Envoy ignores whether this write succeeds.
    let _ = guest.write(out, &status);
    SUCCESS
}

/// Each variable is `NAME=value` and a NUL, as in C.
fn environ_sizes_get(guest: &mut Guest<'_>, count_out: u32, size_out: u32) -> i32 {
    let environment = guest.state().setup.environment.clone();
    let size: usize = environment.iter().map(|it| it.len() + 1).sum();
    let [count, size] =
        [environment.len(), size].map(|number| u32::try_from(number).unwrap_or(u32::MAX));
    errno(
        guest
            .write_u32(count_out, count)
            .and_then(|()| guest.write_u32(size_out, size)),
    )
}

fn environ_get(guest: &mut Guest<'_>, list: u32, texts: u32) -> i32 {
    let environment = guest.state().setup.environment.clone();
    let (mut entry, mut text) = (list, texts);
    for variable in environment.iter() {
        let bytes = [variable.as_bytes(), b"\0"].concat();
        let written = guest
            .write_u32(entry, text)
            .and_then(|()| guest.write(text, &bytes));
        if written.is_err() {
            return FAULT;
        }
        entry = entry.wrapping_add(4);
        text = text.wrapping_add(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
    }
    SUCCESS
}

fn two_zeros(guest: &mut Guest<'_>, first: u32, second: u32) -> i32 {
    errno(
        guest
            .write_u32(first, 0)
            .and_then(|()| guest.write_u32(second, 0)),
    )
}
