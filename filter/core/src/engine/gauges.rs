//! The gauges, which show the current state even without traffic.
//!
//! All workers set the same gauges to absolute values, each after it has changed what they
//! count. Two things would make them wrong. A worker that is delayed between its change and
//! its set overwrites a newer value; so a worker that has set a gauge looks again at the next
//! tick, until it finds the value that it has set. The last set of all is thus one that was
//! confirmed after it was made. And a circuit stops being open, and a budget recovers, by the
//! clock alone; so a worker that knows of one looks again when that is to happen.
//!
//! Every gauge event comes from here, and nothing here runs for a request under a closed
//! circuit. A worker that begins, perhaps in place of one that has crashed, looks at all
//! policies once.

use crate::event::{Event, Gauge};
use crate::shared::census::{Census, CensusUpdate, Totals};
use crate::shared::history;
use crate::shared::records::Records;
use crate::shared::slots::Slot;
use crate::time::{Instant, Span};

use super::policies::Policies;
use super::policy_state::PolicyState;
use super::watched::{Watch, Watched, What};
use super::workspace::Workspace;

/// Time from a set to the look that confirms it: far longer than a callback takes, and
/// short for a reader of a dashboard.
const CONFIRM: Span = Span::from_ms(100);

/// Time between two looks at a budget that recovers.
const BUDGET_LOOK: Span = Span::from_ms(500);

/// Maximum number of policies that one tick looks at, so that it cannot delay the worker's
/// requests.
const LOOKS_PER_TICK: usize = 500;

