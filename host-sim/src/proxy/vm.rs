//! Modules and their virtual machines.
//!
//! One engine serves the process: compiled modules are kept in the user's cache
//! directory, where one is writable, since compiling takes longer than most runs.
//!
//! Each virtual machine is a store of its own, so that one that has failed can be
//! dropped with all its memory. Fuel is always counted: it stops endless loops, and
//! does so at the same instruction on every machine. NaNs are canonical and relaxed
//! SIMD is strict for the same reason.

mod exports;
mod load;
mod random;
mod state;
mod traps;

use wasmtime::{AsContextMut, Store, TypedFunc, WasmParams, WasmResults};

pub use load::Module;

pub(crate) use exports::Exports;
pub(crate) use random::Random;
pub(crate) use state::{Deferred, Incoming, Owner, Restriction, Root, RootPhase, Status, VmState};

use crate::proxy::process::{VmId, World};
use crate::proxy::{CallId, Callback, Effect, LogLevel};

/// One virtual machine.
pub(crate) struct Vm {
    store: Store<VmState>,
    pub exports: Exports,
    fuel_per_callback: u64,
}

/// What a machine is started with, apart from its module.
#[derive(Clone, Debug, Default)]
pub(crate) struct VmSetup {
    pub id: VmId,
    pub vm_id: std::rc::Rc<[u8]>,
    pub vm_configuration: std::rc::Rc<[u8]>,
    pub plugin_name: std::rc::Rc<str>,
    pub root_id: std::rc::Rc<str>,
    pub seed: u64,
    pub fuel_per_callback: Option<u64>,
}

/// Some seconds of computing: enough for a configuration of any size, and the end of
/// an endless loop.
const DEFAULT_FUEL: u64 = 4_000_000_000;

impl Vm {
    /// What the machine knows between callbacks.
    pub fn state(&self) -> &VmState {
        self.store.data()
    }

    /// The same, to be written.
    pub fn state_mut(&mut self) -> &mut VmState {
        self.store.data_mut()
    }

    /// How much linear memory it has.
    pub fn memory_bytes(&self) -> usize {
        let memory = self.store.data().memory;
        memory.map_or(0, |memory| memory.data_size(&self.store))
    }

    /// Whether a callback trapped: from then on the guest is not called any more.
    pub fn has_failed(&self) -> bool {
        self.store.data().failed
    }

    /// Calls into the guest with `owner` as the current context, and the world lent to
    /// it. Absent: the guest trapped, now or before.
    pub fn call<P: WasmParams, R: WasmResults>(
        &mut self,
        world: &mut Box<World>,
        callback: Callback,
        owner: Owner,
        func: &TypedFunc<P, R>,
        params: P,
    ) -> Option<R> {
        if self.has_failed() {
            return None;
        }
        let before = self.store.data_mut().enter(world, owner);
        // Stores without fuel do not exist here, so this cannot fail.
        let _ = self.store.set_fuel(self.fuel_per_callback);
        let result = func.call(self.store.as_context_mut(), params);
        let left = self.store.get_fuel().unwrap_or(0);
        self.store.data_mut().leave(world, before);
        let spent = self.fuel_per_callback.saturating_sub(left);
        world.counts.count_callback(callback, spent);
        match result {
            // An allocation may have trapped inside, which the guest then outlived.
            Ok(result) => (!self.has_failed()).then_some(result),
            Err(error) => {
                self.fail(world, callback.name(), &error);
                None
            }
        }
    }

    /// What the guest asked for during its last callback, one by one.
    pub fn next_deferred(&mut self) -> Option<Deferred> {
        self.store.data_mut().deferred.pop_front()
    }

    /// Gives up all that the machine waits for, before it is dropped.
    pub fn retire(&mut self, world: &mut World) {
        let roots: Vec<_> = self.state().roots.keys().copied().collect();
        roots
            .into_iter()
            .for_each(|root| self.forget_root(world, root));
    }

    /// Forgets a root context, with its timer and its calls.
    pub fn forget_root(&mut self, world: &mut World, root: u32) {
        let state = self.state_mut();
        state.disarm(world, root);
        state.roots.remove(&root);
        let gone = |call: &CallId| world.calls.get(call).is_none_or(|open| open.root == root);
        let calls: Vec<_> = state.calls.extract_if(.., |_, call| gone(call)).collect();
        for (_, call) in calls {
            world.calls.remove(&call);
            world.effects.push_back(Effect::CancelCall { call });
        }
    }

    fn fail(&mut self, world: &mut World, function: &str, error: &wasmtime::Error) {
        let text = traps::text(function, error);
        world.log(self.state().setup.id.thread, LogLevel::Error, text.clone());
        let state = self.state_mut();
        state.failed = true;
        state.failure.get_or_insert(text);
    }
}
