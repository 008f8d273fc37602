//! What probes find out from responses.

use crate::outcome::classify::{self, Outcome, Response, Verdict};
use crate::shared::records::Records;
use crate::time::Instant;

use super::Engine;
use super::ticket::Ticket;

impl<R: Records> Engine<R> {
    /// Notes the response's headers if the request is a probe.
    pub(super) fn probe_answered(
        &mut self,
        ticket: &mut Ticket,
        response: &impl Response,
        verdict: Verdict,
        now: Instant,
    ) {
        if ticket.probe().is_none() {
            return;
        }
        ticket.answered = classify::is_answered(response);
        let verdict = of_probe(verdict, ticket.answered);
        if let Some((at, permit)) = ticket.probe() {
            self.share(ticket.policy, at, now, &mut |circuit, moment| {
                circuit.breaker.answered(permit, verdict, moment);
            });
        }
    }
}

/// What an outcome says of a probe. An answer whose status is ignored shows that the upstream
/// is there, which is what a probe is to find out.
pub(super) fn of_probe(verdict: Verdict, answered: bool) -> Verdict {
    match verdict.outcome {
        Outcome::Ignored if answered => Verdict {
            outcome: Outcome::Success,
            ..verdict
        },
        _ => verdict,
    }
}
