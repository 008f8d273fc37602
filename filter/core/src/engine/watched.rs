//! The gauges that one worker looks at again, and when.

use alloc::vec::Vec;

use crate::shared::census::Totals;
use crate::time::{Instant, Span};

/// The gauges that one worker looks at again.
#[derive(Debug, Default)]
pub(super) struct Watched {
    /// By policy, its circuits before its survey.
    pub(super) entries: Vec<Watch>,
    /// The first policy that was not looked at since this worker began.
    pub(super) unseen: usize,
    next_look: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Watch {
    /// Index of the policy.
    pub(super) policy: usize,
    pub(super) what: What,
    pub(super) look_at: Instant,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum What {
    /// Keys, and the states of circuits.
    Circuits {
        capacity: u32,
        /// Recovery time of the circuits.
        recovery: Span,
        known: Known,
    },
    /// The gauges that take a look at every key of the policy.
    Survey(Survey),
}

impl What {
    fn is_survey(self) -> bool {
        matches!(self, What::Survey(_))
    }
}

/// What this worker has set the gauges of circuits to, each `None` if it does not know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) keys: Option<u32>,
    /// Numbers of open and half-open circuits.
    pub(super) states: Option<(u32, u32)>,
}

impl Known {
    pub(super) fn of(totals: Totals) -> Known {
        Known {
            keys: Some(totals.taken),
            states: Some((totals.open, totals.half_open)),
        }
    }
}

/// A survey of all keys of a policy, or the wish for one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Survey {
    /// When this worker has last changed something that a survey would find.
    pub(super) since: Instant,
    /// The survey that is under way.
    pub(super) begun: Option<Begun>,
}

/// A survey that is under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Begun {
    pub(super) at: Instant,
    /// Whether the survey before found that nothing changes by the clock alone.
    pub(super) was_at_rest: bool,
    /// The first slot to read next.
    pub(super) next_slot: u32,
    pub(super) found: Found,
}

/// What a survey has found so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Found {
    pub(super) requests: u32,
    pub(super) failures: u32,
    /// The lowest budget. `None` if no key has one.
    pub(super) budget: Option<u32>,
    /// Whether the clock alone will change something.
    pub(super) moves: bool,
}

impl Watched {
    /// The list of a worker that begins. `outlived` says that circuits may have outlived
    /// another worker.
    pub(super) fn new(policies: usize, outlived: bool, now: Instant) -> Watched {
        Watched {
            entries: Vec::new(),
            unseen: if outlived { 0 } else { policies },
            next_look: (outlived && policies > 0).then_some(now),
        }
    }

    /// When the next look is due.
    pub(super) fn next_look(&self) -> Option<Instant> {
        self.next_look
    }

    /// Begins a look if one is due.
    pub(super) fn begin_look(&mut self, now: Instant) -> bool {
        self.next_look.take_if(|at| *at <= now).is_some()
    }

    /// Makes a look due by this time.
    pub(super) fn look_by(&mut self, time: Instant) {
        let sooner = self.next_look.map_or(time, |at| at.min(time));
        self.next_look = Some(sooner);
    }

    /// Adds something to look at again. Changes in quick succession do not put a look off, and
    /// none brings a survey forward.
    pub(super) fn watch(&mut self, mut it: Watch) {
        match self.find(it.policy, it.what.is_survey()) {
            Ok(at) => {
                if let Some(entry) = self.entries.get_mut(at) {
                    it.look_at = match (&mut it.what, entry.what) {
                        (What::Survey(new), What::Survey(old)) => {
                            new.begun = old.begun;
                            entry.look_at
                        }
                        _ => it.look_at.min(entry.look_at),
                    };
                    *entry = it;
                }
            }
            Err(at) => self.entries.insert(at, it),
        }
        self.look_by(it.look_at);
    }

    /// Returns what this worker knows of the gauges of a policy's circuits. `None` if it does not
    /// watch them.
    pub(super) fn circuits(&self, policy: usize) -> Option<Known> {
        let at = self.find(policy, false).ok()?;
        match self.entries.get(at)?.what {
            What::Circuits { known, .. } => Some(known),
            What::Survey(_) => None,
        }
    }

    fn find(&self, policy: usize, is_survey: bool) -> Result<usize, usize> {
        let order = |it: &Watch| (it.policy, it.what.is_survey());
        self.entries
            .binary_search_by_key(&(policy, is_survey), order)
    }
}
