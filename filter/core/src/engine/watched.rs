//! The gauges that one worker looks at again, and when.

use alloc::vec::Vec;

use crate::time::Instant;

/// The gauges that one worker looks at again.
#[derive(Debug, Default)]
pub(super) struct Watched {
    /// By policy, its circuits before its budget.
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
    /// Keys and open circuits.
    Circuits {
        capacity: u32,
        /// What this worker has set the gauges to. `None` if it does not know.
        keys: Option<u32>,
        open: Option<u32>,
    },
    /// The budget of the key that was merged last, which is in this slot.
    Budget { place: u32 },
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

    /// Adds something to look at again. Changes in quick succession do not put a look off.
    pub(super) fn watch(&mut self, mut it: Watch) {
        self.look_by(it.look_at);
        match self.find(it.policy, it.what) {
            Ok(at) => {
                if let Some(entry) = self.entries.get_mut(at) {
                    if matches!(it.what, What::Circuits { .. }) {
                        it.look_at = it.look_at.min(entry.look_at);
                    }
                    *entry = it;
                }
            }
            Err(at) => self.entries.insert(at, it),
        }
    }

    /// Returns the last value of this gauge of a policy, or `None` if it is not watched.
    pub(super) fn get(&self, policy: usize, what: What) -> Option<What> {
        let at = self.find(policy, what).ok()?;
        self.entries.get(at).map(|it| it.what)
    }

    fn find(&self, policy: usize, what: What) -> Result<usize, usize> {
        let order = |policy, what| (policy, matches!(what, What::Budget { .. }));
        let wanted = order(policy, what);
        let place = |it: &Watch| order(it.policy, it.what).cmp(&wanted);
        self.entries.binary_search_by(place)
    }
}
