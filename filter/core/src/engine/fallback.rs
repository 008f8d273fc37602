//! Finds a response for a request that its upstream did not, or will not, answer. The entries of
//! the policy's `fallback` are tried in order, until one has a response.
//!
//! The order is the same before and after the upstream was called. A call to another cluster
//! takes time and interrupts the search; the ticket records where to resume. The result changes
//! no count, and no entry is tried twice.

use alloc::boxed::Box;
use alloc::rc::Rc;

use crate::event::Counter;
use crate::exchange::{Request, Response};
use crate::fallback::{self, FallbackResponse, Kind, Occasion, Skip};
use crate::headers::Pairs;
use crate::http_value::number;
use crate::outcome::classify::Verdict;
use crate::policy::{ClusterConfig, Fallback, FallbackType, On, Outcome, Respond, RouteConfig};
use crate::shared::records::Records;
use crate::time::{Instant, Span};

use super::decision::{Decision, HeaderEdit, Step};
use super::policy_state::PolicyState;
use super::ticket::{Client, EchoedFields, FallbackProgress, Ticket};
use super::workspace::{FixedCase, Workspace};

/// The largest usual chunk: the most that HTTP/2 sends in a frame, and that one read from a
/// connection takes.
const CHUNK_BYTES: u32 = 16_384;

/// The first status that says that the other cluster has failed too.
const SERVER_ERROR: u16 = 500;

impl PolicyState {
    /// Rejects a request.
    #[cold]
    pub(super) fn refuse<R: Records>(
        &self,
        ws: &mut Workspace<R>,
        ticket: &mut Ticket,
        retry_after: Span,
        request: &impl Request,
        now: Instant,
    ) -> Step {
        ws.count(self.index, Counter::Rejected);
        ticket.decision = Some(Decision::Reject);
        // It may have been read already, for the response to a failure.
        let mut echo = ticket.client.echo.take();
        if echo.is_none() && self.policy.echoes_request() {
            echo = Some(EchoedFields::of(request));
        }
        ticket.client = Client::of(request, ticket.timing.grpc);
        ticket.client.echo = echo;
        if !ticket.timing.request_complete && self.is_too_long(ws, ticket, request) {
            ticket.fallback.uncallable = Some(Skip::RequestBody);
        }
        self.begin_fallback(ws, ticket, On::Open, retry_after, now)
    }

    /// Whether a request announces a body that is longer than any that is copied: then it need
    /// not be paused until all of it has come.
    fn is_too_long<R>(&self, ws: &Workspace<R>, ticket: &Ticket, request: &impl Request) -> bool {
        if !ws.host.headers_stop_iteration {
            return false;
        }
        let mut most = ws.limits.replay_body_bytes;
        if self.may_divert(ticket) {
            most = most.min(ws.host.buffer_limit_bytes);
        }
        let length = request.header("content-length").and_then(number);
        length.is_some_and(|length| length > most.into())
    }

    /// Whether a rejected request may still continue, with its body, on another route.
    pub(super) fn may_divert(&self, ticket: &Ticket) -> bool {
        let next = ticket
            .fallback
            .progress
            .as_ref()
            .map_or(0, |progress| progress.next);
        let rest = self.policy.fallback.get(next..).unwrap_or_default();
        rest.iter()
            .any(|entry| matches!(entry.from, FallbackType::Route(_)))
    }

    /// Finds a response in place of the one that was seen last, if that was a failure.
    pub(super) fn conclude<R: Records>(
        &mut self,
        ws: &mut Workspace<R>,
        ticket: &mut Ticket,
        now: Instant,
    ) -> Step {
        match ticket.judged.seen {
            Some(verdict) if ticket.enforced && verdict.outcome == Outcome::Failure => {
                // What takes time from here on is not the upstream's work.
                self.stop_wait(ws, &mut ticket.circuit);
                self.begin_fallback(ws, ticket, reason(verdict), Span::ZERO, now)
            }
            _ => Step::Pass,
        }
    }

    #[cold]
    fn begin_fallback<R: Records>(
        &self,
        ws: &mut Workspace<R>,
        ticket: &mut Ticket,
        on: On,
        retry_after: Span,
        now: Instant,
    ) -> Step {
        ticket.fallback.progress = Some(Box::new(FallbackProgress {
            on,
            retry_after,
            next: 0,
            diverted: false,
        }));
        self.try_entries(ws, ticket, now)
    }

