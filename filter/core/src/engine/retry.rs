//! Grants retries, and decides about those that the filter makes itself.
//!
//! The host's router is told at a request's headers how often it may retry, and what it was
//! granted weighs on the budget until the request ends. If the filter makes the retries, it
//! takes one at a time, when there is a reason for it; and each attempt has an outcome of its
//! own for the breaker.

use alloc::boxed::Box;

use crate::circuit::breaker::StateName;
use crate::circuit::budget::Grant;
use crate::event::Counter;
use crate::exchange::Response;
use crate::outcome::classify::Verdict;
use crate::policy::RetryEngine;
use crate::retry::{self, Denial, Pushback, RetryEligibility};
use crate::shared::records::Records;
use crate::time::{Instant, Span};

use super::permit::Acquired;
use super::policy_state::PolicyState;
use super::sync::Shared;
use super::ticket::{CircuitUse, Plan, Series, Ticket};
use super::workspace::Workspace;

/// The time that an attempt needs at least: a wait ends with a tick, which may come this much
/// later, and calls are timed in milliseconds. One that would be given up after its wait would
/// lose the response that the attempt before it got.
const SHORTEST_ATTEMPT: Span = Span::from_ms(5);

impl PolicyState {
    /// Decides about the retries of a request that passes.
    pub(super) fn plan_retries<R: Records>(
        &mut self,
        ws: &mut Workspace<R>,
        ticket: &mut Ticket,
        eligibility: RetryEligibility,
        now: Instant,
    ) {
        let Some(config) = &self.policy.retry else {
            return;
        };
        let by_filter =
            config.engine == RetryEngine::Filter && ticket.enforced && !ticket.timing.grpc;
        let whole = self.policy.timeout;
        let timeout = whole.map_or(config.timeout, |whole| whole.min(config.timeout));
        let (most, left, denial) = match eligibility {
            RetryEligibility::Again(most, left) if by_filter => (most, left, None),
            RetryEligibility::Denied(denial) if by_filter => (1, None, Some(denial)),
            _ => {
                let (circuit, enforced) = (&ticket.circuit, ticket.enforced);
                ticket.retry = Plan::Router(self.grant(ws, circuit, enforced, eligibility, now));
                return;
            }
        };
        let admitted = ticket.circuit.admitted.as_ref();
        let counts = admitted.is_some_and(|admitted| admitted.permit.is_some());
        ticket.watches.response = true;
        ticket.retry = Plan::Filter(Box::new(Series {
            counts,
            denial,
            most,
            made: 0,
            attempt_until: now,
            until: now.after(left.map_or(timeout, |left| left.min(timeout))),
            grant: None,
        }));
    }

    /// Grants retries of a request to the host's router.
    #[inline(never)]
    pub(super) fn grant<R: Records>(
        &mut self,
        ws: &mut Workspace<R>,
        circuit: &CircuitUse,
        enforced: bool,
        eligibility: RetryEligibility,
        now: Instant,
    ) -> Option<Grant> {
        let granted = match eligibility {
            RetryEligibility::Once => return None,
            RetryEligibility::Denied(denial) => Err(denial),
            RetryEligibility::Again(retries, _) => self.withdraw(ws, circuit, retries, now),
        };
        granted
            .map_err(|denial| self.deny(ws, enforced, denial))
            .ok()
    }

    /// Takes at most `wanted` retries out of the budget.
    fn withdraw<R: Records>(
        &mut self,
        ws: &mut Workspace<R>,
        circuit: &CircuitUse,
        wanted: u32,
        now: Instant,
    ) -> Result<Grant, Denial> {
        let closed = matches!(circuit.state, StateName::Closed | StateName::ForcedClosed);
        let admitted = circuit.admitted.as_ref().filter(|_| closed);
        let at = admitted.ok_or(Denial::Circuit)?.at;
        let (interval, in_flight) = (ws.interval, ws.table.in_flight(at));
        let (_, _, replica) = ws.table.entry(at).ok_or(Denial::Budget)?;
        replica.demand_retries(wanted);
        if let Some(grant) = replica.grant(wanted, in_flight, now) {
            return Ok(grant);
        }
        if replica.is_dry(interval, now) || self.sync(ws, at, now) != Shared::Done {
            return Err(Denial::Budget);
        }
        let entry = ws.table.entry(at);
        entry
            .and_then(|(_, _, replica)| replica.grant(wanted, in_flight, now))
            .ok_or(Denial::Budget)
    }

    /// Counts that a retry is denied, or would be.
    pub(super) fn deny<R: Records>(&self, ws: &mut Workspace<R>, enforced: bool, denial: Denial) {
        let counter = match enforced {
            true => Counter::RetryDenied(denial),
            false => Counter::WouldDenyRetry(denial),
        };
        ws.count(self.index, counter);
    }

