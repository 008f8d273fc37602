//! How an engine finds an answer for a request that its upstream will not, or did not,
//! answer: down the entries of its policy's `fallback`, until one can.
//!
//! The way down is the same before and after the upstream was asked. What takes time, the
//! call to another cluster, interrupts it: the ticket knows where to go on. Whatever comes
//! of it, nothing of what was counted changes, and nothing is tried twice.

use alloc::boxed::Box;

use crate::event::Counter;
use crate::fallback::{self, Answer, Kind, Occasion, Skip};
use crate::outcome::classify::{Outcome, Response};
use crate::outcome::hint;
use crate::policy::{ClusterConfig, Fallback, FallbackType, On, RouteConfig};
use crate::retry::Denial;
use crate::select::Request;
use crate::shared::records::Records;
use crate::time::{Instant, Span};

use super::ticket::{Decision, EchoedFields, FallbackProgress, Pairs, Step, Ticket};
use super::{Engine, reason};

/// The largest chunk that follows another, usually: what HTTP/2 sends in a frame, and what one
/// read from a connection takes.
const CHUNK_BYTES: u32 = 16_384;

/// The first status with which another cluster has failed too.
const SERVER_ERROR: u16 = 500;

impl<R: Records> Engine<R> {
    /// Keeps a request from its upstream.
    #[cold]
    pub(super) fn refuse(
        &mut self,
        ticket: &mut Ticket,
        retry_after: Span,
        request: &impl Request,
        now: Instant,
    ) -> Step {
        self.count(ticket.policy, Counter::Rejected);
        ticket.decision = Some(Decision::Reject);
        ticket.note_client(request);
        let policy = self.policies.get(ticket.policy);
        // It may have been read already, for an answer to a failure.
        if ticket.echo.is_none() && policy.is_some_and(|policy| policy.echoes_request()) {
            ticket.echo = Some(EchoedFields::of(request));
        }
        if !ticket.is_complete() && self.is_too_long(ticket, request) {
            ticket.uncallable = Some(Skip::RequestBody);
        }
        self.trouble(ticket, On::Open, retry_after, now)
    }

    /// Whether a request says that its body is longer than any that is copied: it need not be
    /// paused until it has come.
    fn is_too_long(&self, ticket: &Ticket, request: &impl Request) -> bool {
        if !self.host.headers_stop_iteration {
            return false;
        }
        let mut most = self.limits.replay_body_bytes;
        if self.may_divert(ticket) {
            most = most.min(self.host.buffer_limit_bytes);
        }
        let length = request.header("content-length").and_then(hint::number);
        length.is_some_and(|length| length > most.into())
    }

    /// Whether a rejected request may yet go on, with its body, to another route.
    pub fn may_divert(&self, ticket: &Ticket) -> bool {
        let next = ticket.trouble.as_ref().map_or(0, |trouble| trouble.next);
        let policy = self.policies.get(ticket.policy);
        let rest = policy.and_then(|policy| policy.fallback.get(next..));
        rest.unwrap_or_default()
            .iter()
            .any(|entry| matches!(entry.from, FallbackType::Route(_)))
    }

    /// Whether a paused message with so many bytes can go on being paused. If more follow,
    /// there has to be room for one more chunk: a host whose buffer overflows answers by
    /// itself, and does not ask before.
    pub fn fits_buffer(&self, size: usize, ends: bool) -> bool {
        let most = self.host.buffer_limit_bytes;
        let most = if ends {
            most
        } else {
            most.saturating_sub(CHUNK_BYTES)
        };
        u32::try_from(size).is_ok_and(|size| size <= most)
    }

