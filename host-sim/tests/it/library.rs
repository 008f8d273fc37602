//! The shipped policies: the filter accepts them, they cause no warning, the catalogue lists them,
//! and their scenarios need them.

mod mutations;

use std::fs;
use std::path::{Path, PathBuf};

use host_sim::command::check::{Checked, Severity, check};
use serde_json::Value;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../policies")
}

/// File names of the shipped policies.
fn shipped() -> Vec<String> {
    let names = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let is_policy = |name: &String| {
        let scenario = name.ends_with(".scenario.json");
        name.ends_with(".json") && name != "schema.json" && !scenario
    };
    let mut names: Vec<String> = names.filter(is_policy).collect();
    names.sort();
    assert!(names.len() >= 22, "{names:?}");
    names
}

/// Policies without jitter: those of peers that have none, and the demo, whose output must not
/// vary.
const WITHOUT_JITTER: [&str; 5] = [
    "demo.json",
    "hystrix.json",
    "istio-like.json",
    "resilience4j.json",
    "sentinel.json",
];

/// Policies that disable the retries of routes on purpose.
const WITHOUT_RETRIES: [&str; 5] = [
    "ai-provider.json",
    "command-queue.json",
    "payments.json",
    "rate-limited-partner.json",
    "streaming.json",
];

#[test]
fn every_shipped_policy_passes_the_check() {
    for name in shipped() {
        let bytes = fs::read(folder().join(&name)).unwrap();
        let findings = match check(&bytes) {
            Checked::Findings(findings) => findings,
            Checked::Errors(errors) => panic!("{name}: {errors:?}"),
            Checked::Unreadable(_) | Checked::Schema => panic!("{name} is no policy"),
        };
        for finding in findings {
            assert_eq!(finding.severity, Severity::Note, "{name}: {finding:?}");
            let allowed: &[&str] = match finding.code {
                "no-jitter" => &WITHOUT_JITTER,
                "retry-off" => &WITHOUT_RETRIES,
                _ => &[],
            };
            assert!(allowed.contains(&&*name), "{name}: {finding:?}");
        }
    }
}

#[test]
fn every_shipped_policy_is_in_the_catalogue_and_has_a_description() {
    let catalogue = fs::read_to_string(folder().join("README.md")).unwrap();
    for name in shipped() {
        assert!(catalogue.contains(&format!("[{name}]({name})")), "{name}");
        let bytes = fs::read(folder().join(&name)).unwrap();
        let file: Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(file["$schema"], "schema.json", "{name}");
        assert!(file["policies"][0]["description"].is_string(), "{name}");
    }
}
