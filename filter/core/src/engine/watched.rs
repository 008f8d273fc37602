//! The gauges that one worker looks at again, and when.

use alloc::vec::Vec;

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
        /// What this worker has set the gauges to. `None` if it does not know.
        keys: Option<u32>,
        states: Option<States>,
    },
    /// What is known only from all keys together.
    Survey(Survey),
}

/// Numbers of open and half-open circuits.
pub(super) type States = (u32, u32);

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
        match self.find(it.policy, it.what) {
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

    /// Returns the last value of this gauge of a policy, or `None` if it is not watched.
    pub(super) fn get(&self, policy: usize, what: What) -> Option<What> {
        let at = self.find(policy, what).ok()?;
        self.entries.get(at).map(|it| it.what)
    }

    fn find(&self, policy: usize, what: What) -> Result<usize, usize> {
        let order = |policy, what| (policy, matches!(what, What::Survey(_)));
        let wanted = order(policy, what);
        let place = |it: &Watch| order(it.policy, it.what).cmp(&wanted);
        self.entries.binary_search_by(place)
    }
}
