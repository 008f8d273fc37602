//! Log, clock, ticks, and the effective context.

use super::guest::{Guest, HostcallResult};
use crate::proxy::process::counts::Hostcall;
use crate::proxy::process::log::LogLevel;
use crate::proxy::vm::{Deferred, RootPhase, Status};

pub(crate) fn log(guest: &mut Guest<'_>, level: u32, text: u32, text_len: u32) -> HostcallResult {
    let level = LogLevel::from_number(level).ok_or(Status::BadArgument)?;
    let ([text], state) = guest.slices([(text, text_len)])?;
    let thread = state.setup.id.thread;
    if level >= state.process.log_level {
        let text = String::from_utf8_lossy(text).into_owned();
        state.process.log(thread, level, text);
    }
    Ok(())
}

pub(crate) fn log_level(guest: &mut Guest<'_>, out: u32) -> HostcallResult {
    let level = guest.state().process.log_level as u32;
    guest.write_u32(out, level)
}

pub(crate) fn current_time(guest: &mut Guest<'_>, out: u32) -> HostcallResult {
    let now = guest.state().process.wall_ns();
    guest.write_u64(out, now)
}

/// Sets the tick of the root context, even if a stream's context asks for it.
pub(crate) fn set_tick_period(guest: &mut Guest<'_>, period_ms: u32) -> HostcallResult {
    let state = guest.state();
    if let Some(root) = state.subject_root() {
        state.set_tick(root, period_ms);
    }
    Ok(())
}

pub(crate) fn set_effective_context(guest: &mut Guest<'_>, context: u32) -> HostcallResult {
    guest.state().set_effective(context)
}

/// Ends a root context that waits for it, since its `proxy_on_done` returned false.
pub(crate) fn done(guest: &mut Guest<'_>) -> HostcallResult {
    let state = guest.state();
    let root = state.subject_root().ok_or(Status::NotFound)?;
    let context = state.roots.get_mut(&root).ok_or(Status::NotFound)?;
    if context.phase != RootPhase::Finishing {
        return Err(Status::NotFound);
    }
    context.phase = RootPhase::Finished;
    state.deferred.push_back(Deferred::Delete { root });
    Ok(())
}

/// Returns how the last call failed. The code stays, the message lasts only for the callback.
pub(crate) fn status(
    guest: &mut Guest<'_>,
    code_out: u32,
    text_out: u32,
    len_out: u32,
) -> HostcallResult {
    let state = guest.state();
    let root = state.subject_root().and_then(|root| state.roots.get(&root));
    let (code, text) = root.map_or((0, "".into()), |root| {
        (root.status, root.status_message.clone())
    });
    guest.write_u32(code_out, code)?;
    guest.give(text.as_bytes(), text_out, len_out)
}

pub(crate) fn resolve_dns(
    guest: &mut Guest<'_>,
    _name: u32,
    _name_len: u32,
    token_out: u32,
) -> HostcallResult {
    let name = Hostcall::ResolveDns.name();
    guest.state().process.not_modelled(name, name)?;
    guest.write_u32(token_out, 0)
}
