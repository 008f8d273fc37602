//! Callbacks of root contexts: configuration, ticks and queues.

use std::rc::Rc;

use wasmtime::{TypedFunc, WasmParams, WasmResults};

use super::{Flow, count};
use crate::proxy::process::counts::Callback;
use crate::proxy::process::tape::Words;
use crate::proxy::vm::{Exports, Owner, Root, RootPhase};

const NOT_STARTED: &str = "Failed to start base Wasm";
const NOT_CONFIGURED: &str = "Failed to configure base Wasm plugin";

impl Flow<'_> {
    /// Creates a root context and configures it.
    ///
    /// # Errors
    ///
    /// If the guest rejects the configuration or traps; the message is Envoy's.
    pub(crate) fn start_root(&mut self, configuration: &Rc<[u8]>) -> Result<u32, &'static str> {
        let vm = self.vm.as_deref_mut().ok_or(NOT_STARTED)?;
        let state = vm.state_mut();
        let root = state.new_context();
        state.roots.insert(root, Root::default());
        let vm_size = size(&state.setup.vm_configuration);
        state.configuration = Some(configuration.clone());
        self.root(
            Callback::ContextCreate,
            root,
            |x| &x.context_create,
            (root, 0),
        );
        self.show_configuration(None);
        let started = self.root(Callback::VmStart, root, |x| &x.vm_start, (root, vm_size));
        if !is_yes(started) || self.has_failed() {
            return Err(NOT_STARTED);
        }
        self.show_configuration(Some(configuration.clone()));
        let params = (root, size(configuration));
        let configured = self.root(Callback::Configure, root, |x| &x.configure, params);
        self.show_configuration(None);
        if is_yes(configured) {
            Ok(root)
        } else {
            Err(NOT_CONFIGURED)
        }
    }

    fn show_configuration(&mut self, configuration: Option<Rc<[u8]>>) {
        if let Some(vm) = self.vm.as_deref_mut() {
            vm.state_mut().configuration = configuration;
        }
    }

    fn has_failed(&self) -> bool {
        self.vm.as_ref().is_none_or(|vm| vm.has_failed())
    }

    /// Calls into the guest for a root context, and carries out what it deferred. The outer
    /// `None` means that the guest does not export the function.
    pub(super) fn root<P: WasmParams + Words, R: WasmResults + Words>(
        &mut self,
        callback: Callback,
        root: u32,
        func: impl FnOnce(&Exports) -> &Option<TypedFunc<P, R>>,
        params: P,
    ) -> Option<Option<R>> {
        let result = self.root_without_deferred(callback, root, func, params);
        self.after_guest();
        result
    }

    pub(super) fn root_without_deferred<P: WasmParams + Words, R: WasmResults + Words>(
        &mut self,
        callback: Callback,
        root: u32,
        func: impl FnOnce(&Exports) -> &Option<TypedFunc<P, R>>,
        params: P,
    ) -> Option<Option<R>> {
        let vm = self.vm.as_deref_mut()?;
        let func = func(&vm.exports).clone()?;
        Some(vm.call(self.process, callback, Owner::Root(root), &func, params))
    }

    /// Runs `proxy_on_tick` if the context still exists, then restarts its timer.
    pub(crate) fn tick(&mut self, root: u32) {
        if self.knows_root(root) {
            self.root(Callback::Tick, root, |x| &x.tick, root);
            if let Some(vm) = self.vm.as_deref_mut() {
                vm.state_mut().arm_outside(self.process, root);
            }
        }
    }

    /// Runs `proxy_on_queue_ready` if the context still exists.
    pub(crate) fn queue_ready(&mut self, root: u32, queue: u32) {
        if self.knows_root(root) {
            self.root(
                Callback::QueueReady,
                root,
                |x| &x.queue_ready,
                (root, queue),
            );
        }
    }

    pub(super) fn knows_root(&self, root: u32) -> bool {
        let vm = self.vm.as_ref().filter(|vm| !vm.has_failed());
        vm.is_some_and(|vm| vm.state().roots.contains_key(&root))
    }

    /// Drains a configuration: it ends with its last stream.
    pub(crate) fn drain_root(&mut self, root: u32) {
        let Some(vm) = self.vm.as_deref_mut() else {
            return;
        };
        let Some(entry) = vm.state_mut().roots.get_mut(&root) else {
            return;
        };
        entry.phase = RootPhase::Draining;
        if entry.streams == 0 {
            self.finish_root(root);
        }
    }

    /// Runs `proxy_on_done`, then `proxy_on_delete`: at once, or when the guest calls
    /// `proxy_done`.
    pub(crate) fn finish_root(&mut self, root: u32) {
        let done = self.root(Callback::Done, root, |x| &x.done, root);
        if is_yes(done) || self.has_failed() {
            self.delete_root(root);
        } else if let Some(vm) = self.vm.as_deref_mut()
            && let Some(entry) = vm.state_mut().roots.get_mut(&root)
            && entry.phase == RootPhase::Draining
        {
            entry.phase = RootPhase::Finishing;
        }
    }

    /// Runs `proxy_on_delete`, and cancels the context's timer and calls.
    pub(crate) fn delete_root(&mut self, root: u32) {
        self.root_without_deferred(Callback::Delete, root, |x| &x.delete, root);
        if let Some(vm) = self.vm.as_deref_mut() {
            vm.forget_root(self.process, root);
        }
        self.after_guest();
    }
}

/// A guest without the function agrees; a guest that trapped does not.
fn is_yes(returned: Option<Option<u32>>) -> bool {
    returned.is_none_or(|returned| returned.is_some_and(|value| value != 0))
}

fn size(bytes: &[u8]) -> u32 {
    count(bytes.len())
}
