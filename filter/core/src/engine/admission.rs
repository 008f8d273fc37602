//! Decides about a request at its headers.

use alloc::boxed::Box;

use crate::circuit::Forced;
use crate::circuit::breaker::{Permit, Refusal, StateName};
use crate::event::Counter;
use crate::exchange::{Request, RequestTiming};
use crate::policy::{Mode, WHOLE_BP};
use crate::retry;
use crate::shared::records::Records;
use crate::time::Instant;

use super::decision::{Decision, DecisionNote, Step};
use super::lookup::Lookup;
use super::permit::Acquired;
use super::policy_state::PolicyState;
use super::router::RouterOrders;
use super::ticket::{Admitted, Client, EchoedFields, Ticket, Watches};
use super::workspace::Workspace;

/// What becomes of a request at its headers.
#[derive(Debug)]
pub enum Admission {
    /// The filter has nothing to do with it: it has no policy, and changes nothing that may be
    /// stored.
    Unmatched,
    /// It passes on the short path, with these orders for the host's router. There is a slip,
    /// which the engine takes back when the request ends.
    Count(Option<RouterOrders>),
    /// It passes. Most requests pass without instructions. The engine takes the ticket back when
    /// the request ends.
    Pass(Box<Ticket>, Option<Box<Instructions>>),
    /// It does not reach its upstream. The step says what becomes of it, and the note is for the
    /// access log. The engine takes the ticket back all the same.
    Reject(Box<Ticket>, Step, Option<DecisionNote>),
}

/// What the adapter does for a request that passes.
#[derive(Debug)]
pub struct Instructions {
    /// The note for the access log.
    pub note: Option<DecisionNote>,
    /// What the host's router is told.
    pub orders: Option<RouterOrders>,
    /// Fields of the request to be saved until its response is there.
    pub saves: Option<Box<EchoedFields>>,
    /// Whether a copy of the request is to be kept.
    pub copies: bool,
}

impl PolicyState {
    /// Decides about a request of this policy whose key is in `ws.key`. `fits` says whether
    /// that holds the whole key, and `complete` that nothing follows the headers.
    pub(super) fn admit<R: Records>(
        &mut self,
        ws: &mut Workspace<R>,
        request: &impl Request,
        (fits, complete): (bool, bool),
        now: Instant,
    ) -> Admission {
        let mut ticket = self.ticket(ws, request, complete, now);
        let eligibility = self
            .policy
            .retry
            .as_ref()
            .map(|config| retry::eligibility(config, request, ticket.timing.grpc));
        let refusal = self.look_up(ws, &mut ticket, fits, now);
        if ws.stale.is_some() {
            let mut needs = self.needs.stale.filter(|_| fits);
            if let Some(needs) = &mut needs {
                needs.gives_later = ticket.enforced && (needs.gives_later || refusal.is_some());
            }
            let ignored = self.policy.ignored_query();
            ws.ask_stale(&mut ticket, needs, ignored, request, now);
        }
        if let Some(refusal) = refusal {
            ticket.circuit.state = refusal.state;
            if ticket.enforced {
                let step = self.refuse(ws, &mut ticket, refusal.retry_after, request, now);
                let note = self.note(&ticket);
                return Admission::Reject(ticket, step, note);
            }
            ticket.decision = Some(Decision::WouldReject);
            ws.count(self.index, Counter::WouldReject);
        }
        if complete && self.needs.early {
            self.begin_wait(ws, &mut ticket.circuit, now);
        }
        if let Some(eligibility) = eligibility {
            self.plan_retries(ws, &mut ticket, eligibility, now);
        }
        // Without an end, the verdict is that of the response's headers.
        ticket.watches.response |= !ws.capabilities.reports_ends();
        let instructs = self.needs.instructions || ticket.decision.is_some();
        let instructions = instructs.then(|| self.instructions(&mut ticket, request));
        Admission::Pass(ticket, instructions)
    }

