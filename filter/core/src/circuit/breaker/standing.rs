//! A snapshot of a breaker at a given time.
//!
//! A breaker changes its state only when a request arrives. An observer wants to know what the
//! clock alone has changed since: an open time that has ended, a window that has emptied,
//! leases that have expired.

use super::Breaker;
use super::names::{Opened, StateName};
use super::state::State;
use crate::circuit::window::Counts;
use crate::time::{Instant, Span};

/// A breaker at a given time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The state in which the next request finds it.
    pub state: StateName,
    /// Beginning of that state.
    pub since: Instant,
    /// End of that state. `None` if it is not known.
    pub until: Option<Instant>,
    /// Counts of the window or, in half-open, of the probes.
    pub counts: Counts,
    /// Failures in a row.
    pub consecutive: u32,
    /// Openings in a row.
    pub opens: u32,
    /// The last opening; `None` if there was none.
    pub opened: Option<Opened>,
    /// Probes whose lease has not ended.
    pub probes_out: u32,
}

impl Breaker {
    /// End of the open time; `None` if the circuit is not open.
    pub(crate) fn open_until(&self) -> Option<Instant> {
        match self.state {
            State::Open { until } => Some(until),
            _ => None,
        }
    }

    /// End of the open time, which may be over; the beginning of time if the circuit is
    /// half-open; `None` if it is neither.
    pub(crate) fn sheds_until(&self) -> Option<Instant> {
        match &self.state {
            State::Open { until } => Some(*until),
            State::HalfOpen(_) => Some(Instant::default()),
            State::Closed | State::Recovering => None,
        }
    }

    /// Returns a snapshot of the breaker at `now`, under a policy with this recovery time.
    pub(crate) fn standing(&self, recovery: Span, now: Instant) -> Standing {
        let mut standing = Standing {
            state: self.state(),
            since: self.since,
            until: None,
            counts: self.window.counts_at(now),
            consecutive: self.consecutive,
            opens: self.opens,
            opened: self.opened.as_deref().copied(),
            probes_out: 0,
        };
        match &self.state {
            State::Open { until } if now < *until => standing.until = Some(*until),
            State::Open { until } => {
                standing.state = StateName::HalfOpen;
                standing.since = *until;
            }
            State::HalfOpen(probes) => {
                let mut probes = probes.clone();
                probes.expire(now);
                standing.counts = probes.counts();
                standing.probes_out = probes.live();
            }
            State::Recovering => {
                let end = self.since.after(recovery);
                if now < end {
                    standing.until = Some(end);
                } else {
                    standing.state = StateName::Closed;
                    standing.since = end;
                }
            }
            State::Closed => {}
        }
        if self.has_stayed_closed(now) {
            standing.opens = 0;
        }
        standing
    }
}
