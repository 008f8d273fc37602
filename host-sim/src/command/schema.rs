//! `host-sim schema`: JSON Schemas of policies, scenarios and reports, for editors and
//! for CI.
//!
//! Scenarios and reports are described by the types that they are read into and written
//! from. Of the policy, types, ranges, patterns and defaults are the parser's own words
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

/// Which schema to print.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// What it is the schema of
    #[arg(value_enum, default_value_t = Of::Policy)]
    pub of: Of,
}

/// What there are schemas of.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub enum Of {
    Policy,
    Scenario,
    Report,
    Comparison,
}

/// The dialect, which editors ask for.
pub(super) const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// Prints the schema.
///
/// # Errors
///
/// What `out` reports.
pub fn run(arguments: &Arguments, out: &mut dyn Write) -> Result<(), Failure> {
    let schema = match arguments.of {
        Of::Policy => policy_schema(),
        Of::Scenario => crate::scenario::file::schema(),
        Of::Report => crate::report::json::schema(),
        Of::Comparison => crate::report::json::comparison_schema(),
    };
    Ok(writeln!(out, "{schema:#}")?)
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
