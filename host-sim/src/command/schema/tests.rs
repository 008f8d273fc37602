use std::collections::BTreeSet;

use serde_json::Value;

use super::words::{WORDS, describe};
use super::{Config, policy_schema};

/// The paths at which the parser notes anything but an item of a list.
fn described_paths() -> BTreeSet<String> {
    let notes = Config::schema_notes().into_iter();
    notes.map(|(path, _)| path).collect()
}

#[test]
fn every_field_has_its_description() {
    for path in described_paths() {
        // What stands in a list of plain texts is told by the list.
        if !path.ends_with("[]") {
            assert!(describe(&path).is_some(), "{path} has no description");
        }
    }
}

#[test]
fn every_description_is_of_a_field() {
    let paths = described_paths();
    let mut seen = BTreeSet::new();
    for (path, words) in WORDS {
        assert!(paths.contains(*path), "no field is called {path}");
        assert!(seen.insert(path), "{path} is described twice");
        assert!(words.ends_with('.'), "{path}: {words}");
    }
}

#[test]
fn no_object_takes_fields_that_nobody_knows() {
    fn visit(schema: &Value, path: &str) {
        if let Some(properties) = schema["properties"].as_object()
            && schema["type"] == "object"
        {
            assert_eq!(schema["additionalProperties"], false, "{path}");
            for (name, below) in properties {
                visit(below, &format!("{path}.{name}"));
            }
        }
        if schema["items"].is_object() {
            visit(&schema["items"], &format!("{path}[]"));
        }
    }
    visit(&policy_schema(), "");
}

#[test]
fn the_readers_own_marks_do_not_reach_the_schema() {
    let text = policy_schema().to_string();
    assert!(!text.contains("x-required") && !text.contains("x-allowed"));
}
