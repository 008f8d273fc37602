//! How an engine shares its circuits with those of other workers.
//!
//! What can wait is counted here and merged later; what changes a circuit is done to
//! the shared one at once. Where that is lost to other workers again and again, the
//! request goes on without: an outcome waits, a probe is not admitted.

use alloc::vec::Vec;

use crate::circuit::Circuit;
use crate::circuit::breaker::{Permit, Refusal, StateName, StepContext};
use crate::event::Counter;
use crate::keys::{self, OVERFLOW_KEY};
use crate::outcome::classify::{Outcome, Verdict};
use crate::shared::records::{Name, Place, Records, Seeker, Slot, TRIES, write_slot};
use crate::shared::replica::{Act, Replica, Scope, SyncError};
use crate::time::{Instant, Span};

use super::Engine;
use super::probing::of_probe;

/// Most circuits that one tick merges, so that it cannot hold up the worker's requests.
const MERGES_PER_TICK: usize = 500;

/// What has waited so long for a tick, twice the longest interval, need not wait on.
const TICKS_LATE: Span = Span::from_secs(10);

/// Where a request finds its circuit.
pub(super) enum Lookup {
    /// At this entry, with a copy that is fresh.
    Entry(u32),
    /// There is no room for a copy, but its circuit says no.
    Refused(Refusal),
    /// Nowhere of its own: it shares the overflow, which counts and never rejects. With
    /// retries there is an entry whose budget it shares.
    Overflow(Option<u32>),
}

/// What came of a step.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Shared {
    Done,
    /// Other workers came before in every try.
    GivenUp,
    /// The key's slot is another's, and there is no other for it.
    NoPlace,
}

impl<R: Records> Engine<R> {
    /// The circuit of the key in `self.key`.
    pub(super) fn reach(&mut self, policy: usize, fits: bool, now: Instant) -> Lookup {
        // A host whose ticks do not come must not keep what waits for them.
        let waiting = self.pending.front();
        if waiting.is_some_and(|(_, _, since)| now >= since.after(TICKS_LATE)) {
            self.tick(now);
        }
        if !self.waiting.is_empty() {
            self.count_overdue(policy, now);
        }
        let reach = match fits {
            true => self.find_or_place(policy, now),
            false => None,
        };
        reach.unwrap_or_else(|| {
            self.count(policy, Counter::KeyOverflowed);
            Lookup::Overflow(self.overflow(policy, now))
        })
    }

    /// The entry from whose budget keys without a place of their own have their retries.
    /// Nothing is ever deposited there, so these are the minimum rate's.
    fn overflow(&mut self, policy: usize, now: Instant) -> Option<u32> {
        let rules = self.policies.get(policy).filter(|it| it.retry.is_some())?;
        if let Some(at) = self.table.overflow(policy) {
            return Some(at);
        }
        // Behind the slots that keys can have.
        let place = self.needs.get(policy)?.capacity;
        for _ in 0..TRIES {
            let fresh = Circuit::new(&rules.breaker, rules.budget(), now, self.loaded_at);
            let version = match Slot::read(&mut self.records, &rules.name, place) {
                Slot::Taken(mut taken) if taken.key == OVERFLOW_KEY => {
                    let (breaker, budget) = (&rules.breaker, rules.budget());
                    taken.circuit.adopt(breaker, budget, self.loaded_at);
                    let replica = Replica::new(place, taken.circuit, None, now);
                    return self.table.insert_overflow(policy, replica);
                }
                Slot::Taken(taken) => Some(taken.version),
                Slot::Damaged(version) => Some(version),
                Slot::Vacant(version) => version,
            };
            write_slot(Some((OVERFLOW_KEY, &fresh)), &mut self.buffer);
            let name = Name::Slot(&rules.name, place);
            if self.records.write(name, &self.buffer, version) {
                let replica = Replica::new(place, fresh, None, now);
                return self.table.insert_overflow(policy, replica);
            }
        }
        None
    }

