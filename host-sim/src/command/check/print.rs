//! Output of `check`, as text and as JSON.

use std::io::{self, Write};

use serde_json::{Value, json};
use spillway_core::policy::parse::error::{PolicyError, Problem};

use crate::command::check::finding::{Finding, Severity};
use crate::command::check::report::{Checked, Report};

/// Writes one block per file: the findings with path, reason and fix.
pub(super) fn text(reports: &[Report], out: &mut dyn Write) -> io::Result<()> {
    for report in reports {
        match &report.result {
            Checked::Unreadable(_) | Checked::Schema => {}
            Checked::Errors(errors) => {
                writeln!(out, "{}: {}", report.file, count(errors.len(), "error"))?;
                for error in errors {
                    writeln!(out, "  error: {error}")?;
                }
            }
            Checked::Findings(findings) => {
                writeln!(out, "{}: {}", report.file, summary(findings))?;
                for finding in findings {
                    let severity = finding.severity.name();
                    writeln!(out, "  {severity}: {} [{}]", finding.path, finding.code)?;
                    writeln!(out, "    why:  {}", finding.reason)?;
                    writeln!(out, "    fix:  {}", finding.fix)?;
                }
            }
        }
    }
    Ok(())
}

/// Writes which files were not checked, and why.
pub(super) fn skipped(reports: &[Report], messages: &mut dyn Write) -> io::Result<()> {
    for report in reports {
        let file = &report.file;
        match &report.result {
            Checked::Unreadable(reason) => writeln!(messages, "host-sim: {file}: {reason}")?,
            Checked::Schema => writeln!(
                messages,
                "host-sim: {file}: skipped, since it is a JSON Schema"
            )?,
            Checked::Errors(_) | Checked::Findings(_) => {}
        }
    }
    Ok(())
}

/// Writes `{"files": [{"file", "unreadable"?, "schema"?, "errors": [{"path", "message", "found"?,
/// "allowed"?}], "findings": [{"severity", "code", "path", "reason", "mend"}]}]}`
pub(super) fn json(reports: &[Report], out: &mut dyn Write) -> io::Result<()> {
    let files: Vec<Value> = reports.iter().map(file).collect();
    writeln!(out, "{:#}", json!({ "files": files }))
}

fn file(report: &Report) -> Value {
    let mut file = json!({"file": report.file, "errors": [], "findings": []});
    match &report.result {
        Checked::Unreadable(reason) => file["unreadable"] = json!(reason),
        Checked::Schema => file["schema"] = json!(true),
        Checked::Errors(errors) => file["errors"] = errors.iter().map(error).collect(),
        Checked::Findings(findings) => file["findings"] = findings.iter().map(finding).collect(),
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
        "mend": finding.fix,
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
