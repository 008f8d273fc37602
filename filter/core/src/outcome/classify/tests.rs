//! The ways in which requests can end, one row each, as observed in Envoy.

use alloc::vec::Vec;

use super::*;
use crate::policy::{GRPC_CODES, Policy};
use crate::testing::{TestResponse, at_ms, policy};

mod cut;
mod deadlines;
mod endings;
mod grpc;
mod hints;
mod slowness;

/// The default failures. Slow is more than a second.
const SLOW: &str = r#""circuit_breaker": {"slow_threshold": "1s"}"#;

fn rules(policy: &Policy) -> Rules<'_> {
    Rules {
        outcome: &policy.outcome,
        slow_threshold: policy.breaker.slow_threshold,
        slow_until: policy.breaker.slow_until,
        hints: true,
    }
}

/// Returns the timing of a plain HTTP request that was complete at the clock's origin.
fn timing() -> RequestTiming {
    RequestTiming {
        request_complete: true,
        request_end: Some(at_ms(0)),
        ..RequestTiming::default()
    }
}

/// Returns a verdict as words: `success`, `failure` or `ignored`, then `slow` and `timeout` if
/// they apply.
fn shown(verdict: Verdict) -> Vec<&'static str> {
    let mut words = alloc::vec![verdict.outcome.name()];
    words.extend(verdict.slow.then_some("slow"));
    words.extend(verdict.timeout.then_some("timeout"));
    words
}

fn check(fields: &str, timing: &RequestTiming, ending: &TestResponse, end_ms: u64, expected: &str) {
    let policy = policy(fields);
    let verdict = at_end(&rules(&policy), timing, ending, at_ms(end_ms));
    assert_eq!(
        shown(verdict).join(" "),
        expected,
        "{fields} {timing:?} {ending:?}"
    );
}
