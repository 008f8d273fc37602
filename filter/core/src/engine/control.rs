//! The operator's hands on the circuits of all workers.
//!
//! What is shown and moved are the shared records; the workers see it when they next
//! look at them, which is within the interval. A policy need not be one of this engine's
//! configuration: operators have a listener of their own.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::admin::{Action, Busy, CircuitView, Circuits};
use crate::breaker::Transition;
use crate::circuit::{Circuit, Force};
use crate::event::Event;
use crate::keys;
use crate::records::{
    self, Census, Directory, Entry, Name, Records, Slot, TRIES, Taken, write_slot,
};
use crate::time::Instant;

use super::Engine;

/// An operator, at one moment.
pub struct Operator<'a, R> {
    engine: &'a mut Engine<R>,
    now: Instant,
    /// The policies that there are, once they were asked for.
    directory: Option<Directory>,
}

impl<R: Records> Engine<R> {
    /// What the paths of operators begin with, where they may come.
    pub fn admin_prefix(&self) -> Option<&str> {
        self.admin.as_ref().map(|admin| &*admin.path_prefix)
    }

    /// An operator who comes now.
    pub fn operator(&mut self, now: Instant) -> Operator<'_, R> {
        Operator {
            engine: self,
            now,
            directory: None,
        }
    }
}

impl<R: Records> Circuits for Operator<'_, R> {
    fn policies(&mut self) -> Vec<Box<str>> {
        let entries = self.directory().policies.iter();
        entries.map(|entry| entry.name.clone()).collect()
    }

    fn circuits(&mut self, policy: &str, most: usize) -> Vec<CircuitView> {
        let Some(entry) = self.entry(policy) else {
            return Vec::new();
        };
        let (seed, now) = (self.engine.hash_seed, self.now);
        let places = self.places(&entry, most).into_iter();
        let slots = places.filter_map(|place| self.read(policy, place));
        slots.map(|it| view(&entry, seed, &it, now)).collect()
    }

    fn control(&mut self, policy: &str, id: Option<u64>, action: Action) -> Result<usize, Busy> {
        let Some(entry) = self.entry(policy) else {
            return Ok(0);
        };
        let slots = match id {
            Some(hash) => records::places(hash, entry.capacity).collect(),
            None => self.places(&entry, usize::MAX),
        };
        let mut reached = 0_usize;
        for place in slots {
            if self.apply(&entry, place, id, action)? {
                reached = reached.saturating_add(1);
                if id.is_some() {
                    break;
                }
            }
        }
        Ok(reached)
    }
}

impl<R: Records> Operator<'_, R> {
    fn directory(&mut self) -> &Directory {
        if self.directory.is_none() {
            self.directory = Some(self.read_directory());
        }
        self.directory.get_or_insert_default()
    }

    /// The policies that there are. A listener that has been there before all others has
    /// not seen the seed yet.
    fn read_directory(&mut self) -> Directory {
        let (found, version) = Directory::read(&mut self.engine.records);
        let Some(directory) = found else {
            if version.is_some() {
                self.engine.enter_directory(self.now);
            }
            return Directory::default();
        };
        self.engine.hash_by(directory.seed);
        directory
    }

    fn entry(&mut self, policy: &str) -> Option<Entry> {
        self.directory().find(policy).cloned()
    }

    /// At most so many slots that are taken, lowest first. Those of open circuits are among
    /// them before any other, but stand where they did when they were closed: a list must
    /// not move under somebody's hand.
    fn places(&mut self, entry: &Entry, most: usize) -> Vec<u32> {
        let census = Census::read(&mut self.engine.records, &entry.name, entry.capacity);
        let open = census.open().take(most).count();
        let (mut open, mut closed) = (open, most.saturating_sub(open));
        let fits = |place: &u32| {
            let room = match census.is_open(*place) {
                true => &mut open,
                false => &mut closed,
            };
            let fits = *room > 0;
            *room = room.saturating_sub(1);
            fits
        };
        census.taken().filter(fits).collect()
    }

    fn read(&mut self, policy: &str, place: u32) -> Option<Box<Taken>> {
        match Slot::read(&mut self.engine.records, policy, place) {
            Slot::Taken(taken) => Some(taken),
            Slot::Vacant(_) | Slot::Damaged(_) => None,
        }
    }

    /// Does `action` to the circuit in a slot, if there is one, of this id.
    fn apply(
        &mut self,
        entry: &Entry,
        place: u32,
        id: Option<u64>,
        action: Action,
    ) -> Result<bool, Busy> {
        for _ in 0..TRIES {
            let Some(mut taken) = self.read(&entry.name, place) else {
                return Ok(false);
            };
            let hash = keys::hash(self.engine.hash_seed, &taken.key);
            if id.is_some_and(|id| id != hash) {
                return Ok(false);
            }
            let mut transitions = Vec::new();
            act(&mut taken.circuit, action, self.now, &mut transitions);
            let engine = &mut *self.engine;
            write_slot(Some((&taken.key, &taken.circuit)), &mut engine.buffer);
            let name = Name::Slot(&entry.name, place);
            let version = Some(taken.version);
            if engine.records.write(name, &engine.buffer, version) {
                self.tell(entry, place, &taken, action, &transitions);
                return Ok(true);
            }
        }
        Err(Busy)
    }

    fn tell(
        &mut self,
        entry: &Entry,
        place: u32,
        taken: &Taken,
        action: Action,
        transitions: &[Transition],
    ) {
        let engine = &mut *self.engine;
        let policy = engine.index_of(&entry.name);
        let key = keys::decode(&taken.key);
        engine.events.push_back(Event::Operator {
            policy,
            key: key.clone(),
            action,
        });
        engine.tell_transitions(policy, &key, transitions);
        if !transitions.is_empty() {
            engine.note_in_census(policy, (&entry.name, entry.capacity), place);
        }
    }
}

fn act(circuit: &mut Circuit, action: Action, now: Instant, transitions: &mut Vec<Transition>) {
    circuit.set_force(match action {
        Action::Force(to, span) => Some(Force {
            to,
            until: now.after(span),
        }),
        Action::Reset | Action::Automatic => None,
    });
    if action == Action::Reset {
        circuit.breaker.reset(now, transitions);
    }
    circuit.used_at = now;
}

fn view(entry: &Entry, seed: u64, taken: &Taken, now: Instant) -> CircuitView {
    let breaker = &taken.circuit.breaker;
    let account = taken.circuit.account.clone();
    CircuitView {
        id: keys::hash(seed, &taken.key),
        key: keys::decode(&taken.key),
        mode: entry.mode,
        automatic: breaker.state(),
        since: breaker.since(),
        until: breaker.open_until(),
        force: taken.circuit.force(now),
        counts: breaker.counts(),
        consecutive: breaker.consecutive(),
        opens: breaker.opens(),
        probes_out: breaker.probes_out(),
        retry_budget: account.map(|mut account| account.balance(now)),
    }
}
