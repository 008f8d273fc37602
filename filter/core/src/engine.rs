//! The whole of Spillway behind four calls: admit, watch, answer, settle.
//!
//! A request's way is [`Engine::admit`] at its headers, then whatever its
//! [`Ticket`] asks to be told, and [`Engine::settle`] at its end, which takes the
//! ticket away. Nothing here waits, and nothing fails: where the core cannot help
//! the request passes. What happened comes out as [`Event`]s, in order.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::breaker::{Breaker, Moment, Refusal, StateName, Transition};
use crate::classify::{self, Course, Outcome, Response, Rules, Verdict};
use crate::event::{Counter, Event, Gauge};
use crate::fallback::{self, Answer, Occasion};
use crate::keys::{self, Found, KEY_BYTES_MAX, KeyTable};
use crate::policy::{Config, Mode, On, Policy, WHOLE_BP};
use crate::random::Random;
use crate::select::{self, Request, Selector};
use crate::time::{Instant, Span};

mod ticket;

pub use ticket::{Admission, Decision, Note, Ticket};

use ticket::{Admitted, Echo};

/// The policies of one configuration, and the circuits under them.
#[derive(Debug)]
pub struct Engine {
    policies: Vec<Policy>,
    tables: Vec<KeyTable>,
    selector: Selector,
    random: Random,
    key: Vec<u8>,
    transitions: Vec<Transition>,
    events: VecDeque<Event>,
    many_headers: bool,
}

impl Engine {
    /// Circuits for `config`, all of them closed. The seed decides jitter, samples,
    /// and the hash of keys: it should differ from one process to the next.
    pub fn new(config: Config, seed: u64) -> Engine {
        let mut random = Random::new(seed);
        let hash_seed = random.word();
        let table = |_: &Policy| KeyTable::new(config.limits.keys, hash_seed);
        Engine {
            tables: config.policies.iter().map(table).collect(),
            selector: Selector::new(&config.policies),
            many_headers: select::wants_many_headers(&config.policies),
            policies: config.policies,
            random,
            key: Vec::with_capacity(KEY_BYTES_MAX),
            transitions: Vec::new(),
            events: VecDeque::new(),
        }
    }

    /// Whether a request may be asked for more than one header, so that the host
    /// had better read them all at once.
    pub fn wants_many_headers(&self) -> bool {
        self.many_headers
    }

    /// The name of a policy, for metrics and logs; empty for a place that no policy has.
    pub fn policy_name(&self, policy: usize) -> &str {
        self.policies.get(policy).map_or("", |policy| &policy.name)
    }

    /// The name of the policy that a note is about.
    pub fn policy_of(&self, note: &Note) -> &str {
        self.policy_name(note.policy)
    }

    /// Takes the oldest event that was not taken yet.
    pub fn next_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Decides about a request whose headers have come. `complete` says that
    /// nothing follows them.
    pub fn admit(&mut self, request: &impl Request, complete: bool, now: Instant) -> Admission {
        let Some(selected) = self.selector.select(&self.policies, request) else {
            return Admission::Unmatched;
        };
        let place = selected.policy;
        let Some(policy) = self.policies.get(place) else {
            return Admission::Unmatched;
        };
        let (mode, pattern) = (policy.mode, selected.pattern);
        let enforced = match (mode, policy.enforce_bp) {
            (Mode::Shadow, _) => false,
            (_, WHOLE_BP) => true,
            (_, share_bp) => self.random.chance(share_bp),
        };
        let course = Course {
            grpc: classify::is_grpc(request.header("content-type")),
            request_complete: complete,
            request_end: complete.then_some(now),
            response_start: None,
        };
        let mut ticket = Ticket {
            policy: place,
            admitted: None,
            enforced,
            state: StateName::Closed,
            decision: None,
            course,
            watches_clock: policy.breaker.slow_threshold.is_some(),
            watches_response: enforced && policy.wants_response(),
            echo: Echo::wanted(policy.echoes_request_later(), request),
            seen: None,
            replaced: false,
        };
        let refusal = if mode == Mode::ForcedOpen {
            Some(Refusal {
                state: StateName::ForcedOpen,
                retry_after: policy.breaker.open.duration,
            })
        } else {
            let fits = keys::encode(&policy.key, request, pattern, &mut self.key);
            self.acquire(&mut ticket, fits, now)
        };
        match refusal {
            None => Admission::Pass(ticket),
            Some(refusal) => self.refuse(ticket, refusal, request),
        }
    }

    /// Notes that the client has sent its whole request, at `now` where
    /// [`Ticket::watches_clock`] says that the time matters.
    pub fn request_complete(&mut self, ticket: &mut Ticket, now: Option<Instant>) {
        if ticket.course.request_complete {
            return;
        }
        ticket.course.request_complete = true;
        ticket.course.request_end = now;
        if let Some(admitted) = &ticket.admitted
            && let Some(breaker) = self.breaker_mut(ticket.policy, admitted.slot)
        {
            // Only a probe's lease asks when, and a probe watches the clock.
            breaker.request_complete(&admitted.permit, now.unwrap_or_default());
        }
    }

