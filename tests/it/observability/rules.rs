//! The shipped alerts and recording rules.

use std::fs;

use serde_json::Value;
use spillway_tests::{Prometheus, places};

/// A rule as Prometheus has evaluated it.
pub(super) struct Rule {
    pub name: String,
    /// Whether an alert is inactive, pending or firing. `None` for a recording rule.
    state: Option<String>,
}

impl Rule {
    /// Whether the alert is pending or firing, or the recorded series exists and has moved.
    pub(super) async fn has_result(&self, prometheus: &Prometheus) -> bool {
        match &self.state {
            Some(state) => state != "inactive",
            None => !prometheus
                .query(&format!("{} > 0", self.name))
                .await
                .is_empty(),
        }
    }
}

/// All rules of a running Prometheus.
///
/// # Panics
///
/// Panics if one has an error, or if the shipped files have other rules.
pub(super) async fn evaluated(prometheus: &Prometheus) -> Vec<Rule> {
    let told = prometheus.api("/api/v1/rules").await;
    let groups = told["groups"].as_array().expect("groups").iter();
    let rules = groups.flat_map(|group| group["rules"].as_array().expect("rules"));
    let rules: Vec<Rule> = rules.map(rule).collect();
    let shipped = alerts().len() + shipped("recording.yml").len();
    assert_eq!(rules.len(), shipped);
    rules
}

fn rule(rule: &Value) -> Rule {
    let name = rule["name"].as_str().expect("a name").to_owned();
    let error = rule["lastError"].as_str().unwrap_or_default();
    assert_eq!(error, "", "{name}");
    Rule {
        name,
        state: rule["state"].as_str().map(str::to_owned),
    }
}

/// The shipped alerts.
pub(super) fn alerts() -> Vec<Value> {
    shipped("alerts.yml")
}

fn shipped(file: &str) -> Vec<Value> {
    let file = places::shipped_deployment(&format!("observability/{file}"));
    let groups = file["groups"].as_array().expect("groups").iter();
    let rules = groups.flat_map(|group| group["rules"].as_array().expect("rules"));
    rules.cloned().collect()
}

/// The text of a shipped file.
pub(super) fn text(file: &str) -> String {
    let folder = places::root().join("policies/deploy/observability");
    fs::read_to_string(folder.join(file)).expect("a shipped file")
}
