//! From the bytes of a module to a machine that has started, with Envoy's checks.

use std::sync::OnceLock;

use wasmtime::{
    Cache, Config, Engine, ExternType, FuncType, Instance, InstancePre, Linker, Store,
    StoreLimitsBuilder, ValType,
};

use super::{Callback, DEFAULT_FUEL, Exports, Owner, Restriction, Vm, VmSetup, VmState};
use crate::proxy::StartError;
use crate::proxy::abi;
use crate::proxy::process::World;

/// A module, compiled and checked, ready to be started any number of times.
#[derive(Clone)]
pub struct Module {
    pre: InstancePre<VmState>,
}

/// What a guest is given at most: Envoy's limits.
const MEMORY_BYTES_MAX: usize = 1 << 30;
const TABLE_ELEMENTS_MAX: usize = 10_000_000;

const ABI_0_1_0: &str = "proxy_abi_version_0_1_0";
const ABI_0_2_0: &str = "proxy_abi_version_0_2_0";
const ABI_0_2_1: &str = "proxy_abi_version_0_2_1";
const ALLOCATORS: [&str; 2] = ["malloc", "proxy_on_memory_allocate"];

impl Module {
    /// A module from the bytes of a `.wasm` file.
    ///
    /// # Errors
    ///
    /// Where Envoy would not load it, in Envoy's words.
    pub fn from_bytes(bytes: &[u8]) -> Result<Module, StartError> {
        let engine = engine()?;
        let module = wasmtime::Module::from_binary(engine, bytes).map_err(|error| {
            StartError::Load(format!("Failed to load Wasm bytecode: {error:#}"))
        })?;
        let version = abi_version(&module)?;
        if !ALLOCATORS
            .iter()
            .any(|name| module.get_export(name).is_some())
        {
            let text = "Wasm module is missing malloc function.";
            return Err(StartError::Load(text.into()));
        }
        let mut linker = Linker::new(engine);
        abi::register(&mut linker, version).map_err(|error| load_error(&error))?;
        check_imports(&module, &linker)?;
        let pre = linker
            .instantiate_pre(&module)
            .map_err(|error| load_error(&error))?;
        Ok(Module { pre })
    }

    /// Starts a machine: memory, tables, `_initialize` or `_start`.
    pub(crate) fn start(&self, setup: VmSetup, world: &mut Box<World>) -> Result<Vm, StartError> {
        let limits = StoreLimitsBuilder::new()
            .memory_size(MEMORY_BYTES_MAX)
            .table_elements(TABLE_ELEMENTS_MAX)
            .build();
        let fuel_per_callback = setup.fuel_per_callback.unwrap_or(DEFAULT_FUEL);
        let engine = self.pre.module().engine();
        let mut store = Store::new(engine, VmState::new(setup, limits));
        store.limiter(|state| &mut state.limits);
        let instance = instantiate(&self.pre, &mut store, world, fuel_per_callback)?;
        let exports = Exports::find(&mut store, &instance).map_err(StartError::Load)?;
        let mut vm = Vm {
            store,
            exports,
            fuel_per_callback,
        };
        vm.initialize(world);
        match &vm.state().failure {
            Some(text) => Err(StartError::Load(text.clone())),
            None => Ok(vm),
        }
    }
}

impl std::fmt::Debug for Module {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Module").finish_non_exhaustive()
    }
}

impl Vm {
    fn initialize(&mut self, world: &mut Box<World>) {
        self.state_mut().restriction = Restriction::Starting;
        let exports = self.exports.clone();
        if let Some(initialize) = &exports.initialize {
            self.call(world, Callback::Initialize, Owner::Vm, initialize, ());
            if let Some(main) = &exports.main {
                self.call(world, Callback::Main, Owner::Vm, main, (0, 0));
            }
        } else if let Some(start) = &exports.start {
            self.call(world, Callback::Start, Owner::Vm, start, ());
        }
        self.state_mut().restriction = Restriction::None;
    }
}