    /// Tries each entry, from the next one on.
    fn try_entries<R: Records>(
        &self,
        ws: &mut Workspace<R>,
        ticket: &mut Ticket,
        now: Instant,
    ) -> Step {
        loop {
            let Some(progress) = &mut ticket.fallback.progress else {
                return Step::Pass;
            };
            let next = progress.next;
            progress.next = next.saturating_add(1);
            let Some(occasion) = occasion(ticket) else {
                return Step::Pass;
            };
            let Some(entry) = self.policy.fallback.get(next) else {
                if occasion.on != On::Open {
                    return Step::Pass;
                }
                let reply = self.fixed_response(ws, next, None, &occasion);
                return self.respond(ws, ticket, reply);
            };
            if !entry.on.contains(occasion.on) {
                continue;
            }
            let kind = Kind::of(&entry.from);
            let tried = match &entry.from {
                FallbackType::Respond(entry) => {
                    Ok(self.fixed_response(ws, next, Some(entry), &occasion))
                }
                FallbackType::Stale(config) => ws
                    .stored_response(ticket, config, &occasion, now)
                    .map(|mut stored| {
                        stored.headers.extend(self.labels(ticket, stored.kind));
                        Rc::new(stored)
                    }),
                FallbackType::Cluster(_) => match why_not_call(ws, ticket) {
                    None => {
                        ticket.fallback.replaced = true;
                        return Step::Call;
                    }
                    Some(skip) => Err(skip),
                },
                FallbackType::Route(route) => return self.divert(ws, ticket, route),
            };
            match tried {
                Ok(reply) => return self.respond(ws, ticket, reply),
                Err(skip) => ws.count(self.index, Counter::FallbackSkipped(kind, skip)),
            }
        }
    }

    /// Sends a rejected request to another route.
    fn divert<R: Records>(
        &self,
        ws: &mut Workspace<R>,
        ticket: &mut Ticket,
        route: &RouteConfig,
    ) -> Step {
        if let Some(progress) = &mut ticket.fallback.progress {
            progress.diverted = true;
        }
        ticket.watches.response = true;
        ticket.decision = Some(Decision::Divert);
        ws.count(self.index, Counter::Fallback(On::Open, Kind::Route));
        Step::Divert(HeaderEdit {
            name: route.name.clone(),
            value: route.value.clone(),
        })
    }

    /// Responds with a response of the filter.
    fn respond<R: Records>(
        &self,
        ws: &mut Workspace<R>,
        ticket: &mut Ticket,
        reply: Rc<FallbackResponse>,
    ) -> Step {
        self.note_response(ws, ticket, reply.on, reply.kind);
        Step::Respond(reply)
    }

    /// Returns the response of the entry at `place`, or the default response if there is no
    /// entry. In an outage many requests in a row get the same response, so the last one is kept.
    fn fixed_response<R: Records>(
        &self,
        ws: &mut Workspace<R>,
        place: usize,
        entry: Option<&Respond>,
        occasion: &Occasion<'_>,
    ) -> Rc<FallbackResponse> {
        let case = FixedCase {
            policy: self.index,
            place,
            on: occasion.on,
            state: occasion.state,
            wait_secs: occasion.wait_secs(),
            grpc: occasion.grpc,
        };
        if let Some((of, reply)) = &ws.last_fixed
            && *of == case
        {
            return reply.clone();
        }
        let mut reply = match entry {
            Some(entry) => fallback::respond(&self.policy, entry, occasion),
            None => fallback::default(&self.policy, occasion),
        };
        let labels = fallback::labels(&self.policy, reply.kind, occasion.state);
        reply.headers.extend(labels);
        let reply = Rc::new(reply);
        if !entry.is_some_and(Respond::echoes_request) {
            ws.last_fixed = Some((case, reply.clone()));
        }
        reply
    }

    fn note_response<R: Records>(
        &self,
        ws: &mut Workspace<R>,
        ticket: &mut Ticket,
        on: On,
        kind: Kind,
    ) {
        ticket.fallback.replaced = true;
        if on != On::Open {
            ticket.decision = Some(Decision::Fallback);
        }
        ws.count(self.index, Counter::Fallback(on, kind));
    }

    fn labels(&self, ticket: &Ticket, kind: Kind) -> Pairs {
        fallback::labels(&self.policy, kind, ticket.circuit.state)
    }

