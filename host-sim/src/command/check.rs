//! `host-sim check`: what is wrong with a policy, and what is probably not meant.
//!
//! Errors are the parser's: with one the filter refuses the whole file, and nothing
//! else is looked for in it. In a file without errors the lints look for what is
//! allowed and yet can do nothing, or not what it seems to: each finding says where,
//! why, and what would mend it. A *warning* is something that has no effect or an
//! effect nobody asks for, and fails the check. A *note* is worth knowing, may well
//! be meant, and fails nothing. Policies that are `disabled` are only noted.

use std::fs;
use std::io::Write;
use std::path::PathBuf;

use serde_json::Value;
use spillway_core::policy::Config;
use spillway_core::policy::parse::error::{PolicyError, Problem};

use super::{Failure, schema};

mod admin;
mod breaker;
mod copies;
mod fallback;
mod finding;
mod overlap;
mod print;
mod recovery;
mod retry;
mod scope;
mod sync;
mod view;

pub use finding::{Finding, Severity};
use view::FileView;

/// Checks policies: errors, and what can have no effect.
#[derive(clap::Args)]
pub struct Arguments {
    /// Policy files.
    #[arg(required = true, value_name = "POLICY")]
    policies: Vec<PathBuf>,
    /// Print one JSON document in place of text.
    #[arg(long)]
    json: bool,
}

/// What was found in one file.
pub struct Report {
    file: String,
    found: Found,
}

/// What a file turned out to be.
pub enum Found {
    /// It cannot be read or is no JSON, in words.
    Nothing(String),
    /// It is a JSON Schema, which lies beside policies for their editors.
    Schema,
    /// The filter would refuse it.
    Errors(Vec<PolicyError>),
    /// The filter would take it.
    Findings(Vec<Finding>),
}

/// Checks every file and prints what was found.
///
/// # Errors
///
/// [`Failure::Failed`] with an error or a warning, [`Failure::Usage`] where a file cannot
/// be read or is no JSON; all is said by then. Also what `out` and `talk` report.
pub fn run(
    arguments: &Arguments,
    out: &mut dyn Write,
    talk: &mut dyn Write,
) -> Result<(), Failure> {
    let check_file = |path: &PathBuf| Report {
        file: path.display().to_string(),
        found: match fs::read(path) {
            Ok(bytes) => check(&bytes),
            Err(error) => Found::Nothing(format!("cannot be read: {error}")),
        },
    };
    let reports: Vec<Report> = arguments.policies.iter().map(check_file).collect();
    if arguments.json {
        print::json(&reports, out)?;
    } else {
        print::text(&reports, out)?;
    }
    print::passed_over(&reports, talk)?;
    judge(&reports)
}

fn judge(reports: &[Report]) -> Result<(), Failure> {
    let fails = |report: &Report| match &report.found {
        Found::Nothing(_) | Found::Schema => false,
        Found::Errors(_) => true,
        Found::Findings(findings) => findings
            .iter()
            .any(|finding| finding.severity == Severity::Warning),
    };
    let nothing = |report: &Report| matches!(report.found, Found::Nothing(_));
    if reports.iter().any(nothing) {
        Err(Failure::Usage(String::new()))
    } else if reports.iter().any(fails) {
        Err(Failure::Failed)
    } else {
        Ok(())
    }
}

/// Checks one policy file.
pub fn check(json: &[u8]) -> Found {
    match Config::parse(json) {
        Ok(config) => Found::Findings(lint(&config, json)),
        Err(errors) => match errors.as_slice() {
            [only] if matches!(only.problem, Problem::Syntax(_)) => {
                Found::Nothing(only.to_string())
            }
            _ if is_schema(json) => Found::Schema,
            _ => Found::Errors(errors),
        },
    }
}

/// Whether a file says of itself that it is a JSON Schema, as `schema.json` does.
fn is_schema(json: &[u8]) -> bool {
    let value: Value = serde_json::from_slice(json).unwrap_or_default();
    value["$schema"] == schema::DIALECT
}

/// All lints, policy by policy.
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
