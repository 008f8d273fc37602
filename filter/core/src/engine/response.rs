//! What an engine does with the end of a request and the headers of its response.

use alloc::rc::Rc;

use crate::event::Counter;
use crate::exchange::Response;
use crate::fallback::{FallbackResponse, Skip};
use crate::headers::Pairs;
use crate::http_value::number;
use crate::outcome::classify::{self, Verdict};
use crate::policy::Outcome;
use crate::retry::{self, Denial};
use crate::shared::records::Records;
use crate::time::Instant;

use super::decision::{DecisionNote, Step};
use super::fallback::reason;
use super::policy_state::PolicyState;
use super::ticket::{Plan, Ticket};
use super::workspace::Workspace;

/// What the adapter knows about a response whose headers have come.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// Whether the response is complete with its headers.
    pub ends: bool,
    /// Whether there is a copy of the request.
    pub has_copy: bool,
}

/// What becomes of a response whose headers have come.
#[derive(Debug)]
pub enum Reaction {
    /// It continues.
    Pass,
    /// It continues with these headers, in place of any of their names.
    Label(Pairs),
    /// A fallback replaces it: by these headers, over which the body is written, or by a local
    /// reply if there are none. The note is for the access log.
    Respond(Rc<FallbackResponse>, Option<Pairs>, Option<DecisionNote>),
    /// It pauses, and this step begins the pause: [`Paused::begin`](super::Paused::begin).
    Pause(Step),
}

impl PolicyState {
    /// Notes that the client has sent its whole request, at `now` if
    /// [`Ticket::watches_clock`] says that the time matters.
    pub(super) fn request_complete<R: Records>(
        &mut self,
        ws: &mut Workspace<R>,
        ticket: &mut Ticket,
        now: Option<Instant>,
    ) {
        if ticket.timing.request_complete {
            return;
        }
        ticket.timing.request_complete = true;
        ticket.timing.request_end = now;
        // An upstream may answer before it has all of the request.
        if ticket.timing.response_start.is_some() {
            return;
        }
        // Only a probe's lease depends on the time, and a probe watches the clock.
        if let (Some((at, permit)), Some(now)) = (ticket.probe(), now) {
            self.share(ws, at, now, &mut |circuit, step| {
                circuit.breaker.request_complete(permit, step.now);
            });
        }
        if let Some(now) = now
            && self.needs.early
        {
            self.begin_wait(ws, &mut ticket.circuit, now);
        }
    }

    /// Judges a response at its headers, and returns everything that the host has to do. Each step
    /// is one that the host can perform.
    pub(super) fn react<R: Records>(
        &mut self,
        ws: &mut Workspace<R>,
        ticket: &mut Ticket,
        response: &impl Response,
        arrival: Arrival,
        now: Instant,
    ) -> Reaction {
        let step = self.response_headers(ws, ticket, response, now);
        let step = self.possible_step(ws, ticket, response, (step, arrival), now);
        if let Step::Retry(_) | Step::Call = step {
            return Reaction::Pause(step);
        }
        // Only a paused stream may still need them.
        ticket.client.echo = None;
        match step {
            Step::Respond(reply) => {
                let is_head = ticket.is_head();
                let headers = reply.in_place(&response.copy_headers(), arrival.ends, is_head);
                Reaction::Respond(reply, headers, self.note(ticket))
            }
            Step::Label(labels) => Reaction::Label(labels),
            _ => {
                if ws.wants_headers(ticket, now) {
                    let headers = response.copy_headers();
                    let unix_secs = response.unix_secs();
                    self.keep(ws, ticket, &headers, arrival.ends, (unix_secs, now));
                }
                Reaction::Pass
            }
        }
    }

    /// Replaces a step that pauses the response by one that does not, if the request cannot be
    /// sent, or if the response's body has no room in the host's buffer meanwhile.
    fn possible_step<R: Records>(
        &mut self,
        ws: &mut Workspace<R>,
        ticket: &mut Ticket,
        response: &impl Response,
        (mut step, arrival): (Step, Arrival),
        now: Instant,
    ) -> Step {
        if let Step::Retry(_) = step
            && !(arrival.has_copy && ws.capabilities.sends_requests())
        {
            step = self.give_up(ws, ticket, Denial::Host, now);
        }
        if step == Step::Call && !arrival.has_copy {
            step = self.skip(ws, ticket, Skip::Host, now);
        }
        if arrival.ends {
            return step;
        }
        self.pass_long_response(ws, ticket, step, || content_length(response), now)
    }

