//! What a breaker hands out: permits and refusals, the names of its states, and its changes.

use crate::circuit::window::Counts;
use crate::time::Span;

#[cfg(doc)]
use super::Breaker;

/// A state by name. The forced ones are no states of a breaker: a policy's mode or
/// an operator put them over it. They are here because users meet them in the same
/// places.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum StateName {
    /// Requests pass.
    Closed,
    /// Requests are rejected.
    Open,
    /// Probes pass.
    HalfOpen,
    /// A growing share of requests passes.
    Recovering,
    /// Requests are rejected, whatever the breaker would do.
    ForcedOpen,
    /// Requests pass, whatever the breaker would do.
    ForcedClosed,
}

impl StateName {
    /// All of them, each at the place of its number in records.
    pub const ALL: [StateName; 6] = [
        StateName::Closed,
        StateName::Open,
        StateName::HalfOpen,
        StateName::Recovering,
        StateName::ForcedOpen,
        StateName::ForcedClosed,
    ];

    /// The word for it in labels, metrics and logs.
    pub fn name(self) -> &'static str {
        match self {
            StateName::Closed => "closed",
            StateName::Open => "open",
            StateName::HalfOpen => "half_open",
            StateName::Recovering => "recovering",
            StateName::ForcedOpen => "forced_open",
            StateName::ForcedClosed => "forced_closed",
        }
    }
}

/// A request was not admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The state that refused it.
    pub state: StateName,
    /// When it is worth asking again; zero where that may be at once.
    pub retry_after: Span,
}

/// Why a circuit changed its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The share of failures reached its threshold.
    FailureRate,
    /// The share of slow outcomes reached its threshold.
    SlowRate,
    /// Too many failures in a row.
    ConsecutiveFailures,
    /// The open time is over and a request came.
    OpenElapsed,
    /// Too many probes failed.
    ProbesFailed,
    /// Too many probes were slow.
    ProbesSlow,
    /// Enough probes did well.
    ProbesSucceeded,
    /// The ramp is done.
    Recovered,
    /// An operator said so.
    Reset,
    /// The policy has no breaker any more.
    SwitchedOff,
}

impl Why {
    /// All of them, each at the place of its number in records.
    pub const ALL: [Why; 9] = [
        Why::FailureRate,
        Why::SlowRate,
        Why::ConsecutiveFailures,
        Why::OpenElapsed,
        Why::ProbesFailed,
        Why::ProbesSlow,
        Why::ProbesSucceeded,
        Why::Recovered,
        Why::Reset,
    ];

    /// The word for it in logs.
    pub fn name(self) -> &'static str {
        match self {
            Why::FailureRate => "failure_rate",
            Why::SlowRate => "slow_rate",
            Why::ConsecutiveFailures => "consecutive_failures",
            Why::OpenElapsed => "open_elapsed",
            Why::ProbesFailed => "probes_failed",
            Why::ProbesSlow => "probes_slow",
            Why::ProbesSucceeded => "probes_succeeded",
            Why::Recovered => "recovered",
            Why::Reset => "reset",
            Why::SwitchedOff => "switched_off",
        }
    }
}

/// One change of state, with what led to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transition {
    /// The state before.
    pub from: StateName,
    /// The state after.
    pub to: StateName,
    /// The rule behind it.
    pub why: Why,
    /// The outcomes behind it: the window's, or the probes'.
    pub counts: Counts,
    /// Openings in a row, this one included.
    pub opens: u32,
    /// How long the state before lasted.
    pub lasted: Span,
    /// How long the circuit will be open; zero unless it opened.
    pub open_for: Span,
}

/// Proof that one request was admitted, and by which generation of the breaker.
///
/// [`Breaker::settle`] takes it by value. One that was issued before the last
/// change of state settles as nothing.
#[must_use = "an unsettled probe permit holds its half-open slot until the lease ends"]
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub struct Permit {
    pub(super) generation: u64,
    pub(super) probe: Option<u32>,
}

impl Permit {
    /// Whether the request is a probe.
    pub fn is_probe(&self) -> bool {
        self.probe.is_some()
    }

    /// The same permit, for another try of the one settlement that it is good for.
    #[inline]
    pub(crate) fn again(&self) -> Permit {
        Permit { ..*self }
    }
}
