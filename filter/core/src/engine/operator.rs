//! An operator's view of the circuits of all workers, and control over them.
//!
//! Operators see and change the shared records; the workers notice when they next read them,
//! which is within the interval. A policy need not be one of this engine's configuration:
//! operators have a listener of their own.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::admin::{Action, Busy, CircuitView, Circuits, Listing, Search};
use crate::circuit::breaker::{StateName, Transition};
use crate::circuit::{Circuit, Force};
use crate::event::Event;
use crate::shared::census::Census;
use crate::shared::directory::{Directory, Entry};
use crate::shared::history::{self, Past};
use crate::shared::key;
use crate::shared::records::{Name, Records, TRIES};
use crate::shared::slots::{self, Slot, SlotSummary, Taken, write_slot};
use crate::time::Instant;

use super::policies::Policies;
use super::workspace::Workspace;

/// One request of an operator.
pub struct Operator<'a, R> {
    policies: &'a mut Policies,
    ws: &'a mut Workspace<R>,
    now: Instant,
    /// The policies of all configurations, once they were read.
    directory: Option<Directory>,
}

impl<'a, R: Records> Operator<'a, R> {
    /// A request of an operator that arrives now.
    pub(super) fn new(
        policies: &'a mut Policies,
        ws: &'a mut Workspace<R>,
        now: Instant,
    ) -> Operator<'a, R> {
        Operator {
            policies,
            ws,
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

    fn circuits(&mut self, policies: &[&str], search: Search<'_>) -> Listing {
        let entries: Vec<Entry> = policies
            .iter()
            .filter_map(|name| self.entry(name))
            .collect();
        let (first, left_out) = self.not_closed(&entries, search);
        let mut listing = Listing {
            more: left_out,
            ..Listing::default()
        };
        let mut room = search.most.saturating_sub(first.len());
        let mut reads = reads_max(search);
        let mut first = first.into_iter().peekable();
        for (index, entry) in entries.iter().enumerate() {
            // The closed ones fill the room that is left, each in its place.
            let census = Census::read(&mut self.ws.records, &entry.name, entry.capacity);
            listing.total = listing.total.saturating_add(census.totals().taken);
            for place in census.taken() {
                let here = (index, place);
                while let Some((.., view)) = first.next_if(|(of, at, _)| (*of, *at) < here) {
                    listing.circuits.push(view);
                }
                if let Some((.., view)) = first.next_if(|(of, at, _)| (*of, *at) == here) {
                    listing.circuits.push(view);
                } else if room == 0 || reads == 0 {
                    listing.more = true;
                    break;
                } else {
                    reads = reads.saturating_sub(1);
                    if let Some(view) = self.view(entry, place).filter(|it| search.finds(it)) {
                        room = room.saturating_sub(1);
                        listing.circuits.push(view);
                    }
                }
            }
        }
        listing.circuits.extend(first.map(|(.., view)| view));
        listing
    }

    fn transitions(&mut self) -> Vec<Past> {
        history::read(&mut self.ws.records)
    }

    fn control(&mut self, policy: &str, id: Option<u64>, action: Action) -> Result<usize, Busy> {
        let Some(entry) = self.entry(policy) else {
            return Ok(0);
        };
        let places: Vec<u32> = match id {
            Some(hash) => slots::candidates(hash, entry.capacity).collect(),
            None => {
                let records = &mut self.ws.records;
                let census = Census::read(records, &entry.name, entry.capacity);
                census.taken().collect()
            }
        };
        let index = self.policies.index_of(&entry.name);
        let (mut held, mut past, mut busy) = (Vec::new(), Vec::new(), false);
        for place in places {
            match self.apply(&entry, place, id, action) {
                Ok(None) => continue,
                Ok(Some((taken, transitions))) => {
                    let key = key::decode(&taken.key);
                    self.ws.events.push_back(Event::Operator {
                        policy: index,
                        key,
                        action,
                    });
                    let name = &*entry.name;
                    let made = self.ws.report_transitions(
                        (index, name),
                        &taken.key,
                        &transitions,
                        self.now,
                    );
                    past.extend(made);
                    held.push((
                        place,
                        SlotSummary::of(&taken.circuit, entry.recovery, self.now),
                    ));
                }
                Err(Busy) => busy = true,
            }
            if busy || id.is_some() {
                break;
            }
        }
        // One note for all of them: the census has an entry for each of the policy's slots.
        let reached = held.len();
        let slots = entry.slots();
        self.ws.note_in_census(index, slots, held, self.now);
        self.ws.remember(&past);
        if busy { Err(Busy) } else { Ok(reached) }
    }
}

/// Maximum number of circuits that a search looks at. Each is a hostcall and a record to decode,
/// and the worker serves no request meanwhile.
const SEARCHED_MAX: usize = 20_000;

/// Returns how many records each step of a search may read.
fn reads_max(search: Search<'_>) -> usize {
    if search.contains.is_empty() {
        search.most.saturating_mul(2)
    } else {
        SEARCHED_MAX
    }
}

/// A circuit to be listed: the position of its policy, its slot, and its state.
type Listed = (usize, u32, CircuitView);

impl<R: Records> Operator<'_, R> {
    fn directory(&mut self) -> &Directory {
        if self.directory.is_none() {
            self.directory = Some(self.read_directory());
        }
        self.directory.get_or_insert_default()
    }

