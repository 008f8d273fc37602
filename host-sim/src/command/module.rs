//! Finds the module to run.

use std::path::{Path, PathBuf};

use crate::command::{Failure, read_file};
use crate::proxy::Module;
use crate::scenario::{PluginSpec, Scenario};
use crate::trial::Trial;

/// The location of the module.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct ModuleArgument {
    /// The .wasm file to run [default: the scenario's, or the spillway.wasm of this build]
    #[arg(long, value_name = "FILE", env = "SPILLWAY_WASM")]
    pub module: Option<PathBuf>,
}

impl ModuleArgument {
    /// Returns the module for `scenario`. `None` if it has no plugin.
    ///
    /// # Errors
    ///
    /// If there is no module, or it does not load.
    pub fn for_scenario(&self, scenario: &Scenario) -> Result<Option<Module>, Failure> {
        match &scenario.plugin {
            None => Ok(None),
            Some(spec) => self.load(spec.module.as_deref()).map(Some),
        }
    }

    /// Returns the module of each plugin of `trial`. That of the argument replaces the module of a
    /// single plugin.
    ///
    /// # Errors
    ///
    /// If there is no module, or one does not load.
    pub fn for_trial(&self, trial: &Trial) -> Result<Vec<Module>, Failure> {
        if let [only] = trial.plugins.as_slice() {
            return Ok(vec![self.load(only.module.as_deref())?]);
        }
        let module = |spec: &PluginSpec| match &spec.module {
            Some(path) => load(path),
            None => self.load(None),
        };
        trial.plugins.iter().map(module).collect()
    }

    /// Returns the module of the argument, or else `given`, or else the shipped one.
    ///
    /// # Errors
    ///
    /// If there is no module, or it does not load.
    pub fn load(&self, given: Option<&Path>) -> Result<Module, Failure> {
        match (&self.module, given) {
            (Some(path), _) => load(path),
            (None, Some(path)) => load(path),
            (None, None) => load(&shipped()?),
        }
    }
}

/// The first bytes of every WebAssembly module.
const MAGIC: &[u8] = b"\0asm";

/// Loads the module in the file at `path`.
pub(super) fn load(path: &Path) -> Result<Module, Failure> {
    let usage = |why: &dyn std::fmt::Display| Failure::Usage(format!("{}: {why}", path.display()));
    let bytes = read_file(path)?;
    if !bytes.starts_with(MAGIC) {
        return Err(usage(&"is not a WebAssembly module"));
    }
    Module::from_bytes(&bytes).map_err(|error| usage(&error))
}

/// Returns the path of the module that `make wasm` builds. For `target/debug/host-sim`, it is in
/// `target/wasm32-wasip1/release/`.
pub(super) fn shipped() -> Result<PathBuf, Failure> {
    let program = std::env::current_exe().unwrap_or_default();
    let target = program
        .ancestors()
        .skip(1)
        .map(|folder| folder.join("wasm32-wasip1"));
    let candidates = target.map(|folder| folder.join("release/spillway.wasm"));
    let found = candidates.take(4).find(|path| path.is_file());
    found.ok_or_else(|| {
        let text = "found no spillway.wasm: build it with `make wasm`, or use --module";
        Failure::Usage(text.into())
    })
}