    /// Notes that a failed response is not paused, if its body comes meanwhile and has no room
    /// in the host's buffer: it goes on, or makes way for what needs no wait.
    pub fn pass_long_response(
        &mut self,
        ticket: &mut Ticket,
        step: Step,
        length: impl FnOnce() -> Option<u64>,
        now: Instant,
    ) -> Step {
        let waits = matches!(step, Step::Retry(_) | Step::Call);
        let most = self.host.buffer_limit_bytes.into();
        let has_room = || length().is_none_or(|length| length <= most);
        if !waits || !self.host.headers_stop_iteration || has_room() {
            return step;
        }
        ticket.spoil(Denial::AnswerShape);
        match step {
            Step::Retry(_) => self.give_up(ticket, Denial::AnswerShape, now),
            _ => self.skip(ticket, Skip::AnswerShape, now),
        }
    }

    /// The answer in place of what was seen last, if that was a failure and the policy has
    /// one.
    pub(super) fn conclude(&mut self, ticket: &mut Ticket, now: Instant) -> Step {
        match ticket.seen {
            Some(verdict) if ticket.enforced && verdict.outcome == Outcome::Failure => {
                self.trouble(ticket, reason(verdict), Span::ZERO, now)
            }
            _ => Step::Pass,
        }
    }

    #[cold]
    fn trouble(&mut self, ticket: &mut Ticket, on: On, retry_after: Span, now: Instant) -> Step {
        // What takes time from here on is no work of the upstream's.
        self.stop_wait(ticket);
        ticket.trouble = Some(Box::new(FallbackProgress {
            on,
            retry_after,
            next: 0,
            diverted: false,
        }));
        self.descend(ticket, now)
    }

    /// Gives each entry its turn, from the next one on.
    fn descend(&mut self, ticket: &mut Ticket, now: Instant) -> Step {
        loop {
            let (Some(policy), Some(trouble)) =
                (self.policies.get(ticket.policy), &mut ticket.trouble)
            else {
                return Step::Pass;
            };
            let next = trouble.next;
            trouble.next = next.saturating_add(1);
            let Some(occasion) = occasion(ticket) else {
                return Step::Pass;
            };
            let Some(entry) = policy.fallback.get(next) else {
                if occasion.on != On::Open {
                    return Step::Pass;
                }
                let answer = fallback::default(policy, &occasion);
                return self.give(ticket, answer);
            };
            if !entry.on.contains(occasion.on) {
                continue;
            }
            let kind = Kind::of(&entry.from);
            let tried = match &entry.from {
                FallbackType::Respond(entry) => Ok(fallback::respond(policy, entry, &occasion)),
                FallbackType::Stale(config) => {
                    let config = *config;
                    self.kept(ticket, &config, &occasion, now)
                }
                FallbackType::Cluster(_) => match self.why_not_call(ticket) {
                    None => {
                        ticket.replaced = true;
                        return Step::Call;
                    }
                    Some(skip) => Err(skip),
                },
                FallbackType::Route(_) => return self.divert(ticket),
            };
            match tried {
                Ok(answer) => return self.give(ticket, answer),
                Err(skip) => self.count(ticket.policy, Counter::FallbackSkipped(kind, skip)),
            }
        }
    }

    /// Sends a rejected request elsewhere.
    fn divert(&mut self, ticket: &mut Ticket) -> Step {
        if let Some(trouble) = &mut ticket.trouble {
            trouble.diverted = true;
        }
        ticket.watches_response = true;
        ticket.decision = Some(Decision::Divert);
        self.count(ticket.policy, Counter::Fallback(On::Open, Kind::Route));
        Step::Divert
    }

    /// Gives an answer that is made here.
    fn give(&mut self, ticket: &mut Ticket, mut answer: Answer) -> Step {
        self.note_given(ticket, answer.on, answer.kind);
        answer.headers.extend(self.labels(ticket, answer.kind));
        Step::Answer(answer)
    }

    fn note_given(&mut self, ticket: &mut Ticket, on: On, kind: Kind) {
        ticket.replaced = true;
        if on != On::Open {
            ticket.decision = Some(Decision::Fallback);
        }
        self.count(ticket.policy, Counter::Fallback(on, kind));
    }

