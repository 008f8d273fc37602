//! What the engine decides about a request or a response, for the adapter to apply.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use crate::circuit::breaker::StateName;
use crate::fallback::FallbackResponse;
use crate::headers::Pairs;
use crate::time::Span;

/// A decision other than "pass". Its `Display` is the text in access logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecisionNote {
    /// Name of the policy.
    pub policy: Box<str>,
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

/// What the adapter does with a rejected request, or with a response.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// The response continues.
    Pass,
    /// The response continues with these headers, in place of any of their names.
    Label(Pairs),
    /// The client gets this response instead.
    Respond(FallbackResponse),
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
    /// The request continues with this header, by which the host finds another route.
    Divert(HeaderEdit),
}

/// A change of a request's headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderEdit {
    /// The name in lower case.
    pub name: Cow<'static, str>,
    /// The value.
    pub value: String,
    /// Whether the value is added to those of the name, rather than put in their place.
    pub adds: bool,
}

impl HeaderEdit {
    /// A header in place of any of its name.
    pub(super) fn set(name: &'static str, value: String) -> HeaderEdit {
        HeaderEdit {
            name: name.into(),
            value,
            adds: false,
        }
    }
}

/// What the host's router is told about retries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RetryHeaders<'a> {
    /// Maximum number of retries.
    pub(super) max_retries: u32,
    /// The header that says what is retried, and its value.
    pub(super) conditions: Option<(&'static str, &'a str)>,
    /// How long one attempt may take.
    pub(super) per_try_timeout: Option<Span>,
}

impl RetryHeaders<'_> {
    /// The request's headers that tell Envoy's router.
    pub(super) fn edits(self) -> Vec<HeaderEdit> {
        let mut edits = Vec::new();
        let max_retries = self.max_retries.to_string();
        edits.push(HeaderEdit::set("x-envoy-max-retries", max_retries));
        if let Some((name, words)) = self.conditions {
            edits.push(HeaderEdit {
                name: name.into(),
                value: words.into(),
                adds: true,
            });
        }
        if let Some(timeout) = self.per_try_timeout {
            let ms = timeout.as_ms().to_string();
            let name = "x-envoy-upstream-rq-per-try-timeout-ms";
            edits.push(HeaderEdit::set(name, ms));
        }
        edits
    }
}

impl fmt::Display for DecisionNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (policy, state) = (&self.policy, self.state.name());
        let decision = self.decision.name();
        write!(f, "policy={policy} state={state} decision={decision}")
    }
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
