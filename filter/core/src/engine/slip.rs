//! The short path: requests that pass a closed circuit, under a policy that needs nothing of
//! them but their outcome.
//!
//! Nearly all requests are of this kind. They pass without an allocation: the parts of the key
//! are compared where they are, and a [`Slip`] of a few words is all that is kept.
//!
//! The short path says "passes", or nothing at all. For a request that it does not admit it
//! leaves everything as it was, and the long path decides from the beginning. If a response is
//! to be replaced, the slip becomes the [`Ticket`] that the long path would have issued.

use crate::circuit::breaker::{Permit, StateName};
use crate::circuit::budget::Grant;
use crate::event::Counter;
use crate::exchange::{Request, RequestTiming, Response};
use crate::outcome::classify::{self, Verdict};
use crate::policy::{Mode, Outcome};
use crate::retry;
use crate::shared::key;
use crate::shared::records::Records;
use crate::time::Instant;

use super::policy_state::PolicyState;
use super::router::RouterOrders;
use super::ticket::{Admitted, CircuitUse, Client, Plan, Ticket, Watches};
use super::workspace::Workspace;

/// A request that passed on the short path, from its headers to its end.
///
/// The engine takes it back when the request ends, as it does a [`Ticket`].
#[must_use = "an unsettled slip keeps its key in use"]
#[derive(Debug)]
pub struct Slip {
    /// Index of its policy.
    pub(super) policy: usize,
    circuit: CircuitUse,
    timing: RequestTiming,
    watches: Watches,
    /// The retries that the host's router was granted.
    grant: Option<Grant>,
    reports: bool,
    is_head: bool,
    is_transcoded: bool,
    /// The outcome by the response's headers, and whether it was slow, if those were seen.
    seen: Option<(Outcome, bool)>,
}

impl Slip {
    /// The slip of a request whose key is at this position. [`PolicyState::pass`] has to follow.
    #[inline]
    pub(super) fn new(
        policy: &PolicyState,
        request: &impl Request,
        (at, permit): (u32, Permit),
        complete: bool,
        now: Instant,
    ) -> Slip {
        let permit = Some(permit);
        Slip {
            policy: policy.index,
            circuit: CircuitUse {
                state: StateName::Closed,
                admitted: Some(Admitted { at, permit }),
                waits: None,
                answered: false,
            },
            timing: RequestTiming::begin(request, complete, now),
            watches: Watches {
                clock: policy.policy.breaker.slow_threshold.is_some(),
                response: policy.acts() && policy.needs.response,
            },
            grant: None,
            reports: policy.needs.early || policy.policy.retry.is_some(),
            is_head: false,
            is_transcoded: false,
            seen: None,
        }
    }

    /// Notes that the client has sent its whole request. If the slip watches the clock, use
    /// [`Engine::slip_complete`](super::Engine::slip_complete) instead.
    pub fn request_complete(&mut self) {
        self.timing.request_complete = true;
    }

    /// Whether the engine needs to know when the request ended and when the response began.
    #[inline]
    pub fn watches_clock(&self) -> bool {
        self.watches.clock
    }

    /// Whether its admission may have caused events, or a wait for a tick.
    #[inline]
    pub fn reports(&self) -> bool {
        self.reports
    }

    /// Whether the engine has to see the response's headers.
    #[inline]
    pub fn watches_response(&self) -> bool {
        self.watches.response || self.watches.clock
    }
}

impl PolicyState {
    /// Returns the permit of a request that passes on the short path, and the position of its
    /// key. Nothing changes, and [`PolicyState::pass`] has to follow.
    pub(super) fn plain_permit<R: Records>(
        &self,
        ws: &mut Workspace<R>,
        request: &impl Request,
        pattern: Option<&str>,
        now: Instant,
    ) -> Option<(u32, Permit)> {
        // A store looks at every request, and without ends the response's headers decide.
        if !self.needs.short || ws.stale.is_some() || !ws.capabilities.reports_ends() {
            return None;
        }
        // Requests that have waited for too long count before the circuit is asked.
        if !ws.waiting.is_empty() && self.has_overdue(ws, now) {
            return None;
        }
        let at = self.find_known(ws, request, pattern)?;
        let interval = ws.interval;
        let permit = ws.table.entry(at)?.2.admit_plainly(interval, now)?;
        Some((at, permit))
    }

