//! Compares the schema with the parser: both must give the same verdict on a file.
//!
//! The schema is sound without exception: the parser rejects every file that the schema
//! rejects. The parser may reject more, but only for reasons that a schema cannot express,
//! which are listed here.

use std::fs;
use std::path::{Path, PathBuf};

use host_sim::command::schema::policy_schema;
use jsonschema::Validator;
use serde_json::{Value, json};
use spillway_core::policy::Config;
use spillway_core::policy::parse::error::{PolicyError, Problem};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn validator() -> Validator {
    jsonschema::validator_for(&policy_schema()).unwrap()
}

fn parse(policy: &Value) -> Result<Config, Vec<PolicyError>> {
    Config::parse(policy.to_string().as_bytes())
}

/// Asserts that the schema and the parser agree on `policy`.
#[track_caller]
fn agree(validator: &Validator, policy: &Value) {
    let by_schema = validator.is_valid(policy);
    match parse(policy) {
        Ok(_) => assert!(
            by_schema,
            "only the schema refuses {policy}: {:?}",
            validator
                .iter_errors(policy)
                .map(|e| e.to_string())
                .collect::<Vec<_>>()
        ),
        Err(errors) if by_schema => {
            for error in errors {
                assert!(
                    beyond_schemas(&error),
                    "only the parser refuses {policy}: {error}"
                );
            }
        }
        Err(_) => {}
    }
}

/// Whether a schema cannot express the error, or not in a readable way.
fn beyond_schemas(error: &PolicyError) -> bool {
    match &error.problem {
        Problem::NotAllowed { found, allowed } => {
            let out_of_range = allowed.contains("ms to ") && is_duration(found);
            let third_decimal = allowed.contains("at most two decimals") && found.contains('.');
            let range_order = allowed.contains("500-504") && found.contains('-');
            out_of_range || third_decimal || range_order
        }
        Problem::Conflict(words) => {
            let known = [
                "is shorter than open.duration",
                "which an earlier policy already has",
                "is not a header that a response may set",
                "appears twice",
                "appears twice in the key",
                "is longer than 65536 bytes",
            ];
            known.iter().any(|part| words.contains(part))
        }
        _ => false,
    }
}

/// Whether a JSON string has the form of a duration: numbers with units.
fn is_duration(found: &str) -> bool {
    let mut rest = found.trim_matches('"');
    while let Some(unit_at) = rest.find(|c: char| !c.is_ascii_digit() && c != '.') {
        let (number, after) = rest.split_at(unit_at);
        let unit_end = after
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_end);
        let known = ["ns", "us", "ms", "s", "m", "h"].contains(&unit);
        if !known || !number.ends_with(|c: char| c.is_ascii_digit()) {
            return false;
        }
        rest = after;
    }
    rest.is_empty() && found.len() > 2
}

/// Returns a policy with every field of the language.
fn everything() -> Value {
    json!({
        "$schema": "schema.json",
        "description": "all",
        "policies": [{
            "name": "all",
            "mode": "enforce",
            "enforce_percent": 99.99,
            "label": false,
            "match": {
                "clusters": ["a"],
                "routes": ["b"],
                "authorities": ["*.example.com", "example.com:80"],
                "paths": [{"prefix": "/a"}, {"exact": "/b"}, {"template": "/u/{id}/o"}],
                "methods": ["GET"],
                "headers": [{"name": "x-a", "exact": "1"}, {"name": "x-b", "present": false}]
            },
            "key": ["cluster", "route", "authority", "method", "path", {"header": "x-t"}],
            "outcome": {
                "failure_status": ["5xx", "429"],
                "ignore_status": ["501", "505-507"],
                "failure_grpc_status": ["UNKNOWN"]
            },
            "circuit_breaker": {
                "window": {"type": "time", "duration": "10s"},
                "minimum_requests": 20,
                "failure_rate_threshold": 33.33,
                "slow_threshold": "1.5s",
                "slow_until": "end",
                "slow_rate_threshold": 100,
                "consecutive_failures": 5,
                "open": {
                    "duration": "5s", "multiplier": 2.5, "max_duration": "1m30s",
                    "jitter": 20, "retry_after_max": "0s"
                },
                "half_open": {"permits": 3, "lease": "30s"},
                "recovery": {"duration": "0s", "start_percent": 10}
            },
            "fallback": [
                {"type": "respond", "on": ["open", "failure", "timeout"], "status": 200,
                 "headers": {"x-a": "b"}, "json": {"a": [1]}},
                {"type": "respond", "body": "text", "grpc_status": "ABORTED",
                 "grpc_message": "m"},
                {"type": "stale", "ignore_query": ["gclid", "utm_*"]},
                {"type": "cluster", "cluster": "b", "path": "/lite", "authority": "b.c:80"}
            ]
        }, {
            "name": "count",
            "circuit_breaker": {"window": {"type": "count", "size": 100}}
        }],
        "limits": {"keys": 1000},
        "sync": {"interval": "100ms"},
        "admin": {"path_prefix": "/spillway"}
    })
}

