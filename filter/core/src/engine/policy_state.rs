//! One policy, and all that the engine holds for it alone.
//!
//! The engine looks a policy up once per call and passes its state down, together with the
//! [`Workspace`](super::workspace::Workspace) that all policies share. The methods are in
//! the modules of their topics.

use core::borrow::Borrow;

use crate::circuit::breaker::{Refusal, StateName};
use crate::outcome::classify::Rules;
use crate::policy::{Mode, Policy};
use crate::shared::slots::Slots;
use crate::time::Span;

use super::decision::DecisionNote;
use super::needs::Needs;
use super::ticket::Ticket;
use super::waiting::Queue;

/// One policy of the current configuration, and its state.
#[derive(Debug)]
pub(super) struct PolicyState {
    /// Its place in the configuration, by which events and the key table refer to it.
    pub(super) index: usize,
    pub(super) policy: Policy,
    pub(super) needs: Needs,
    /// Its requests that wait for their upstreams.
    pub(super) queue: Queue,
    /// Successes, failures and ignored requests that wait to be counted by the next tick.
    pub(super) uncounted: [u32; 3],
}

impl PolicyState {
    pub(super) fn new(index: usize, policy: Policy, slots: u32) -> PolicyState {
        PolicyState {
            index,
            needs: Needs::of(&policy, slots),
            policy,
            queue: Queue::default(),
            uncounted: [0; 3],
        }
    }

    /// The decision about a request, if it was something else than "pass".
    pub(super) fn note(&self, ticket: &Ticket) -> Option<DecisionNote> {
        ticket.decision.map(|decision| DecisionNote {
            policy: self.policy.name.clone(),
            state: ticket.circuit.state,
            decision,
        })
    }

    /// The rules by which outcomes are judged.
    pub(super) fn rules(&self) -> Rules<'_> {
        let breaker = &self.policy.breaker;
        Rules {
            outcome: &self.policy.outcome,
            slow_threshold: breaker.slow_threshold,
            slow_until: breaker.slow_until,
            hints: breaker.open.retry_after_max > Span::ZERO,
        }
    }

    /// The slots of its circuits.
    pub(super) fn slots(&self) -> Slots<'_> {
        Slots {
            policy: &self.policy.name,
            capacity: self.needs.capacity,
            recovery: self.policy.breaker.recovery.duration,
        }
    }

    /// The state of a circuit whose breaker decides nothing.
    pub(super) fn idle_state(&self) -> StateName {
        match self.policy.mode {
            Mode::ForcedClosed => StateName::ForcedClosed,
            _ => StateName::Closed,
        }
    }

    /// The refusal of a policy that its mode forces open.
    pub(super) fn forced_open(&self) -> Option<Refusal> {
        (self.policy.mode == Mode::ForcedOpen).then_some(Refusal {
            state: StateName::ForcedOpen,
            retry_after: self.policy.breaker.open.duration,
        })
    }
}

impl Borrow<Policy> for PolicyState {
    fn borrow(&self) -> &Policy {
        &self.policy
    }
}
