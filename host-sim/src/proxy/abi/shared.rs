//! Shared data and queues.

use super::guest::{Guest, HostcallResult};
use crate::proxy::process::queues::Owner;
use crate::proxy::process::timers::Task;
use crate::proxy::vm::Status;

pub(crate) fn data(
    guest: &mut Guest<'_>,
    key: u32,
    key_len: u32,
    out: u32,
    len_out: u32,
    cas_out: u32,
) -> HostcallResult {
    let ([key], state) = guest.slices([(key, key_len)])?;
    let found = state.process.shared_data.value(&state.setup.vm_id, key);
    let (value, cas) = found
        .map(|(value, cas)| (value.clone(), cas))
        .ok_or(Status::NotFound)?;
    guest.give(&value, out, len_out)?;
    guest.write_u32(cas_out, cas)
}

pub(crate) fn set_data(
    guest: &mut Guest<'_>,
    key: u32,
    key_len: u32,
    value: u32,
    value_len: u32,
    cas: u32,
) -> HostcallResult {
    let ([key, value], state) = guest.slices([(key, key_len), (value, value_len)])?;
    let written = state
        .process
        .shared_data
        .set(&state.setup.vm_id, key, value, cas);
    written.then_some(()).ok_or(Status::CasMismatch)
}

pub(crate) fn register_queue(
    guest: &mut Guest<'_>,
    name: u32,
    name_len: u32,
    id_out: u32,
) -> HostcallResult {
    let ([name], state) = guest.slices([(name, name_len)])?;
    let root = state.subject_root().unwrap_or_default();
    let owner = Owner {
        thread: state.setup.id.thread,
        root,
    };
    let id = state
        .process
        .queues
        .register(&state.setup.vm_id, name, owner);
    guest.write_u32(id_out, id)
}

pub(crate) fn resolve_queue(
    guest: &mut Guest<'_>,
    vm_id: u32,
    vm_id_len: u32,
    name: u32,
    name_len: u32,
    id_out: u32,
) -> HostcallResult {
    let ([vm_id, name], state) = guest.slices([(vm_id, vm_id_len), (name, name_len)])?;
    let vm_id = if vm_id.is_empty() {
        &state.setup.vm_id
    } else {
        vm_id
    };
    let id = state
        .process
        .queues
        .resolve(vm_id, name)
        .ok_or(Status::NotFound)?;
    guest.write_u32(id_out, id)
}

/// Adds a message, and notifies the last thread that registered the queue.
pub(crate) fn enqueue(
    guest: &mut Guest<'_>,
    id: u32,
    message: u32,
    message_len: u32,
) -> HostcallResult {
    let ([message], state) = guest.slices([(message, message_len)])?;
    let process = &mut *state.process;
    let Owner { thread, root } = process
        .queues
        .enqueue(id, message)
        .ok_or(Status::NotFound)?;
    process.timers.post(
        process.now,
        Task::QueueReady {
            thread,
            root,
            queue: id,
        },
    );
    Ok(())
}

pub(crate) fn dequeue(guest: &mut Guest<'_>, id: u32, out: u32, len_out: u32) -> HostcallResult {
    let message = guest
        .state()
        .process
        .queues
        .dequeue(id)
        .ok_or(Status::NotFound)?;
    guest.give(&message.ok_or(Status::Empty)?, out, len_out)
}
