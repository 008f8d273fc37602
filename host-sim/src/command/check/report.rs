//! The result of checking one file.

use spillway_core::policy::parse::error::PolicyError;

use crate::command::check::finding::Finding;

/// One file and its result.
pub(super) struct Report {
    pub file: String,
    pub result: Checked,
}

/// The result of one file.
pub enum Checked {
    /// The file cannot be read or is not JSON. Contains the reason.
    Unreadable(String),
    /// The file is a JSON Schema, which editors expect next to policies.
    Schema,
    /// The filter would reject the policy.
    Errors(Vec<PolicyError>),
    /// The filter would accept the policy.
    Findings(Vec<Finding>),
}
