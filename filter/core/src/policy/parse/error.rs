//! What is wrong with a policy, where, and what would be right.

use alloc::string::String;
use core::fmt;

/// One error: the place and the problem.
///
/// Printed as one line, `policies[0].circuit_breaker.window.duration is "5ms",
/// allowed 100ms to 1h`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyError {
    /// JSON path from the top; empty for the file as a whole.
    pub path: String,
    /// What is wrong there.
    pub problem: Problem,
}

/// What can be wrong with a place in a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The file is no JSON; the parser's words, with line and column.
    Syntax(String),
    /// The file is a `google.protobuf.Struct` in protobuf's encoding, as Envoy hands it over.
    Struct,
    /// The value is not one of those allowed.
    NotAllowed {
        /// The value as it stands in the file, shortened.
        found: String,
        /// What may stand there.
        allowed: String,
    },
    /// A field without a default is absent.
    Missing,
    /// No field has this name.
    Unknown {
        /// The known name nearest to it, if any is near.
        nearest: Option<&'static str>,
    },
    /// The same field stands twice in one object.
    Twice,
    /// The value is fine alone, but not with others.
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
            Problem::Syntax(words) => write!(f, "{path} is no JSON: {words}"),
            Problem::Struct => write!(
                f,
                "{path} is a google.protobuf.Struct, which the host does not turn into JSON: \
                 give it as text, in a google.protobuf.StringValue"
            ),
            Problem::NotAllowed { found, allowed } => {
                write!(f, "{path} is {found}, allowed {allowed}")
            }
            Problem::Missing => write!(f, "{path} is missing"),
            Problem::Unknown { nearest: None } => write!(f, "{path} is not known"),
            Problem::Unknown {
                nearest: Some(name),
            } => write!(f, "{path} is not known, did you mean {name}?"),
            Problem::Twice => write!(f, "{path} stands there twice"),
            Problem::Conflict(words) => write!(f, "{path} {words}"),
        }
    }
}