    #[inline(never)]
    fn instructions(&self, ticket: &mut Ticket, request: &impl Request) -> Box<Instructions> {
        let granted = ticket.granted();
        let orders = match ticket.enforced {
            true => Some(self.orders(request, granted, &mut ticket.timing)),
            false => None,
        };
        Box::new(Instructions {
            note: self.note(ticket),
            orders,
            saves: ticket.client.echo.take(),
            copies: ticket.wants_copy(),
        })
    }

    /// The ticket of a request, before its circuit was asked.
    fn ticket<R: Records>(
        &self,
        ws: &mut Workspace<R>,
        request: &impl Request,
        complete: bool,
        now: Instant,
    ) -> Box<Ticket> {
        let enforced = match (self.policy.mode, self.policy.enforce_bp) {
            (Mode::Shadow, _) => false,
            (_, WHOLE_BP) => true,
            (_, share_bp) => ws.random.chance(share_bp),
        };
        let timing = RequestTiming::begin(request, complete, now);
        let (needs, grpc) = (&self.needs, timing.grpc);
        let watches = Watches {
            clock: self.policy.breaker.slow_threshold.is_some(),
            response: enforced && needs.response || self.policy.judges_at_headers(),
        };
        let mut ticket = Box::new(Ticket::new(self.index, enforced, timing, watches));
        ticket.circuit.state = self.idle_state();
        ticket.fallback.may_call = enforced && needs.copy && !grpc;
        if ticket.watches.response {
            ticket.client = Client::of(request, grpc);
        }
        ticket.client.echo = needs.echo.then(|| EchoedFields::of(request));
        ticket
    }

    /// Asks the circuit of the request's key. Returns the refusal, if it refuses.
    fn look_up<R: Records>(
        &mut self,
        ws: &mut Workspace<R>,
        ticket: &mut Ticket,
        fits: bool,
        now: Instant,
    ) -> Option<Refusal> {
        match self.find_circuit(ws, fits, now) {
            Lookup::Entry(at) => self.acquire(ws, ticket, at, now),
            Lookup::Refused(refusal) => Some(refusal),
            Lookup::Overflow(at) => {
                let refusal = self.forced_open();
                if let (None, Some(at)) = (&refusal, at) {
                    self.enter(ws, ticket, at, None);
                }
                refusal
            }
        }
    }

    /// Asks a circuit for admission. Returns the refusal, if it refuses.
    fn acquire<R: Records>(
        &mut self,
        ws: &mut Workspace<R>,
        ticket: &mut Ticket,
        at: u32,
        now: Instant,
    ) -> Option<Refusal> {
        let force = ws.table.entry(at)?.2.view().force(now);
        let refusal = match force.map(|force| (force.to, force.until)) {
            Some((Forced::Closed, _)) => {
                ticket.circuit.state = StateName::ForcedClosed;
                self.enter(ws, ticket, at, None);
                return None;
            }
            Some((Forced::Open, until)) => Some(Refusal {
                state: StateName::ForcedOpen,
                retry_after: until.since(now),
            }),
            None => self.forced_open(),
        };
        let acquired = match refusal {
            Some(refusal) => Acquired::Refused(refusal),
            None => self.permit(ws, at, ticket.timing.request_complete, now),
        };
        match acquired {
            Acquired::Permit(permit, state) => {
                ticket.circuit.state = state;
                self.enter(ws, ticket, at, Some(permit));
                None
            }
            Acquired::Refused(refusal) => {
                ws.table.touch(at);
                Some(refusal)
            }
            Acquired::Untracked => None,
        }
    }

    /// Admits a request, with a permit if its outcome is to count.
    fn enter<R: Records>(
        &self,
        ws: &mut Workspace<R>,
        ticket: &mut Ticket,
        at: u32,
        permit: Option<Permit>,
    ) {
        ws.table.enter(at);
        if permit.as_ref().is_some_and(Permit::is_probe) {
            ticket.decision = Some(Decision::Probe);
            ticket.watches.clock = true;
            ticket.watches.response = true;
            ws.count(self.index, Counter::Probe);
        }
        ticket.circuit.admitted = Some(Admitted { at, permit });
    }
}
