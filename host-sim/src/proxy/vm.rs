//! Virtual machines.
//!
//! Each VM has a store of its own, so a VM that has failed can be dropped with all its
//! memory. Fuel is always metered: it ends endless loops, and at the same instruction on
//! every computer.

mod context;
mod exports;
mod metric_ids;
mod random;
mod start;
mod state;
mod traps;

use wasmtime::{AsContextMut, Store, TypedFunc, WasmParams, WasmResults};

pub(crate) use context::{Owner, Restriction, Root, RootPhase};
pub(crate) use exports::Exports;
pub(crate) use random::Random;
pub(crate) use start::ALLOCATORS;
pub(crate) use state::{Deferred, Incoming, VmSetup, VmState};

pub(crate) use crate::proxy::process::status::Status;

use crate::proxy::ids::CallId;
use crate::proxy::process::Process;
use crate::proxy::process::counts::Callback;
use crate::proxy::process::effect::Effect;
use crate::proxy::process::log::LogLevel;
use crate::proxy::process::tape::{TapeEvent, Words};

/// One virtual machine.
pub(crate) struct Vm {
    store: Store<VmState>,
    pub exports: Exports,
    fuel_per_callback: u64,
}

impl Vm {
    /// Returns the state that the VM keeps between callbacks.
    pub(crate) fn state(&self) -> &VmState {
        self.store.data()
    }

    /// The mutable counterpart of [`Vm::state`].
    pub(crate) fn state_mut(&mut self) -> &mut VmState {
        self.store.data_mut()
    }

    /// Returns the size of the linear memory, in bytes.
    pub(crate) fn memory_bytes(&self) -> usize {
        let memory = self.store.data().memory;
        memory.map_or(0, |memory| memory.data_size(&self.store))
    }

    /// Whether a callback trapped. A VM that has failed is never called again.
    pub(crate) fn has_failed(&self) -> bool {
        self.store.data().failed
    }

    /// Calls into the guest with `owner` as the current context, and lends it the process.
    /// `None` if the guest trapped, in this call or an earlier one.
    pub(crate) fn call<P: WasmParams + Words, R: WasmResults + Words>(
        &mut self,
        process: &mut Box<Process>,
        callback: Callback,
        owner: Owner,
        func: &TypedFunc<P, R>,
        params: P,
    ) -> Option<R> {
        if self.has_failed() {
            return None;
        }
        let worker = self.state().setup.id.thread;
        if process.tape.is_some() {
            process.tape(worker, TapeEvent::called(callback, &params));
        }
        let before = self.store.data_mut().enter(process, owner);
        // Fails only for a store without fuel, and every store here has it.
        let _ = self.store.set_fuel(self.fuel_per_callback);
        let result = func.call(self.store.as_context_mut(), params);
        let left = self.store.get_fuel().unwrap_or(0);
        self.store.data_mut().leave(process, before);
        let spent = self.fuel_per_callback.saturating_sub(left);
        process.counts.count_callback(callback, spent);
        if process.tape.is_some() {
            let returned = TapeEvent::returned(callback, result.as_ref().ok());
            process.tape(worker, returned);
        }
        match result {
            // The guest may have survived a trap in its allocator, which a hostcall called.
            Ok(result) => (!self.has_failed()).then_some(result),
            Err(error) => {
                self.fail(process, callback.name(), &error);
                None
            }
        }
    }

    /// Takes the next action that the guest deferred during its last callback.
    pub(crate) fn next_deferred(&mut self) -> Option<Deferred> {
        self.store.data_mut().deferred.pop_front()
    }

    /// Cancels all timers and calls of the VM, before it is dropped.
    pub(crate) fn retire(&mut self, process: &mut Process) {
        let roots: Vec<_> = self.state().roots.keys().copied().collect();
        for root in roots {
            self.forget_root(process, root);
        }
    }

    /// Removes a root context with its timer and its calls.
    pub(crate) fn forget_root(&mut self, process: &mut Process, root: u32) {
        let state = self.state_mut();
        state.disarm(process, root);
        state.roots.remove(&root);
        let gone = |call: &CallId| process.calls.get(call).is_none_or(|open| open.root == root);
        let calls: Vec<_> = state.calls.extract_if(.., |_, call| gone(call)).collect();
        for (_, call) in calls {
            process.calls.remove(&call);
            process.effects.push_back(Effect::CancelCall { call });
        }
    }

    fn fail(&mut self, process: &mut Process, function: &str, error: &wasmtime::Error) {
        let text = traps::text(function, error);
        process.log(self.state().setup.id.thread, LogLevel::Error, text.clone());
        let state = self.state_mut();
        state.failed = true;
        state.failure.get_or_insert(text);
    }
}
