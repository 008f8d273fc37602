//! One finding in a policy that the parser accepts.

/// Whether a finding fails the check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// A setting has no effect, or an undesired one.
    Warning,
    /// Worth knowing, but may well be intended.
    Note,
}

impl Severity {
    /// Returns its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Severity::Warning => "warning",
            Severity::Note => "note",
        }
    }
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub severity: Severity,
    /// A stable name for the kind of finding.
    pub code: &'static str,
    /// JSON path from the root, as in errors.
    pub path: String,
    /// Why it is reported.
    pub reason: String,
    /// What to change.
    pub fix: String,
}

impl Finding {
    /// Creates a warning.
    pub fn warning(code: &'static str, path: String, reason: String, fix: String) -> Finding {
        Finding {
            severity: Severity::Warning,
            code,
            path,
            reason,
            fix,
        }
    }

    /// Creates a note.
    pub fn note(code: &'static str, path: String, reason: String, fix: String) -> Finding {
        Finding {
            severity: Severity::Note,
            ..Finding::warning(code, path, reason, fix)
        }
    }
}
