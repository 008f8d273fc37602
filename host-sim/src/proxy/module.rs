//! From the bytes of a module to one that can be started, with Envoy's checks.
//!
//! One engine serves the process. It keeps compiled modules in the user's cache directory,
//! if there is one, since compiling takes longer than most runs. NaNs are canonical and
//! relaxed SIMD is strict, so that a guest computes the same on every computer.

mod cache;

use std::fmt;
use std::sync::OnceLock;

use wasmtime::{Config, Engine, ExternType, FuncType, InstancePre, Linker, Store, ValType};

use crate::proxy::abi;
use crate::proxy::process::Process;
use crate::proxy::vm::{ALLOCATORS, Vm, VmSetup, VmState};

/// A module, compiled and checked, ready to be started any number of times.
#[derive(Clone)]
pub struct Module {
    pre: InstancePre<VmState>,
}

/// Why a module does not load: Envoy's message, if Envoy has one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadError(String);

const ABI_0_1_0: &str = "proxy_abi_version_0_1_0";
const ABI_0_2_0: &str = "proxy_abi_version_0_2_0";
const ABI_0_2_1: &str = "proxy_abi_version_0_2_1";

impl Module {
    /// Compiles and checks the bytes of a `.wasm` file.
    ///
    /// # Errors
    ///
    /// If Envoy would not load the module.
    pub fn from_bytes(bytes: &[u8]) -> Result<Module, LoadError> {
        let engine = engine()?;
        let module = cache::compile(engine, bytes)
            .map_err(|error| LoadError(format!("Failed to load Wasm bytecode: {error:#}")))?;
        let version = abi_version(&module)?;
        if !ALLOCATORS
            .iter()
            .any(|name| module.get_export(name).is_some())
        {
            return Err(LoadError("Wasm module is missing malloc function.".into()));
        }
        let mut linker = Linker::new(engine);
        abi::register(&mut linker, version).map_err(|error| load_error(&error))?;
        check_imports(&module, &linker)?;
        let pre = linker
            .instantiate_pre(&module)
            .map_err(|error| load_error(&error))?;
        Ok(Module { pre })
    }

    /// Starts a VM of the module.
    pub(crate) fn start(
        &self,
        setup: VmSetup,
        process: &mut Box<Process>,
    ) -> Result<Vm, LoadError> {
        Vm::start(&self.pre, setup, process).map_err(LoadError)
    }
}

impl fmt::Debug for Module {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Module").finish_non_exhaustive()
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for LoadError {}

fn engine() -> Result<&'static Engine, LoadError> {
    static ENGINE: OnceLock<Result<Engine, String>> = OnceLock::new();
    let made = ENGINE.get_or_init(|| Engine::new(&config()).map_err(|error| format!("{error:#}")));
    made.as_ref().map_err(|text| LoadError(text.clone()))
}

fn config() -> Config {
    let mut config = Config::new();
    config
        .consume_fuel(true)
        .cranelift_nan_canonicalization(true)
        .relaxed_simd_deterministic(true)
        .wasm_tail_call(true)
        .wasm_memory64(true);
    config
}

fn abi_version(module: &wasmtime::Module) -> Result<abi::Version, LoadError> {
    let has = |name| module.get_export(name).is_some();
    if has(ABI_0_2_1) {
        Ok(abi::Version::V0_2_1)
    } else if has(ABI_0_2_0) {
        Ok(abi::Version::V0_2_0)
    } else if has(ABI_0_1_0) {
        Err(LoadError(
            "Proxy-Wasm ABI version 0.1.0 is not modelled".into(),
        ))
    } else {
        Err(LoadError(
            "Missing or unknown Proxy-Wasm ABI version".into(),
        ))
    }
}

fn check_imports(module: &wasmtime::Module, linker: &Linker<VmState>) -> Result<(), LoadError> {
    // Looking up a definition needs a store of the engine, and any will do.
    let mut store = Store::new(module.engine(), VmState::empty());
    for import in module.imports() {
        let name = format!("{}.{}", import.module(), import.name());
        let missing = || {
            LoadError(format!(
                "Failed to load Wasm module due to a missing import: {name}"
            ))
        };
        let offered = linker
            .get(&mut store, import.module(), import.name())
            .map_err(|_| missing())?;
        let (ExternType::Func(wanted), ExternType::Func(offered)) =
            (import.ty(), offered.ty(&store))
        else {
            return Err(missing());
        };
        if !FuncType::eq(&wanted, &offered) {
            return Err(LoadError(format!(
                "Failed to load Wasm module due to an import type mismatch: {name}, want: {}, \
                 but host exports: {}",
                signature(&wanted),
                signature(&offered)
            )));
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

fn load_error(error: &wasmtime::Error) -> LoadError {
    LoadError(format!("Failed to load Wasm module: {error:#}"))
}
