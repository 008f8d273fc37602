//! What an engine tells of the circuits that it has changed: events, and the census
//! from which gauges are set.

use alloc::boxed::Box;

use crate::breaker::Transition;
use crate::classify::Verdict;
use crate::event::{Counter, Event, Gauge};
use crate::records::{Census, Records, Slot, TRIES, Totals};

use super::Engine;
use super::ticket::Ticket;

/// Most slots that wait to be noted in a census: more are noted by their next change.
const UNNOTED_MAX: usize = 1_000;

impl<R: Records> Engine<R> {
    /// Counts how a request ended, once.
    pub(super) fn count_outcome(&mut self, ticket: &mut Ticket, verdict: Verdict) {
        if core::mem::replace(&mut ticket.counted, true) {
            return;
        }
        self.count(ticket.policy, Counter::Request(verdict.outcome));
        if verdict.slow {
            self.count(ticket.policy, Counter::Slow);
        }
    }

    /// Tells what a step has changed, and that it found a record damaged.
    pub(super) fn report_changes(&mut self, policy: usize, at: u32, discarded: u32) {
        self.discarded(discarded);
        if self.transitions.is_empty() && discarded == 0 {
            return;
        }
        let key = self.table.parts(at);
        let place = self.table.entry(at).map(|(_, _, replica)| replica.place());
        let transitions = core::mem::take(&mut self.transitions);
        self.tell_transitions(policy, &key, &transitions);
        self.transitions = transitions;
        self.transitions.clear();
        if let Some(place) = place {
            self.note_slot(policy, place);
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
    pub(super) fn note_slot(&mut self, policy: usize, place: u32) {
        let name: Box<str> = self.policy_name(policy).into();
        let capacity = self.needs.get(policy).map_or(0, |needs| needs.capacity);
        self.note_in_census(policy, (&name, capacity), place);
    }

    /// Notes what a slot holds now, and sets the gauges. Who changes the same slot at the
    /// same time notes it too, and the last one must not be told something old: so the
    /// slot is looked at again behind each note.
    pub(super) fn note_in_census(&mut self, policy: usize, slots: (&str, u32), place: u32) {
        let (name, capacity) = slots;
        let mut held = Slot::read(&mut self.records, name, place).outline();
        for _ in 0..TRIES {
            let (seed, buffer) = (self.hash_seed, &mut self.buffer);
            let noted = Census::note(&mut self.records, slots, seed, (place, held), buffer);
            let Some((before, after)) = noted else {
                break;
            };
            if before.is_none() {
                self.discarded(1);
            }
            self.gauges(policy, before, after);
            let now = Slot::read(&mut self.records, name, place).outline();
            if now == held {
                return;
            }
            held = now;
        }
        if self.unnoted.len() < UNNOTED_MAX {
            self.unnoted.push_back((policy, capacity, place));
        }
    }

    /// Sets the gauges that have changed.
    pub(super) fn gauges(&mut self, policy: usize, before: Option<Totals>, after: Totals) {
        let keys = (Gauge::Keys, before.map(|it| it.taken), after.taken);
        let open = (Gauge::OpenCircuits, before.map(|it| it.open), after.open);
        for (gauge, before, value) in [keys, open] {
            if before != Some(value) {
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
