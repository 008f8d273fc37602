//! The scenario of a policy needs what the policy is for: without that field, an expectation
//! about traffic fails.

use std::fs;

use host_sim::scenario::Scenario;
use host_sim::scenario::play::play;
use serde_json::{Value, json};

use super::folder;
use crate::proxy::built;

/// Removes the field that is named by the pointer, or replaces its value.
enum Change {
    Remove(&'static str),
    Set(&'static str, Value),
}

use Change::{Remove, Set};

fn policy(name: &str) -> Value {
    let bytes = fs::read(folder().join(format!("{name}.json"))).unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

fn apply(policy: &mut Value, change: Change) {
    match change {
        Set(pointer, value) => *policy.pointer_mut(pointer).expect(pointer) = value,
        Remove(pointer) => {
            let (parent, field) = pointer.rsplit_once('/').unwrap();
            let parent = policy.pointer_mut(parent).and_then(Value::as_object_mut);
            parent.unwrap().remove(field).expect(pointer);
        }
    }
}

/// Returns the failed expectations of the scenario of `name` under `policy`.
fn failed(name: &str, policy: &Value) -> Vec<String> {
    let text = fs::read_to_string(folder().join(format!("{name}.scenario.yaml"))).unwrap();
    let line = format!("\npolicy: {name}.json\n");
    assert!(text.contains(&line), "{name}");
    let text = text.replace(&line, &format!("\npolicy: {policy}\n"));
    let scenario = Scenario::parse(&text, &folder()).unwrap();
    let run = play(&scenario, Some(&built("spillway")), 1, &mut |_| ()).unwrap();
    let failed = run.verdicts.into_iter().filter(|verdict| !verdict.held);
    failed.map(|verdict| verdict.text).collect()
}

#[test]
fn a_scenario_fails_without_what_its_policy_is_for() {
    const BREAKER: &str = "/policies/0/circuit_breaker";
    const RETRY: &str = "/policies/0/retry";
    const FALLBACK: &str = "/policies/0/fallback";
    let rows = [
        ("payments", Remove(RETRY), "metric: upstream_retries"),
        ("payments", Remove(BREAKER), "client: rejected"),
        (
            "payments",
            Set("/policies/0/fallback/0/status", json!(200)),
            "client: fallback",
        ),
        (
            "rate-limited-partner",
            Set(
                "/policies/0/circuit_breaker/open/retry_after_max",
                json!("0s"),
            ),
            "metric: upstream_requests",
        ),
        (
            "rate-limited-partner",
            Remove("/policies/0/outcome"),
            "metric: upstream_requests",
        ),
        ("multi-region", Remove(FALLBACK), "client: rejected"),
        ("multi-region", Remove(BREAKER), "client: success_rate"),
        (
            "ai-provider",
            Set("/policies/0/outcome/failure_status", json!(["5xx"])),
            "metric: upstream_requests",
        ),
        (
            "ai-provider",
            Set(
                "/policies/0/circuit_breaker/open/retry_after_max",
                json!("0s"),
            ),
            "between: [35s, 1m]",
        ),
        ("ai-provider", Remove(FALLBACK), "client: rejected"),
        (
            "ai-provider",
            Remove("/policies/0/circuit_breaker/slow_threshold"),
            "metric: upstream_requests",
        ),
        (
            "ai-provider",
            Set("/policies/0/circuit_breaker/slow_threshold", json!("500ms")),
            "at: 29s",
        ),
        ("command-queue", Remove(FALLBACK), "client: fallback"),
        (
            "command-queue",
            Set("/policies/0/fallback/0/cluster", json!("another")),
            "client: fallback",
        ),
        (
            "command-queue",
            Remove("/host/headers_stop_iteration"),
            "client: success_rate",
        ),
        ("gateway-api", Remove(RETRY), "metric: upstream_retries"),
        (
            "gateway-api",
            Set("/policies/0/retry/budget/percent", json!(1000)),
            "metric: upstream_retries",
        ),
        (
            "gateway-api",
            Set("/policies/0/retry/budget/min_retry_rate/count", json!(0)),
            "metric: upstream_retries",
        ),
        (
            "gradual-recovery",
            Remove("/policies/0/circuit_breaker/recovery"),
            "client: error",
        ),
        (
            "streaming",
            Remove("/policies/0/outcome/judge_at"),
            "circuit: streaming",
        ),
        (
            "streaming",
            Remove("/policies/0/circuit_breaker/slow_threshold"),
            "circuit: streaming",
        ),
        (
            "serve-stale",
            Remove("/policies/0/fallback/0/ignore_query"),
            "client: success_rate",
        ),
        ("streaming", Remove(RETRY), "metric: upstream_retries"),
    ];
    for (number, (name, change, expected)) in rows.into_iter().enumerate() {
        let mut policy = policy(name);
        apply(&mut policy, change);
        let failed = failed(name, &policy);
        let found = failed.iter().any(|text| text.contains(expected));
        assert!(found, "row {number}, {name}: {expected} of {failed:?}");
    }
}

/// A scenario has one listener, so the operators' endpoint is added to the policy of the traffic.
#[test]
fn the_update_of_multi_region_only_adds_the_operators_endpoint() {
    let mut shipped = policy("multi-region");
    let text = fs::read_to_string(folder().join("multi-region.scenario.yaml")).unwrap();
    let scenario: Value = serde_saphyr::from_str(&text).unwrap();
    let mut update = scenario["updates"][0]["policy"].clone();
    assert!(update.as_object_mut().unwrap().remove("admin").is_some());
    shipped.as_object_mut().unwrap().remove("$schema");
    apply(&mut shipped, Remove("/policies/0/description"));
    assert_eq!(update, shipped);
}
