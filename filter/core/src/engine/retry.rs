//! How an engine grants retries, and how those go that the filter makes itself.
//!
//! The host's router is told at a request's headers how often it may try again, and what
//! it was granted weighs on the budget until the request ends. Where the filter makes the
//! retries, it takes one at a time, when there is a reason for it; and each attempt has
//! an outcome of its own for the breaker.

use alloc::boxed::Box;

use crate::circuit::breaker::StateName;
use crate::circuit::budget::Grant;
use crate::event::Counter;
use crate::outcome::classify::{self, Outcome, Response, Verdict};
use crate::policy::{RetryConfig, RetryEngine};
use crate::retry::{self, Denial, Pushback, RetryEligibility};
use crate::shared::records::Records;
use crate::time::{Instant, Span};

use super::sync::Shared;
use super::ticket::{Decision, Pairs, Plan, RetryHeaders, Series, Step, Ticket};
use super::{Engine, rules};

/// The time that an attempt needs at least: a wait ends with a tick, which may come this much
/// later, and calls are timed in milliseconds. One that would be given up after its wait would
/// lose the response that the attempt before it got.
const SHORTEST_ATTEMPT: Span = Span::from_ms(5);

impl<R: Records> Engine<R> {
    /// Largest request body of which a copy is worth keeping.
    pub fn replay_body_bytes(&self) -> u32 {
        self.limits.replay_body_bytes
    }

    /// Forgets what is saved of a request for placeholders: there is no room for it.
    pub fn save_nothing(&mut self, ticket: &mut Ticket) {
        ticket.echo = None;
        self.count(ticket.policy, Counter::NothingSaved);
    }

    /// What copies of requests may take in total, per VM.
    pub fn copies_bytes(&self) -> u32 {
        self.limits.copies_bytes
    }

    /// Largest answer to a request that was sent again which is handed on.
    pub fn replay_answer_bytes(&self) -> u32 {
        self.limits.replay_answer_bytes
    }

