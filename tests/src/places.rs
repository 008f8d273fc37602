//! Paths that tests use: Envoy, the modules, the shipped files.

use std::env;
use std::path::{Path, PathBuf};

use serde_json::Value;
use spillway_core::policy::Config;

/// The workspace folder.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the tests live in a workspace")
}

/// The Envoy binary: `ENVOY_BIN`, or the one that `make setup` fetches.
///
/// # Panics
///
/// Panics if it is missing, with the command that fetches it.
pub fn envoy() -> PathBuf {
    let path =
        env::var_os("ENVOY_BIN").map_or_else(|| root().join(".venv/bin/envoy"), PathBuf::from);
    assert!(
        path.exists(),
        "there is no Envoy at {}: run `make setup`",
        path.display()
    );
    path
}

/// The module under test, as shipped.
///
/// # Panics
///
/// Panics if it is not built, with the command that builds it.
pub fn module() -> PathBuf {
    built("wasm32-wasip1/release/spillway.wasm", "make wasm")
}

/// The folder of what is built: `CARGO_TARGET_DIR`, or `target`.
pub fn target() -> PathBuf {
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), PathBuf::from);
    root().join(target)
}

fn built(path: &str, by: &str) -> PathBuf {
    let path = target().join(path);
    assert!(
        path.exists(),
        "there is no module at {}: run `{by}`",
        path.display()
    );
    path
}

/// The smaller module, as shipped.
///
/// # Panics
///
/// Panics if it is not built, with the command that builds it.
pub fn lite_module() -> PathBuf {
    built("wasm32-wasip1/release/spillway-lite.wasm", "make wasm")
}

/// The module for a test with this policy: the one that is shipped, or, with `SPILLWAY_LITE=1` in
/// the environment, the lite one if it takes the policy.
///
/// # Panics
///
/// Panics if it is not built, with the command that builds it.
pub fn module_for(policy: &str) -> PathBuf {
    let is_lite = env::var_os("SPILLWAY_LITE").is_some_and(|value| value == "1");
    if is_lite && fits_lite(policy) {
        lite_module()
    } else {
        module()
    }
}

/// Whether the lite module takes this policy.
pub fn fits_lite(policy: &str) -> bool {
    Config::parse(policy.as_bytes()).is_ok_and(|config| config.beyond_lite().is_empty())
}

/// The plugin that does nothing, `tests/guests/empty`.
///
/// # Panics
///
/// Panics if it is not built, with the command that builds it.
pub fn empty() -> PathBuf {
    built("wasm32-wasip1/release/empty.wasm", "make guests")
}

/// The plugin that logs what a host returns, `tests/guests/witness`.
///
/// # Panics
///
/// Panics if it is not built, with the command that builds it.
pub fn witness() -> PathBuf {
    built("wasm32-wasip1/release/witness.wasm", "make guests")
}

/// The simulator that was built with this program.
///
/// # Panics
///
/// Panics if it was not.
pub fn host_sim() -> PathBuf {
    let program = env::current_exe().expect("the path of this program");
    // Tests are in a folder of the folder of programs.
    let folders = program.ancestors().skip(1).take(2);
    let mut programs = folders.map(|folder| folder.join("host-sim"));
    let program = programs.find(|program| program.exists());
    program.expect("host-sim is built: run the tests with --workspace")
}

/// The plugin with small plugins in it, `tests/guests/probe`.
///
/// # Panics
///
/// Panics if it is not built, with the command that builds it.
pub fn probe() -> PathBuf {
    built("wasm32-wasip1/release/probe.wasm", "make guests")
}

/// The example bootstrap for users. Every Envoy of the tests is built from it, so that the shipped
/// file is the tested one.
pub fn shipped_bootstrap() -> Value {
    shipped_deployment("envoy.yaml")
}

/// A file of `policies/deploy/`.
pub fn shipped_deployment(file: &str) -> Value {
    let text = shipped(&format!("deploy/{file}"));
    serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// A policy of `policies/`, by its file name.
pub fn shipped_policy(file: &str) -> Value {
    serde_json::from_str(&shipped(file)).expect("a shipped policy is JSON")
}

/// The text of a file of `policies/`.
///
/// # Panics
///
/// Panics if it cannot be read.
pub fn shipped(file: &str) -> String {
    let path = root().join("policies").join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
