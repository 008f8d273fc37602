use std::collections::BTreeSet;

use serde_json::Value;

use super::words::{all, describe};
use super::{Config, policy_schema};

/// Returns the paths of the parser's notes.
fn described_paths() -> BTreeSet<String> {
    let notes = Config::schema_notes().into_iter();
    notes.map(|(path, _)| path).collect()
}

#[test]
fn every_field_has_its_description() {
    for path in described_paths() {
        // The items of a list of plain strings are described by the list.
        if !path.ends_with("[]") {
            assert!(describe(&path).is_some(), "{path} has no description");
        }
    }
}

#[test]
fn every_description_belongs_to_a_field() {
    let paths = described_paths();
    let mut seen = BTreeSet::new();
    for (path, words) in all() {
        assert!(paths.contains(path), "there is no field {path}");
        assert!(seen.insert(path), "{path} is described twice");
        assert!(words.ends_with('.'), "{path}: {words}");
    }
}

#[test]
fn no_object_allows_unknown_fields() {
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
fn the_parsers_markers_are_not_in_the_schema() {
    let text = policy_schema().to_string();
    assert!(!text.contains("x-required") && !text.contains("x-allowed"));
}