    fn labels(&self, ticket: &Ticket, kind: Kind) -> Pairs {
        let policy = self.policies.get(ticket.policy);
        policy.map_or_else(Pairs::new, |policy| {
            fallback::labels(policy, kind, ticket.state)
        })
    }

    /// What becomes of the response to a request that is in trouble: one that came from
    /// elsewhere is told apart, and an answer of the filter's own passes by.
    pub(super) fn label(&self, ticket: &Ticket) -> Step {
        match &ticket.trouble {
            Some(trouble) if trouble.diverted => Step::Label(self.labels(ticket, Kind::Route)),
            _ => Step::Pass,
        }
    }

    /// Why another cluster cannot be asked for a request, if it cannot.
    fn why_not_call(&self, ticket: &Ticket) -> Option<Skip> {
        let on_open = ticket.is_rejected();
        let comes = on_open && self.host.headers_stop_iteration;
        if ticket.course.grpc {
            Some(Skip::RequestShape)
        } else if !ticket.is_complete() && !comes {
            Some(Skip::RequestBody)
        } else {
            ticket.uncallable
        }
    }

    /// The entry that had its turn last.
    fn entry(&self, ticket: &Ticket) -> Option<&Fallback> {
        let next = ticket.trouble.as_ref()?.next;
        let policy = self.policies.get(ticket.policy)?;
        policy.fallback.get(next.checked_sub(1)?)
    }

    /// Where a request is sent by [`Step::Call`].
    pub fn call(&self, ticket: &Ticket) -> Option<&ClusterConfig> {
        match &self.entry(ticket)?.from {
            FallbackType::Cluster(config) => Some(config),
            _ => None,
        }
    }

    /// The header that a request gets by [`Step::Divert`].
    pub fn route(&self, ticket: &Ticket) -> Option<&RouteConfig> {
        match &self.entry(ticket)?.from {
            FallbackType::Route(config) => Some(config),
            _ => None,
        }
    }

    /// Looks at what has come of a [`Step::Call`]; `fits` says whether it can be handed on.
    pub fn called(
        &mut self,
        ticket: &mut Ticket,
        response: &impl Response,
        fits: bool,
        now: Instant,
    ) -> Step {
        let answered = response
            .status()
            .is_some_and(|status| status < SERVER_ERROR);
        match (&ticket.trouble, answered, fits) {
            (Some(trouble), true, true) => {
                let on = trouble.on;
                self.note_given(ticket, on, Kind::Cluster);
                Step::HandOn {
                    labels: self.labels(ticket, Kind::Cluster),
                    details: occasion(ticket).map_or("", |occasion| occasion.details()),
                }
            }
            (_, true, false) => self.skip(ticket, Skip::AnswerShape, now),
            _ => self.skip(ticket, Skip::Failure, now),
        }
    }

    /// A [`Step::Call`] cannot be made, or came to nothing: the next entry has its turn.
    pub fn skip(&mut self, ticket: &mut Ticket, skip: Skip, now: Instant) -> Step {
        if let Some(entry) = self.entry(ticket) {
            let kind = Kind::of(&entry.from);
            self.count(ticket.policy, Counter::FallbackSkipped(kind, skip));
        }
        self.descend(ticket, now)
    }
}

/// Why, and about what, an answer is made.
fn occasion(ticket: &Ticket) -> Option<Occasion<'_>> {
    let (trouble, echo) = (ticket.trouble.as_ref()?, ticket.echo.as_ref());
    Some(Occasion {
        on: trouble.on,
        state: ticket.state,
        retry_after: trouble.retry_after,
        grpc: ticket.course.grpc && !ticket.transcoded,
        path: echo.map_or(&[], |echo| &echo.path),
        request_id: echo.map_or(&[], |echo| &echo.request_id),
        accept: echo.map_or(&[], |echo| &echo.accept),
    })
}