    /// Judges a response whose headers have come.
    pub(super) fn response_headers<R: Records>(
        &mut self,
        ws: &mut Workspace<R>,
        ticket: &mut Ticket,
        response: &impl Response,
        now: Instant,
    ) -> Step {
        if ticket.fallback.progress.is_some() {
            return self.label(ticket);
        }
        ticket.timing.response_start = Some(now);
        if ticket.circuit.waits.is_some() {
            self.end_wait(ws, &mut ticket.circuit, now);
        }
        if !ticket.watches.response {
            return Step::Pass;
        }
        ws.forget(ticket, response);
        let judge = || classify::at_headers(&self.rules(), &ticket.timing, response, now);
        let verdict = ticket.judged.fresh.take().unwrap_or_else(judge);
        ticket.judged.seen = Some(verdict);
        self.probe_answered(ws, ticket, response, verdict, now);
        if let Some(wait) = self.next_attempt(ws, ticket, response, verdict, now) {
            return Step::Retry(wait);
        }
        if self.policy.judges_at_headers() {
            self.count_outcome(ws, ticket, verdict);
            self.settle_attempt(ws, &mut ticket.circuit, verdict, now);
        }
        self.conclude(ws, ticket, now)
    }

    /// Gives up a step that pauses a failed response if the response's body has no room in the
    /// host's buffer: the response continues, or a fallback that needs no wait replaces it.
    pub(super) fn pass_long_response<R: Records>(
        &mut self,
        ws: &mut Workspace<R>,
        ticket: &mut Ticket,
        step: Step,
        length: impl FnOnce() -> Option<u64>,
        now: Instant,
    ) -> Step {
        let waits = matches!(step, Step::Retry(_) | Step::Call);
        let most = ws.host.buffer_limit_bytes.into();
        let has_room = || length().is_none_or(|length| length <= most);
        if !waits || !ws.host.headers_stop_iteration || has_room() {
            return step;
        }
        ticket.spoil(Denial::AnswerShape);
        match step {
            Step::Retry(_) => self.give_up(ws, ticket, Denial::AnswerShape, now),
            _ => self.skip(ws, ticket, Skip::AnswerShape, now),
        }
    }

    /// Settles the ticket of a request that has ended.
    pub(super) fn settle<R: Records>(
        &mut self,
        ws: &mut Workspace<R>,
        ticket: &mut Ticket,
        response: &impl Response,
        now: Instant,
    ) {
        // What its client gets is not its upstream's response.
        if ticket.is_rejected() {
            ws.forget_request(ticket);
            return;
        }
        let in_doubt = !ticket.timing.request_complete || ticket.probe().is_some();
        if in_doubt && ticket.timing.response_start.is_none() && classify::is_answered(response) {
            // The lite module hears of a request only now that its response has ended.
            ticket.circuit.answered = true;
            self.request_complete(ws, ticket, Some(now));
        }
        let verdict = match ticket.judged.seen {
            Some(seen) if ticket.fallback.replaced || self.policy.judges_at_headers() => seen,
            _ => classify::at_end(&self.rules(), &ticket.timing, response, now),
        };
        if !ticket.fallback.replaced && ticket.fallback.progress.is_none() {
            self.count_too_late(ws, ticket.enforced, verdict);
        }
        // Only the router knows how many retries it made; without a grant it made none.
        let made = match &ticket.retry {
            Plan::Router(Some(_)) => retry::made(response),
            Plan::Router(None) | Plan::Filter(_) | Plan::None => None,
        };
        self.finish(ws, ticket, verdict, made, now);
    }

    /// Counts a failure that a fallback would have replaced, had it shown in the headers.
    #[inline(never)]
    pub(super) fn count_too_late<R: Records>(
        &self,
        ws: &mut Workspace<R>,
        enforced: bool,
        verdict: Verdict,
    ) {
        let mut entries = self.policy.fallback.iter();
        if enforced
            && verdict.outcome == Outcome::Failure
            && entries.any(|entry| entry.on.contains(reason(verdict)))
        {
            ws.count(self.index, Counter::FallbackTooLate);
        }
    }

    /// Settles the ticket of a request of which the host never said how it ended.
    pub(super) fn abandon<R: Records>(
        &mut self,
        ws: &mut Workspace<R>,
        ticket: &mut Ticket,
        now: Instant,
    ) {
        let verdict = ticket.judged.seen.unwrap_or(Verdict::of(Outcome::Ignored));
        self.finish(ws, ticket, verdict, None, now);
    }

    /// Ends a request, with how many retries the host's router has made, if it was granted any
    /// and says so. Every ticket of a policy ends here.
    pub(super) fn finish<R: Records>(
        &mut self,
        ws: &mut Workspace<R>,
        ticket: &mut Ticket,
        verdict: Verdict,
        made: Option<u64>,
        now: Instant,
    ) {
        ws.forget_request(ticket);
        if ticket.is_rejected() {
            return;
        }
        self.count_outcome(ws, ticket, verdict);
        if !matches!(ticket.retry, Plan::None) {
            let retries = self.settle_retries(ws, ticket, made, now);
            ws.count_many(self.index, Counter::Retries(verdict.outcome), retries);
        }
        self.settle_attempt(ws, &mut ticket.circuit, verdict, now);
        if let Some(admitted) = &ticket.circuit.admitted {
            ws.table.leave(admitted.at);
        }
    }
}

/// Returns the length of a response's body, if its headers announce one.
fn content_length(response: &impl Response) -> Option<u64> {
    let length = response.header("content-length")?;
    number(length.as_ref())
}
