//! How a breaker stands at a moment.
//!
//! The state of a breaker moves only when a request comes. Whoever looks at it in between
//! wants to know what the clock alone has made of it: an open time that is over, a window
//! that has emptied, leases that have ended.

use super::{Breaker, State, StateName};
use crate::circuit::window::Counts;
use crate::policy::WindowShape;
use crate::time::{Instant, Span};

/// A breaker at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The state in which the next request finds it.
    pub state: StateName,
    /// When that state began.
    pub since: Instant,
    /// When it ends. `None` if that is not known.
    pub until: Option<Instant>,
    /// Counts of the window or, in half-open, of the probes.
    pub counts: Counts,
    /// Failures in a row.
    pub consecutive: u32,
    /// Openings in a row, which the next one would add to.
    pub opens: u32,
    /// Probes whose lease has not ended.
    pub probes_out: u32,
}

impl Breaker {
    /// The shape of the window.
    pub fn shape(&self) -> WindowShape {
        self.window.shape()
    }

    /// The outcomes that count: the window's, or the probes'.
    pub fn counts(&self) -> Counts {
        match &self.state {
            State::HalfOpen(probes) => probes.counts(),
            _ => self.window.counts(),
        }
    }

    /// Number of the current state. It rises with every change.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Time at which the current state began.
    pub fn since(&self) -> Instant {
        self.since
    }

    /// When the open time ends; absent unless the circuit is open.
    pub fn open_until(&self) -> Option<Instant> {
        match self.state {
            State::Open { until } => Some(until),
            _ => None,
        }
    }

    /// Failures in a row.
    pub fn consecutive(&self) -> u32 {
        self.consecutive
    }

    /// Openings in a row.
    pub fn opens(&self) -> u32 {
        self.opens
    }

    /// Probes that are out.
    pub fn probes_out(&self) -> u32 {
        match &self.state {
            State::HalfOpen(probes) => probes.live(),
            _ => 0,
        }
    }

    /// How the breaker stands at `now`, under a policy with this recovery time.
    pub fn standing(&self, recovery: Span, now: Instant) -> Standing {
        let mut standing = Standing {
            state: self.state(),
            since: self.since,
            until: None,
            counts: self.window.counts_at(now),
            consecutive: self.consecutive,
            opens: self.opens,
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
        let healthy = !self.is_open() && now.since(self.healthy_since) >= self.last_open;
        if healthy {
            standing.opens = 0;
        }
        standing
    }
}
