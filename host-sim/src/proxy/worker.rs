//! A thread of the proxy: its VM, the configuration it serves, and what follows a trap.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use crate::proxy::flow::Flow;
use crate::proxy::ids::{StreamId, Thread, VmId};
use crate::proxy::process::Process;
use crate::proxy::setup::{FailurePolicy, Plugin, StartError};
use crate::proxy::stream::Filter;
use crate::proxy::vm::{Random, RootPhase, Vm, VmSetup};
use crate::sim::clock::Time;

/// The plugin, as all threads share it.
#[derive(Debug)]
pub(crate) struct Hosted {
    pub plugin: Plugin,
    pub configuration: Rc<[u8]>,
    pub seed: u64,
    /// Results for the configurations that were tried.
    pub tried: BTreeMap<Rc<[u8]>, Result<(), StartError>>,
}

/// A worker thread, or the main thread, which has a VM but no streams.
pub(crate) struct Worker {
    thread: Thread,
    /// Number of the listener that it serves.
    listener: usize,
    /// Another listener has taken the place of its own.
    left: bool,
    vm: Option<Vm>,
    /// The root context of the current configuration. `None` if the plugin rejected the
    /// configuration on this thread alone; streams then bypass the plugin.
    root: Option<u32>,
    lives: u32,
    last_load: Time,
    jitter: Random,
}

/// Shortest time between two starts of a VM, without Envoy's jitter of up to one half more.
const RELOAD_MS: u64 = 1_000;

impl Hosted {
    fn vm_setup(&self, id: VmId) -> VmSetup {
        VmSetup {
            id,
            vm_id: self.plugin.vm_id.as_bytes().into(),
            vm_configuration: self.plugin.vm_configuration.as_slice().into(),
            plugin_name: self.plugin.name.as_str().into(),
            root_id: self.plugin.root_id.as_str().into(),
            seed: self.seed,
            fuel_per_callback: self.plugin.fuel_per_callback,
            environment: self.plugin.environment.as_slice().into(),
        }
    }

    /// Returns whether the plugin accepts the configuration, which is tried once.
    pub(super) fn accept(&mut self, process: &mut Box<Process>) -> Result<(), StartError> {
        if let Some(known) = self.tried.get(&self.configuration) {
            return known.clone();
        }
        let result = self.canary(process);
        self.tried
            .insert(self.configuration.clone(), result.clone());
        result
    }

    /// Tries the configuration in a throwaway VM.
    fn canary(&self, process: &mut Box<Process>) -> Result<(), StartError> {
        let id = VmId {
            thread: None,
            life: u32::MAX,
        };
        let mut vm = self.plugin.module.start(self.vm_setup(id), process)?;
        let mut flow = self.flow(&mut vm, process);
        let started = flow.start_root(&self.configuration);
        vm.retire(process);
        match (&process.halt, started) {
            (Some(halt), _) => Err(StartError::Halt(halt.clone())),
            (None, Err(text)) => Err(StartError::Configuration(text.into())),
            (None, Ok(_)) => Ok(()),
        }
    }

    fn flow<'a>(&self, vm: &'a mut Vm, process: &'a mut Box<Process>) -> Flow<'a> {
        Flow {
            process,
            vm: Some(vm),
            allow_on_headers_stop_iteration: self.plugin.allow_on_headers_stop_iteration,
        }
    }
}

impl Worker {
    /// Creates a thread without a VM.
    pub(super) fn new(thread: Thread, listener: usize, seed: u64) -> Worker {
        let number = thread.map_or(0, |worker| worker as u64 + 1);
        Worker {
            thread,
            listener,
            left: false,
            vm: None,
            root: None,
            lives: 0,
            last_load: Time::ZERO,
            // VMs number their lives from 0, so this stream of numbers is none of theirs.
            jitter: Random::new(seed, number, u64::MAX),
        }
    }

    /// Returns the number of the listener that it serves.
    pub(super) fn listener(&self) -> usize {
        self.listener
    }

    /// Moves the thread to another listener, in a new VM. Only the main thread moves, which has
    /// no streams.
    pub(super) fn move_to(&mut self, listener: usize, process: &mut Process) {
        self.listener = listener;
        self.root = None;
        if let Some(mut vm) = self.vm.take() {
            vm.retire(process);
        }
    }

    /// Whether the worker has left its listener, and its VM has ended.
    pub(super) fn is_gone(&self) -> bool {
        self.left && self.vm.is_none()
    }

    /// Takes no more streams. The VM ends with the last stream.
    pub(super) fn leave(&mut self, hosted: &Hosted, process: &mut Box<Process>) {
        self.left = true;
        if let (Some(root), Some(vm)) = (self.root.take(), &mut self.vm) {
            hosted.flow(vm, process).drain_root(root);
        }
        self.drop_unused(process);
    }

