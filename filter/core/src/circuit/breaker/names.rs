//! State names, permits, refusals and transitions: what callers see of a breaker.

use alloc::vec::Vec;

use crate::circuit::window::Counts;
use crate::policy::BreakerConfig;
use crate::random::Random;
use crate::time::{Instant, Span};

/// Name of a state. A breaker is never in a forced one: a policy's mode or an operator
/// overrides the breaker. The forced states are here because users meet them in the same
/// labels, metrics and logs.
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
    /// All names, each at the index that records use for it.
    pub(crate) const ALL: [StateName; 6] = [
        StateName::Closed,
        StateName::Open,
        StateName::HalfOpen,
        StateName::Recovering,
        StateName::ForcedOpen,
        StateName::ForcedClosed,
    ];

    /// Returns its name in labels, metrics and logs.
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

/// Rejection of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// The state that rejected it.
    pub(crate) state: StateName,
    /// Time until a retry may be admitted; zero if that is not known.
    pub(crate) retry_after: Span,
}

/// Reason for a change of state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The share of failures reached its threshold.
    FailureRate,
    /// The share of slow outcomes reached its threshold.
    SlowRate,
    /// Too many failures in a row.
    ConsecutiveFailures,
    /// A request arrived after the end of the open time.
    OpenElapsed,
    /// Too many probes failed.
    ProbesFailed,
    /// Too many probes were slow.
    ProbesSlow,
    /// Enough probes succeeded.
    ProbesSucceeded,
    /// The recovery ramp ended.
    Recovered,
    /// An operator reset the circuit.
    Reset,
    /// The number of failures in the window reached its threshold.
    FailureCount,
    /// A new configuration disabled the breaker.
    SwitchedOff,
}

impl Why {
    /// The reasons that the history can store, each at the index that records use for it.
    pub(crate) const ALL: [Why; 10] = [
        Why::FailureRate,
        Why::SlowRate,
        Why::ConsecutiveFailures,
        Why::OpenElapsed,
        Why::ProbesFailed,
        Why::ProbesSlow,
        Why::ProbesSucceeded,
        Why::Recovered,
        Why::Reset,
        Why::FailureCount,
    ];

    /// Returns the reason at an index in [`Why::ALL`].
    pub(crate) fn at(index: u8) -> Option<Why> {
        Why::ALL.get(usize::from(index)).copied()
    }

    /// Returns its name in logs.
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
            Why::FailureCount => "failure_count",
            Why::SwitchedOff => "switched_off",
        }
    }
}

/// An opening of a circuit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Its time.
    pub at: Instant,
    /// The rule that caused it.
    pub why: Why,
    /// The outcomes that caused it: the window's, or the probes'.
    pub counts: Counts,
}

/// One change of state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transition {
    /// The state before.
    pub from: StateName,
    /// The state after.
    pub to: StateName,
    /// The rule that caused it.
    pub why: Why,
    /// The outcomes that caused it: the window's, or the probes'.
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
/// [`Breaker::settle`](super::Breaker::settle) takes it by value, so a request cannot be
/// counted twice. A permit from before the last change of state settles as a no-op.
#[must_use = "an unsettled probe permit holds its half-open slot until the lease ends"]
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub(crate) struct Permit {
    pub(super) generation: u64,
    /// Number of the probe; `None` for an ordinary request.
    pub(super) probe: Option<u32>,
}

impl Permit {
    pub(crate) fn is_probe(&self) -> bool {
        self.probe.is_some()
    }

    /// Returns the same permit. A settlement that lost its compare-and-swap is repeated with
    /// it; only one of the repetitions is written.
    #[inline]
    pub(crate) fn again(&self) -> Permit {
        Permit { ..*self }
    }
}

/// Arguments of every call that may change a breaker's state.
pub(crate) struct StepContext<'a> {
    /// The policy's settings.
    pub(crate) config: &'a BreakerConfig,
    /// The host's monotonic time.
    pub(crate) now: Instant,
    /// Random words, for jitter and for the ramp.
    pub(crate) random: &'a mut Random,
    /// Receives the changes of state, oldest first.
    pub(crate) transitions: &'a mut Vec<Transition>,
}
