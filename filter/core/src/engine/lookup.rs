//! Finds the circuit of a request's key.

use crate::circuit::Circuit;
use crate::circuit::breaker::{Refusal, StateName, StepContext};
use crate::event::Counter;
use crate::shared::key::{self, OVERFLOW_KEY};
use crate::shared::records::{Name, Records, TRIES};
use crate::shared::replica::Replica;
use crate::shared::slots::{Placement, Slot, write_slot};
use crate::time::{Instant, Span};

use super::policy_state::PolicyState;
use super::sync::Shared;
use super::workspace::Workspace;

/// Where a request finds its circuit.
pub(super) enum Lookup {
    /// At this position, with a copy that is fresh.
    Entry(u32),
    /// There is no room for a copy, but the shared circuit refuses the request.
    Refused(Refusal),
    /// Nowhere of its own: it shares the overflow, which counts and never rejects. With
    /// retries there is an entry whose budget it shares.
    Overflow(Option<u32>),
}

impl PolicyState {
    /// Finds the circuit of the key in `ws.key`. `fits` says whether that holds the whole key.
    pub(super) fn find_circuit<R: Records>(
        &mut self,
        ws: &mut Workspace<R>,
        fits: bool,
        now: Instant,
    ) -> Lookup {
        if !ws.waiting.is_empty() {
            self.count_overdue(ws, now);
        }
        let lookup = match fits {
            true => self.find_or_place(ws, now),
            false => None,
        };
        lookup.unwrap_or_else(|| {
            ws.count(self.index, Counter::KeyOverflowed);
            Lookup::Overflow(self.overflow(ws, now))
        })
    }

    /// The entry whose budget keys without a place of their own share. Nothing is ever
    /// deposited there, so their retries are those of the minimum rate.
    fn overflow<R: Records>(&mut self, ws: &mut Workspace<R>, now: Instant) -> Option<u32> {
        self.policy.retry.as_ref()?;
        if let Some(at) = ws.table.overflow(self.index) {
            return Some(at);
        }
        let (name, loaded_at) = (&self.policy.name, ws.loaded_at);
        let (breaker, budget) = (&self.policy.breaker, self.policy.budget());
        // Behind the slots that keys can have.
        let place = self.needs.capacity;
        for _ in 0..TRIES {
            let fresh = Circuit::new(breaker, budget, now, loaded_at);
            let version = match Slot::read(&mut ws.records, name, place) {
                Slot::Taken(mut taken) if taken.key == OVERFLOW_KEY => {
                    taken.circuit.adopt(breaker, budget, loaded_at);
                    let replica = Replica::new(place, taken.circuit, None, now);
                    return ws.table.insert_overflow(self.index, replica);
                }
                Slot::Taken(taken) => Some(taken.version),
                Slot::Damaged(version) => Some(version),
                Slot::Vacant(version) => version,
            };
            write_slot(Some((OVERFLOW_KEY, &fresh)), &mut ws.buffer);
            if ws
                .records
                .write(Name::Slot(name, place), &ws.buffer, version)
            {
                let replica = Replica::new(place, fresh, None, now);
                return ws.table.insert_overflow(self.index, replica);
            }
        }
        None
    }

    fn find_or_place<R: Records>(&mut self, ws: &mut Workspace<R>, now: Instant) -> Option<Lookup> {
        if let Some(at) = ws.table.find_recent(self.index, |key| key == ws.key) {
            return self.refresh(ws, at, now);
        }
        let hash = key::hash(ws.hash_seed, &ws.key);
        if let Some(at) = ws.table.find(self.index, hash, &ws.key) {
            return self.refresh(ws, at, now);
        }
        let has_room = ws.table.make_room(self.index);
        let key = core::mem::take(&mut ws.key);
        let lookup = match has_room {
            true => self.place_new(ws, hash, &key, now).map(Lookup::Entry),
            false => self.refusal_of(ws, hash, &key, now).map(Lookup::Refused),
        };
        ws.key = key;
        lookup
    }

    /// Inserts the entry of a key that this worker did not know.
    fn place_new<R: Records>(
        &mut self,
        ws: &mut Workspace<R>,
        hash: u64,
        key: &[u8],
        now: Instant,
    ) -> Option<u32> {
        let (breaker, budget) = (&self.policy.breaker, self.policy.budget());
        let fresh = Circuit::new(breaker, budget, now, ws.loaded_at);
        let mut left_open = false;
        let replica = match self.place(ws, hash, key, &fresh, now) {
            Placement::Found {
                slot: place,
                mut taken,
                ..
            } => {
                taken.circuit.adopt(breaker, budget, ws.loaded_at);
                left_open = !breaker.enabled && taken.circuit.breaker.is_open();
                Replica::new(place, taken.circuit, Some(taken.version), now)
            }
            Placement::New(place) => Replica::new(place, fresh, None, now),
            Placement::Full => return None,
        };
        let at = ws.table.insert(self.index, hash, key, replica)?;
        // A breaker that is off leaves no circuit open: gauges and operators see it at once.
        if left_open {
            self.sync(ws, at, now);
        }
        self.watch_open(ws, at, now);
        Some(at)
    }

    /// The refusal of a key's shared circuit, if it refuses, when there is no room here for a
    /// copy: a client that keeps a worker busy with other keys must not open a way through an
    /// open circuit.
    fn refusal_of<R: Records>(
        &mut self,
        ws: &mut Workspace<R>,
        hash: u64,
        key: &[u8],
        now: Instant,
    ) -> Option<Refusal> {
        let mut discarded = 0;
        let found = self.seek(ws, hash, key, now, |seeker, records, _| {
            seeker.find(records, &mut discarded)
        });
        ws.discarded(discarded);
        let circuit = found?.circuit;
        if let Some(force) = circuit.force(now) {
            let (state, retry_after) = (force.to.state(), force.until.since(now));
            return (state == StateName::ForcedOpen).then_some(Refusal { state, retry_after });
        }
        let mut step = StepContext {
            config: &self.policy.breaker,
            now,
            random: &mut ws.random,
            transitions: &mut ws.transitions,
        };
        // A probe would need room to be settled later.
        let state = circuit.breaker.state();
        let retry_after = Span::ZERO;
        match circuit.breaker.decide(false, &mut step) {
            Some(answer) => answer.err(),
            None if circuit.breaker.is_open() => Some(Refusal { state, retry_after }),
            None => None,
        }
    }

    /// Makes sure that the copy of an entry is fresh. `None` if its circuit has lost its slot.
    fn refresh<R: Records>(
        &mut self,
        ws: &mut Workspace<R>,
        at: u32,
        now: Instant,
    ) -> Option<Lookup> {
        let (_, _, replica) = ws.table.entry(at)?;
        if replica.is_stale(ws.interval, now) {
            replica.invalidate();
            if self.sync(ws, at, now) == Shared::NoPlace {
                return None;
            }
        }
        Some(Lookup::Entry(at))
    }
}
