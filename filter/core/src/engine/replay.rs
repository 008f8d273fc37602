//! Attempts that the filter makes itself, while the failed response is paused.

use crate::exchange::Response;
use crate::headers::Pairs;
use crate::outcome::classify;
use crate::policy::Outcome;
use crate::retry::{self, Denial};
use crate::shared::records::Records;
use crate::time::{Instant, Span};

use super::decision::{Decision, Step};
use super::policy_state::PolicyState;
use super::ticket::{Plan, Ticket};
use super::workspace::Workspace;

/// HTTP status of the host's response to a call that took too long.
const HOST_TIMEOUT_STATUS: u16 = 504;
/// Maximum difference between the clocks of the host's timers and of the filter.
const CLOCK_SLACK: Span = Span::from_ms(5);

impl PolicyState {
    /// The wait of a [`Step::Retry`] is over: how long the next attempt may take.
    ///
    /// # Errors
    ///
    /// What becomes of the response instead, if there is to be no attempt.
    pub(super) fn replay<R: Records>(
        &mut self,
        ws: &mut Workspace<R>,
        ticket: &mut Ticket,
        now: Instant,
    ) -> Result<Span, Step> {
        let (Plan::Filter(series), Some(config)) = (&ticket.retry, &self.policy.retry) else {
            return Err(Step::Pass);
        };
        let left = series.until.since(now);
        let timeout = config.per_try_timeout.map_or(left, |each| each.min(left));
        // The host counts in milliseconds, and 0 means no timeout at all.
        let timeout = Span::from_ms(timeout.as_ms());
        if timeout == Span::ZERO {
            return Err(self.give_up(ws, ticket, Denial::Deadline, now));
        }
        if series.counts && !self.readmit(ws, ticket, now) {
            return Err(self.give_up(ws, ticket, Denial::Circuit, now));
        }
        if let Plan::Filter(series) = &mut ticket.retry {
            series.attempt_until = now.after(timeout);
        }
        Ok(timeout)
    }

    /// The attempt of a [`PolicyState::replay`] is on its way.
    pub(super) fn replay_sent<R: Records>(
        &mut self,
        ws: &mut Workspace<R>,
        ticket: &mut Ticket,
        now: Instant,
    ) {
        if let Plan::Filter(series) = &mut ticket.retry {
            series.made = series.made.saturating_add(1);
            if let Some(grant) = series.grant.take() {
                ws.settle_grant(&ticket.circuit, grant, 1, now);
            }
        }
        ticket.timing.request_end = Some(now);
        if self.needs.early {
            self.begin_wait(ws, &mut ticket.circuit, now);
        }
    }

    /// Decides about the response to an attempt. `fits` says whether it can be delivered, by
    /// [`Step::HandOn`]. [`Step::Pass`] means the response of the first attempt.
    pub(super) fn replayed<R: Records>(
        &mut self,
        ws: &mut Workspace<R>,
        ticket: &mut Ticket,
        response: &impl Response,
        fits: bool,
        now: Instant,
    ) -> Step {
        ticket.timing.response_start = Some(now);
        self.end_wait(ws, &mut ticket.circuit, now);
        let mut verdict = classify::at_headers(&self.rules(), &ticket.timing, response, now);
        verdict.timeout =
            verdict.outcome == Outcome::Failure && has_timed_out(ticket, response, now);
        ws.forget(ticket, response);
        if let Some(wait) = self.next_attempt(ws, ticket, response, verdict, now) {
            return Step::Retry(wait);
        }
        self.settle_attempt(ws, &mut ticket.circuit, verdict, now);
        if fits {
            ticket.judged.seen = Some(verdict);
        } else if verdict.outcome != Outcome::Failure {
            self.deny(ws, ticket.enforced, Denial::AnswerShape);
        }
        match self.conclude(ws, ticket, now) {
            Step::Pass if fits => {
                ticket.fallback.replaced = true;
                ticket.decision = Some(Decision::Retry);
                Step::HandOn {
                    labels: Pairs::new(),
                    details: retry::DETAILS,
                }
            }
            step => step,
        }
    }

    /// Makes no further attempt.
    pub(super) fn give_up<R: Records>(
        &mut self,
        ws: &mut Workspace<R>,
        ticket: &mut Ticket,
        denial: Denial,
        now: Instant,
    ) -> Step {
        self.deny(ws, ticket.enforced, denial);
        // Each attempt that was made has counted already.
        if let Some(admitted) = &mut ticket.circuit.admitted {
            admitted.permit = None;
        }
        self.conclude(ws, ticket, now)
    }
}

/// Whether the host gave up the last attempt, for which it makes a response with this status.
/// It reports nothing else, so the time tells its response from the upstream's own.
fn has_timed_out(ticket: &Ticket, response: &impl Response, now: Instant) -> bool {
    let Plan::Filter(series) = &ticket.retry else {
        return false;
    };
    now.after(CLOCK_SLACK) >= series.attempt_until && response.status() == Some(HOST_TIMEOUT_STATUS)
}
