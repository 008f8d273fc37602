//! One thing found in a policy that the parser accepts.

/// Whether a finding fails the check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Something in the policy has no effect, or one that nobody asks for.
    Warning,
    /// Worth knowing, and may well be meant.
    Note,
}

impl Severity {
    /// The word for it in reports.
    pub fn name(self) -> &'static str {
        match self {
            Severity::Warning => "warning",
            Severity::Note => "note",
        }
    }
}

/// One thing found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Whether it fails the check.
    pub severity: Severity,
    /// A stable name for the kind of finding.
    pub code: &'static str,
    /// JSON path from the top, as in errors.
    pub path: String,
    /// What is the matter.
    pub reason: String,
    /// What would mend it.
    pub mend: String,
}

impl Finding {
    /// Something that has no effect, or one that nobody asks for.
    pub fn warning(code: &'static str, path: String, reason: String, mend: String) -> Finding {
        Finding {
            severity: Severity::Warning,
            code,
            path,
            reason,
            mend,
        }
    }

    /// Something worth knowing.
    pub fn note(code: &'static str, path: String, reason: String, mend: String) -> Finding {
        Finding {
            severity: Severity::Note,
            ..Finding::warning(code, path, reason, mend)
        }
    }
}
