//! `host-sim import`: every input in `import/inputs` becomes a policy that the filter accepts and
//! runs, and every line of it is reported.

mod bad;
mod histories;
mod lines;
mod meshes;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use host_sim::command::check::{Checked, Severity, check};
use host_sim::proxy::Plugin;

use crate::proxy::{Proxy, built};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/import/inputs")
}

/// What the command printed, and its exit code.
pub(crate) struct CommandOutput {
    pub code: i32,
    pub policies: String,
    pub messages: String,
}

/// Runs the command in the folder of inputs.
pub(crate) fn import(system: &str, arguments: &[&str]) -> CommandOutput {
    let output = Command::new(env!("CARGO_BIN_EXE_host-sim"))
        .args(["import", "--from", system])
        .args(arguments)
        .current_dir(folder())
        .output()
        .unwrap();
    CommandOutput {
        code: output.status.code().unwrap(),
        policies: String::from_utf8(output.stdout).unwrap(),
        messages: String::from_utf8(output.stderr).unwrap(),
    }
}

const SYSTEMS: [&str; 7] = [
    "envoy-gateway",
    "gateway-api",
    "hystrix",
    "istio",
    "linkerd",
    "resilience4j",
    "sentinel",
];

/// Every input with its system: `("hystrix", "hystrix/timeout.yml")`.
pub(crate) fn inputs() -> Vec<(String, String)> {
    let names = |path: &Path| -> Vec<String> {
        let entries = fs::read_dir(path).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    };
    let mut inputs = Vec::new();
    for system in SYSTEMS {
        for name in names(&folder().join(system)) {
            inputs.push((system.to_owned(), format!("{system}/{name}")));
        }
    }
    assert!(inputs.len() >= 9, "{inputs:?}");
    inputs
}

#[test]
fn every_input_becomes_its_policies_and_report() {
    for (system, file) in inputs() {
        let said = import(&system, &[&file]);
        let all = format!(
            "exit code: {}\n----- stdout\n{}----- stderr\n{}",
            said.code, said.policies, said.messages
        );
        let name = file.replace(['/', '.'], "-");
        insta::assert_snapshot!(name, all);
    }
}

#[test]
fn every_imported_policy_passes_the_check_and_runs() {
    for (system, file) in inputs() {
        let said = import(&system, &[&file]);
        if said.code == 1 {
            continue;
        }
        assert_eq!(said.code, 0, "{file}: {}", said.messages);
        let Checked::Findings(findings) = check(said.policies.as_bytes()) else {
            panic!("{file} is not accepted");
        };
        for finding in findings {
            assert_eq!(finding.severity, Severity::Note, "{file}: {finding:?}");
        }
        let mut proxy =
            Proxy::start(Plugin::new(built("spillway"), said.policies.as_str()), 1).unwrap();
        let stream = proxy.get();
        proxy.respond(stream);
        let seen = proxy.effects();
        assert!(seen.len() >= 2, "{file}: {seen:?}");
    }
}

#[test]
fn a_profile_that_is_active_overrides() {
    let said = import(
        "resilience4j",
        &["resilience4j/profiles.yml", "--profile", "production"],
    );
    assert_eq!(said.code, 0, "{}", said.messages);
    assert!(
        said.policies.contains(r#""size": 500"#),
        "{}",
        said.policies
    );
    let overridden = "overridden in resilience4j/profiles.yml line 8";
    assert!(said.messages.contains(overridden), "{}", said.messages);
}

#[test]
fn the_policies_go_to_a_file_on_request() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("policies.json");
    let path = path.to_str().unwrap();
    let said = import("sentinel", &["sentinel/old.json", "-o", path]);
    assert_eq!(
        (said.code, said.policies.as_str()),
        (0, ""),
        "{}",
        said.messages
    );
    let Checked::Findings(_) = check(&fs::read(path).unwrap()) else {
        panic!("not accepted");
    };
}
