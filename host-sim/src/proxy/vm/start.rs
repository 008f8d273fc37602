//! From a checked module to a VM that has started.

use wasmtime::{Instance, InstancePre, Store, StoreLimitsBuilder};

use super::Vm;
use super::context::{Owner, Restriction};
use super::exports::Exports;
use super::state::{VmSetup, VmState};
use crate::proxy::process::Process;
use crate::proxy::process::counts::Callback;

/// Names under which a guest may export its allocator, the preferred one first.
pub(crate) const ALLOCATORS: [&str; 2] = ["malloc", "proxy_on_memory_allocate"];

/// Envoy's limits on a guest.
const MEMORY_BYTES_MAX: usize = 1 << 30;
const TABLE_ELEMENTS_MAX: usize = 10_000_000;

/// Some seconds of computing: enough to load a configuration of any size, and still the
/// end of an endless loop.
const DEFAULT_FUEL: u64 = 4_000_000_000;

impl Vm {
    /// Starts a VM: creates memory and tables, then runs `_initialize` or `_start`.
    ///
    /// # Errors
    ///
    /// Envoy's message if the module does not start.
    pub(crate) fn start(
        pre: &InstancePre<VmState>,
        setup: VmSetup,
        process: &mut Box<Process>,
    ) -> Result<Vm, String> {
        let limits = StoreLimitsBuilder::new()
            .memory_size(MEMORY_BYTES_MAX)
            .table_elements(TABLE_ELEMENTS_MAX)
            .build();
        let fuel_per_callback = setup.fuel_per_callback.unwrap_or(DEFAULT_FUEL);
        let mut store = Store::new(pre.module().engine(), VmState::new(setup, limits));
        store.limiter(|state| &mut state.limits);
        let instance = instantiate(pre, &mut store, process, fuel_per_callback)?;
        let exports = Exports::find(&mut store, &instance)?;
        let mut vm = Vm {
            store,
            exports,
            fuel_per_callback,
        };
        vm.initialize(process);
        match &vm.state().failure {
            Some(text) => Err(text.clone()),
            None => Ok(vm),
        }
    }

    fn initialize(&mut self, process: &mut Box<Process>) {
        self.state_mut().restriction = Restriction::Starting;
        let exports = self.exports.clone();
        if let Some(initialize) = &exports.initialize {
            self.call(process, Callback::Initialize, Owner::Vm, initialize, ());
            if let Some(main) = &exports.main {
                self.call(process, Callback::Main, Owner::Vm, main, (0, 0));
            }
        } else if let Some(start) = &exports.start {
            self.call(process, Callback::Start, Owner::Vm, start, ());
        }
        self.state_mut().restriction = Restriction::None;
    }
}

/// Runs the module's start section, if it has one: with fuel, and restricted.
fn instantiate(
    pre: &InstancePre<VmState>,
    store: &mut Store<VmState>,
    process: &mut Box<Process>,
    fuel: u64,
) -> Result<Instance, String> {
    let _ = store.set_fuel(fuel);
    store.data_mut().restriction = Restriction::Starting;
    let before = store.data_mut().enter(process, Owner::Vm);
    let instance = pre.instantiate(&mut *store);
    store.data_mut().leave(process, before);
    let instance =
        instance.map_err(|error| format!("Failed to create new Wasm instance: {error:#}"))?;
    let memory = instance.get_memory(&mut *store, "memory");
    let malloc = ALLOCATORS.into_iter().find_map(|name| {
        let func = instance.get_func(&mut *store, name)?;
        func.typed::<u32, u32>(&*store).ok()
    });
    let state = store.data_mut();
    (state.memory, state.malloc) = (memory, malloc);
    Ok(instance)
}