    fn drop_unused(&mut self, process: &mut Process) {
        let unused = |vm: &mut Vm| vm.has_failed() || vm.state().roots.is_empty();
        if self.left
            && let Some(mut vm) = self.vm.take_if(unused)
        {
            vm.retire(process);
        }
    }

    /// Returns the size of the VM's linear memory, in bytes.
    pub(super) fn vm_bytes(&self) -> usize {
        self.vm.as_ref().map_or(0, Vm::memory_bytes)
    }

    /// Borrows what handling one event needs.
    pub(super) fn flow<'a>(
        &'a mut self,
        hosted: Option<&Hosted>,
        process: &'a mut Box<Process>,
    ) -> Flow<'a> {
        let plugin = hosted.map(|hosted| &hosted.plugin);
        Flow {
            process,
            vm: self.vm.as_mut(),
            allow_on_headers_stop_iteration: plugin
                .is_some_and(|plugin| plugin.allow_on_headers_stop_iteration),
        }
    }

    /// Starts the current configuration on this thread, in a new VM if there is none or it has
    /// failed. The previous configuration drains.
    pub(super) fn serve(&mut self, hosted: &Hosted, process: &mut Box<Process>) {
        self.last_load = process.now;
        let old = self.root.take();
        if self.vm.as_ref().is_none_or(Vm::has_failed) {
            self.replace_vm(hosted, process);
        } else if let Some(vm) = &mut self.vm {
            self.root = hosted
                .flow(vm, process)
                .start_root(&hosted.configuration)
                .ok();
            old.into_iter()
                .for_each(|old| hosted.flow(vm, process).drain_root(old));
        }
    }

    /// Replaces the VM with a new one. Does nothing and returns false if the new VM does not
    /// start.
    fn replace_vm(&mut self, hosted: &Hosted, process: &mut Box<Process>) -> bool {
        let setup = hosted.vm_setup(VmId {
            thread: self.thread,
            life: self.lives,
        });
        self.lives += 1;
        let Ok(mut vm) = hosted.plugin.module.start(setup, process) else {
            return false;
        };
        let root = hosted
            .flow(&mut vm, process)
            .start_root(&hosted.configuration);
        let Ok(root) = root else {
            vm.retire(process);
            return false;
        };
        if let Some(mut old) = self.vm.replace(vm) {
            old.retire(process);
        }
        self.root = Some(root);
        true
    }

    /// Returns the filter of a new stream.
    pub(super) fn filter(
        &mut self,
        hosted: &Hosted,
        process: &mut Box<Process>,
        id: StreamId,
    ) -> Filter {
        let policy = hosted.plugin.failure_policy;
        if policy == FailurePolicy::Reload {
            self.maybe_reload(hosted, process);
        }
        let (Some(root), Some(vm)) = (self.root, &mut self.vm) else {
            return Filter::Absent;
        };
        if vm.has_failed() {
            let is_open = policy == FailurePolicy::Open;
            return if is_open {
                Filter::Absent
            } else {
                Filter::Dead
            };
        }
        let state = vm.state_mut();
        let context = state.new_context();
        state.streams.insert(context, (id, root));
        if let Some(root) = state.roots.get_mut(&root) {
            root.streams += 1;
        }
        Filter::Live {
            vm: state.setup.id,
            context,
            root,
        }
    }

    fn maybe_reload(&mut self, hosted: &Hosted, process: &mut Box<Process>) {
        if self.root.is_none() || !self.vm.as_ref().is_some_and(Vm::has_failed) {
            return;
        }
        let interval_ms = RELOAD_MS + self.jitter.next() % (RELOAD_MS / 2);
        if process.now.since(self.last_load) >= Duration::from_millis(interval_ms) {
            self.last_load = process.now;
            self.replace_vm(hosted, process);
        }
    }

    /// Removes a stream's context. The last stream of a draining configuration ends it.
    pub(super) fn forget(&mut self, hosted: &Hosted, process: &mut Box<Process>, filter: Filter) {
        let (
            Filter::Live {
                vm: id,
                context,
                root,
            },
            Some(vm),
        ) = (filter, &mut self.vm)
        else {
            return;
        };
        let state = vm.state_mut();
        if state.setup.id != id {
            return;
        }
        state.streams.remove(&context);
        let Some(entry) = state.roots.get_mut(&root) else {
            return;
        };
        entry.streams = entry.streams.saturating_sub(1);
        if entry.streams == 0 && entry.phase == RootPhase::Draining {
            hosted.flow(vm, process).finish_root(root);
            self.drop_unused(process);
        }
    }
}
