//! The policies that are measured.

use serde_json::{Value, json};

/// Bounds that leave room for the keys of the largest row.
const LIMITS_KEYS: u32 = 100_000;

/// A file with one policy, whose fields `more` are set.
pub(super) fn one(more: &Value) -> String {
    let mut policy = json!({"name": "default", "circuit_breaker": {}});
    merge(&mut policy, more);
    json!({"policies": [policy]}).to_string()
}

/// A file with one policy that stores responses.
pub(super) fn stale() -> String {
    one(&json!({"fallback": [{"type": "stale", "on": ["open"], "shared": true}]}))
}

/// A file with a policy that has a circuit for each value of a header.
pub(super) fn keys() -> String {
    let limits = json!({"keys": LIMITS_KEYS, "keys_total": LIMITS_KEYS});
    let policy = json!({"name": "tenants", "key": [{"header": "x-tenant"}], "circuit_breaker": {}});
    json!({"policies": [policy], "limits": limits}).to_string()
}

/// A cluster as Istio names them.
pub(super) fn cluster(number: u64) -> String {
    format!("outbound|8080||service-{number}.shop.svc.cluster.local")
}

/// A path below that of one policy of [`by_path`].
pub(super) fn path(number: u64) -> String {
    format!("/service-{number}/items")
}

/// A file with `count` policies, each for a cluster of its own.
pub(super) fn by_cluster(count: u64, prefix: &str, breaker: &Value) -> String {
    many(
        count,
        prefix,
        breaker,
        |number| json!({"clusters": [cluster(number)]}),
    )
}

/// A file with `count` policies, each for the paths of a service of its own.
pub(super) fn by_path(count: u64) -> String {
    many(
        count,
        "p",
        &json!({}),
        |number| json!({"paths": [{"prefix": format!("/service-{number}/")}]}),
    )
}

fn many(count: u64, prefix: &str, breaker: &Value, matches: impl Fn(u64) -> Value) -> String {
    let policy = |number| {
        json!({
            "name": format!("{prefix}-{number}"),
            "match": matches(number),
            "circuit_breaker": breaker,
        })
    };
    let all: Vec<Value> = (0..count).map(policy).collect();
    json!({"policies": all}).to_string()
}

fn merge(policy: &mut Value, more: &Value) {
    if let (Some(fields), Some(more)) = (policy.as_object_mut(), more.as_object()) {
        fields.extend(more.clone());
    }
}
