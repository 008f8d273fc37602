//! The shipped alerts and recording rules.

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
    let rules: Vec<Rule> = of_groups(&told).map(rule).collect();
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
    of_groups(&file).cloned().collect()
}

/// The rules of all groups, in a file or as Prometheus lists them.
fn of_groups(list: &Value) -> impl Iterator<Item = &Value> {
    let groups = list["groups"].as_array().expect("groups").iter();
    groups.flat_map(|group| group["rules"].as_array().expect("rules"))
}
