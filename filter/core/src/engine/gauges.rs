//! The gauges, which tell the current state even without traffic.
//!
//! All workers set the same gauges to absolute values, each after it has changed what they
//! count. Two things would make them wrong. A worker that is delayed between its change and
//! its set overwrites a newer value; so whoever has set a gauge looks again at the next tick,
//! until it finds what it has set. The last set of all is thus one that was found true after
//! it was made. And a circuit stops being open, and a budget recovers, by the clock alone; so
//! whoever knows of one looks again when that is to happen.
//!
//! Every gauge event comes from here, and nothing here is on the way of a request under a
//! closed circuit. A worker that begins, perhaps in place of one that has crashed, looks at
//! all policies once.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::event::{Event, Gauge};
use crate::shared::census::{Census, Noted, Totals};
use crate::shared::history;
use crate::shared::records::{Records, Slot};
use crate::time::{Instant, Span};

use super::Engine;

/// Time from a set to the look that confirms it: far longer than a callback takes, and
/// short for whoever looks at a dashboard.
const CONFIRM: Span = Span::from_ms(100);

/// Time between two looks at a budget that recovers.
const BUDGET_LOOK: Span = Span::from_ms(500);

/// Most policies that one tick looks at, so that it cannot hold up the worker's requests.
const LOOKS_PER_TICK: usize = 500;

/// What a worker knows of the gauges.
#[derive(Debug, Default)]
pub(super) struct Gauges {
    /// What to look at again, in order.
    watched: Vec<Watched>,
    /// The value of each policy's budget that was told last.
    balances: Vec<Option<u32>>,
    /// The first policy that was not looked at since this worker began.
    unseen: usize,
    next_look: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Watched {
    policy: usize,
    what: What,
    look_at: Instant,
}

#[derive(Clone, Copy, Debug)]
enum What {
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

impl Gauges {
    /// Gauges of so many policies, at the beginning of a worker. `outlived` says that there
    /// may be circuits that have outlived another one.
    pub(super) fn new(policies: usize, outlived: bool, now: Instant) -> Gauges {
        Gauges {
            balances: alloc::vec![None; policies],
            unseen: if outlived { 0 } else { policies },
            next_look: (outlived && policies > 0).then_some(now),
            ..Gauges::default()
        }
    }

    /// When the next look is due.
    pub(super) fn next_look(&self) -> Option<Instant> {
        self.next_look
    }

    fn look_by(&mut self, time: Instant) {
        let sooner = self.next_look.map_or(time, |at| at.min(time));
        self.next_look = Some(sooner);
    }

    /// Looks at something again, at the time in `it`. Changes in quick succession do not put
    /// a look off.
    fn watch(&mut self, mut it: Watched) {
        self.look_by(it.look_at);
        match self.find(it.policy, it.what) {
            Ok(at) => {
                if let Some(entry) = self.watched.get_mut(at) {
                    if matches!(it.what, What::Circuits { .. }) {
                        it.look_at = it.look_at.min(entry.look_at);
                    }
                    *entry = it;
                }
            }
            Err(at) => self.watched.insert(at, it),
        }
    }

    fn find(&self, policy: usize, what: What) -> Result<usize, usize> {
        let order = |policy, what| (policy, matches!(what, What::Budget { .. }));
        let wanted = order(policy, what);
        let place = |it: &Watched| order(it.policy, it.what).cmp(&wanted);
        self.watched.binary_search_by(place)
    }

    fn watched(&self, policy: usize, what: What) -> Option<What> {
        let at = self.find(policy, what).ok()?;
        self.watched.get(at).map(|it| it.what)
    }
}

impl<R: Records> Engine<R> {
    /// Whether there may be circuits that are older than this worker. No circuit has left
    /// closed where no transition was ever remembered.
    pub(super) fn begin_gauges(&mut self, now: Instant) {
        let outlived = !self.policies.is_empty() && history::exists(&mut self.records);
        self.gauges = Gauges::new(self.policies.len(), outlived, now);
    }