    fn find_or_place(&mut self, policy: usize, now: Instant) -> Option<Lookup> {
        if let Some(at) = self.table.find_recent(policy, &self.key) {
            return self.refresh(policy, at, now);
        }
        let hash = keys::hash(self.hash_seed, &self.key);
        if let Some(at) = self.table.find(policy, hash, &self.key) {
            return self.refresh(policy, at, now);
        }
        let has_room = self.table.make_room(policy);
        let key = core::mem::take(&mut self.key);
        let reach = match has_room {
            true => self.place_new(policy, hash, &key, now).map(Lookup::Entry),
            false => self
                .refusal_of(policy, hash, &key, now)
                .map(Lookup::Refused),
        };
        self.key = key;
        reach
    }

    /// The entry of a key that this worker did not know.
    fn place_new(&mut self, policy: usize, hash: u64, key: &[u8], now: Instant) -> Option<u32> {
        let rules = self.policies.get(policy)?;
        let fresh = Circuit::new(&rules.breaker, rules.budget(), now, self.loaded_at);
        let mut left_open = false;
        let replica = match self.place(policy, hash, key, &fresh, now)? {
            Place::Found {
                place, mut taken, ..
            } => {
                let rules = self.policies.get(policy)?;
                let budget = rules.budget();
                taken.circuit.adopt(&rules.breaker, budget, self.loaded_at);
                left_open = !rules.breaker.enabled && taken.circuit.breaker.is_open();
                Replica::new(place, taken.circuit, Some(taken.version), now)
            }
            Place::Made(place) => Replica::new(place, fresh, None, now),
            Place::None => return None,
        };
        let at = self.table.insert(policy, hash, key, replica)?;
        // Gauges and operators are told at once that it is not open any more.
        if left_open {
            self.look(policy, at, now);
        }
        self.watch_open(policy, at, now);
        Some(at)
    }

    /// What the circuit of a key says that there is no room for here, if it says no: a
    /// client that keeps a worker busy with other keys must not open an open circuit.
    fn refusal_of(
        &mut self,
        policy: usize,
        hash: u64,
        key: &[u8],
        now: Instant,
    ) -> Option<Refusal> {
        let mut discarded = 0;
        let found = self.seek(policy, hash, key, now, |seeker, records, _| {
            seeker.find(records, &mut discarded)
        });
        self.discarded(discarded);
        let circuit = found??.circuit;
        if let Some(force) = circuit.force(now) {
            let (state, retry_after) = (force.to.state(), force.until.since(now));
            return (state == StateName::ForcedOpen).then_some(Refusal { state, retry_after });
        }
        let mut moment = StepContext {
            config: &self.policies.get(policy)?.breaker,
            now,
            random: &mut self.random,
            transitions: &mut self.transitions,
        };
        // A probe would need room for what becomes of it.
        let state = circuit.breaker.state();
        let retry_after = Span::ZERO;
        match circuit.breaker.answer(false, &mut moment) {
            Some(answer) => answer.err(),
            None if circuit.breaker.is_open() => Some(Refusal { state, retry_after }),
            None => None,
        }
    }

    /// The entry, with a copy of its circuit that is fresh; absent where its circuit has
    /// lost its place.
    fn refresh(&mut self, policy: usize, at: u32, now: Instant) -> Option<Lookup> {
        let (_, _, replica) = self.table.entry(at)?;
        if replica.is_stale(self.interval, now) {
            replica.look_again();
            if self.look(policy, at, now) == Shared::NoPlace {
                return None;
            }
        }
        Some(Lookup::Entry(at))
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
        let mut discarded = 0;
        let placed = self.seek(policy, hash, key, now, |seeker, records, buffer| {
            seeker.place(records, fresh, buffer, &mut discarded)
        })?;
        self.discarded(discarded);
        match &placed {
            Place::Made(place) => self.note_slot(policy, *place, now),
            Place::Found {
                vacated: Some(place),
                ..
            } => self.note_slot(policy, *place, now),
            Place::Found { .. } | Place::None => {}
        }
        Some(placed)
    }