    /// What the host's router has to be told about retries of a request that passed;
    /// absent where that is left as it is.
    pub fn order(&self, ticket: &Ticket) -> Option<RetryHeaders<'_>> {
        let retries = match &ticket.plan {
            Plan::None => return None,
            Plan::Router(grant) => grant.as_ref().map_or(0, Grant::retries),
            Plan::Filter(_) => 0,
        };
        let config = self.retry_config(ticket.policy)?;
        if !ticket.enforced {
            return None;
        }
        let conditions = if ticket.course.grpc {
            ("x-envoy-retry-grpc-on", &*config.grpc_retry_on)
        } else {
            ("x-envoy-retry-on", config.retry_on.words())
        };
        Some(RetryHeaders {
            max_retries: retries,
            conditions: Some(conditions).filter(|_| retries > 0),
            per_try_timeout: config.per_try_timeout.filter(|_| retries > 0),
        })
    }

    /// Forgets the caller's timeout of each attempt if the policy sets its own in its place.
    pub(super) fn override_deadlines(&self, ticket: &mut Ticket) {
        let order = self.order(ticket);
        if order.is_some_and(|order| order.per_try_timeout.is_some())
            && let Some(deadlines) = &mut ticket.course.deadlines
        {
            deadlines.each = None;
        }
    }

    /// Decides about the retries of a request that passes, by what its headers wish.
    pub(super) fn plan(&mut self, ticket: &mut Ticket, wish: RetryEligibility, now: Instant) {
        let Some(config) = self.retry_config(ticket.policy) else {
            return;
        };
        let by_filter =
            config.engine == RetryEngine::Filter && ticket.enforced && !ticket.course.grpc;
        let timeout = config.timeout;
        let (most, left, spoilt) = match wish {
            RetryEligibility::Again(most, left) if by_filter => (most, left, None),
            RetryEligibility::Denied(denial) if by_filter => (1, None, Some(denial)),
            _ => {
                ticket.plan = Plan::Router(self.grant(ticket, wish, now));
                return;
            }
        };
        let admitted = ticket.admitted.as_ref();
        let counts = admitted.is_some_and(|admitted| admitted.permit.is_some());
        ticket.watches_response = true;
        ticket.plan = Plan::Filter(Box::new(Series {
            counts,
            spoilt,
            most,
            made: 0,
            until: now.after(left.map_or(timeout, |left| left.min(timeout))),
            grant: None,
        }));
    }

    /// What the host's router may do for a request.
    fn grant(&mut self, ticket: &Ticket, wish: RetryEligibility, now: Instant) -> Option<Grant> {
        let granted = match wish {
            RetryEligibility::Once => return None,
            RetryEligibility::Denied(denial) => Err(denial),
            RetryEligibility::Again(retries, _) => self.take(ticket, retries, now),
        };
        granted.map_err(|denial| self.deny(ticket, denial)).ok()
    }

    /// Takes at most `wanted` retries out of the budget.
    fn take(&mut self, ticket: &Ticket, wanted: u32, now: Instant) -> Result<Grant, Denial> {
        let closed = matches!(ticket.state, StateName::Closed | StateName::ForcedClosed);
        let admitted = ticket.admitted.as_ref().filter(|_| closed);
        let (policy, at) = (ticket.policy, admitted.ok_or(Denial::Circuit)?.at);
        let (interval, in_flight) = (self.interval, self.table.in_flight(at));
        let (_, _, replica) = self.table.entry(at).ok_or(Denial::Budget)?;
        replica.ask(wanted);
        if let Some(grant) = replica.grant(wanted, in_flight, now) {
            return Ok(grant);
        }
        if replica.is_dry(interval, now) || self.look(policy, at, now) != Shared::Done {
            return Err(Denial::Budget);
        }
        let entry = self.table.entry(at);
        entry
            .and_then(|(_, _, replica)| replica.grant(wanted, in_flight, now))
            .ok_or(Denial::Budget)
    }

    /// Counts that a retry is denied, or would be.
    pub(super) fn deny(&mut self, ticket: &Ticket, denial: Denial) {
        let counter = match ticket.enforced {
            true => Counter::RetryDenied(denial),
            false => Counter::WouldDenyRetry(denial),
        };
        self.count(ticket.policy, counter);
    }

    /// How long to wait before a request is sent again, if it is to be, after an attempt
    /// that ended so.
    pub(super) fn again(
        &mut self,
        ticket: &mut Ticket,
        response: &impl Response,
        verdict: Verdict,
        now: Instant,
    ) -> Option<Span> {
        let config = self.policies.get(ticket.policy)?.retry.as_ref()?;
        let Plan::Filter(series) = &ticket.plan else {
            return None;
        };
        if series.made >= series.most || !retry::is_wanted(config, response) {
            return None;
        }
        let wait = retry::backoff(&config.backoff, series.made, &mut self.random);
        let complete = ticket.course.request_complete;
        let wait = match (series.spoilt, retry::pushback(response)) {
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
            self.settle_attempt(ticket, verdict, now);
            if counts && !self.admits_retries(ticket, now) {
                return Err(Denial::Circuit);
            }
            Ok((wait, self.take(ticket, 1, now)?))
        });
        match granted {
            Ok((wait, grant)) => {
                if let Plan::Filter(series) = &mut ticket.plan {
                    series.grant = Some(grant);
                }
                Some(wait)
            }
            Err(denial) => {
                self.deny(ticket, denial);
                None
            }
        }
    }

    /// Whether the circuit of a request admits retries, as far as this worker knows.
    fn admits_retries(&mut self, ticket: &Ticket, now: Instant) -> bool {
        let (Some(admitted), Some(rules)) = (&ticket.admitted, self.policies.get(ticket.policy))
        else {
            return false;
        };
        let entry = self.table.entry(admitted.at);
        entry.is_some_and(|(_, _, replica)| replica.view().admits_retries(&rules.breaker, now))
    }

    /// The wait of a [`Step::Retry`] is over: how long the next attempt may take.
    ///
    /// # Errors
    ///
    /// What becomes of the response instead, where there is to be none.
    pub fn replay(&mut self, ticket: &mut Ticket, now: Instant) -> Result<Span, Step> {
        let (Plan::Filter(series), Some(config)) = (&ticket.plan, self.retry_config(ticket.policy))
        else {
            return Err(Step::Pass);
        };
        let left = series.until.since(now);
        let timeout = config.per_try_timeout.map_or(left, |each| each.min(left));
        // The host counts in milliseconds, and takes none for no time-out at all.
        if timeout < Span::from_ms(1) {
            return Err(self.give_up(ticket, Denial::Deadline, now));
        }
        if series.counts && !self.readmit(ticket, now) {
            return Err(self.give_up(ticket, Denial::Circuit, now));
        }
        Ok(timeout)
    }

    /// Takes a permit for another attempt; false where the circuit is not closed any more.
    fn readmit(&mut self, ticket: &mut Ticket, now: Instant) -> bool {
        let at = ticket.admitted.as_ref().map(|admitted| admitted.at);
        let permit = match at {
            Some(at) if self.admits_retries(ticket, now) => {
                self.permit(ticket.policy, at, true, now)
            }
            _ => None,
        };
        match (permit, &mut ticket.admitted) {
            (Some(Ok((permit, _))), Some(admitted)) => {
                admitted.permit = Some(permit);
                true
            }
            _ => false,
        }
    }

    /// The attempt of a [`Engine::replay`] is on its way.
    pub fn replay_sent(&mut self, ticket: &mut Ticket, now: Instant) {
        if let Plan::Filter(series) = &mut ticket.plan {
            series.made = series.made.saturating_add(1);
            if let Some(grant) = series.grant.take() {
                self.settle_grant(ticket, grant, 1, now);
            }
        }
        ticket.course.request_end = Some(now);
        if self.is_early(ticket.policy) {
            self.begin_wait(ticket, now);
        }
    }

    /// Looks at the answer to a request that was sent again; `fits` says whether it can be
    /// handed on, by [`Step::HandOn`]. [`Step::Pass`] means the answer of the first attempt.
    pub fn replayed(
        &mut self,
        ticket: &mut Ticket,
        response: &impl Response,
        fits: bool,
        now: Instant,
    ) -> Step {
        ticket.course.response_start = Some(now);
        self.end_wait(ticket, now);
        let Some(policy) = self.policies.get(ticket.policy) else {
            return Step::Pass;
        };
        let verdict = classify::at_headers(&rules(policy), &ticket.course, response, now);
        self.forget(ticket, response);
        if let Some(wait) = self.again(ticket, response, verdict, now) {
            return Step::Retry(wait);
        }
        self.settle_attempt(ticket, verdict, now);
        if fits {
            ticket.seen = Some(verdict);
        } else if verdict.outcome != Outcome::Failure {
            self.deny(ticket, Denial::AnswerShape);
        }
        match self.conclude(ticket, now) {
            Step::Pass if fits => {
                ticket.replaced = true;
                ticket.decision = Some(Decision::Retry);
                Step::HandOn {
                    labels: Pairs::new(),
                    details: retry::DETAILS,
                }
            }
            step => step,
        }
    }

    /// There is to be no further attempt.
    pub fn give_up(&mut self, ticket: &mut Ticket, denial: Denial, now: Instant) -> Step {
        self.deny(ticket, denial);
        // Each attempt that was made has counted, and the one that was not is none.
        if let Some(admitted) = &mut ticket.admitted {
            admitted.permit = None;
        }
        self.conclude(ticket, now)
    }

    /// Takes a grant back, of which `used` retries were made.
    pub(super) fn settle_grant(&mut self, ticket: &Ticket, grant: Grant, used: u32, now: Instant) {
        let admitted = ticket.admitted.as_ref();
        let entry = admitted.and_then(|admitted| self.table.entry(admitted.at));
        if let Some((_, _, replica)) = entry {
            replica.settle_grant(grant, used, now);
        }
    }

    /// Gives back what of a request's grant was not used, and says how many retries were
    /// made. A router that does not say may have used all.
    pub(super) fn settle_retries(
        &mut self,
        ticket: &mut Ticket,
        made: Option<u64>,
        now: Instant,
    ) -> u32 {
        match core::mem::replace(&mut ticket.plan, Plan::None) {
            Plan::None | Plan::Router(None) => 0,
            Plan::Router(Some(grant)) => {
                let all = u64::from(grant.retries());
                let made = u32::try_from(made.unwrap_or(all)).unwrap_or(u32::MAX);
                // Retries that were only watched may be more than would have been granted.
                let most = if ticket.enforced {
                    made
                } else {
                    grant.retries()
                };
                let made = made.min(most);
                self.settle_grant(ticket, grant, made, now);
                made
            }
            Plan::Filter(series) => {
                if let Some(grant) = series.grant {
                    self.settle_grant(ticket, grant, 0, now);
                }
                series.made
            }
        }
    }

    fn retry_config(&self, policy: usize) -> Option<&RetryConfig> {
        self.policies.get(policy)?.retry.as_ref()
    }
}