    /// Looks at the response's headers, and answers in their place if the policy
    /// has an answer for what they say.
    pub fn response_headers(
        &mut self,
        ticket: &mut Ticket,
        response: &impl Response,
        now: Instant,
    ) -> Option<Answer> {
        ticket.course.response_start = Some(now);
        if !ticket.watches_response {
            return None;
        }
        let policy = self.policies.get(ticket.policy)?;
        let verdict = classify::at_headers(&rules(policy), &ticket.course, response, now);
        ticket.seen = Some(verdict);
        let answer = answer_to_failure(policy, ticket, verdict);
        if let Some(admitted) = &ticket.admitted
            && let Some(breaker) = self.breaker_mut(ticket.policy, admitted.slot)
        {
            breaker.answered(&admitted.permit, verdict, now);
        }
        let answer = answer?;
        ticket.replaced = true;
        ticket.decision = Some(Decision::Fallback);
        self.count(ticket.policy, Counter::Fallback(answer.on, answer.kind));
        Some(answer)
    }

    /// Takes a ticket back, with how its request ended.
    pub fn settle(&mut self, ticket: Ticket, response: &impl Response, now: Instant) {
        let Some(policy) = self.policies.get(ticket.policy) else {
            return;
        };
        let verdict = match ticket.seen {
            Some(seen) if ticket.replaced => seen,
            _ => classify::at_end(&rules(policy), &ticket.course, response, now),
        };
        let too_late = !ticket.replaced
            && ticket.enforced
            && verdict.outcome == Outcome::Failure
            && policy
                .fallback
                .iter()
                .any(|entry| entry.on.contains(reason(verdict)));
        if too_late {
            self.count(ticket.policy, Counter::FallbackTooLate);
        }
        self.finish(ticket, verdict, now);
    }

    /// Takes a ticket back where the host never said how its request ended: it is
    /// judged by the response's headers if those were looked at.
    pub fn abandon(&mut self, ticket: Ticket, now: Instant) {
        let verdict = ticket.seen.unwrap_or(Verdict::of(Outcome::Ignored));
        self.finish(ticket, verdict, now);
    }

    /// Gives back what gauges count for this engine, which is about to go.
    pub fn retire(&mut self) {
        for policy in 0..self.tables.len() {
            let Some(table) = self.tables.get(policy) else {
                continue;
            };
            let held = [
                (Gauge::Keys, table.len()),
                (Gauge::OpenCircuits, table.open_circuits()),
            ];
            for (gauge, count) in held {
                let count = i64::try_from(count).unwrap_or(0);
                self.gauge(policy, gauge, count.saturating_neg());
            }
        }
        self.tables.clear();
    }

    /// Asks the breaker of the request's key, whose bytes stand in `self.key`.
    fn acquire(&mut self, ticket: &mut Ticket, fits: bool, now: Instant) -> Option<Refusal> {
        let slot = self.slot(ticket.policy, fits, now)?;
        let result = self.with_breaker(ticket.policy, slot, now, |breaker, moment| {
            (breaker.try_acquire(moment), breaker.state())
        });
        let table = self.tables.get_mut(ticket.policy)?;
        let (permit, state) = match result? {
            (Ok(permit), state) => (permit, state),
            (Err(refusal), _) => {
                table.touch(slot, now);
                return Some(refusal);
            }
        };
        table.enter(slot, now);
        ticket.state = state;
        if permit.is_probe() {
            if ticket.course.request_complete {
                self.breaker_mut(ticket.policy, slot)?
                    .request_complete(&permit, now);
            }
            ticket.decision = Some(Decision::Probe);
            ticket.watches_clock = true;
            ticket.watches_response = true;
            self.count(ticket.policy, Counter::Probe);
        }
        ticket.admitted = Some(Admitted { slot, permit });
        None
    }

    /// The slot of the key in `self.key`; absent where it has to share the overflow,
    /// which counts and never rejects.
    fn slot(&mut self, policy: usize, fits: bool, now: Instant) -> Option<u32> {
        let config = &self.policies.get(policy)?.breaker;
        let found = if fits {
            self.tables
                .get_mut(policy)?
                .find_or_insert(&self.key, config, now)
        } else {
            Found::Overflow
        };
        match found {
            Found::Old(slot) => Some(slot),
            Found::New(slot) => {
                self.gauge(policy, Gauge::Keys, 1);
                Some(slot)
            }
            Found::Replaced(slot, was_open) => {
                if was_open {
                    self.gauge(policy, Gauge::OpenCircuits, -1);
                }
                Some(slot)
            }
            Found::Overflow => {
                self.count(policy, Counter::KeyOverflowed);
                None
            }
        }
    }

