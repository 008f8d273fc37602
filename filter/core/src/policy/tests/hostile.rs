//! Whatever a file contains, it is accepted or rejected with readable errors.

use serde_json::Value;

use super::*;
use crate::random::Random;

/// Parses a file and checks that every error is one readable line.
fn is_accepted_or_rejected_with_words(json: &[u8]) -> bool {
    let lines = errors(json);
    for line in &lines {
        let words = !line.is_empty() && !line.contains(['\n', '\r']) && line.len() < 1_000;
        assert!(words, "{line:?}\n{}", String::from_utf8_lossy(json));
    }
    lines.is_empty() == Config::parse(json).is_ok()
}

/// Collects the JSON pointers of a value and of everything in it.
fn pointers(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.into());
    match value {
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                pointers(item, &format!("{at}/{index}"), found);
            }
        }
        Value::Object(fields) => {
            for (name, field) in fields {
                pointers(field, &format!("{at}/{name}"), found);
            }
        }
        _ => {}
    }
}

#[test]
fn any_value_in_any_place_is_accepted_or_rejected_with_words() {
    let values = [
        "null", "true", "-1", "1e300", "\"\"", "[]", "{}", "0.001", "[[]]",
    ];
    let mut tried = 0;
    for (path, json) in files("valid", 10) {
        let whole: Value = serde_json::from_slice(&json).expect("JSON");
        let mut places = Vec::new();
        pointers(&whole, "", &mut places);
        for place in &places {
            for value in values {
                let mut changed = whole.clone();
                let spot = changed.pointer_mut(place).expect("a value");
                *spot = serde_json::from_str(value).expect("JSON");
                let text = changed.to_string();
                assert!(
                    is_accepted_or_rejected_with_words(text.as_bytes()),
                    "{path:?} {place} {value}"
                );
                tried += 1;
            }
        }
    }
    assert!(tried > 2_000, "{tried}");
}

#[test]
fn a_removed_field_is_reported_or_has_a_default() {
    for (path, json) in files("valid", 10) {
        let whole: Value = serde_json::from_slice(&json).expect("JSON");
        let mut places = Vec::new();
        pointers(&whole, "", &mut places);
        for place in &places {
            let (parent, name) = place.rsplit_once('/').unwrap_or_default();
            let mut changed = whole.clone();
            if let Some(Value::Object(fields)) = changed.pointer_mut(parent) {
                fields.remove(name);
            }
            let text = changed.to_string();
            assert!(
                is_accepted_or_rejected_with_words(text.as_bytes()),
                "{path:?} {place}"
            );
        }
    }
}

#[test]
fn any_bytes_are_accepted_or_rejected_with_words() {
    let mut random = Random::new(1);
    for (_, json) in files("valid", 10) {
        for _ in 0..500 {
            let mut changed = json.clone();
            for _ in 0..random.between(1, 4) {
                let at = random.between(0, changed.len() as u64 - 1) as usize;
                match random.between(0, 3) {
                    0 => changed[at] = random.word() as u8,
                    1 if changed.len() > 1 => drop(changed.remove(at)),
                    2 => changed.insert(at, b"{}[]\",:0e-\\ntf\xff\x00"[at % 16]),
                    _ => changed.truncate(at.max(1)),
                }
            }
            assert!(is_accepted_or_rejected_with_words(&changed));
        }
    }
}

#[test]
fn deep_nesting_is_rejected_without_recursion() {
    let depth = 100_000;
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let nested = format!("{}1{}", open.repeat(depth), close.repeat(depth));
        assert!(errors(nested.as_bytes())[0].contains("recursion limit exceeded"));
        let inside = format!(
            r#"{{"policies":[{{"name":"p","fallback":[{{"type":"respond","json":{nested}}}]}}]}}"#
        );
        assert!(errors(inside.as_bytes())[0].contains("recursion limit exceeded"));
    }
}

#[test]
fn long_strings_are_rejected_and_shortened() {
    let long = "a".repeat(1_000_000);
    let named = format!(r#"{{"policies":[{{"name":"{long}"}}]}}"#);
    assert!(errors(named.as_bytes())[0].len() < 200);
    let unknown = format!(r#"{{"{long}": 1, "policies":[{{"name":"p"}}]}}"#);
    assert!(errors(unknown.as_bytes())[0].len() < 200);
    let body = |len: usize| {
        let body = "a".repeat(len);
        format!(
            r#"{{"policies":[{{"name":"p","fallback":[{{"type":"respond","body":"{body}"}}]}}]}}"#
        )
    };
    assert_eq!(errors(body(65_536).as_bytes()), [""; 0]);
    assert_eq!(errors(body(65_537).as_bytes()).len(), 1);
    let json = body(65_535).replace("\"body\"", "\"json\"");
    assert_eq!(
        errors(json.as_bytes()),
        ["policies[0].fallback[0].json is longer than 65536 bytes"]
    );
}

#[test]
fn ten_thousand_policies_are_parsed() {
    let policies: Vec<String> = (0..10_000)
        .map(|n| {
            format!(r#"{{"name":"p{n}","match":{{"clusters":["c{n}"]}},"circuit_breaker":{{}}}}"#)
        })
        .collect();
    let json = format!(r#"{{"policies":[{}]}}"#, policies.join(","));
    assert_eq!(config(&json).policies.len(), 10_000);
}
