//! Takes permits from circuits, and settles them.

use crate::circuit::breaker::{Permit, Refusal, StateName, StepContext};
use crate::event::Counter;
use crate::exchange::Response;
use crate::outcome::classify::{self, Verdict};
use crate::policy::Outcome;
use crate::shared::records::Records;
use crate::time::{Instant, Span};

use super::policy_state::PolicyState;
use super::sync::Shared;
use super::ticket::{CircuitUse, Ticket};
use super::workspace::Workspace;

/// What a circuit decides about one request.
pub(super) enum Acquired {
    /// Admits it, in this state.
    Permit(Permit, StateName),
    Refused(Refusal),
    /// The circuit cannot be asked: the request passes, and counts for nothing. Failing open is
    /// the safe choice, since a filter that rejects because of its own trouble is an outage.
    Untracked,
}

impl PolicyState {
    /// Asks a circuit to admit a request, whose client has sent all of it if it is `complete`.
    /// Refuses too if a permit was lost to other workers: they have just had theirs.
    pub(super) fn permit<R: Records>(
        &mut self,
        ws: &mut Workspace<R>,
        at: u32,
        complete: bool,
        now: Instant,
    ) -> Acquired {
        let config = &self.policy.breaker;
        let Some((_, _, replica)) = ws.table.entry(at) else {
            return Acquired::Untracked;
        };
        let breaker = &replica.view().breaker;
        let state = match config.enabled {
            true => breaker.state(),
            false => self.idle_state(),
        };
        let mut step = StepContext {
            config,
            now,
            random: &mut ws.random,
            transitions: &mut ws.transitions,
        };
        match breaker.decide(complete, &mut step) {
            Some(Ok(permit)) => return Acquired::Permit(permit, state),
            Some(Err(refusal)) => return Acquired::Refused(refusal),
            None => {}
        }
        let unasked = breaker.admit_untracked();
        let mut answer = None;
        let shared = self.share(ws, at, now, &mut |circuit, step| {
            let permit = circuit.breaker.try_acquire(complete, step);
            answer = Some(permit.map(|permit| (permit, circuit.breaker.state())));
        });
        match (shared, answer) {
            (Shared::Done, Some(Ok((permit, state)))) => Acquired::Permit(permit, state),
            (Shared::Done, Some(Err(refusal))) => Acquired::Refused(refusal),
            (Shared::Done, None) => Acquired::Untracked,
            (Shared::GivenUp, _) => {
                ws.count(self.index, Counter::PermitGivenUp);
                let retry_after = Span::ZERO;
                match unasked {
                    Some(permit) => Acquired::Permit(permit, state),
                    None => Acquired::Refused(Refusal { state, retry_after }),
                }
            }
            (Shared::NoPlace, _) => {
                ws.count(self.index, Counter::KeyOverflowed);
                Acquired::Untracked
            }
        }
    }

    /// Counts how an attempt ended, once, and shares what is due.
    pub(super) fn settle_attempt<R: Records>(
        &mut self,
        ws: &mut Workspace<R>,
        circuit: &mut CircuitUse,
        verdict: Verdict,
        now: Instant,
    ) {
        if circuit.waits.is_some() {
            self.settle_wait(ws, circuit);
        }
        let Some(admitted) = &mut circuit.admitted else {
            return;
        };
        let (at, permit) = (admitted.at, admitted.permit.take());
        if let Some(permit) = permit {
            self.settle_permit(ws, (at, &permit), (verdict, circuit.answered), now);
        }
        self.merge_or_queue(ws, at, now);
    }

    /// Settles the permit of an attempt. `answered` says that the upstream is known to have
    /// answered it.
    fn settle_permit<R: Records>(
        &mut self,
        ws: &mut Workspace<R>,
        (at, permit): (u32, &Permit),
        (verdict, answered): (Verdict, bool),
        now: Instant,
    ) {
        let Some((_, _, replica)) = ws.table.entry(at) else {
            return;
        };
        if verdict.outcome == Outcome::Success {
            replica.deposit(now);
        }
        if !self.policy.breaker.enabled {
            return;
        }
        if permit.is_probe() {
            let verdict = of_probe(verdict, answered);
            let settled = self.share(ws, at, now, &mut |circuit, step| {
                circuit.breaker.settle(permit.again(), verdict, step);
            });
            if settled == Shared::GivenUp {
                // Its lease ends without it.
                ws.count(self.index, Counter::MergeGivenUp);
            }
        } else {
            replica.record(permit, verdict, now);
        }
    }

    /// Notes the response's headers if the request is a probe.
    pub(super) fn probe_answered<R: Records>(
        &mut self,
        ws: &mut Workspace<R>,
        ticket: &mut Ticket,
        response: &impl Response,
        verdict: Verdict,
        now: Instant,
    ) {
        if ticket.probe().is_none() {
            return;
        }
        ticket.circuit.answered = classify::is_answered(response);
        let verdict = of_probe(verdict, ticket.circuit.answered);
        if let Some((at, permit)) = ticket.probe() {
            self.share(ws, at, now, &mut |circuit, step| {
                circuit.breaker.headers_arrived(permit, verdict, step);
            });
        }
    }
}

/// What an outcome says about a probe. A response whose status is ignored shows that the
/// upstream is there, which is what a probe is to find out.
fn of_probe(verdict: Verdict, answered: bool) -> Verdict {
    match verdict.outcome {
        Outcome::Ignored if answered => Verdict {
            outcome: Outcome::Success,
            ..verdict
        },
        _ => verdict,
    }
}
