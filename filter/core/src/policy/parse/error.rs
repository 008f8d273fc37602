//! Errors of a policy: path, problem and allowed values.

use alloc::string::String;
use core::fmt;

/// One error of a policy file.
///
/// Its text is one line: `policies[0].circuit_breaker.window.duration is "5ms", allowed 100ms
/// to 1h`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyError {
    /// JSON path from the top; empty for the file as a whole.
    pub path: String,
    /// The problem at this path.
    pub problem: Problem,
}

/// What can be wrong in one place of a policy file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The file is not valid JSON. The text is serde_json's, with line and column.
    Syntax(String),
    /// The file is a `google.protobuf.Struct` in protobuf's encoding, as Envoy passes it on.
    Struct,
    /// The value is not allowed.
    NotAllowed {
        /// The value as written in the file, shortened.
        found: String,
        /// The allowed values, in words.
        allowed: String,
    },
    /// A field without a default is missing.
    Missing,
    /// No field has this name.
    Unknown {
        /// The field that was probably meant.
        nearest: Option<&'static str>,
    },
    /// One object contains the field twice.
    Twice,
    /// The value is valid by itself, but not together with others.
    Conflict(String),
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = if self.path.is_empty() {
            "the policy"
        } else {
            &self.path
        };
        match &self.problem {
            Problem::Syntax(words) => write!(f, "{path} is not valid JSON: {words}"),
            Problem::Struct => write!(
                f,
                "{path} is a google.protobuf.Struct, which the host does not convert to JSON: \
                 pass it as text in a google.protobuf.StringValue"
            ),
            Problem::NotAllowed { found, allowed } => {
                write!(f, "{path} is {found}, allowed {allowed}")
            }
            Problem::Missing => write!(f, "{path} is missing"),
            Problem::Unknown { nearest: None } => write!(f, "{path} is not a known field"),
            Problem::Unknown {
                nearest: Some(name),
            } => write!(f, "{path} is not a known field, did you mean {name}?"),
            Problem::Twice => write!(f, "{path} appears twice"),
            Problem::Conflict(words) => write!(f, "{path} {words}"),
        }
    }
}
