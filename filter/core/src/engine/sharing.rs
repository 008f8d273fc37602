//! How an engine shares its circuits with those of other workers.
//!
//! What can wait is counted here and merged later; what changes a circuit is done to
//! the shared one at once. Where that is lost to other workers again and again, the
//! request goes on without: an outcome waits, a probe is not admitted.

use alloc::boxed::Box;

use crate::breaker::{Moment, Permit, Refusal, StateName, Transition};
use crate::circuit::Circuit;
use crate::classify::Verdict;
use crate::event::{Counter, Event, Gauge};
use crate::keys;
use crate::records::{Census, Place, Records, Seeker, Totals};
use crate::replica::{Act, Replica, Scope, Undone};
use crate::time::{Instant, Span};

use super::Engine;

/// Most circuits that one tick merges, so that it cannot hold up the worker's requests.
const MERGES_PER_TICK: usize = 500;

/// What has waited so long for a tick, twice the longest interval, need not wait on.
const TICKS_LATE: Span = Span::from_secs(10);

impl<R: Records> Engine<R> {
    /// The entry of the key in `self.key`, with a copy of its circuit that is fresh;
    /// absent where it has to share the overflow, which counts and never rejects.
    pub(super) fn entry(&mut self, policy: usize, fits: bool, now: Instant) -> Option<u32> {
        // A host whose ticks do not come must not keep what waits for them.
        let waiting = self.pending.front();
        if waiting.is_some_and(|(_, _, since)| now >= since.after(TICKS_LATE)) {
            self.tick(now);
        }
        let at = fits.then(|| self.find_or_place(policy, now)).flatten();
        if at.is_none() {
            self.count(policy, Counter::KeyOverflowed);
        }
        at
    }

    fn find_or_place(&mut self, policy: usize, now: Instant) -> Option<u32> {
        let table = self.tables.get_mut(policy)?;
        if let Some(at) = table.find_recent(&self.key) {
            return self.refresh(policy, at, now);
        }
        let hash = keys::hash(self.hash_seed, &self.key);
        if let Some(at) = table.find(hash, &self.key) {
            return self.refresh(policy, at, now);
        }
        if !table.has_room() {
            return None;
        }
        let rules = self.policies.get(policy)?;
        let fresh = Circuit::new(&rules.breaker, now, self.loaded_at);
        let key = core::mem::take(&mut self.key);
        let placed = self.place(policy, hash, &key, &fresh, now);
        let at = placed.and_then(|placed| {
            let replica = match placed {
                Place::Found(place, mut taken) => {
                    let config = &self.policies.get(policy)?.breaker;
                    taken.circuit.adopt(config, self.loaded_at);
                    Replica::new(place, taken.circuit, Some(taken.version), now)
                }
                Place::Made(place) => Replica::new(place, fresh, None, now),
                Place::None => return None,
            };
            self.tables.get_mut(policy)?.insert(hash, &key, replica)
        });
        self.key = key;
        at
    }

    /// The entry, with a copy of its circuit that is fresh.
    fn refresh(&mut self, policy: usize, at: u32, now: Instant) -> Option<u32> {
        let (_, _, replica) = self.tables.get_mut(policy)?.entry(at)?;
        if replica.is_stale(self.interval, now) {
            replica.look_again();
            self.share(policy, at, now, &mut |_, _| {});
        }
        Some(at)
    }

    /// Finds the slot of a key, or makes `fresh` its circuit in one.
    pub(super) fn place(
        &mut self,
        policy: usize,
        hash: u64,
        key: &[u8],
        fresh: &Circuit,
        now: Instant,
    ) -> Option<Place> {
        let (rules, table) = (self.policies.get(policy)?, self.tables.get(policy)?);
        let seed = self.hash_seed;
        let seeker = Seeker {
            policy: &rules.name,
            capacity: self.capacity,
            config: &rules.breaker,
            key,
            hash,
            now,
            in_use: &|other| table.in_use(keys::hash(seed, other), other),
        };
        let mut discarded = 0;
        let placed = seeker.place(&mut self.records, fresh, &mut self.buffer, &mut discarded);
        self.discarded(discarded);
        if let Place::Made(place) = placed {
            self.note_slot(policy, place, fresh.breaker.is_open());
        }
        Some(placed)
    }

