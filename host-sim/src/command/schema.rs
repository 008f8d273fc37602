//! `host-sim schema`: JSON Schemas of policies, scenarios and reports, for editors and CI.
//!
//! The schemas of scenarios and reports are derived from their types. Types, ranges, patterns and
//! defaults of policies come from the parser ([`Config::schema_notes`]), and only the descriptions
//! are here, by path, in `words`. A schema is less strict than the parser: it checks the format of
//! durations but not their range, and it cannot find duplicate names or a maximum below its
//! minimum. The parser rejects everything that the schema rejects.

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
    /// The kind of document
    #[arg(value_enum, default_value_t = Of::Policy)]
    pub of: Of,
}

/// The documents that have a schema.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub enum Of {
    Policy,
    Scenario,
    Report,
    Comparison,
    Replay,
    PluginTest,
    Request,
}

/// The dialect, which editors need.
pub(super) const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// Prints the schema.
///
/// # Errors
///
/// If `out` fails.
pub fn run(arguments: &Arguments, out: &mut dyn Write) -> Result<(), Failure> {
    let schema = match arguments.of {
        Of::Policy => policy_schema(),
        Of::Scenario => crate::scenario::file::schema(),
        Of::Report => crate::report::json::schema(),
        Of::Comparison => crate::report::json::comparison_schema(),
        Of::Replay => crate::report::json::replay_schema(),
        Of::PluginTest => crate::trial::file::schema(),
        Of::Request => crate::report::transcript::json::schema(),
    };
    Ok(writeln!(out, "{schema:#}")?)
}

/// Returns the JSON Schema of a policy file.
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
