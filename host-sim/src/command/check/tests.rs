mod breaker;
mod fallback;
mod file;
mod scope;

use super::{Checked, check};

/// Expects these findings of a file, each as `severity code path`.
#[track_caller]
fn expect_file(json: &str, expected: &[&str]) {
    let findings = match check(json.as_bytes()) {
        Checked::Findings(findings) => findings,
        Checked::Errors(errors) => panic!("{json} is rejected: {errors:?}"),
        Checked::Schema => panic!("{json} is a schema"),
        Checked::Unreadable(reason) => panic!("{json}: {reason}"),
    };
    let seen: Vec<String> = findings
        .iter()
        .map(|f| format!("{} {} {}", f.severity.name(), f.code, f.path))
        .collect();
    assert_eq!(seen, expected, "{json}");
    for finding in findings {
        assert!(!finding.reason.is_empty() && !finding.fix.is_empty());
    }
}

/// Expects findings of one policy with these fields. Paths are relative to the policy.
#[track_caller]
fn expect(fields: &str, expected: &[&str]) {
    let json = format!("{{\"policies\": [{{\"name\": \"p\", {fields}}}]}}");
    let expected: Vec<String> = expected
        .iter()
        .map(|row| {
            let (kind, path) = row.rsplit_once(' ').unwrap_or((row, ""));
            let dot = if path.is_empty() { "" } else { "." };
            format!("{kind} policies[0]{dot}{path}")
        })
        .collect();
    let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
    expect_file(&json, &expected);
}

/// Expects findings of `circuit_breaker` with these fields. Paths are relative to it.
#[track_caller]
fn expect_breaker(fields: &str, expected: &[&str]) {
    let expected: Vec<String> = expected
        .iter()
        .map(|row| match row.rsplit_once(' ') {
            Some((kind, ".")) => format!("{kind} circuit_breaker"),
            Some((kind, path)) => format!("{kind} circuit_breaker.{path}"),
            None => panic!("{row}"),
        })
        .collect();
    let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
    expect(&format!("\"circuit_breaker\": {{{fields}}}"), &expected);
}
