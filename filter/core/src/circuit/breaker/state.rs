//! The state of a breaker.

use super::names::StateName;
use super::probes::Probes;
use crate::time::Instant;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum State {
    Closed,
    Open { until: Instant },
    HalfOpen(Probes),
    Recovering,
}

impl State {
    #[inline]
    pub(super) fn name(&self) -> StateName {
        match self {
            State::Closed => StateName::Closed,
            State::Open { .. } => StateName::Open,
            State::HalfOpen(_) => StateName::HalfOpen,
            State::Recovering => StateName::Recovering,
        }
    }

    /// Whether the circuit sheds load: open or half-open.
    #[inline]
    pub(super) fn is_open(&self) -> bool {
        matches!(self, State::Open { .. } | State::HalfOpen(_))
    }
}