impl<R: Records> Workspace<R> {
    /// Sets the gauges that a note in a census has changed.
    pub(super) fn set_gauges(
        &mut self,
        policy: usize,
        capacity: u32,
        noted: &CensusUpdate,
        now: Instant,
    ) {
        if !noted.keys_changed && !noted.open_changed {
            return;
        }
        let Totals { taken, open } = noted.after;
        // A gauge that this worker neither sets nor has to confirm is another worker's to set.
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
        ) = (self.watched.get(policy, what), &mut what)
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
        self.watched.watch(Watch {
            policy,
            what,
            look_at: now.after(CONFIRM),
        });
    }

    /// Sets the gauges of a policy whose slots are empty.
    pub(super) fn clear_gauges(&mut self, policy: usize, capacity: u32, before: Totals) {
        let empty = CensusUpdate {
            damaged: false,
            keys_changed: before.taken > 0,
            open_changed: before.open > 0,
            after: Totals::default(),
            open_until: None,
        };
        self.set_gauges(policy, capacity, &empty, self.loaded_at);
    }

    fn set_gauge(&mut self, policy: usize, gauge: Gauge, value: u32) {
        self.events.push_back(Event::Gauge {
            policy,
            gauge,
            value: u64::from(value),
        });
    }

    /// Sets the gauges of a policy whose values are not those that this worker knows. Returns
    /// what to look at again and when, or `None` if nothing will change without a worker that
    /// sets the gauges itself.
    fn look_at_circuits(
        &mut self,
        (policy, name): (usize, &str),
        capacity: u32,
        known: (Option<u32>, Option<u32>),
        now: Instant,
    ) -> Option<(What, Instant)> {
        let census = Census::read(&mut self.records, name, capacity);
        let totals = census.totals_at(now);
        let (keys, open) = (Some(totals.taken), Some(totals.open));
        if known.0 != keys {
            self.set_gauge(policy, Gauge::Keys, totals.taken);
        }
        if known.1 != open {
            self.set_gauge(policy, Gauge::OpenCircuits, totals.open);
        }
        let look_at = match known == (keys, open) {
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
}

impl PolicyState {
    /// Watches the gauges of the policy if this worker has found one of its circuits open: the
    /// worker that opened it may be gone.
    pub(super) fn watch_open<R: Records>(&self, ws: &mut Workspace<R>, at: u32, now: Instant) {
        let entry = ws.table.entry(at);
        let until = entry.and_then(|(_, _, replica)| replica.view().breaker.open_until());
        let what = self.unknown();
        if until.is_some_and(|until| now < until) && ws.watched.get(self.index, what).is_none() {
            ws.watched.watch(Watch {
                policy: self.index,
                what,
                look_at: now.after(CONFIRM),
            });
        }
    }

    /// Gauges that another worker may have left wrong.
    fn unknown(&self) -> What {
        What::Circuits {
            capacity: self.needs.capacity,
            keys: None,
            open: None,
        }
    }

    /// Sets the gauge of a key's budget if its value has changed.
    pub(super) fn report_balance<R: Records>(
        &mut self,
        ws: &mut Workspace<R>,
        at: u32,
        now: Instant,
    ) {
        let Some((_, _, replica)) = ws.table.entry(at) else {
            return;
        };
        let (place, balance) = (replica.slot(), replica.balance(now));
        if let Some(balance) = balance {
            self.set_balance(ws, balance);
            ws.watched.watch(Watch {
                policy: self.index,
                what: What::Budget { place },
                look_at: now.after(BUDGET_LOOK),
            });
        }
    }

    /// Sets the gauge of a budget if its value has changed. Returns whether it has.
    fn set_balance<R: Records>(&mut self, ws: &mut Workspace<R>, balance: u32) -> bool {
        let changed = self.reported_balance.replace(balance) != Some(balance);
        if changed {
            ws.set_gauge(self.index, Gauge::RetryBudget, balance);
        }
        changed
    }

    /// Sets the gauge of a budget as its record has it. Returns what to look at again and when,
    /// or `None` if it will not change without a worker that sets it itself.
    fn look_at_budget<R: Records>(
        &mut self,
        ws: &mut Workspace<R>,
        place: u32,
        now: Instant,
    ) -> Option<(What, Instant)> {
        let Slot::Taken(taken) = Slot::read(&mut ws.records, &self.policy.name, place) else {
            return None;
        };
        let mut account = taken.circuit.account?;
        let changed = self.set_balance(ws, account.balance(now));
        let again = changed || !account.is_at_rest(now);
        again.then(|| (What::Budget { place }, now.after(BUDGET_LOOK)))
    }

    /// Watches a policy whose circuits are older than this worker.
    fn look_at_first<R: Records>(&self, ws: &mut Workspace<R>, now: Instant) {
        let capacity = self.needs.capacity;
        let census = Census::read(&mut ws.records, &self.policy.name, capacity);
        let Some(place) = census.taken().next() else {
            return;
        };
        let budget = self.policy.retry.is_some();
        let budget = budget.then_some(What::Budget { place });
        for what in [Some(self.unknown()), budget].into_iter().flatten() {
            ws.watched.watch(Watch {
                policy: self.index,
                what,
                look_at: now,
            });
        }
    }
}

impl Policies {
    /// Begins to watch the gauges. No circuit has left closed if no transition was ever
    /// remembered, so then none is older than this worker.
    pub(super) fn begin_gauges<R: Records>(&self, ws: &mut Workspace<R>, now: Instant) {
        let outlived = !self.own.is_empty() && history::exists(&mut ws.records);
        ws.watched = Watched::new(self.own.len(), outlived, now);
    }

    /// Looks at once at the gauges that were set and not confirmed, for a worker that ends.
    /// Returns whether there is something to set again.
    pub(super) fn confirm_gauges<R: Records>(
        &mut self,
        ws: &mut Workspace<R>,
        now: Instant,
    ) -> bool {
        for it in &mut ws.watched.entries {
            it.look_at = now;
        }
        ws.watched.unseen = self.own.len();
        ws.watched.look_by(now);
        self.look_at_gauges(ws, now);
        !ws.events.is_empty()
    }

    /// Looks again at what may have changed without this worker.
    pub(super) fn look_at_gauges<R: Records>(&mut self, ws: &mut Workspace<R>, now: Instant) {
        if !ws.watched.begin_look(now) {
            return;
        }
        let mut looks = LOOKS_PER_TICK;
        self.look_at_unseen(ws, &mut looks, now);
        for mut it in core::mem::take(&mut ws.watched.entries) {
            if it.look_at <= now && looks > 0 {
                looks = looks.saturating_sub(1);
                let Some((what, look_at)) = self.look_at(ws, it, now) else {
                    continue;
                };
                it = Watch {
                    what,
                    look_at,
                    ..it
                };
            }
            ws.watched.look_by(it.look_at);
            ws.watched.entries.push(it);
        }
    }

    fn look_at<R: Records>(
        &mut self,
        ws: &mut Workspace<R>,
        it: Watch,
        now: Instant,
    ) -> Option<(What, Instant)> {
        match it.what {
            What::Circuits {
                capacity,
                keys,
                open,
            } => {
                let policy = (it.policy, self.name(it.policy));
                ws.look_at_circuits(policy, capacity, (keys, open), now)
            }
            What::Budget { place } => {
                let policy = self.own.get_mut(it.policy)?;
                policy.look_at_budget(ws, place, now)
            }
        }
    }

    /// Looks at policies that have circuits from before this worker began.
    fn look_at_unseen<R: Records>(
        &mut self,
        ws: &mut Workspace<R>,
        looks: &mut usize,
        now: Instant,
    ) {
        while *looks > 0
            && let Some(policy) = self.own.get(ws.watched.unseen)
        {
            ws.watched.unseen = ws.watched.unseen.saturating_add(1);
            *looks = looks.saturating_sub(1);
            policy.look_at_first(ws, now);
        }
        if ws.watched.unseen < self.own.len() {
            ws.watched.look_by(now);
        }
    }
}