    /// A permit, or a refusal, and the state behind it. A refusal too where the permit
    /// could not be had: others have just had theirs.
    pub(super) fn permit(
        &mut self,
        policy: usize,
        at: u32,
        complete: bool,
        now: Instant,
    ) -> Option<Result<(Permit, StateName), Refusal>> {
        let config = &self.policies.get(policy)?.breaker;
        let (_, _, replica) = self.tables.get_mut(policy)?.entry(at)?;
        let breaker = &replica.view().breaker;
        let state = breaker.state();
        let mut moment = Moment {
            config,
            now,
            random: &mut self.random,
            transitions: &mut self.transitions,
        };
        if let Some(answer) = breaker.answer(&mut moment) {
            return Some(answer.map(|permit| (permit, state)));
        }
        let mut answer = None;
        let shared = self.share(policy, at, now, &mut |circuit, moment| {
            let permit = circuit.breaker.try_acquire(moment);
            if let Ok(permit) = &permit
                && complete
            {
                circuit.breaker.request_complete(permit, moment.now);
            }
            answer = Some(permit.map(|permit| (permit, circuit.breaker.state())));
        });
        if !shared {
            self.count(policy, Counter::PermitGivenUp);
            let retry_after = Span::ZERO;
            return Some(Err(Refusal { state, retry_after }));
        }
        answer
    }

    /// Counts how a request ended.
    pub(super) fn settle_permit(
        &mut self,
        (policy, at): (usize, u32),
        permit: Permit,
        verdict: Verdict,
        now: Instant,
    ) {
        if permit.is_probe() {
            let settled = self.share(policy, at, now, &mut |circuit, moment| {
                circuit.breaker.settle(permit.again(), verdict, moment);
            });
            if !settled {
                // Its lease ends without it.
                self.count(policy, Counter::MergeGivenUp);
            }
            return;
        }
        let (Some(rules), Some(table)) = (self.policies.get(policy), self.tables.get_mut(policy))
        else {
            return;
        };
        let Some((_, _, replica)) = table.entry(at) else {
            return;
        };
        if !replica.note(&permit, verdict, now) {
            return;
        }
        let due = replica.is_due(&rules.breaker, self.interval, now);
        if !(due && self.merge(policy, at, now)) {
            self.queue(policy, at, now);
        }
    }

    /// Merges what waits, as far as one call may. What is left waits for the next.
    pub fn tick(&mut self, now: Instant) {
        for _ in 0..self.pending.len().min(MERGES_PER_TICK) {
            let Some((policy, at, _)) = self.pending.pop_front() else {
                return;
            };
            let Some(table) = self.tables.get_mut(policy) else {
                continue;
            };
            table.leave(at);
            let waits = table.entry(at).is_some_and(|(_, _, replica)| {
                replica.set_queued(false);
                replica.has_pending()
            });
            if waits && !self.merge(policy, at, now) {
                self.queue(policy, at, now);
            }
        }
    }

    fn merge(&mut self, policy: usize, at: u32, now: Instant) -> bool {
        let merged = self.share(policy, at, now, &mut |_, _| {});
        if !merged {
            self.count(policy, Counter::MergeGivenUp);
        }
        merged
    }

    /// Lets an entry wait for the next tick; it stays in its table until then.
    fn queue(&mut self, policy: usize, at: u32, now: Instant) {
        let Some(table) = self.tables.get_mut(policy) else {
            return;
        };
        let queued = table
            .entry(at)
            .is_none_or(|(_, _, replica)| replica.set_queued(true));
        if !queued {
            table.enter(at);
            self.pending.push_back((policy, at, now));
        }
    }

    /// Does `act` to the shared circuit of an entry, and reports what came of it. False
    /// where that was not to be had.
    pub(super) fn share(&mut self, policy: usize, at: u32, now: Instant, act: Act<'_>) -> bool {
        // The second time for a key whose slot has become another's meanwhile.
        for _ in 0..2 {
            match self.share_once(policy, at, now, &mut *act) {
                Some(Ok(discarded)) => {
                    self.report_changes(policy, at, discarded);
                    return true;
                }
                Some(Err(Undone::Displaced)) if self.place_again(policy, at, now).is_some() => {}
                _ => return false,
            }
        }
        false
    }