    /// Sets the gauges that a note in a census has changed.
    pub(super) fn set_gauges(&mut self, policy: usize, capacity: u32, noted: &Noted, now: Instant) {
        if !noted.keys_changed && !noted.open_changed {
            return;
        }
        let Totals { taken, open } = noted.after;
        // A gauge that this worker neither sets nor has to confirm is another's to tell.
        let mut what = What::Circuits {
            capacity,
            keys: Some(taken),
            open: Some(open),
        };
        if let (
            Some(What::Circuits {
                keys: k, open: o, ..
            }),
            What::Circuits { keys, open, .. },
        ) = (self.gauges.watched(policy, what), &mut what)
        {
            *keys = if noted.keys_changed { *keys } else { k };
            *open = if noted.open_changed { *open } else { o };
        }
        if noted.keys_changed {
            self.set_gauge(policy, Gauge::Keys, taken);
        }
        if noted.open_changed {
            self.set_gauge(policy, Gauge::OpenCircuits, open);
        }
        self.gauges.watch(Watched {
            policy,
            what,
            look_at: now.after(CONFIRM),
        });
    }

    /// Sets the gauges of a policy whose slots are empty.
    pub(super) fn clear_gauges(&mut self, policy: usize, capacity: u32, before: Totals) {
        let empty = Noted {
            damaged: false,
            keys_changed: before.taken > 0,
            open_changed: before.open > 0,
            after: Totals::default(),
            open_until: None,
        };
        self.set_gauges(policy, capacity, &empty, self.loaded_at);
    }

    /// Looks at once at the gauges that were set and not confirmed, for a worker that ends;
    /// true if there is something to set again.
    pub fn confirm_gauges(&mut self, now: Instant) -> bool {
        for it in &mut self.gauges.watched {
            it.look_at = now;
        }
        self.gauges.unseen = self.policies.len();
        self.gauges.next_look = Some(now);
        self.look_at_gauges(now);
        !self.events.is_empty()
    }

    /// Watches the gauges of a policy that this worker has found an open circuit of, which
    /// another worker may have opened that is no longer there.
    pub(super) fn watch_open(&mut self, policy: usize, at: u32, now: Instant) {
        let entry = self.table.entry(at);
        let until = entry.and_then(|(_, _, replica)| replica.view().breaker.open_until());
        let what = self.unknown(policy);
        if until.is_some_and(|until| now < until) && self.gauges.watched(policy, what).is_none() {
            self.gauges.watch(Watched {
                policy,
                what,
                look_at: now.after(CONFIRM),
            });
        }
    }

    /// Gauges of a policy of this configuration that another worker may have left wrong.
    fn unknown(&self, policy: usize) -> What {
        What::Circuits {
            capacity: self.capacity_of(policy),
            keys: None,
            open: None,
        }
    }

    /// Sets the gauge of a budget, if it has another value now.
    pub(super) fn tell_balance(&mut self, policy: usize, at: u32, now: Instant) {
        let entry = self.table.entry(at);
        let Some((_, _, replica)) = entry else {
            return;
        };
        let (place, balance) = (replica.place(), replica.balance(now));
        if let Some(balance) = balance {
            self.set_balance(policy, balance);
            self.gauges.watch(Watched {
                policy,
                what: What::Budget { place },
                look_at: now.after(BUDGET_LOOK),
            });
        }
    }

