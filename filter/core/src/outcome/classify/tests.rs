//! How requests can end, one row each, as Envoy was seen to tell it.

use alloc::vec::Vec;

use super::*;
use crate::policy::{GRPC_CODES, Policy};
use crate::testing::{Ending, at_ms, policy};

mod cut;
mod deadlines;
mod endings;
mod grpc;
mod hints;
mod slowness;

/// Failures are those of the defaults; more than a second is slow.
const SLOW: &str = r#""circuit_breaker": {"slow_threshold": "1s"}"#;

fn rules(policy: &Policy) -> Rules<'_> {
    Rules {
        outcome: &policy.outcome,
        slow_threshold: policy.breaker.slow_threshold,
        slow_until: policy.breaker.slow_until,
        hints: true,
    }
}

/// A plain HTTP request that was sent whole at the clock's origin.
fn timing() -> RequestTiming {
    RequestTiming {
        request_complete: true,
        request_end: Some(at_ms(0)),
        ..RequestTiming::default()
    }
}

/// A verdict in a word: `success`, `failure`, `ignored`, with `slow` and `timeout` where so.
fn shown(verdict: Verdict) -> Vec<&'static str> {
    let mut words = alloc::vec![verdict.outcome.name()];
    words.extend(verdict.slow.then_some("slow"));
    words.extend(verdict.timeout.then_some("timeout"));
    words
}

fn check(fields: &str, timing: &RequestTiming, ending: &Ending, end_ms: u64, expected: &str) {
    let policy = policy(fields);
    let verdict = at_end(&rules(&policy), timing, ending, at_ms(end_ms));
    assert_eq!(
        shown(verdict).join(" "),
        expected,
        "{fields} {timing:?} {ending:?}"
    );
}
