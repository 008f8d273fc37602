//! The steps of the engine one by one, which tests take in any order. The adapter has them as a
//! whole, by `response_arrived`, `response_body` and the paused streams.

use super::*;
use crate::fallback::Skip;
use crate::headers::Headers;
use crate::policy::ClusterConfig;
use crate::retry::Denial;

impl<R: Records> Engine<R> {
    /// Decides about a response whose headers have come.
    pub(super) fn response_headers(
        &mut self,
        ticket: &mut Ticket,
        response: &impl Response,
        now: Instant,
    ) -> Step {
        match self.of(ticket) {
            Some((policy, ws)) => policy.response_headers(ws, ticket, response, now),
            None => {
                self.workspace.forget(ticket, response);
                Step::Pass
            }
        }
    }

    /// The wait of a [`Step::Retry`] is over: how long the next attempt may take.
    ///
    /// # Errors
    ///
    /// What becomes of the response instead, if there is to be no attempt.
    pub(super) fn replay(&mut self, ticket: &mut Ticket, now: Instant) -> Result<Span, Step> {
        match self.of(ticket) {
            Some((policy, ws)) => policy.replay(ws, ticket, now),
            None => Err(Step::Pass),
        }
    }

    /// The attempt of a [`Engine::replay`] is on its way.
    pub(super) fn replay_sent(&mut self, ticket: &mut Ticket, now: Instant) {
        if let Some((policy, ws)) = self.of(ticket) {
            policy.replay_sent(ws, ticket, now);
        }
    }

    /// Decides about the response to an attempt.
    pub(super) fn replayed(
        &mut self,
        ticket: &mut Ticket,
        response: &impl Response,
        fits: bool,
        now: Instant,
    ) -> Step {
        match self.of(ticket) {
            Some((policy, ws)) => policy.replayed(ws, ticket, response, fits, now),
            None => Step::Pass,
        }
    }

    /// Makes no further attempt.
    pub(super) fn give_up(&mut self, ticket: &mut Ticket, denial: Denial, now: Instant) -> Step {
        match self.of(ticket) {
            Some((policy, ws)) => policy.give_up(ws, ticket, denial, now),
            None => Step::Pass,
        }
    }

    /// Whether a rejected request may still continue on another route.
    pub(super) fn may_divert(&self, ticket: &Ticket) -> bool {
        self.policy(ticket).is_some_and(|it| it.may_divert(ticket))
    }

    /// Whether a paused message with so many bytes can stay paused.
    pub(super) fn fits_buffer(&self, size: usize, ends: bool) -> bool {
        self.workspace.fits_buffer(size, ends)
    }

    /// Gives up a step that pauses a failed response without room in the host's buffer.
    pub(super) fn pass_long_response(
        &mut self,
        ticket: &mut Ticket,
        step: Step,
        length: impl FnOnce() -> Option<u64>,
        now: Instant,
    ) -> Step {
        match self.of(ticket) {
            Some((policy, ws)) => policy.pass_long_response(ws, ticket, step, length, now),
            None => step,
        }
    }

    /// Where a request is sent by [`Step::Call`].
    pub(super) fn call(&self, ticket: &Ticket) -> Option<&ClusterConfig> {
        self.policy(ticket)?.call(ticket)
    }

    /// Decides about the result of a [`Step::Call`].
    pub(super) fn called(
        &mut self,
        ticket: &mut Ticket,
        response: &impl Response,
        fits: bool,
        now: Instant,
    ) -> Step {
        match self.of(ticket) {
            Some((policy, ws)) => policy.called(ws, ticket, response, fits, now),
            None => Step::Pass,
        }
    }

    /// Goes to the next entry, since a [`Step::Call`] cannot be made or has failed.
    pub(super) fn skip(&mut self, ticket: &mut Ticket, skip: Skip, now: Instant) -> Step {
        match self.of(ticket) {
            Some((policy, ws)) => policy.skip(ws, ticket, skip, now),
            None => Step::Pass,
        }
    }

    /// Whether [`Engine::keep`] wants the headers of a response.
    pub(super) fn wants_headers(&self, ticket: &Ticket, now: Instant) -> bool {
        self.workspace.wants_headers(ticket, now)
    }

    /// Looks at the headers of a good response.
    pub(super) fn keep(
        &mut self,
        ticket: &mut Ticket,
        headers: &Headers,
        complete: bool,
        unix_secs: u64,
        now: Instant,
    ) {
        if let Some((policy, ws)) = self.of(ticket) {
            policy.keep(ws, ticket, headers, complete, (unix_secs, now));
        }
    }

    /// Whether the next `len` bytes of a response are wanted.
    pub(super) fn expects(&mut self, ticket: &mut Ticket, len: usize, now: Instant) -> bool {
        self.workspace.expects(ticket, len, now)
    }

    /// Records a chunk of a response's body.
    pub(super) fn collect(&mut self, ticket: &mut Ticket, chunk: &[u8], ends: bool, now: Instant) {
        self.workspace.collect(ticket, chunk, ends, now);
    }
}
