//! `host-sim check`: errors of policies, and settings that are probably not intended.
//!
//! Errors come from the parser. With one, the filter rejects the whole file, and nothing else is
//! checked. In a file without errors, lints find settings that are allowed but have no effect, or
//! another one than expected. Each finding has a path, a reason and a fix. A *warning* is a setting
//! without effect or with an undesired one, and fails the check. A *note* may well be intended, and
//! fails nothing. A `disabled` policy only gets a note.

use std::fs;
use std::io::Write;
use std::path::PathBuf;

use serde_json::Value;
use spillway_core::policy::Config;
use spillway_core::policy::parse::error::Problem;

use crate::command::{Failure, schema};

mod admin;
mod breaker;
mod copies;
mod fallback;
mod finding;
mod overlap;
mod print;
mod recovery;
mod report;
mod retry;
mod scope;
mod sync;
mod view;

pub use finding::{Finding, Severity};
pub use report::Checked;
use report::Report;
use view::FileView;

/// Checks policies for errors and for settings without effect.
#[derive(clap::Args)]
pub struct Arguments {
    /// Policy files
    #[arg(required = true, value_name = "POLICY")]
    policies: Vec<PathBuf>,
    /// Check for spillway-lite.wasm, which refuses what needs bodies or responses
    #[arg(long)]
    lite: bool,
    /// Print one JSON document in place of text
    #[arg(long)]
    json: bool,
}

/// Checks all files and prints the findings.
///
/// # Errors
///
/// [`Failure::Failed`] if there is an error or a warning, [`Failure::Usage`] if a file cannot be
/// read or is not JSON. The details are printed before. Also if `out` or `messages` fails.
pub fn run(
    arguments: &Arguments,
    out: &mut dyn Write,
    messages: &mut dyn Write,
) -> Result<(), Failure> {
    let check_file = |path: &PathBuf| Report {
        file: path.display().to_string(),
        result: match fs::read(path) {
            Ok(bytes) if arguments.lite => check_lite(&bytes),
            Ok(bytes) => check(&bytes),
            Err(error) => Checked::Unreadable(format!("cannot be read: {error}")),
        },
    };
    let reports: Vec<Report> = arguments.policies.iter().map(check_file).collect();
    if arguments.json {
        print::json(&reports, out)?;
    } else {
        print::text(&reports, out)?;
    }
    print::skipped(&reports, messages)?;
    result(&reports)
}

fn result(reports: &[Report]) -> Result<(), Failure> {
    let fails = |report: &Report| match &report.result {
        Checked::Unreadable(_) | Checked::Schema => false,
        Checked::Errors(_) => true,
        Checked::Findings(findings) => findings
            .iter()
            .any(|finding| finding.severity == Severity::Warning),
    };
    let unreadable = |report: &Report| matches!(report.result, Checked::Unreadable(_));
    if reports.iter().any(unreadable) {
        Err(Failure::Usage(String::new()))
    } else if reports.iter().any(fails) {
        Err(Failure::Failed)
    } else {
        Ok(())
    }
}

/// Checks one policy file.
pub fn check(json: &[u8]) -> Checked {
    match Config::parse(json) {
        Ok(config) => Checked::Findings(lint(&config, json)),
        Err(errors) => match errors.as_slice() {
            [only] if matches!(only.problem, Problem::Syntax(_)) => {
                Checked::Unreadable(only.to_string())
            }
            _ if is_schema(json) => Checked::Schema,
            _ if is_foreign(json) => Checked::Unreadable(FOREIGN.into()),
            _ => Checked::Errors(errors),
        },
    }
}

/// Checks one policy file that is for the lite module.
fn check_lite(json: &[u8]) -> Checked {
    match Config::parse(json).map(|config| config.beyond_lite()) {
        Ok(errors) if !errors.is_empty() => Checked::Errors(errors),
        _ => check(json),
    }
}

/// Returns the policies of a file that no request reaches, each with the earlier one that matches
/// all of its requests, by their indices. Empty if the filter would reject the file.
pub(crate) fn unreachable(json: &[u8]) -> Vec<(usize, usize)> {
    let policies = Config::parse(json).map(|config| config.policies);
    let policies = policies.unwrap_or_default();
    let found = |at| Some((at, overlap::earlier_match(&policies, at)?));
    (0..policies.len()).filter_map(found).collect()
}

/// Returns whether a file declares itself a JSON Schema, as `schema.json` does.
fn is_schema(json: &[u8]) -> bool {
    let value: Value = serde_json::from_slice(json).unwrap_or_default();
    value["$schema"] == schema::DIALECT
}

/// Why the configuration of another plugin, or a scenario, is not checked.
const FOREIGN: &str = "is no policy of this filter: it has none of its fields";

/// Returns whether a file is an object without any field of a policy file, not even a misspelt
/// one.
fn is_foreign(json: &[u8]) -> bool {
    let Ok(Value::Object(object)) = serde_json::from_slice(json) else {
        return false;
    };
    let errors = Config::parse(json).err().unwrap_or_default();
    let is_unknown = |name: &String| {
        let unknown = errors.iter().find(|error| error.path == *name);
        unknown.is_some_and(|error| error.to_string().ends_with("is not a known field"))
    };
    !object.is_empty() && object.keys().all(is_unknown)
}

/// Runs all lints, policy by policy.
fn lint(config: &Config, json: &[u8]) -> Vec<Finding> {
    let file = FileView::new(config, json);
    let mut findings = Vec::new();
    for policy in file.policies() {
        scope::disabled(&policy, &mut findings);
        if policy.is_disabled() {
            continue;
        }
        overlap::shadowed(&file, &policy, &mut findings);
        scope::lint(&policy, &mut findings);
        breaker::lint(&policy, &mut findings);
        recovery::lint(&policy, &mut findings);
        retry::lint(&policy, &mut findings);
        fallback::lint(&file, &policy, &mut findings);
    }
    scope::limits(&file, &mut findings);
    fallback::unused(&file, &mut findings);
    copies::lint(&file, &mut findings);
    sync::lint(&file, &mut findings);
    admin::lint(&file, &mut findings);
    findings
}

#[cfg(test)]
mod tests;
