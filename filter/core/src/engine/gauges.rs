//! The gauges, which show the current state even without traffic.
//!
//! All workers set the same gauges to absolute values, each after it has changed what they
//! count. Two things would make them wrong. A worker that is delayed between its change and
//! its set overwrites a newer value; so a worker that has set a gauge looks again at the next
//! tick, until it finds the value that it has set. The last set of all is thus one that was
//! confirmed after it was made. And a circuit stops being open by the clock alone; so a worker
//! that knows of one looks again when that is to happen.
//!
//! Every gauge of a policy is set here or, if it takes a look at every key, in `survey.rs`.
//! Nothing here runs for a request under a closed circuit. A worker that begins, perhaps in
//! place of one that has crashed, looks at all policies once.

use crate::event::{Event, Gauge, series};
use crate::shared::census::{Census, CensusUpdate, Totals};
use crate::shared::history;
use crate::shared::records::Records;
use crate::shared::slots::Slots;
use crate::time::{Instant, Span};

use super::policies::Policies;
use super::policy_state::PolicyState;
use super::watched::{Known, Survey, Watch, Watched, What};
use super::workspace::Workspace;

/// Time from a set to the look that confirms it: far longer than a callback takes, and
/// short for a reader of a dashboard.
const CONFIRM: Span = Span::from_ms(100);

/// Maximum number of policies that one tick looks at, so that it cannot delay the worker's
/// requests.
const LOOKS_PER_TICK: usize = 500;

impl<R: Records> Workspace<R> {
    /// Sets the gauges that a note in a census has changed.
    pub(super) fn set_gauges(
        &mut self,
        policy: usize,
        slots: Slots<'_>,
        noted: &CensusUpdate,
        now: Instant,
    ) {
        let counts_changed = noted.open_changed || noted.half_open_changed;
        let states_changed = counts_changed || noted.notable_changed && self.circuits_shown > 0;
        if !noted.keys_changed && !states_changed {
            return;
        }
        let changed = [
            noted.keys_changed,
            noted.open_changed,
            noted.half_open_changed,
        ];
        self.set_totals(policy, noted.after, changed);
        let mut known = Known::of(noted.after);
        // A gauge that this worker neither sets nor has to confirm is another worker's to set.
        if let Some(before) = self.watched.circuits(policy) {
            if !noted.keys_changed {
                known.keys = before.keys;
            }
            if !counts_changed {
                known.states = before.states;
            }
        }
        self.watched.watch(Watch {
            policy,
            what: circuits(slots, known),
            look_at: now.after(CONFIRM),
        });
    }

    /// Sets the gauges of keys, open circuits and half-open ones, as far as they have changed.
    fn set_totals(&mut self, policy: usize, totals: Totals, changed: [bool; 3]) {
        let gauges = [
            (Gauge::Keys, totals.taken),
            (Gauge::OpenCircuits, totals.open),
            (Gauge::HalfOpenCircuits, totals.half_open),
        ];
        for ((gauge, value), changed) in gauges.into_iter().zip(changed) {
            if changed {
                self.set_gauge(policy, gauge, value);
            }
        }
    }

    /// Sets the gauges of a policy whose slots are empty.
    pub(super) fn clear_gauges(&mut self, policy: usize, slots: Slots<'_>, before: Totals) {
        let empty = CensusUpdate {
            damaged: false,
            keys_changed: before.taken > 0,
            open_changed: before.open > 0,
            half_open_changed: before.half_open > 0,
            notable_changed: true,
            after: Totals::default(),
        };
        self.set_gauges(policy, slots, &empty, self.loaded_at);
        self.set_gauge(policy, Gauge::FailureRate, 0);
    }

    pub(super) fn set_gauge(&mut self, policy: usize, gauge: Gauge, value: u32) {
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
        policy: usize,
        slots: Slots<'_>,
        known: Known,
        now: Instant,
    ) -> Option<(What, Instant)> {
        let census = Census::read(&mut self.records, slots.policy, slots.capacity);
        let totals = census.totals_at(now);
        let found = Known::of(totals);
        let changed = [
            known.keys != found.keys,
            known.states.map(|(open, _)| open) != Some(totals.open),
            known.states.map(|(_, half_open)| half_open) != Some(totals.half_open),
        ];
        self.set_totals(policy, totals, changed);
        let look = self.look_at_shown(policy, slots, &census, now);
        let look_at = match known == found && !look.sets {
            true => census.open_until(now).into_iter().chain(look.until).min()?,
            false => now.after(CONFIRM),
        };
        Some((circuits(slots, found), look_at))
    }
}

fn circuits(slots: Slots<'_>, known: Known) -> What {
    What::Circuits {
        capacity: slots.capacity,
        recovery: slots.recovery,
        known,
    }
}

impl PolicyState {
    /// Watches the gauges of the policy if this worker has found one of its circuits open: the
    /// worker that opened it may be gone.
    pub(super) fn watch_open<R: Records>(&self, ws: &mut Workspace<R>, at: u32, now: Instant) {
        let entry = ws.table.entry(at);
        let until = entry.and_then(|(_, _, replica)| replica.view().breaker.open_until());
        if until.is_some_and(|until| now < until) && ws.watched.circuits(self.index).is_none() {
            ws.watched.watch(Watch {
                policy: self.index,
                what: self.unknown(),
                look_at: now.after(CONFIRM),
            });
        }
    }

    /// Gauges that another worker may have left wrong.
    fn unknown(&self) -> What {
        circuits(self.slots(), Known::default())
    }

    /// Watches a policy whose circuits are older than this worker.
    fn look_at_first<R: Records>(&self, ws: &mut Workspace<R>, now: Instant) {
        let capacity = self.needs.capacity;
        let census = Census::read(&mut ws.records, &self.policy.name, capacity);
        if census.is_empty() {
            return;
        }
        let survey = What::Survey(Survey {
            since: now,
            begun: None,
        });
        for what in [self.unknown(), survey] {
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
        for policy in self.own.iter().take(series::POLICIES_MAX) {
            policy.begin_budget_gauge(ws, now);
        }
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
                let Some((what, look_at)) = self.look_at(ws, it, &mut looks, now) else {
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
        looks: &mut usize,
        now: Instant,
    ) -> Option<(What, Instant)> {
        match it.what {
            What::Circuits {
                capacity,
                recovery,
                known,
            } => {
                let slots = Slots {
                    policy: self.name(it.policy),
                    capacity,
                    recovery,
                };
                ws.look_at_circuits(it.policy, slots, known, now)
            }
            What::Survey(survey) => {
                let policy = self.own.get(it.policy)?;
                policy.look_at_survey(ws, survey, looks, now)
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
