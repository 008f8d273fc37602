//! Reports the circuits that the engine has changed: as events, in the history, and in the
//! census from which gauges are set.

use alloc::vec::Vec;

use crate::circuit::breaker::{StateName, Transition};
use crate::event::{Counter, Event};
use crate::outcome::classify::Verdict;
use crate::policy::Outcome;
use crate::shared::census::Census;
use crate::shared::history::{self, Past};
use crate::shared::key;
use crate::shared::records::{Records, TRIES};
use crate::shared::slots::{Slot, SlotSummary, Slots};
use crate::time::Instant;

use super::policies::Policies;
use super::policy_state::PolicyState;
use super::ticket::Ticket;
use super::workspace::{Unnoted, Workspace};

/// Maximum number of slots that wait to be noted in a census. Those beyond it are noted by
/// their next change.
const UNNOTED_MAX: usize = 1_000;

impl PolicyState {
    /// Counts how a request ended, once.
    pub(super) fn count_outcome<R: Records>(
        &mut self,
        ws: &mut Workspace<R>,
        ticket: &mut Ticket,
        verdict: Verdict,
    ) {
        if core::mem::replace(&mut ticket.judged.counted, true) {
            return;
        }
        self.count_ended(ws, verdict);
    }

    /// Counts how a request ended.
    pub(super) fn count_ended<R: Records>(&mut self, ws: &mut Workspace<R>, verdict: Verdict) {
        self.count_request(ws, verdict.outcome);
        if verdict.slow {
            ws.count(self.index, Counter::Slow);
        }
    }

    /// Counts a request by its outcome. If a tick is to come, the count waits for it: then nearly
    /// all requests cost the host nothing for it.
    fn count_request<R: Records>(&mut self, ws: &mut Workspace<R>, outcome: Outcome) {
        if ws.merge_at.is_none() {
            ws.count(self.index, Counter::Request(outcome));
            return;
        }
        if self.uncounted == [0; 3] {
            ws.uncounted.push(self.index);
        }
        let [success, failure, ignored] = &mut self.uncounted;
        let sum = match outcome {
            Outcome::Success => success,
            Outcome::Failure => failure,
            Outcome::Ignored => ignored,
        };
        *sum = sum.saturating_add(1);
    }

    /// Reports what a step has changed, and that it found records damaged.
    pub(super) fn report_changes<R: Records>(
        &self,
        ws: &mut Workspace<R>,
        at: u32,
        discarded: u32,
        now: Instant,
    ) {
        ws.discarded(discarded);
        if ws.transitions.is_empty() && discarded == 0 {
            return;
        }
        let Some((_, key, replica)) = ws.table.entry(at) else {
            return;
        };
        let (key, place) = (key.to_vec(), replica.slot());
        let transitions = core::mem::take(&mut ws.transitions);
        let name = &self.policy.name;
        let past = ws.report_transitions((self.index, name), &key, &transitions, now);
        if transitions.iter().any(|it| it.to != StateName::Closed) {
            ws.show_circuit(name, &key, place);
        }
        ws.transitions = transitions;
        ws.transitions.clear();
        self.note_slot(ws, place, now);
        ws.remember(&past);
    }

    /// Notes in the census what a slot holds now.
    pub(super) fn note_slot<R: Records>(&self, ws: &mut Workspace<R>, place: u32, now: Instant) {
        ws.note_slot(self.index, self.slots(), place, now);
    }
}

impl Policies {
    /// Counts the requests whose counts waited for a tick.
    pub(super) fn count_requests<R: Records>(&mut self, ws: &mut Workspace<R>) {
        for index in core::mem::take(&mut ws.uncounted) {
            let Some(policy) = self.own.get_mut(index) else {
                continue;
            };
            let [success, failure, ignored] = core::mem::take(&mut policy.uncounted);
            ws.count_many(index, Counter::Request(Outcome::Success), success);
            ws.count_many(index, Counter::Request(Outcome::Failure), failure);
            ws.count_many(index, Counter::Request(Outcome::Ignored), ignored);
        }
    }

    /// Notes the slots whose notes were lost.
    pub(super) fn note_unnoted<R: Records>(&self, ws: &mut Workspace<R>, now: Instant) {
        for _ in 0..ws.unnoted.len() {
            if let Some(lost) = ws.unnoted.pop_front() {
                let slots = Slots {
                    policy: self.name(lost.policy),
                    capacity: lost.capacity,
                    recovery: lost.recovery,
                };
                ws.note_slot(lost.policy, slots, lost.place, now);
            }
        }
    }
}

impl<R: Records> Workspace<R> {
    /// Adds events for the transitions of one circuit. Returns what the history is to
    /// remember of them.
    pub(super) fn report_transitions(
        &mut self,
        (policy, name): (usize, &str),
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
                key: key::decode(key),
                transition,
            });
            past.push(Past {
                at: now,
                policy: name.into(),
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

    fn note_slot(&mut self, policy: usize, slots: Slots<'_>, place: u32, now: Instant) {
        let slot = Slot::read(&mut self.records, slots.policy, place);
        let held = [(place, slot.summary(slots.recovery, now))];
        self.note_in_census(policy, slots, held.into(), now);
    }

    /// Notes what slots hold, and sets the gauges. A worker that changes the same slot at the
    /// same time notes it too, and the last note must not overwrite a newer value; so the slots
    /// are read again after each note.
    pub(super) fn note_in_census(
        &mut self,
        policy: usize,
        slots: Slots<'_>,
        mut held: Vec<(u32, SlotSummary)>,
        now: Instant,
    ) {
        for _ in 0..TRIES {
            if held.is_empty() {
                return;
            }
            let (seed, buffer) = (self.hash_seed, &mut self.buffer);
            let noted = Census::update(&mut self.records, slots, seed, &held, now, buffer);
            let Some(noted) = noted else {
                break;
            };
            self.discarded(u32::from(noted.damaged));
            self.set_gauges(policy, slots, &noted, now);
            let records = &mut self.records;
            held.retain_mut(|(place, outline)| {
                let slot = Slot::read(records, slots.policy, *place);
                let found = slot.summary(slots.recovery, now);
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
}
