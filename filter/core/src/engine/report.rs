//! What an engine tells of the circuits that it has changed: events, the history, and the
//! census from which gauges are set.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::circuit::breaker::Transition;
use crate::event::{Counter, Event};
use crate::keys;
use crate::outcome::classify::Verdict;
use crate::shared::census::Census;
use crate::shared::history;
use crate::shared::history::Past;
use crate::shared::records::{Outline, Records, Slot, Slots, TRIES};
use crate::time::{Instant, Span};

use super::Engine;
use super::ticket::Ticket;

/// Most slots that wait to be noted in a census: more are noted by their next change.
const UNNOTED_MAX: usize = 1_000;

/// A slot whose note was lost.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unnoted {
    policy: usize,
    capacity: u32,
    recovery: Span,
    place: u32,
}

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
    pub(super) fn report_changes(&mut self, policy: usize, at: u32, discarded: u32, now: Instant) {
        self.discarded(discarded);
        if self.transitions.is_empty() && discarded == 0 {
            return;
        }
        let Some((_, key, replica)) = self.table.entry(at) else {
            return;
        };
        let (key, place) = (key.to_vec(), replica.place());
        let transitions = core::mem::take(&mut self.transitions);
        let past = self.tell(policy, &key, &transitions, now);
        self.transitions = transitions;
        self.transitions.clear();
        self.note_slot(policy, place, now);
        self.remember(&past);
    }

    /// Tells the transitions of one circuit, and returns what is to be remembered of them.
    pub(super) fn tell(
        &mut self,
        policy: usize,
        key: &[u8],
        transitions: &[Transition],
        now: Instant,
    ) -> Vec<Past> {
        let mut past = Vec::new();
        for &transition in transitions {
            let (from, to) = (transition.from, transition.to);
            self.count(policy, Counter::Transition(from, to));
            self.events.push_back(Event::Transition {
                policy,
                key: keys::decode(key),
                transition,
            });
            past.push(Past {
                at: now,
                policy: self.policy_name(policy).into(),
                key: key.into(),
                transition,
            });
        }
        past
    }

    /// Adds transitions to the history of the proxy.
    pub(super) fn remember(&mut self, past: &[Past]) {
        if !past.is_empty() {
            history::add(&mut self.records, past, &mut self.buffer);
        }
    }

    /// Notes what a slot of a policy of this configuration holds now.
    pub(super) fn note_slot(&mut self, policy: usize, place: u32, now: Instant) {
        let rules = self.policies.get(policy);
        let recovery = rules.map_or(Span::ZERO, |rules| rules.breaker.recovery.duration);
        let capacity = self.capacity_of(policy);
        self.note_again(
            Unnoted {
                policy,
                capacity,
                recovery,
                place,
            },
            now,
        );
    }

    /// Notes the slots whose notes were lost.
    pub(super) fn note_unnoted(&mut self, now: Instant) {
        for _ in 0..self.unnoted.len() {
            if let Some(lost) = self.unnoted.pop_front() {
                self.note_again(lost, now);
            }
        }
    }

    fn note_again(&mut self, it: Unnoted, now: Instant) {
        let name: Box<str> = self.policy_name(it.policy).into();
        let slots = Slots {
            policy: &name,
            capacity: it.capacity,
            recovery: it.recovery,
        };
        let slot = Slot::read(&mut self.records, &name, it.place);
        let held = [(it.place, slot.outline(it.recovery, now))];
        self.note_in_census(it.policy, slots, held.into(), now);
    }

    /// Notes what slots hold, and sets the gauges. Who changes the same slot at the same time
    /// notes it too, and the last one must not be told something old: so the slots are looked
    /// at again behind each note.
    pub(super) fn note_in_census(
        &mut self,
        policy: usize,
        slots: Slots<'_>,
        mut held: Vec<(u32, Outline)>,
        now: Instant,
    ) {
        for _ in 0..TRIES {
            if held.is_empty() {
                return;
            }
            let (seed, buffer) = (self.hash_seed, &mut self.buffer);
            let noted = Census::note(&mut self.records, slots, seed, &held, now, buffer);
            let Some(noted) = noted else {
                break;
            };
            self.discarded(u32::from(noted.damaged));
            self.set_gauges(policy, slots.capacity, &noted, now);
            let records = &mut self.records;
            held.retain_mut(|(place, outline)| {
                let slot = Slot::read(records, slots.policy, *place);
                let found = slot.outline(slots.recovery, now);
                core::mem::replace(outline, found) != found
            });
        }
        for (place, _) in held {
            if self.unnoted.len() < UNNOTED_MAX {
                self.unnoted.push_back(Unnoted {
                    policy,
                    capacity: slots.capacity,
                    recovery: slots.recovery,
                    place,
                });
            }
        }
    }

    pub(super) fn discarded(&mut self, records: u32) {
        if records > 0 {
            self.events.push_back(Event::Discarded(records));
        }
    }

    pub(super) fn count(&mut self, policy: usize, counter: Counter) {
        self.count_many(policy, counter, 1);
    }

    pub(super) fn count_many(&mut self, policy: usize, counter: Counter, more: u32) {
        if more > 0 {
            self.events.push_back(Event::Count {
                policy,
                counter,
                more,
            });
        }
    }
}