    /// Looks again at what may have changed without this worker.
    pub(super) fn look_at_gauges(&mut self, now: Instant) {
        if self.gauges.next_look.is_none_or(|at| now < at) {
            return;
        }
        self.gauges.next_look = None;
        let mut looks = LOOKS_PER_TICK;
        self.look_at_unseen(&mut looks, now);
        for mut it in core::mem::take(&mut self.gauges.watched) {
            if it.look_at <= now && looks > 0 {
                looks = looks.saturating_sub(1);
                let again = match it.what {
                    What::Circuits {
                        capacity,
                        keys,
                        open,
                    } => self.look_at_policy(it.policy, capacity, (keys, open), now),
                    What::Budget { place } => self.look_at_budget(it.policy, place, now),
                };
                let Some((what, look_at)) = again else {
                    continue;
                };
                it = Watched {
                    what,
                    look_at,
                    ..it
                };
            }
            self.gauges.look_by(it.look_at);
            self.gauges.watched.push(it);
        }
    }

    /// Looks at policies that have circuits from before this worker began.
    fn look_at_unseen(&mut self, looks: &mut usize, now: Instant) {
        while *looks > 0 && self.gauges.unseen < self.policies.len() {
            let policy = self.gauges.unseen;
            self.gauges.unseen = policy.saturating_add(1);
            *looks = looks.saturating_sub(1);
            let name: Box<str> = self.policy_name(policy).into();
            let capacity = self.capacity_of(policy);
            let census = Census::read(&mut self.records, &name, capacity);
            let Some(place) = census.taken().next() else {
                continue;
            };
            let retries = self
                .policies
                .get(policy)
                .is_some_and(|it| it.retry.is_some());
            let budget = retries.then_some(What::Budget { place });
            for what in [Some(self.unknown(policy)), budget].into_iter().flatten() {
                self.gauges.watch(Watched {
                    policy,
                    what,
                    look_at: now,
                });
            }
        }
        if self.gauges.unseen < self.policies.len() {
            self.gauges.look_by(now);
        }
    }

    /// Sets the gauges of a policy that are not what was told last, and says what to look at
    /// again and when: `None` if nothing will change without a worker that tells.
    fn look_at_policy(
        &mut self,
        policy: usize,
        capacity: u32,
        told: (Option<u32>, Option<u32>),
        now: Instant,
    ) -> Option<(What, Instant)> {
        let name: Box<str> = self.policy_name(policy).into();
        let census = Census::read(&mut self.records, &name, capacity);
        let totals = census.totals_at(now);
        let (keys, open) = (Some(totals.taken), Some(totals.open));
        if told.0 != keys {
            self.set_gauge(policy, Gauge::Keys, totals.taken);
        }
        if told.1 != open {
            self.set_gauge(policy, Gauge::OpenCircuits, totals.open);
        }
        let look_at = match told == (keys, open) {
            true => census.open_until(now)?,
            false => now.after(CONFIRM),
        };
        let what = What::Circuits {
            capacity,
            keys,
            open,
        };
        Some((what, look_at))
    }

    /// Sets the gauge of a budget as its record has it, and says what to look at again and
    /// when: `None` if it will not change without a worker that tells.
    fn look_at_budget(
        &mut self,
        policy: usize,
        place: u32,
        now: Instant,
    ) -> Option<(What, Instant)> {
        let name: Box<str> = self.policy_name(policy).into();
        let Slot::Taken(taken) = Slot::read(&mut self.records, &name, place) else {
            return None;
        };
        let mut account = taken.circuit.account?;
        let changed = self.set_balance(policy, account.balance(now));
        let again = changed || !account.is_at_rest(now);
        again.then(|| (What::Budget { place }, now.after(BUDGET_LOOK)))
    }

    /// Sets the gauge of a budget, if it has another value than was told last; says whether.
    fn set_balance(&mut self, policy: usize, balance: u32) -> bool {
        let told = self.gauges.balances.get_mut(policy);
        let changed = told.is_some_and(|told| told.replace(balance) != Some(balance));
        if changed {
            self.set_gauge(policy, Gauge::RetryBudget, balance);
        }
        changed
    }

    fn set_gauge(&mut self, policy: usize, gauge: Gauge, value: u32) {
        self.events.push_back(Event::Gauge {
            policy,
            gauge,
            value: u64::from(value),
        });
    }
}
