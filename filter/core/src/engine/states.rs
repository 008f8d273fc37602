//! The series of single circuits: which of their states each is in.
//!
//! They are set like the other gauges: absolute values, by ticks, and looked at again until a
//! look finds what this worker has set. No request sets one.

use alloc::vec::Vec;

use crate::circuit::breaker::StateName;
use crate::event::Event;
use crate::shared::census::Census;
use crate::shared::records::Records;
use crate::shared::shown::{self, Shown};
use crate::shared::slots::{Slot, Slots};
use crate::time::Instant;

use super::workspace::Workspace;

/// The states that have series. A closed circuit has 0 in all of them.
const STATES: [StateName; 3] = [StateName::Open, StateName::HalfOpen, StateName::Recovering];

/// What a look at the series of a policy's circuits has done.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Look {
    /// Whether it has set any.
    pub(super) sets: bool,
    /// When the clock alone ends a recovery.
    pub(super) until: Option<Instant>,
}

impl<R: Records> Workspace<R> {
    /// Gives series to a circuit that is not closed, if there is room for more.
    pub(super) fn show_circuit(&mut self, policy: &str, key: &[u8], place: u32) {
        let most = self.circuits_shown;
        if most > 0 {
            shown::enter(
                &mut self.records,
                (policy, key),
                place,
                most,
                &mut self.buffer,
            );
        }
    }

    /// Sets the series of a policy's circuits that are not as this worker knows them.
    pub(super) fn look_at_shown(
        &mut self,
        policy: usize,
        slots: Slots<'_>,
        census: &Census,
        now: Instant,
    ) -> Look {
        let mut look = Look::default();
        let list: Vec<Shown> = shown::read(&mut self.records);
        for (at, it) in list.iter().enumerate() {
            if *it.policy != *slots.policy {
                continue;
            }
            let (state, until) = self.state_of(it, slots, census, now);
            if state == StateName::Recovering {
                let ends = look.until.into_iter().chain(until);
                look.until = ends.min();
            }
            if self.states_set.len() <= at {
                self.states_set.resize(at.saturating_add(1), None);
            }
            let Some(known) = self.states_set.get_mut(at) else {
                continue;
            };
            let known = known.replace(state);
            for one in STATES {
                let (was, is) = (known.map(|known| known == one), state == one);
                if was != Some(is) {
                    look.sets = true;
                    self.events.push_back(Event::CircuitState {
                        policy,
                        circuit: (at, it.circuit.clone()),
                        state: one,
                        is,
                    });
                }
            }
        }
        look
    }

    /// Returns the state of a circuit, and when the clock alone ends that state. A circuit that is
    /// no longer in its slot counts as closed.
    fn state_of(
        &mut self,
        it: &Shown,
        slots: Slots<'_>,
        census: &Census,
        now: Instant,
    ) -> (StateName, Option<Instant>) {
        if census.is_notable(it.slot)
            && let Slot::Taken(taken) = Slot::read(&mut self.records, slots.policy, it.slot)
            && shown::name_of(&taken.key) == it.circuit
        {
            let standing = taken.circuit.breaker.standing(slots.recovery, now);
            return (standing.state, standing.until);
        }
        (StateName::Closed, None)
    }
}
