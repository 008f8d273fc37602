//! The series that a policy can have, known before its first request.
//!
//! A counter that first appears with its first event has no earlier value, so a rate over it
//! misses that event and an alert on it cannot work. The host is therefore told of all series
//! at the start, as far as the policy's fields allow them. Skipped fallbacks are left out: they
//! are many and rare. So is the retry budget, which does not begin with 0.

use super::{Counter, Gauge};
use crate::circuit::breaker::StateName::{Closed, HalfOpen, Open, Recovering};
use crate::fallback::Kind;
use crate::policy::{Mode, On, Outcome, Policy, RetryEngine, WHOLE_BP};
use crate::retry::Denial;
use crate::time::Span;

/// A series of a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Series {
    /// A counter.
    Counter(Counter),
    /// A gauge.
    Gauge(Gauge),
}

/// Number of policies whose series exist from the start. Beyond it, a series appears at its
/// first use: the host keeps a name forever, and most policies of a large file see few events.
pub(crate) const POLICIES_MAX: usize = 200;

const OUTCOMES: [Outcome; 3] = [Outcome::Success, Outcome::Failure, Outcome::Ignored];

/// Why a request may get no retry from the host's router.
const ROUTER_DENIALS: [Denial; 4] = [
    Denial::Budget,
    Denial::Circuit,
    Denial::Nested,
    Denial::Deadline,
];

/// Why else the filter may not send a request again.
const FILTER_DENIALS: [Denial; 6] = [
    Denial::Pushback,
    Denial::RequestBody,
    Denial::CopiesFull,
    Denial::RequestShape,
    Denial::AnswerShape,
    Denial::Host,
];

/// Calls `visit` for each series that a policy can have.
pub(crate) fn of(policy: &Policy, visit: &mut dyn FnMut(Series)) {
    if policy.mode == Mode::Disabled {
        return;
    }
    let mut count = |counter| visit(Series::Counter(counter));
    for outcome in OUTCOMES {
        count(Counter::Request(outcome));
    }
    if enforces(policy) {
        count(Counter::Rejected);
    }
    if observes(policy) {
        count(Counter::WouldReject);
    }
    count(Counter::KeyOverflowed);
    count(Counter::MergeGivenUp);
    of_breaker(policy, &mut count);
    of_retries(policy, &mut count);
    of_fallbacks(policy, &mut count);
    let breaker = policy.breaker.enabled;
    visit(Series::Gauge(Gauge::Keys));
    if breaker {
        visit(Series::Gauge(Gauge::OpenCircuits));
        visit(Series::Gauge(Gauge::HalfOpenCircuits));
        visit(Series::Gauge(Gauge::FailureRate));
    }
}

/// Whether decisions are applied to some requests.
fn enforces(policy: &Policy) -> bool {
    policy.mode != Mode::Shadow && policy.enforce_bp > 0
}

/// Whether decisions are only reported for some requests.
fn observes(policy: &Policy) -> bool {
    policy.mode == Mode::Shadow || policy.enforce_bp < WHOLE_BP
}

fn of_breaker(policy: &Policy, count: &mut dyn FnMut(Counter)) {
    let breaker = &policy.breaker;
    if breaker.slow_threshold.is_some() {
        count(Counter::Slow);
    }
    if !breaker.enabled {
        return;
    }
    count(Counter::Probe);
    count(Counter::PermitGivenUp);
    for (from, to) in [
        (Closed, Open),
        (Open, HalfOpen),
        (HalfOpen, Open),
        (HalfOpen, Closed),
        // By an operator's reset.
        (Open, Closed),
    ] {
        count(Counter::Transition(from, to));
    }
    if breaker.recovery.duration > Span::ZERO {
        for (from, to) in [
            (HalfOpen, Recovering),
            (Recovering, Open),
            (Recovering, Closed),
        ] {
            count(Counter::Transition(from, to));
        }
    }
}

fn of_retries(policy: &Policy, count: &mut dyn FnMut(Counter)) {
    let Some(retry) = &policy.retry else {
        return;
    };
    for outcome in OUTCOMES {
        count(Counter::Retries(outcome));
    }
    let by_filter = match retry.engine {
        RetryEngine::Router => &[],
        RetryEngine::Filter => &FILTER_DENIALS[..],
    };
    for denial in ROUTER_DENIALS.iter().chain(by_filter) {
        if enforces(policy) {
            count(Counter::RetryDenied(*denial));
        }
    }
    for denial in ROUTER_DENIALS {
        if observes(policy) {
            count(Counter::WouldDenyRetry(denial));
        }
    }
}

fn of_fallbacks(policy: &Policy, count: &mut dyn FnMut(Counter)) {
    // A shadow rejects nothing and replaces nothing.
    if !enforces(policy) {
        return;
    }
    let provides = |kind: Kind, on: On| {
        let mut entries = policy.fallback.iter();
        entries.any(|it| Kind::of(&it.from) == kind && it.on.contains(on))
    };
    for kind in [Kind::Respond, Kind::Stale, Kind::Cluster, Kind::Route] {
        for on in [On::Open, On::Failure, On::Timeout] {
            if provides(kind, on) {
                count(Counter::Fallback(on, kind));
            }
        }
    }
    if !provides(Kind::Respond, On::Open) {
        count(Counter::Fallback(On::Open, Kind::Default));
    }
    if policy.wants_response() {
        count(Counter::FallbackTooLate);
    }
    if policy.echoes_request_later() {
        count(Counter::NothingSaved);
    }
    if policy.keeps_answers() {
        for counter in [
            Counter::StaleStored,
            Counter::StaleEvicted,
            Counter::StaleTooLarge,
            Counter::StaleOverflowed,
        ] {
            count(counter);
        }
    }
}

#[cfg(test)]
mod tests;