    fn seek<T>(
        &mut self,
        policy: usize,
        hash: u64,
        key: &[u8],
        now: Instant,
        seek: impl FnOnce(&Seeker<'_>, &mut R, &mut Vec<u8>) -> T,
    ) -> Option<T> {
        let (rules, table) = (self.policies.get(policy)?, &self.table);
        let seed = self.hash_seed;
        let seeker = Seeker {
            policy: &rules.name,
            capacity: self.needs.get(policy)?.capacity,
            config: &rules.breaker,
            key,
            hash,
            now,
            in_use: &|other| table.in_use(policy, keys::hash(seed, other), other),
        };
        Some(seek(&seeker, &mut self.records, &mut self.buffer))
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
        let (_, _, replica) = self.table.entry(at)?;
        let breaker = &replica.view().breaker;
        let state = match config.enabled {
            true => breaker.state(),
            false => StateName::Closed,
        };
        let mut moment = StepContext {
            config,
            now,
            random: &mut self.random,
            transitions: &mut self.transitions,
        };
        if let Some(answer) = breaker.answer(complete, &mut moment) {
            return Some(answer.map(|permit| (permit, state)));
        }
        let unasked = breaker.admit_unasked();
        let mut answer = None;
        let shared = self.share(policy, at, now, &mut |circuit, moment| {
            let permit = circuit.breaker.try_acquire(complete, moment);
            answer = Some(permit.map(|permit| (permit, circuit.breaker.state())));
        });
        match shared {
            Shared::Done => answer,
            Shared::GivenUp => {
                self.count(policy, Counter::PermitGivenUp);
                let retry_after = Span::ZERO;
                let refusal = Refusal { state, retry_after };
                Some(unasked.map(|permit| (permit, state)).ok_or(refusal))
            }
            Shared::NoPlace => {
                self.count(policy, Counter::KeyOverflowed);
                None
            }
        }
    }

    /// Counts how an attempt ended, and whether the upstream is known to have answered it.
    pub(super) fn settle_permit(
        &mut self,
        (policy, at): (usize, u32),
        permit: &Permit,
        (verdict, answered): (Verdict, bool),
        now: Instant,
    ) {
        let rules = self.policies.get(policy);
        let Some((_, _, replica)) = self.table.entry(at) else {
            return;
        };
        if verdict.outcome == Outcome::Success {
            replica.deposit(now);
        }
        if rules.is_none_or(|rules| !rules.breaker.enabled) {
            return;
        }
        if permit.is_probe() {
            let verdict = of_probe(verdict, answered);
            let settled = self.share(policy, at, now, &mut |circuit, moment| {
                circuit.breaker.settle(permit.again(), verdict, moment);
            });
            if settled == Shared::GivenUp {
                // Its lease ends without it.
                self.count(policy, Counter::MergeGivenUp);
            }
        } else {
            replica.note(permit, verdict, now);
        }
    }

    /// Merges what waits if it is time to, and leaves for the next tick what still does.
    pub(super) fn merge_or_queue(&mut self, policy: usize, at: u32, now: Instant) {
        let (Some(rules), Some((_, _, replica))) =
            (self.policies.get(policy), self.table.entry(at))
        else {
            return;
        };
        if !replica.has_pending() {
            return;
        }
        let due = replica.is_due(&rules.breaker, self.interval, now);
        if !(due && self.merge(policy, at, now)) {
            self.queue(policy, at, now);
        }
    }

    /// Counts requests that have waited for too long, and merges what would have waited for
    /// longer than the interval by the next tick, as far as one call may. Ticks that come for
    /// something else merge nothing.
    pub fn tick(&mut self, now: Instant) {
        self.count_all_overdue(now);
        self.note_unnoted(now);
        self.look_at_gauges(now);
        let period = self.tick_period();
        if self.is_merge_tick(period, now) {
            self.merge_at = self.has_pending().then(|| now.after(period));
            self.merge_due(now.after(period), now);
        }
    }

    /// Whether a tick at `now` is one that merges. Timers may be a little early; and after a
    /// step back of the clock the time set for it is too far away.
    fn is_merge_tick(&self, period: Span, now: Instant) -> bool {
        let early = now.after(period.scale(1, 10));
        self.merge_at
            .is_some_and(|at| at <= early || at > now.after(period))
    }

    /// Merges what will have waited for an interval by `time`, as far as one call may.
    pub(super) fn merge_due(&mut self, time: Instant, now: Instant) {
        for _ in 0..self.pending.len().min(MERGES_PER_TICK) {
            let due = |(_, _, since): &(usize, u32, Instant)| since.after(self.interval) <= time;
            if !self.pending.front().is_some_and(due) {
                return;
            }
            let Some((policy, at, _)) = self.pending.pop_front() else {
                return;
            };
            self.table.leave(at);
            let waits = self.table.entry(at).is_some_and(|(_, _, replica)| {
                replica.set_queued(false);
                replica.has_pending()
            });
            if waits && !self.merge(policy, at, now) {
                self.queue(policy, at, now);
            }
        }
    }

    /// Merges what waits; false where something has to wait on.
    fn merge(&mut self, policy: usize, at: u32, now: Instant) -> bool {
        if self.look(policy, at, now) == Shared::GivenUp {
            self.count(policy, Counter::MergeGivenUp);
            return false;
        }
        // Retries that were taken and that nobody asks for are to be given back.
        let entry = self.table.entry(at);
        entry.is_none_or(|(_, _, replica)| !replica.has_pending())
    }

    /// Brings a circuit's copy and the shared one together.
    pub(super) fn look(&mut self, policy: usize, at: u32, now: Instant) -> Shared {
        self.share(policy, at, now, &mut |_, _| {})
    }

    /// Lets an entry wait for the next tick; it stays in its table until then.
    fn queue(&mut self, policy: usize, at: u32, now: Instant) {
        let entry = self.table.entry(at);
        if !entry.is_none_or(|(_, _, replica)| replica.set_queued(true)) {
            self.table.enter(at);
            self.pending.push_back((policy, at, now));
            let period = self.tick_period();
            self.merge_at.get_or_insert(now.after(period));
        }
    }

    /// Does `act` to the shared circuit of an entry, and reports what came of it.
    pub(super) fn share(&mut self, policy: usize, at: u32, now: Instant, act: Act<'_>) -> Shared {
        // The second time for a key whose slot has become another's meanwhile.
        for _ in 0..2 {
            match self.share_once(policy, at, now, &mut *act) {
                Ok(discarded) => {
                    self.report_changes(policy, at, discarded, now);
                    self.tell_balance(policy, at, now);
                    self.watch_open(policy, at, now);
                    return Shared::Done;
                }
                Err(SyncError::GivenUp) => return Shared::GivenUp,
                Err(SyncError::Displaced) => {}
            }
            if self.place_again(policy, at, now).is_none() {
                break;
            }
        }
        if let Some((_, _, replica)) = self.table.entry(at) {
            replica.drop_pending();
        }
        Shared::NoPlace
    }

    fn share_once(
        &mut self,
        policy: usize,
        at: u32,
        now: Instant,
        act: Act<'_>,
    ) -> Result<u32, SyncError> {
        let (Some(rules), Some((_, key, replica))) =
            (self.policies.get(policy), self.table.entry(at))
        else {
            return Err(SyncError::GivenUp);
        };
        let mut discarded = 0;
        let mut scope = Scope {
            records: &mut self.records,
            policy: &rules.name,
            config: &rules.breaker,
            retry: rules.retry.as_ref(),
            now,
            loaded_at: self.loaded_at,
            random: &mut self.random,
            transitions: &mut self.transitions,
            buffer: &mut self.buffer,
            discarded: &mut discarded,
        };
        let done = replica.sync(key, &mut scope, act);
        if done.is_err() {
            self.discarded(discarded);
        }
        done.map(|()| discarded)
    }

    /// Puts a key into a slot again that has lost its own: with the state that this
    /// worker knew, so that requests under way still count, unless that was forgotten
    /// because nobody had asked for it for long.
    fn place_again(&mut self, policy: usize, at: u32, now: Instant) -> Option<()> {
        let rules = self.policies.get(policy)?;
        let (hash, key, replica) = self.table.entry(at)?;
        if key == OVERFLOW_KEY {
            return None;
        }
        let key = key.to_vec();
        let mut fresh = replica.view().clone();
        if !fresh.is_closed(now) && fresh.is_forgettable(&rules.breaker, now) {
            fresh = Circuit::new(&rules.breaker, rules.budget(), now, self.loaded_at);
        }
        fresh.used_at = now;
        let placed = self.place(policy, hash, &key, &fresh, now)?;
        let (_, _, replica) = self.table.entry(at)?;
        match placed {
            Place::Found { place, taken, .. } => replica.move_to(place, taken.circuit, true),
            Place::Made(place) => replica.move_to(place, fresh, false),
            Place::None => return None,
        }
        Some(())
    }
}
