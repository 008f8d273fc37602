//! Reports of `check`, for people and for programs.

use std::io::{self, Write};

use serde_json::{Value, json};
use spillway_core::policy::parse::error::{PolicyError, Problem};

use super::{Finding, Found, Report, Severity};

/// One block per file: what was found, where, why, and what would mend it.
pub fn text(reports: &[Report], out: &mut dyn Write) -> io::Result<()> {
    for report in reports {
        match &report.found {
            Found::Nothing(_) | Found::Schema => {}
            Found::Errors(errors) => {
                writeln!(out, "{}: {}", report.file, count(errors.len(), "error"))?;
                for error in errors {
                    writeln!(out, "  error: {error}")?;
                }
            }
            Found::Findings(findings) => {
                writeln!(out, "{}: {}", report.file, summary(findings))?;
                for finding in findings {
                    let severity = finding.severity.name();
                    writeln!(out, "  {severity}: {} [{}]", finding.path, finding.code)?;
                    writeln!(out, "    why:  {}", finding.reason)?;
                    writeln!(out, "    mend: {}", finding.mend)?;
                }
            }
        }
    }
    Ok(())
}

/// What could not be looked at, and what need not be.
pub fn passed_over(reports: &[Report], talk: &mut dyn Write) -> io::Result<()> {
    for report in reports {
        let file = &report.file;
        match &report.found {
            Found::Nothing(words) => writeln!(talk, "host-sim: {file}: {words}")?,
            Found::Schema => writeln!(talk, "host-sim: {file}: a JSON Schema, passed over")?,
            Found::Errors(_) | Found::Findings(_) => {}
        }
    }
    Ok(())
}

/// `{"files": [{"file", "unreadable"?, "schema"?, "errors": [{"path", "message", "found"?,
/// "allowed"?}], "findings": [{"severity", "code", "path", "reason", "mend"}]}]}`
pub fn json(reports: &[Report], out: &mut dyn Write) -> io::Result<()> {
    let files: Vec<Value> = reports.iter().map(file).collect();
    writeln!(out, "{:#}", json!({ "files": files }))
}

fn file(report: &Report) -> Value {
    let mut file = json!({"file": report.file, "errors": [], "findings": []});
    match &report.found {
        Found::Nothing(words) => file["unreadable"] = json!(words),
        Found::Schema => file["schema"] = json!(true),
        Found::Errors(errors) => file["errors"] = errors.iter().map(error).collect(),
        Found::Findings(findings) => file["findings"] = findings.iter().map(finding).collect(),
    }
    file
}

fn error(error: &PolicyError) -> Value {
    let mut value = json!({"path": error.path, "message": error.to_string()});
    if let Problem::NotAllowed { found, allowed } = &error.problem {
        value["found"] = json!(found);
        value["allowed"] = json!(allowed);
    }
    value
}

fn finding(finding: &Finding) -> Value {
    json!({
        "severity": finding.severity.name(),
        "code": finding.code,
        "path": finding.path,
        "reason": finding.reason,
        "mend": finding.mend,
    })
}

fn summary(findings: &[Finding]) -> String {
    let of = |severity| findings.iter().filter(|f| f.severity == severity).count();
    let counts = [
        (of(Severity::Warning), "warning"),
        (of(Severity::Note), "note"),
    ];
    let parts: Vec<String> = counts
        .into_iter()
        .filter(|(found, _)| *found > 0)
        .map(|(found, what)| count(found, what))
        .collect();
    if parts.is_empty() {
        "clean".into()
    } else {
        parts.join(", ")
    }
}

fn count(found: usize, what: &str) -> String {
    let plural = if found == 1 { "" } else { "s" };
    format!("{found} {what}{plural}")
}
