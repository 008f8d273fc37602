//! Checks every range and default of the schema against the parser: the limits are accepted,
//! values beyond them are rejected, and an explicit default changes nothing.

use host_sim::command::schema::policy_schema;
use serde_json::{Value, json};
use spillway_core::policy::Config;

fn parse(policy: &Value) -> Option<Config> {
    Config::parse(policy.to_string().as_bytes()).ok()
}

/// Returns a policy with `value` at `path` and only the fields that it requires.
fn policy_with(path: &str, value: Option<&Value>) -> Value {
    let mut policy = json!({"policies": [{"name": "p"}]});
    for (near, beside, needed) in NEEDED {
        if path.starts_with(near) && path != *beside {
            put(&mut policy, beside, serde_json::from_str(needed).unwrap());
        }
    }
    // Fields that a fallback of this type requires.
    let own = match value.and_then(Value::as_str) {
        Some("cluster") => json!({"cluster": "b"}),
        Some("route") => json!({"header": {"name": "x-a", "value": "b"}}),
        _ => json!({}),
    };
    if path == "policies[].fallback[].type" {
        put(&mut policy, "policies[].fallback[]", own);
    }
    match (value, path.rsplit_once('.')) {
        (Some(value), _) => put(&mut policy, path, value.clone()),
        // An empty parent object, since a missing one may mean something else.
        (None, Some((above, _))) if !above.ends_with("[]") => touch(&mut policy, above),
        (None, _) => {}
    }
    policy
}

/// Fields that require another field: the path's start, the required field and its value.
const NEEDED: &[(&str, &str, &str)] = &[
    ("events.path", "events.cluster", "\"otel\""),
    (
        "policies[].circuit_breaker.window.size",
        "policies[].circuit_breaker.window.type",
        "\"count\"",
    ),
    (
        "policies[].circuit_breaker.open.max_duration",
        "policies[].circuit_breaker.open.duration",
        "\"1ms\"",
    ),
    (
        "policies[].circuit_breaker.open.duration",
        "policies[].circuit_breaker.open.max_duration",
        "\"24h\"",
    ),
    (
        "policies[].fallback[]",
        "policies[].fallback[].type",
        "\"respond\"",
    ),
    (
        "policies[].fallback[].max_age",
        "policies[].fallback[].type",
        "\"stale\"",
    ),
    (
        "policies[].fallback[].shared",
        "policies[].fallback[].type",
        "\"stale\"",
    ),
    (
        "policies[].fallback[].ignore_query",
        "policies[].fallback[].type",
        "\"stale\"",
    ),
    (
        "policies[].fallback[].authority",
        "policies[].fallback[].type",
        "\"cluster\"",
    ),
    (
        "policies[].fallback[].authority",
        "policies[].fallback[].cluster",
        "\"b\"",
    ),
    (
        "policies[].fallback[].timeout",
        "policies[].fallback[].type",
        "\"cluster\"",
    ),
    (
        "policies[].fallback[].timeout",
        "policies[].fallback[].cluster",
        "\"b\"",
    ),
    (
        "policies[].retry.engine",
        "policies[].retry.replay",
        "\"as_received\"",
    ),
    (
        "policies[].retry.backoff",
        "policies[].retry.engine",
        "\"filter\"",
    ),
    (
        "policies[].retry.backoff",
        "policies[].retry.replay",
        "\"as_received\"",
    ),
    (
        "policies[].retry.backoff.max_interval",
        "policies[].retry.backoff.base_interval",
        "\"1ms\"",
    ),
    (
        "policies[].match.headers[].name",
        "policies[].match.headers[].exact",
        "\"x\"",
    ),
    (
        "policies[].match.headers[].exact",
        "policies[].match.headers[].name",
        "\"x\"",
    ),
    (
        "policies[].match.headers[].present",
        "policies[].match.headers[].name",
        "\"x\"",
    ),
    (
        "policies[].key[]",
        "policies[].match.paths[].exact",
        "\"/\"",
    ),
];

fn put(policy: &mut Value, path: &str, value: Value) {
    *place(policy, path) = value;
}

fn touch(policy: &mut Value, path: &str) {
    let place = place(policy, path);
    if place.is_null() {
        *place = json!({});
    }
}

fn place<'a>(policy: &'a mut Value, path: &str) -> &'a mut Value {
    let mut place = policy;
    for name in path.split('.') {
        let (name, rest) = name
            .split_once('[')
            .map_or((name, ""), |(name, _)| (name, "[]"));
        place = &mut place[name];
        if !rest.is_empty() {
            if place.is_null() {
                *place = json!([null]);
            }
            place = &mut place[0];
        }
    }
    place
}

/// Collects every scalar and list of the schema, with its path.
fn leaves(schema: &Value, path: &str, found: &mut Vec<(String, Value)>) {
    if let Some(any) = schema["anyOf"].as_array() {
        for one in any {
            leaves(one, path, found);
        }
        return;
    }
    found.push((path.to_owned(), schema.clone()));
    if let Some(properties) = schema["properties"].as_object() {
        for (name, below) in properties {
            let dot = if path.is_empty() { "" } else { "." };
            leaves(below, &format!("{path}{dot}{name}"), found);
        }
    }
    if schema["items"].is_object() {
        leaves(&schema["items"], &format!("{path}[]"), found);
    }
}