    /// Decides whether the filter retries a request after an attempt with this result. Returns
    /// how long to wait first, or `None` if it does not.
    pub(super) fn next_attempt<R: Records>(
        &mut self,
        ws: &mut Workspace<R>,
        ticket: &mut Ticket,
        response: &impl Response,
        verdict: Verdict,
        now: Instant,
    ) -> Option<Span> {
        let config = self.policy.retry.as_ref()?;
        let Plan::Filter(series) = &ticket.retry else {
            return None;
        };
        if series.made >= series.most || !retry::is_wanted(config, response) {
            return None;
        }
        let wait = retry::backoff(&config.backoff, series.made, &mut ws.random);
        let complete = ticket.timing.request_complete;
        let wait = match (series.denial, retry::pushback(response)) {
            (Some(denial), _) => Err(denial),
            (None, _) if !complete => Err(Denial::RequestBody),
            (None, Pushback::Never) => Err(Denial::Pushback),
            (None, Pushback::After(least)) => Ok(wait.max(least)),
            (None, Pushback::None) => Ok(wait),
        };
        let (until, counts) = (series.until, series.counts);
        let granted = wait.and_then(|wait| {
            if now.after(wait).after(SHORTEST_ATTEMPT) > until {
                return Err(Denial::Deadline);
            }
            // The failure counts first: it may be the one that opens the circuit.
            self.settle_attempt(ws, &mut ticket.circuit, verdict, now);
            if counts && !self.admits_retries(ws, ticket, now) {
                return Err(Denial::Circuit);
            }
            Ok((wait, self.withdraw(ws, &ticket.circuit, 1, now)?))
        });
        match granted {
            Ok((wait, grant)) => {
                if let Plan::Filter(series) = &mut ticket.retry {
                    series.grant = Some(grant);
                }
                Some(wait)
            }
            Err(denial) => {
                self.deny(ws, ticket.enforced, denial);
                None
            }
        }
    }

    /// Whether the circuit of a request admits retries, as far as this worker knows.
    fn admits_retries<R: Records>(
        &self,
        ws: &mut Workspace<R>,
        ticket: &Ticket,
        now: Instant,
    ) -> bool {
        let admitted = ticket.circuit.admitted.as_ref();
        let entry = admitted.and_then(|admitted| ws.table.entry(admitted.at));
        let breaker = &self.policy.breaker;
        entry.is_some_and(|(_, _, replica)| replica.view().admits_retries(breaker, now))
    }

    /// Takes a permit for another attempt. Returns false if the circuit is not closed any more.
    pub(super) fn readmit<R: Records>(
        &mut self,
        ws: &mut Workspace<R>,
        ticket: &mut Ticket,
        now: Instant,
    ) -> bool {
        if !self.admits_retries(ws, ticket, now) {
            return false;
        }
        let Some(admitted) = &mut ticket.circuit.admitted else {
            return false;
        };
        match self.permit(ws, admitted.at, true, now) {
            Acquired::Permit(permit, _) => {
                admitted.permit = Some(permit);
                true
            }
            Acquired::Refused(_) | Acquired::Untracked => false,
        }
    }

    /// Gives back what was not used of a request's grant. Returns how many retries were made:
    /// all that were granted if the router does not say.
    pub(super) fn settle_retries<R: Records>(
        &self,
        ws: &mut Workspace<R>,
        ticket: &mut Ticket,
        made: Option<u64>,
        now: Instant,
    ) -> u32 {
        match core::mem::replace(&mut ticket.retry, Plan::None) {
            Plan::None | Plan::Router(None) => 0,
            Plan::Router(Some(grant)) => {
                ws.settle_router(&ticket.circuit, ticket.enforced, grant, made, now)
            }
            Plan::Filter(series) => {
                if let Some(grant) = series.grant {
                    ws.settle_grant(&ticket.circuit, grant, 0, now);
                }
                series.made
            }
        }
    }
}

impl<R: Records> Workspace<R> {
    /// Takes back what the host's router was granted, of which it made `made` retries. If it does
    /// not say how many, all count as made. Returns how many count.
    #[inline(never)]
    pub(super) fn settle_router(
        &mut self,
        circuit: &CircuitUse,
        enforced: bool,
        grant: Grant,
        made: Option<u64>,
        now: Instant,
    ) -> u32 {
        let all = grant.retries();
        let made = made.map_or(all, |made| u32::try_from(made).unwrap_or(u32::MAX));
        // Retries that were only watched may be more than would have been granted.
        let made = if enforced { made } else { made.min(all) };
        self.settle_grant(circuit, grant, made, now);
        made
    }

    /// Takes a grant back, of which `used` retries were made.
    pub(super) fn settle_grant(
        &mut self,
        circuit: &CircuitUse,
        grant: Grant,
        used: u32,
        now: Instant,
    ) {
        let admitted = circuit.admitted.as_ref();
        let entry = admitted.and_then(|admitted| self.table.entry(admitted.at));
        if let Some((_, _, replica)) = entry {
            replica.settle_grant(grant, used, now);
        }
    }
}