/// The start section, if there is one, runs here: with fuel, and restricted.
fn instantiate(
    pre: &InstancePre<VmState>,
    store: &mut Store<VmState>,
    world: &mut Box<World>,
    fuel: u64,
) -> Result<Instance, StartError> {
    let _ = store.set_fuel(fuel);
    store.data_mut().restriction = Restriction::Starting;
    let before = store.data_mut().enter(world, Owner::Vm);
    let instance = pre.instantiate(&mut *store);
    store.data_mut().leave(world, before);
    let instance = instance.map_err(|error| {
        StartError::Load(format!("Failed to create new Wasm instance: {error:#}"))
    })?;
    let memory = instance.get_memory(&mut *store, "memory");
    let malloc = ALLOCATORS.into_iter().find_map(|name| {
        let func = instance.get_func(&mut *store, name)?;
        func.typed::<u32, u32>(&*store).ok()
    });
    let state = store.data_mut();
    (state.memory, state.malloc) = (memory, malloc);
    Ok(instance)
}

fn engine() -> Result<&'static Engine, StartError> {
    static ENGINE: OnceLock<Result<Engine, String>> = OnceLock::new();
    let made = ENGINE.get_or_init(|| Engine::new(&config()).map_err(|error| format!("{error:#}")));
    made.as_ref().map_err(|text| StartError::Load(text.clone()))
}

fn config() -> Config {
    let mut config = Config::new();
    config
        .consume_fuel(true)
        .cranelift_nan_canonicalization(true)
        .relaxed_simd_deterministic(true)
        .wasm_tail_call(true)
        .wasm_memory64(true)
        // Without a home there is no cache, and all else works.
        .cache(Cache::from_file(None).ok());
    config
}

fn abi_version(module: &wasmtime::Module) -> Result<abi::Version, StartError> {
    let has = |name| module.get_export(name).is_some();
    if has(ABI_0_2_1) {
        Ok(abi::Version::V0_2_1)
    } else if has(ABI_0_2_0) {
        Ok(abi::Version::V0_2_0)
    } else if has(ABI_0_1_0) {
        Err(StartError::Load(
            "Proxy-Wasm ABI version 0.1.0 is not modelled".into(),
        ))
    } else {
        Err(StartError::Load(
            "Missing or unknown Proxy-Wasm ABI version".into(),
        ))
    }
}

fn check_imports(module: &wasmtime::Module, linker: &Linker<VmState>) -> Result<(), StartError> {
    // Only looks at what is registered, so any store of the engine will do.
    let mut store = Store::new(module.engine(), VmState::empty());
    for import in module.imports() {
        let name = format!("{}.{}", import.module(), import.name());
        let wanted = import.ty();
        let found = linker.get(&mut store, import.module(), import.name());
        let Ok(found) = found else {
            let text = format!("Failed to load Wasm module due to a missing import: {name}");
            return Err(StartError::Load(text));
        };
        let (ExternType::Func(wanted), ExternType::Func(offered)) = (wanted, found.ty(&store))
        else {
            let text = format!("Failed to load Wasm module due to a missing import: {name}");
            return Err(StartError::Load(text));
        };
        if !FuncType::eq(&wanted, &offered) {
            let text = format!(
                "Failed to load Wasm module due to an import type mismatch: {name}, want: {}, \
                 but host exports: {}",
                signature(&wanted),
                signature(&offered)
            );
            return Err(StartError::Load(text));
        }
    }
    Ok(())
}

fn signature(func: &FuncType) -> String {
    let list = |types: &mut dyn Iterator<Item = ValType>| {
        let names: Vec<_> = types.map(|ty| ty.to_string()).collect();
        if names.is_empty() {
            "void".into()
        } else {
            names.join(" ")
        }
    };
    format!(
        "{} -> {}",
        list(&mut func.params()),
        list(&mut func.results())
    )
}

fn load_error(error: &wasmtime::Error) -> StartError {
    StartError::Load(format!("Failed to load Wasm module: {error:#}"))
}
