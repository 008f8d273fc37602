//! What the engine decides about a request or a response, for the adapter to apply.

use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::string::String;

use crate::circuit::breaker::StateName;
use crate::fallback::FallbackResponse;
use crate::headers::Pairs;
use crate::time::Span;

/// A decision other than "pass".
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
    Respond(Rc<FallbackResponse>),
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

/// A header to set on the request. It replaces any header of the same name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderEdit {
    /// The name in lower case.
    pub name: Box<str>,
    /// The value.
    pub value: Box<str>,
}

impl DecisionNote {
    /// Returns its text in access logs.
    pub fn text(&self) -> String {
        let (state, decision) = (self.state.name(), self.decision.name());
        let policy = &*self.policy;
        ["policy=", policy, " state=", state, " decision=", decision].concat()
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