    /// Rejects, or where decisions are not applied lets through without a permit.
    fn refuse(
        &mut self,
        mut ticket: Ticket,
        refusal: Refusal,
        request: &impl Request,
    ) -> Admission {
        let answer = self
            .policies
            .get(ticket.policy)
            .filter(|_| ticket.enforced)
            .and_then(|policy| {
                let echo = Echo::wanted(policy.echoes_request(), request);
                let occasion = Occasion {
                    on: On::Open,
                    state: refusal.state,
                    retry_after: refusal.retry_after,
                    grpc: ticket.course.grpc,
                    path: &echo.path,
                    request_id: &echo.request_id,
                };
                fallback::answer(policy, &occasion)
            });
        ticket.state = refusal.state;
        let Some(answer) = answer else {
            ticket.decision = Some(Decision::WouldReject);
            self.count(ticket.policy, Counter::WouldReject);
            return Admission::Pass(ticket);
        };
        self.count(ticket.policy, Counter::Rejected);
        self.count(ticket.policy, Counter::Fallback(answer.on, answer.kind));
        let note = Note {
            policy: ticket.policy,
            state: refusal.state,
            decision: Decision::Reject,
        };
        Admission::Reject(answer, note)
    }

    /// Every ticket ends here.
    fn finish(&mut self, ticket: Ticket, verdict: Verdict, now: Instant) {
        self.count(ticket.policy, Counter::Request(verdict.outcome));
        if verdict.slow {
            self.count(ticket.policy, Counter::Slow);
        }
        let Some(Admitted { slot, permit }) = ticket.admitted else {
            return;
        };
        self.with_breaker(ticket.policy, slot, now, |breaker, moment| {
            breaker.settle(permit, verdict, moment);
        });
        if let Some(table) = self.tables.get_mut(ticket.policy) {
            table.leave(slot, now);
        }
    }

    /// Calls a breaker, and reports the changes of state that it makes.
    fn with_breaker<T>(
        &mut self,
        policy: usize,
        slot: u32,
        now: Instant,
        call: impl FnOnce(&mut Breaker, &mut Moment<'_>) -> T,
    ) -> Option<T> {
        let mut moment = Moment {
            config: &self.policies.get(policy)?.breaker,
            now,
            random: &mut self.random,
            transitions: &mut self.transitions,
        };
        let breaker = self.tables.get_mut(policy)?.breaker_mut(slot)?;
        let value = call(breaker, &mut moment);
        if !self.transitions.is_empty() {
            self.report_transitions(policy, slot);
        }
        Some(value)
    }

    fn report_transitions(&mut self, policy: usize, slot: u32) {
        let transitions = core::mem::take(&mut self.transitions);
        let is_open = |state| matches!(state, StateName::Open | StateName::HalfOpen);
        for &transition in &transitions {
            let (from, to) = (transition.from, transition.to);
            self.count(policy, Counter::Transition(from, to));
            let delta = i64::from(is_open(to)).saturating_sub(i64::from(is_open(from)));
            self.gauge(policy, Gauge::OpenCircuits, delta);
            let key = self.tables.get(policy).map(|table| table.parts(slot));
            self.events.push_back(Event::Transition {
                policy,
                key: key.unwrap_or_default(),
                transition,
            });
        }
        self.transitions = transitions;
        self.transitions.clear();
    }

    fn breaker_mut(&mut self, policy: usize, slot: u32) -> Option<&mut Breaker> {
        self.tables.get_mut(policy)?.breaker_mut(slot)
    }

    fn count(&mut self, policy: usize, counter: Counter) {
        self.events.push_back(Event::Count { policy, counter });
    }

    fn gauge(&mut self, policy: usize, gauge: Gauge, delta: i64) {
        if delta != 0 {
            self.events.push_back(Event::Gauge {
                policy,
                gauge,
                delta,
            });
        }
    }
}

fn rules(policy: &Policy) -> Rules<'_> {
    Rules {
        outcome: &policy.outcome,
        slow_threshold: policy.breaker.slow_threshold,
        slow_until: policy.breaker.slow_until,
        hints: policy.breaker.open.retry_after_max > Span::ZERO,
    }
}

fn reason(verdict: Verdict) -> On {
    if verdict.timeout {
        On::Timeout
    } else {
        On::Failure
    }
}

/// The answer in place of a failed one, where decisions are applied.
fn answer_to_failure(policy: &Policy, ticket: &Ticket, verdict: Verdict) -> Option<Answer> {
    if !ticket.enforced || verdict.outcome != Outcome::Failure {
        return None;
    }
    let occasion = Occasion {
        on: reason(verdict),
        state: ticket.state,
        retry_after: Span::ZERO,
        grpc: ticket.course.grpc,
        path: &ticket.echo.path,
        request_id: &ticket.echo.request_id,
    };
    fallback::answer(policy, &occasion)
}

#[cfg(test)]
mod tests;