    fn share_once(
        &mut self,
        policy: usize,
        at: u32,
        now: Instant,
        act: Act<'_>,
    ) -> Option<Result<u32, Undone>> {
        let rules = self.policies.get(policy)?;
        let (_, key, replica) = self.tables.get_mut(policy)?.entry(at)?;
        let mut discarded = 0;
        let mut scope = Scope {
            records: &mut self.records,
            policy: &rules.name,
            config: &rules.breaker,
            now,
            loaded_at: self.loaded_at,
            random: &mut self.random,
            transitions: &mut self.transitions,
            buffer: &mut self.buffer,
            discarded: &mut discarded,
        };
        let done = replica.sync(key, &mut scope, act);
        Some(done.map(|()| discarded))
    }

    /// Puts a key into a slot again that has lost its own: with the state that this
    /// worker knew if that is closed, so that requests under way still count.
    fn place_again(&mut self, policy: usize, at: u32, now: Instant) -> Option<()> {
        let rules = self.policies.get(policy)?;
        let (hash, key, replica) = self.tables.get_mut(policy)?.entry(at)?;
        let key = key.to_vec();
        let mut fresh = replica.view().clone();
        if fresh.breaker.state() != StateName::Closed {
            fresh = Circuit::new(&rules.breaker, now, self.loaded_at);
        }
        fresh.used_at = now;
        let placed = self.place(policy, hash, &key, &fresh, now)?;
        let (_, _, replica) = self.tables.get_mut(policy)?.entry(at)?;
        match placed {
            Place::Found(place, taken) => replica.move_to(place, taken.circuit, true),
            Place::Made(place) => replica.move_to(place, fresh, false),
            Place::None => return None,
        }
        Some(())
    }

    /// Tells what a step has changed, and that it found a record damaged.
    fn report_changes(&mut self, policy: usize, at: u32, discarded: u32) {
        self.discarded(discarded);
        if self.transitions.is_empty() && discarded == 0 {
            return;
        }
        let Some(table) = self.tables.get_mut(policy) else {
            return;
        };
        let key = table.parts(at);
        let slot = table.entry(at).map(|(_, _, replica)| {
            let open = replica.view().breaker.is_open();
            (replica.place(), open)
        });
        let transitions = core::mem::take(&mut self.transitions);
        self.tell_transitions(policy, &key, &transitions);
        self.transitions = transitions;
        self.transitions.clear();
        if let Some((place, open)) = slot {
            self.note_slot(policy, place, open);
        }
    }

    pub(super) fn tell_transitions(
        &mut self,
        policy: usize,
        key: &[Option<Box<[u8]>>],
        transitions: &[Transition],
    ) {
        for &transition in transitions {
            let (from, to) = (transition.from, transition.to);
            self.count(policy, Counter::Transition(from, to));
            self.events.push_back(Event::Transition {
                policy,
                key: key.into(),
                transition,
            });
        }
    }

    /// Notes what a slot of a policy of this configuration holds now.
    fn note_slot(&mut self, policy: usize, place: u32, open: bool) {
        if let Some(rules) = self.policies.get(policy) {
            let name = rules.name.clone();
            self.note_in_census(policy, (&name, self.capacity), place, (true, open));
        }
    }

    /// Notes what a slot holds now, and sets the gauges.
    pub(super) fn note_in_census(
        &mut self,
        policy: usize,
        slots: (&str, u32),
        place: u32,
        held: (bool, bool),
    ) {
        let totals = Census::note(
            &mut self.records,
            slots,
            self.hash_seed,
            (place, held),
            &mut self.buffer,
        );
        let Some((before, after)) = totals else {
            return;
        };
        if before.is_none() {
            self.discarded(1);
        }
        self.gauges(policy, before, after);
    }

    /// Sets the gauges that have changed.
    pub(super) fn gauges(&mut self, policy: usize, before: Option<Totals>, after: Totals) {
        let gauges = [Gauge::Keys, Gauge::OpenCircuits];
        for gauge in gauges {
            let of = |totals: Totals| match gauge {
                Gauge::Keys => totals.taken,
                Gauge::OpenCircuits => totals.open,
            };
            let value = of(after);
            if before.map(of) != Some(value) {
                self.events.push_back(Event::Gauge {
                    policy,
                    gauge,
                    value: u64::from(value),
                });
            }
        }
    }

    pub(super) fn discarded(&mut self, records: u32) {
        if records > 0 {
            self.events.push_back(Event::Discarded(records));
        }
    }
}