    /// Admits a request that passes on the short path. Returns what the host's router is told.
    pub(super) fn pass<R: Records>(
        &mut self,
        ws: &mut Workspace<R>,
        request: &impl Request,
        slip: &mut Slip,
        now: Instant,
    ) -> Option<RouterOrders> {
        if let Some(admitted) = &slip.circuit.admitted {
            ws.table.enter(admitted.at);
        }
        if slip.watches.response {
            let client = Client::of(request, slip.timing.grpc);
            (slip.is_head, slip.is_transcoded) = (client.is_head, client.transcoded);
        }
        if slip.timing.request_complete && self.needs.early {
            self.begin_wait(ws, &mut slip.circuit, now);
        }
        if !self.needs.instructions {
            return None;
        }
        let (enforced, mut granted) = (self.acts(), None);
        if let Some(config) = &self.policy.retry {
            let eligibility = retry::eligibility(config, request, slip.timing.grpc);
            slip.grant = self.grant(ws, &slip.circuit, enforced, eligibility, now);
            granted = Some(slip.grant.as_ref().map_or(0, Grant::retries));
        }
        enforced.then(|| self.orders(request, granted, &mut slip.timing))
    }

    /// Returns the entry of a request's key if the table has it.
    fn find_known<R: Records>(
        &self,
        ws: &mut Workspace<R>,
        request: &impl Request,
        pattern: Option<&str>,
    ) -> Option<u32> {
        let parts = &self.policy.key;
        let is_wanted = |known: &[u8]| key::is_of(parts, request, pattern, known);
        if let Some(at) = ws.table.find_recent(self.index, is_wanted) {
            return Some(at);
        }
        if !key::encode(parts, request, pattern, &mut ws.key) {
            return None;
        }
        let hash = key::hash(ws.hash_seed, &ws.key);
        ws.table.find(self.index, hash, &ws.key)
    }

    /// Whether the policy acts on the requests of the short path, rather than only counting.
    fn acts(&self) -> bool {
        self.policy.mode != Mode::Shadow
    }

    /// Notes that the client has sent its whole request now.
    pub(super) fn slip_complete<R: Records>(
        &mut self,
        ws: &mut Workspace<R>,
        slip: &mut Slip,
        now: Instant,
    ) {
        let timing = &mut slip.timing;
        if core::mem::replace(&mut timing.request_complete, true) {
            return;
        }
        timing.request_end = Some(now);
        // An upstream may answer before it has all of the request.
        if timing.response_start.is_none() && self.needs.early {
            self.begin_wait(ws, &mut slip.circuit, now);
        }
    }

    /// Judges a response whose headers have come. Returns the verdict on a failure, which may be
    /// replaced: the slip has to become a ticket for that.
    pub(super) fn slip_answered<R: Records>(
        &mut self,
        ws: &mut Workspace<R>,
        slip: &mut Slip,
        response: &impl Response,
        now: Instant,
    ) -> Option<Verdict> {
        slip.timing.response_start = Some(now);
        self.end_wait(ws, &mut slip.circuit, now);
        if !slip.watches.response {
            return None;
        }
        let verdict = classify::at_headers(&self.rules(), &slip.timing, response, now);
        slip.seen = Some((verdict.outcome, verdict.slow));
        (verdict.outcome == Outcome::Failure).then_some(verdict)
    }

    /// Settles the slip of a request that has ended, with its response if the host said how.
    #[inline(never)]
    pub(super) fn settle_slip<R: Records>(
        &mut self,
        ws: &mut Workspace<R>,
        slip: &mut Slip,
        response: Option<&impl Response>,
        now: Instant,
    ) {
        let (outcome, slow) = slip.seen.unwrap_or((Outcome::Ignored, false));
        let mut verdict = Verdict {
            slow,
            ..Verdict::of(outcome)
        };
        let mut made = None;
        if let Some(response) = response {
            let timing = &slip.timing;
            if !timing.request_complete
                && timing.response_start.is_none()
                && classify::is_answered(response)
            {
                // The lite module hears of a request only now that its response has ended.
                self.slip_complete(ws, slip, now);
            }
            verdict = classify::at_end(&self.rules(), &slip.timing, response, now);
            self.count_too_late(ws, self.acts(), verdict);
            if slip.grant.is_some() {
                made = retry::made(response);
            }
        }
        self.count_ended(ws, verdict);
        if let Some(grant) = slip.grant.take() {
            let made = ws.settle_router(&slip.circuit, self.acts(), grant, made, now);
            ws.count_many(self.index, Counter::Retries(verdict.outcome), made);
        }
        self.settle_attempt(ws, &mut slip.circuit, verdict, now);
        if let Some(admitted) = &slip.circuit.admitted {
            ws.table.leave(admitted.at);
        }
    }

    /// The ticket that the long path would have issued in place of a slip. The verdict is that
    /// on the headers that have just come.
    pub(super) fn ticket_of(&self, slip: Slip, verdict: Option<Verdict>) -> Ticket {
        let mut ticket = Ticket::new(self.index, self.acts(), slip.timing, slip.watches);
        ticket.circuit = slip.circuit;
        ticket.client.is_head = slip.is_head;
        ticket.client.transcoded = slip.is_transcoded;
        ticket.judged.fresh = verdict;
        if self.policy.retry.is_some() {
            ticket.retry = Plan::Router(slip.grant);
        }
        ticket
    }
}