    /// Reads the policies of all configurations. A listener that was there before all others
    /// has not seen the seed yet.
    fn read_directory(&mut self) -> Directory {
        let (found, version) = Directory::read(&mut self.ws.records);
        let Some(directory) = found else {
            if version.is_some() {
                self.policies.enter_directory(self.ws, self.now);
            }
            return Directory::default();
        };
        self.ws.hash_by(directory.seed);
        directory
    }

    fn entry(&mut self, policy: &str) -> Option<Entry> {
        self.directory().find(policy).cloned()
    }

    /// Lists the circuits of these policies that are not closed, in order. Returns whether
    /// there may be more. A circuit that the census lists among them may be closed by
    /// now, since a force has ended: that is noted, or such circuits would hide others.
    fn not_closed(&mut self, entries: &[Entry], search: Search<'_>) -> (Vec<Listed>, bool) {
        let (mut listed, mut reads) = (Vec::new(), reads_max(search));
        for (index, entry) in entries.iter().enumerate() {
            let census = Census::read(&mut self.ws.records, &entry.name, entry.capacity);
            let mut closed = Vec::new();
            for place in census.taken().filter(|place| census.is_notable(*place)) {
                if listed.len() >= search.most || reads == 0 {
                    self.note_closed(entry, closed);
                    return (listed, true);
                }
                reads = reads.saturating_sub(1);
                match self.view(entry, place) {
                    Some(view) if view.state() != StateName::Closed => {
                        if search.finds(&view) {
                            listed.push((index, place, view));
                        }
                    }
                    _ => closed.push(place),
                }
            }
            self.note_closed(entry, closed);
        }
        (listed, false)
    }

    fn note_closed(&mut self, entry: &Entry, places: Vec<u32>) {
        if places.is_empty() {
            return;
        }
        let mut held = Vec::new();
        for place in places {
            let slot = Slot::read(&mut self.ws.records, &entry.name, place);
            held.push((place, slot.summary(entry.recovery, self.now)));
        }
        let index = self.policies.index_of(&entry.name);
        let slots = entry.slots();
        self.ws.note_in_census(index, slots, held, self.now);
    }

    fn read(&mut self, policy: &str, place: u32) -> Option<Box<Taken>> {
        match Slot::read(&mut self.ws.records, policy, place) {
            Slot::Taken(taken) => Some(taken),
            Slot::Vacant(_) | Slot::Damaged(_) => None,
        }
    }

    fn view(&mut self, entry: &Entry, place: u32) -> Option<CircuitView> {
        let taken = self.read(&entry.name, place)?;
        Some(view(entry, self.ws.hash_seed, &taken, self.now))
    }

    /// Does `action` to the circuit in a slot, if there is one with this id. Returns the
    /// circuit after it, and the transitions that it made.
    fn apply(
        &mut self,
        entry: &Entry,
        place: u32,
        id: Option<u64>,
        action: Action,
    ) -> Result<Option<Moved>, Busy> {
        for _ in 0..TRIES {
            let Some(mut taken) = self.read(&entry.name, place) else {
                return Ok(None);
            };
            let hash = key::hash(self.ws.hash_seed, &taken.key);
            if id.is_some_and(|id| id != hash) {
                return Ok(None);
            }
            let mut transitions = Vec::new();
            act(&mut taken.circuit, action, self.now, &mut transitions);
            write_slot(Some((&taken.key, &taken.circuit)), &mut self.ws.buffer);
            let name = Name::Slot(&entry.name, place);
            let version = Some(taken.version);
            if self.ws.records.write(name, &self.ws.buffer, version) {
                return Ok(Some((taken, transitions)));
            }
        }
        Err(Busy)
    }
}

/// A circuit that an operator has moved, and the transitions that this made.
type Moved = (Box<Taken>, Vec<Transition>);

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
    let account = taken.circuit.account.clone();
    CircuitView {
        policy: entry.name.clone(),
        id: key::hash(seed, &taken.key),
        key: key::decode(&taken.key),
        mode: entry.mode,
        automatic: taken.circuit.breaker.standing(entry.recovery, now),
        force: taken.circuit.force(now),
        retry_budget: account.map(|mut account| account.balance(now)),
    }
}
