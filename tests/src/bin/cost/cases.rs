//! The policies that modules are measured with, as data.

use serde_json::{Value, json};

/// A policy to measure modules with.
pub(crate) struct Case {
    pub name: &'static str,
    pub policy: Value,
    pub paths: usize,
    pub opened: bool,
}

impl Case {
    fn new(name: &'static str, policies: Value) -> Self {
        Self {
            name,
            policy: json!({"policies": policies}),
            paths: 1,
            opened: false,
        }
    }
}

/// The first case: a breaker with its defaults.
pub(crate) const DEFAULT: &str = "default policy";

/// All policies, in the order of the table.
pub(crate) fn all() -> Vec<Case> {
    let one = |fields: Value| {
        let mut policy = json!({"name": "p", "circuit_breaker": {}});
        for (name, value) in fields.as_object().expect("fields of a policy") {
            policy[name] = value.clone();
        }
        json!([policy])
    };
    let respond = json!({"type": "respond", "on": ["open"], "status": 200, "json": {}});
    let retry = one(json!({"retry": {}, "fallback": [respond]}));
    let stale = one(json!({"fallback": [{"type": "stale", "on": ["open"], "shared": true}]}));
    // Opened by one failure, and for longer than any measurement.
    let open = json!({"consecutive_failures": 1, "open": {"duration": "24h"}});
    vec![
        Case::new(DEFAULT, one(json!({}))),
        Case::new(
            "`slow_threshold`",
            one(json!({"circuit_breaker": {"slow_threshold": "1s"}})),
        ),
        Case::new("`retry` and `respond`", retry),
        Case::new("`stale`, one URL", stale.clone()),
        Case {
            paths: 5_000,
            ..Case::new("`stale`, 5,000 URLs", stale)
        },
        Case::new("10,000 policies", crowd()),
        Case {
            opened: true,
            ..Case::new("open circuit", one(json!({"circuit_breaker": open})))
        },
    ]
}

/// 10,000 policies by cluster. The last one is that of the upstream.
fn crowd() -> Value {
    let policy = |number: usize| {
        let cluster = match number {
            9_999 => "upstream".to_owned(),
            number => format!("cluster_{number}"),
        };
        let name = format!("p{number}");
        json!({"name": name, "match": {"clusters": [cluster]}, "circuit_breaker": {}})
    };
    (0..10_000).map(policy).collect()
}
