//! `host-sim import`: every input in `import/inputs` becomes a policy that the filter accepts and
//! runs, and every line of it is reported.

mod bad;
mod histories;
mod lines;
mod meshes;

use std::fs;
use std::path::{Path, PathBuf};

use host_sim::command::check::{Checked, Severity, check};
use serde_json::Value;

use crate::commands::{CommandOutput, host_sim_in};
use crate::proxy::{Proxy, spillway};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/import/inputs")
}

/// Runs the command in the folder of inputs. Policies come by stdout, the report by stderr.
pub(crate) fn import(system: &str, arguments: &[&str]) -> CommandOutput {
    let arguments = [&["import", "--from", system], arguments].concat();
    host_sim_in(&folder(), &arguments)
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
        let output = import(&system, &[&file]);
        let name = file.replace(['/', '.'], "-");
        insta::assert_snapshot!(name, output.all());
    }
}

#[test]
fn every_imported_policy_passes_the_check_and_runs() {
    for (system, file) in inputs() {
        let output = import(&system, &[&file]);
        if output.code == 1 {
            continue;
        }
        assert_eq!(output.code, 0, "{file}: {}", output.stderr);
        assert_runs(&file, &output.stdout);
    }
}

/// Checks that a policy file has no findings but notes, and that the filter runs it.
fn assert_runs(file: &str, policies: &str) {
    let Checked::Findings(findings) = check(policies.as_bytes()) else {
        panic!("{file} is not accepted");
    };
    for finding in findings {
        assert_eq!(finding.severity, Severity::Note, "{file}: {finding:?}");
    }
    let mut proxy = Proxy::start(spillway(policies), 1).unwrap();
    let stream = proxy.get();
    proxy.respond(stream);
    let seen = proxy.effects();
    assert!(seen.len() >= 2, "{file}: {seen:?}");
}

#[test]
fn a_profile_that_is_active_overrides() {
    let output = import(
        "resilience4j",
        &["resilience4j/profiles.yml", "--profile", "production"],
    );
    assert_eq!(output.code, 0, "{}", output.stderr);
    assert!(
        output.stdout.contains(r#""size": 500"#),
        "{}",
        output.stdout
    );
    let overridden = "overridden in resilience4j/profiles.yml line 8";
    assert!(output.stderr.contains(overridden), "{}", output.stderr);
}

#[test]
fn the_filter_waits_as_the_source_says_if_it_makes_the_retries() {
    let rows = [
        ("resilience4j/intervals.yml", "growing", "100ms", "5s"),
        ("resilience4j/intervals.yml", "none", "1ms", "1ms"),
        ("resilience4j/bases.yml", "ledger", "10ms", "10ms"),
        ("resilience4j/bases.yml", "mail", "2s", "2s"),
        ("resilience4j/observed.yml", "pricing-v2", "500ms", "500ms"),
        ("istio/budgets.yaml", "cart-v2", "50ms", "null"),
        ("envoy-gateway/every.yaml", "every-field", "100ms", "10s"),
        ("gateway-api/services.yaml", "foo-route-0", "500ms", "null"),
    ];
    for (file, name, base, longest) in rows {
        let (system, _) = file.split_once('/').unwrap();
        let output = import(system, &[file, "--retries-by", "filter"]);
        assert_eq!(output.code, 0, "{file}: {}", output.stderr);
        let document: Value = serde_json::from_str(&output.stdout).unwrap();
        let mut policies = document["policies"].as_array().unwrap().iter();
        let retry = &policies.find(|policy| policy["name"] == name).unwrap()["retry"];
        assert_eq!(retry["engine"], "filter", "{file}");
        let backoff = ["base_interval", "max_interval"];
        let found = backoff.map(|key| retry["backoff"][key].to_string().replace('"', ""));
        assert_eq!(found, [base, longest], "{file} {name}");
        assert_runs(file, &output.stdout);
    }
}

#[test]
fn the_policies_go_to_a_file_on_request() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("policies.json");
    let path = path.to_str().unwrap();
    let output = import("sentinel", &["sentinel/old.json", "-o", path]);
    assert_eq!(
        (output.code, output.stdout.as_str()),
        (0, ""),
        "{}",
        output.stderr
    );
    let Checked::Findings(_) = check(&fs::read(path).unwrap()) else {
        panic!("not accepted");
    };
}