#[test]
fn the_schema_file_is_up_to_date_and_valid() {
    let schema = policy_schema();
    assert!(jsonschema::meta::is_valid(&schema));
    let path = root().join("policies/schema.json");
    let shipped = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        shipped == format!("{schema:#}\n"),
        "policies/schema.json is out of date: write what `host-sim schema` prints to it"
    );
}

#[test]
fn schema_and_parser_agree_on_the_policies_on_disk() {
    let validator = validator();
    let mut seen = 0;
    for folder in ["policies", "tests/policies/valid", "tests/policies/invalid"] {
        for file in fs::read_dir(root().join(folder)).unwrap() {
            let path = file.unwrap().path();
            let is_policy = path.extension().is_some_and(|e| e == "json")
                && path.file_name().is_some_and(|name| name != "schema.json");
            if !is_policy {
                continue;
            }
            let bytes = fs::read(&path).unwrap();
            // A duplicate name is lost in a `Value`, so that only the parser can see it.
            let twice = Config::parse(&bytes)
                .is_err_and(|errors| errors.iter().any(|e| matches!(e.problem, Problem::Twice)));
            if let Ok(policy) = serde_json::from_slice::<Value>(&bytes)
                && !twice
            {
                agree(&validator, &policy);
                seen += 1;
            }
        }
    }
    assert!(seen >= 35, "only {seen} policies were found");
}

#[test]
fn schema_and_parser_accept_a_policy_with_every_field() {
    let policy = everything();
    assert!(parse(&policy).is_ok(), "{:?}", parse(&policy));
    assert!(validator().is_valid(&policy));
}

/// Collects every JSON pointer into `value`, the root included.
fn pointers(value: &Value, at: String, found: &mut Vec<String>) {
    match value {
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                pointers(item, format!("{at}/{index}"), found);
            }
        }
        Value::Object(fields) => {
            for (name, item) in fields {
                pointers(item, format!("{at}/{name}"), found);
            }
        }
        _ => {}
    }
    found.push(at);
}

#[test]
fn schema_and_parser_agree_when_any_value_is_replaced() {
    let (validator, policy) = (validator(), everything());
    let others = [
        json!(null),
        json!(true),
        json!(-1),
        json!(0),
        json!(1),
        json!(0.001),
        json!(1e300),
        json!(12.5),
        json!(101),
        json!(1_000_001),
        json!(""),
        json!("x"),
        json!("5s"),
        json!("25h"),
        json!("1.s"),
        json!("-1s"),
        json!("open"),
        json!("5xx"),
        json!("504-500"),
        json!("OK"),
        json!("CANCELLED"),
        json!("*"),
        json!("*."),
        json!("*.a b"),
        json!("/a?b"),
        json!("/a/"),
        json!("//a"),
        json!("/a/../b"),
        json!("/.a/..b/.../~_-Z"),
        json!("/{}"),
        json!("/{a}b"),
        json!("/{a}/{b}"),
        json!("a\u{7}b"),
        json!("path"),
        json!("count"),
        json!(204),
        json!([]),
        json!(["x"]),
        json!(["open"]),
        json!([1]),
        json!({}),
        json!({"name": "y"}),
        json!({"header": "a b"}),
        json!({"Connection": "x"}),
        json!({"exact": "/a", "prefix": "/b"}),
        json!("y".repeat(65)),
        json!("y*"),
        json!("[::1]:80"),
        json!("a@b"),
        json!("y;"),
        json!(vec!["y"; 33]),
    ];
    let mut places = Vec::new();
    pointers(&policy, String::new(), &mut places);
    let mut probes = 0;
    for place in &places {
        for other in &others {
            let mut changed = policy.clone();
            *changed.pointer_mut(place).unwrap() = other.clone();
            agree(&validator, &changed);
            probes += 1;
        }
    }
    assert!(probes > 3_000, "{probes}");
}

#[test]
fn only_a_file_with_an_admin_may_have_no_policies() {
    let validator = validator();
    let one = json!([{"name": "p"}]);
    for (policies, admin, expected) in [
        (json!([]), None, false),
        (json!([]), Some(json!({})), true),
        (json!([]), Some(json!(null)), false),
        (one.clone(), None, true),
        (one, Some(json!({})), true),
    ] {
        let mut file = json!({"policies": policies});
        if let Some(admin) = admin {
            file["admin"] = admin;
        }
        assert_eq!(parse(&file).is_ok(), expected, "{file}");
        assert_eq!(validator.is_valid(&file), expected, "{file}");
    }
    agree(&validator, &json!({"admin": {}}));
}

#[test]
fn schema_and_parser_agree_when_any_field_is_missing_or_misspelt() {
    let (validator, policy) = (validator(), everything());
    let mut places = Vec::new();
    pointers(&policy, String::new(), &mut places);
    for place in &places {
        let Some((above, name)) = place.rsplit_once('/') else {
            continue;
        };
        let mut dropped = policy.clone();
        let Some(Value::Object(fields)) = dropped.pointer_mut(above) else {
            continue;
        };
        let value = fields.remove(name).unwrap();
        agree(&validator, &dropped);
        let Some(Value::Object(fields)) = dropped.pointer_mut(above) else {
            continue;
        };
        fields.insert(format!("{name}_"), value);
        agree(&validator, &dropped);
    }
}
