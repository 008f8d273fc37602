//! Finding the module to run.

use std::path::{Path, PathBuf};

use crate::command::Failure;
use crate::proxy::Module;
use crate::scenario::Scenario;

/// Where the module is.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct ModuleArgument {
    /// The .wasm file to run [default: the scenario's, or else the spillway.wasm of this build]
    #[arg(long, value_name = "FILE", env = "SPILLWAY_WASM")]
    pub module: Option<PathBuf>,
}

impl ModuleArgument {
    /// The module for `scenario`; none if it has no plugin.
    ///
    /// # Errors
    ///
    /// If there is none, or it does not load.
    pub fn for_scenario(&self, scenario: &Scenario) -> Result<Option<Module>, Failure> {
        match &scenario.plugin {
            None => Ok(None),
            Some(spec) => self.load(spec.module.as_deref()).map(Some),
        }
    }

    /// The module: the argument's, or `given`, or the shipped one.
    ///
    /// # Errors
    ///
    /// If there is none, or it does not load.
    pub fn load(&self, given: Option<&Path>) -> Result<Module, Failure> {
        match (&self.module, given) {
            (Some(path), _) => load(path),
            (None, Some(path)) => load(path),
            (None, None) => load(&shipped()?),
        }
    }
}

/// How every WebAssembly module begins.
const MAGIC: &[u8] = b"\0asm";

fn load(path: &Path) -> Result<Module, Failure> {
    let usage = |why: &dyn std::fmt::Display| Failure::Usage(format!("{}: {why}", path.display()));
    let bytes = std::fs::read(path).map_err(|error| usage(&format!("cannot be read: {error}")))?;
    if !bytes.starts_with(MAGIC) {
        return Err(usage(&"is no WebAssembly module"));
    }
    Module::from_bytes(&bytes).map_err(|error| usage(&error))
}

/// The module that `make wasm` builds beside this program: `target/release/host-sim` has it in
/// `target/wasm32-wasip1/release/`.
fn shipped() -> Result<PathBuf, Failure> {
    let program = std::env::current_exe().unwrap_or_default();
    let target = program
        .ancestors()
        .skip(1)
        .map(|folder| folder.join("wasm32-wasip1"));
    let candidates = target.map(|folder| folder.join("release/spillway.wasm"));
    let found = candidates.take(4).find(|path| path.is_file());
    found.ok_or_else(|| {
        let text = "found no spillway.wasm: build it with `make wasm`, or name one with --module";
        Failure::Usage(text.into())
    })
}