#[track_caller]
fn taken(path: &str, value: Value) {
    let policy = policy_with(path, Some(&value));
    assert!(
        parse(&policy).is_some(),
        "{path} {value}: {:?}",
        Config::parse(policy.to_string().as_bytes())
    );
}

#[track_caller]
fn refused(path: &str, value: Value) {
    let policy = policy_with(path, Some(&value));
    assert!(parse(&policy).is_none(), "{path} takes {value}");
}

/// Parses a duration of the schema, which has a single unit, into nanoseconds.
fn nanoseconds(span: &Value) -> u64 {
    let text = span.as_str().unwrap();
    let at = text.find(|c: char| !c.is_ascii_digit()).unwrap();
    let unit = match &text[at..] {
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        other => panic!("{other}"),
    };
    text[..at].parse::<u64>().unwrap() * unit
}

fn all_leaves() -> Vec<(String, Value)> {
    let mut found = Vec::new();
    leaves(&policy_schema(), "", &mut found);
    found
}

#[test]
fn numbers_are_accepted_up_to_the_limits_of_their_range() {
    let mut ranges = 0;
    for (path, schema) in all_leaves() {
        let (low, high) = (&schema["minimum"], &schema["maximum"]);
        if low.is_null() {
            continue;
        }
        ranges += 1;
        taken(&path, low.clone());
        taken(&path, high.clone());
        let (low, high) = (low.as_f64().unwrap(), high.as_f64().unwrap());
        if schema["type"] == "integer" {
            refused(&path, json!(low as i64 - 1));
            refused(&path, json!(high as i64 + 1));
            refused(&path, json!(low + 0.5));
        } else {
            refused(&path, json!(low - 0.01));
            refused(&path, json!(high + 0.01));
            taken(&path, json!(high - 0.01));
            refused(&path, json!(high - 0.001));
        }
    }
    assert_eq!(ranges, 24);
}

#[test]
fn durations_are_accepted_up_to_the_limits_of_their_range() {
    let mut ranges = 0;
    for (path, schema) in all_leaves() {
        let (low, high) = (&schema["x-minimum"], &schema["x-maximum"]);
        if low.is_null() {
            continue;
        }
        ranges += 1;
        taken(&path, low.clone());
        taken(&path, high.clone());
        refused(&path, json!(format!("{}ns", nanoseconds(low) - 1)));
        refused(&path, json!(format!("{}ns", nanoseconds(high) + 1)));
        let zero = if schema["x-zero"] == true {
            taken
        } else {
            refused
        };
        zero(&path, json!("0s"));
    }
    assert_eq!(ranges, 17);
}

#[test]
fn only_the_listed_words_of_a_choice_are_accepted() {
    let mut choices = 0;
    for (path, schema) in all_leaves() {
        let Some(words) = schema["enum"].as_array() else {
            continue;
        };
        choices += 1;
        for word in words {
            taken(&path, word.clone());
        }
        refused(&path, json!("no such word"));
    }
    assert!(choices >= 8, "{choices}");
}

#[test]
fn lists_may_be_empty_where_the_schema_allows_it() {
    let mut lists = 0;
    for (path, schema) in all_leaves() {
        // Whether `policies` may be empty depends on the rest of the file.
        if schema["type"] == "array" && path != "policies" {
            lists += 1;
            let empty = if schema["minItems"] == 1 {
                refused
            } else {
                taken
            };
            empty(&path, json!([]));
        }
    }
    assert_eq!(lists, 16);
}

#[test]
fn lists_are_accepted_up_to_their_largest_number_of_items() {
    let mut lists = 0;
    for (path, schema) in all_leaves() {
        if let Some(items) = schema["maxItems"].as_u64() {
            lists += 1;
            taken(&path, json!(vec!["a"; items as usize]));
            refused(&path, json!(vec!["a"; items as usize + 1]));
        }
    }
    assert_eq!(lists, 1);
}

#[test]
fn strings_are_accepted_up_to_their_longest_length() {
    for (path, first) in [
        ("admin.path_prefix", '/'),
        ("policies[].fallback[].authority", 'a'),
        ("policies[].fallback[].ignore_query[]", 'a'),
    ] {
        let text = |length: u64| json!(format!("{first}{}", "a".repeat(length as usize - 1)));
        let mut found = all_leaves().into_iter().filter(|(at, _)| at == path);
        let (_, schema) = found.next().unwrap();
        if let Some(least) = schema["minLength"].as_u64() {
            taken(path, text(least));
            refused(path, text(least - 1));
        }
        let most = schema["maxLength"].as_u64().unwrap();
        taken(path, text(most));
        refused(path, text(most + 1));
    }
}

#[test]
fn an_explicit_default_changes_nothing() {
    let mut defaults = 0;
    for (path, schema) in all_leaves() {
        if let Some(default) = schema.get("default") {
            defaults += 1;
            let written = parse(&policy_with(&path, Some(default)));
            let absent = parse(&policy_with(&path, None));
            assert!(written.is_some(), "{path}");
            // Two defaults depend on another field: max_duration, and max_interval on the
            // base_interval that the policy contains here.
            let moved = [
                "policies[].circuit_breaker.open.duration",
                "policies[].retry.backoff.max_interval",
            ];
            if !moved.contains(&path.as_str()) {
                assert_eq!(written, absent, "{path} {default}");
            }
        }
    }
    assert!(defaults >= 25, "{defaults}");
}