    /// What becomes of the response to a request that a fallback has answered: the response
    /// from another route is labelled, and the filter's own passes.
    pub(super) fn label(&self, ticket: &Ticket) -> Step {
        match &ticket.fallback.progress {
            Some(progress) if progress.diverted => Step::Label(self.labels(ticket, Kind::Route)),
            _ => Step::Pass,
        }
    }

    /// The entry that was tried last.
    fn entry(&self, ticket: &Ticket) -> Option<&Fallback> {
        let next = ticket.fallback.progress.as_ref()?.next;
        self.policy.fallback.get(next.checked_sub(1)?)
    }

    /// Where a request is sent by [`Step::Call`].
    pub(super) fn call(&self, ticket: &Ticket) -> Option<&ClusterConfig> {
        match &self.entry(ticket)?.from {
            FallbackType::Cluster(config) => Some(config),
            _ => None,
        }
    }

    /// Decides about the result of a [`Step::Call`]. `fits` says whether the response can be
    /// delivered.
    pub(super) fn called<R: Records>(
        &self,
        ws: &mut Workspace<R>,
        ticket: &mut Ticket,
        response: &impl Response,
        fits: bool,
        now: Instant,
    ) -> Step {
        let answered = response
            .status()
            .is_some_and(|status| status < SERVER_ERROR);
        match (&ticket.fallback.progress, answered, fits) {
            (Some(progress), true, true) => {
                let on = progress.on;
                self.note_response(ws, ticket, on, Kind::Cluster);
                Step::HandOn {
                    labels: self.labels(ticket, Kind::Cluster),
                    details: occasion(ticket).map_or("", |occasion| occasion.details()),
                }
            }
            (_, true, false) => self.skip(ws, ticket, Skip::AnswerShape, now),
            _ => self.skip(ws, ticket, Skip::Failure, now),
        }
    }

    /// Goes to the next entry, since a [`Step::Call`] cannot be made or has failed.
    pub(super) fn skip<R: Records>(
        &self,
        ws: &mut Workspace<R>,
        ticket: &mut Ticket,
        skip: Skip,
        now: Instant,
    ) -> Step {
        if let Some(entry) = self.entry(ticket) {
            let kind = Kind::of(&entry.from);
            ws.count(self.index, Counter::FallbackSkipped(kind, skip));
        }
        self.try_entries(ws, ticket, now)
    }
}

impl<R> Workspace<R> {
    /// Whether a paused message with so many bytes can stay paused. If more follow, there has
    /// to be room for one more chunk: a host whose buffer overflows sends a local reply without
    /// asking.
    pub(super) fn fits_buffer(&self, size: usize, ends: bool) -> bool {
        let most = self.host.buffer_limit_bytes;
        let most = if ends {
            most
        } else {
            most.saturating_sub(CHUNK_BYTES)
        };
        u32::try_from(size).is_ok_and(|size| size <= most)
    }
}

/// Why a failed request needs a fallback.
pub(super) fn reason(verdict: Verdict) -> On {
    if verdict.timeout {
        On::Timeout
    } else {
        On::Failure
    }
}

/// Why no other cluster can be asked for a request, or `None` if one can.
fn why_not_call<R>(ws: &Workspace<R>, ticket: &Ticket) -> Option<Skip> {
    let comes = ticket.is_rejected() && ws.host.headers_stop_iteration;
    if ticket.timing.grpc {
        Some(Skip::RequestShape)
    } else if !ticket.timing.request_complete && !comes {
        Some(Skip::RequestBody)
    } else if ticket.fallback.uncallable.is_some() {
        ticket.fallback.uncallable
    } else {
        // Asked last: it may cost a hostcall.
        (!ws.capabilities.sends_requests()).then_some(Skip::Host)
    }
}

/// The reason for a fallback, and the request that it is for.
fn occasion(ticket: &Ticket) -> Option<Occasion<'_>> {
    let (progress, echo) = (
        ticket.fallback.progress.as_ref()?,
        ticket.client.echo.as_ref(),
    );
    Some(Occasion {
        on: progress.on,
        state: ticket.circuit.state,
        retry_after: progress.retry_after,
        grpc: ticket.timing.grpc && !ticket.client.transcoded,
        path: echo.map_or(&[], |echo| &echo.path),
        request_id: echo.map_or(&[], |echo| &echo.request_id),
        accept: echo.map_or(&[], |echo| &echo.accept),
    })
}
