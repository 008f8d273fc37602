//! The commands that run scenarios, as their users see them.

mod bench;
mod browser;
mod compare;
mod growth;
mod page;
mod plugin_tests;
mod replay;
mod request;
mod run;
mod serve;
mod test;

use std::path::{Path, PathBuf};
use std::process::Command;

/// Directory of the sample scenarios.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios")
}

/// Directory that modules are built in.
pub(crate) fn target() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .join(target)
}

/// Path of a module that was built for wasm.
fn module(name: &str) -> String {
    let module = target().join(format!("wasm32-wasip1/release/{name}.wasm"));
    assert!(
        module.is_file(),
        "no {}: run `make wasm guests`",
        module.display()
    );
    module.display().to_string()
}

/// Output and exit code of a command.
pub(crate) struct CommandOutput {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

/// Runs `host-sim` in the directory of the sample scenarios.
pub(crate) fn host_sim(arguments: &[&str]) -> CommandOutput {
    host_sim_in(&folder(), arguments)
}

/// Runs `host-sim` in a directory.
pub(crate) fn host_sim_in(folder: &Path, arguments: &[&str]) -> CommandOutput {
    let output = Command::new(env!("CARGO_BIN_EXE_host-sim"))
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap();
    CommandOutput {
        code: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Asserts that a document is valid by a schema of `host-sim schema`.
pub(crate) fn assert_valid(document: &serde_json::Value, schema: &str) {
    let schema = host_sim(&["schema", schema]).json();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let errors: Vec<_> = validator
        .iter_errors(document)
        .map(|it| it.to_string())
        .collect();
    assert!(errors.is_empty(), "{errors:?}");
}

impl CommandOutput {
    /// Returns the exit code and both streams, for a snapshot.
    pub(crate) fn all(&self) -> String {
        format!(
            "exit code: {}\n----- stdout\n{}----- stderr\n{}",
            self.code, self.stdout, self.stderr
        )
    }

    /// Parses stdout as JSON. Panics if the command failed.
    pub(crate) fn json(&self) -> serde_json::Value {
        assert_eq!(self.code, 0, "{}", self.all());
        serde_json::from_str(&self.stdout).unwrap()
    }
}
