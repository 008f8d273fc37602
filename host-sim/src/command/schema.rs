//! `host-sim schema`: the JSON Schema of the policy, for editors and for CI.
//!
//! Types, ranges, patterns and defaults are the parser's own words
//! ([`Config::schema_notes`]); only the descriptions live here, by path, in
//! `words`. A schema can say less than the parser knows: durations have their form
//! checked, but their range stands in words; names that must be unique, or a cap
//! shorter than what it caps, are found by `check` alone. What the schema refuses,
//! the parser refuses too.

use std::io::Write;

use serde_json::{Value, json};
use spillway_core::policy::Config;

mod tree;
mod words;

use super::Failure;
use tree::Node;

/// The dialect, which editors ask for.
pub(super) const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// Prints the schema.
///
/// # Errors
///
/// What `out` reports.
pub fn run(out: &mut dyn Write) -> Result<(), Failure> {
    Ok(writeln!(out, "{:#}", policy_schema())?)
}

/// The JSON Schema of a policy file.
pub fn policy_schema() -> Value {
    let mut top = Node::default();
    for (path, fragment) in Config::schema_notes() {
        top.note(&path, fragment);
    }
    let mut schema = top.into_schema("", &words::describe);
    if let Some(schema) = schema.as_object_mut() {
        schema.insert("$schema".into(), json!(DIALECT));
        schema.insert("title".into(), json!("Spillway policy"));
    }
    schema
}

#[cfg(test)]
mod tests;
