//! What the engine decides about a request or a response, for the adapter to apply.

use alloc::string::String;
use alloc::vec::Vec;

use crate::circuit::breaker::StateName;
use crate::fallback::Answer;
use crate::time::Span;

/// What was decided about a request, if that was something else than "pass".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecisionNote {
    pub(super) policy: usize,
    /// The circuit's state when the request arrived.
    pub state: StateName,
    /// The decision.
    pub decision: Decision,
}

/// A decision about a request, besides letting it pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It was rejected.
    Reject,
    /// It would have been rejected, but the mode let it through.
    WouldReject,
    /// It passed as a probe.
    Probe,
    /// It was rejected, and sent to another route.
    Divert,
    /// Its upstream's response was replaced.
    Fallback,
    /// It was sent again, and has the response to that attempt.
    Retry,
}

/// Headers of a response: names in lower case, and values without control characters.
pub type Pairs = Vec<(String, Vec<u8>)>;

/// What becomes of a request that was rejected, or of a response.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// The response continues.
    Pass,
    /// The response continues with these headers, in place of any of their names.
    Label(Pairs),
    /// This is the response.
    Answer(Answer),
    /// The response pauses. After this time the request is sent again.
    Retry(Span),
    /// The request or the response pauses, and the request is sent to another cluster.
    Call,
    /// The response to the call replaces what is paused.
    HandOn {
        /// Headers in place of any of their names.
        labels: Pairs,
        /// Response code details for access logs.
        details: &'static str,
    },
    /// The request continues on another route.
    Divert,
}

/// What the host's router is told about retries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryHeaders<'a> {
    /// Maximum number of retries.
    pub max_retries: u32,
    /// The header that says what is retried, and its value.
    pub conditions: Option<(&'static str, &'a str)>,
    /// How long one attempt may take.
    pub per_try_timeout: Option<Span>,
}

impl Decision {
    /// The word for it in access logs.
    pub fn name(self) -> &'static str {
        match self {
            Decision::Reject => "reject",
            Decision::WouldReject => "would_reject",
            Decision::Probe => "probe",
            Decision::Divert => "divert",
            Decision::Fallback => "fallback",
            Decision::Retry => "retry",
        }
    }
}
