use alloc::vec::Vec;

use super::*;
use crate::testing::policy;

fn series(fields: &str) -> Vec<Series> {
    let mut found = Vec::new();
    of(&policy(fields), &mut |series| found.push(series));
    found
}

fn has(fields: &str, counter: Counter) -> bool {
    series(fields).contains(&Series::Counter(counter))
}

#[test]
fn a_policy_has_the_series_that_its_fields_allow() {
    let breaker = r#""circuit_breaker": {}"#;
    let ramp = r#""circuit_breaker": {"recovery": {"duration": "5s"}}"#;
    let retry = r#""retry": {}"#;
    let replay = r#""retry": {"engine": "filter", "replay": "as_received"}"#;
    let shadow = r#""mode": "shadow", "circuit_breaker": {}, "retry": {}"#;
    let canary = r#""enforce_percent": 10, "retry": {}"#;
    let stale = r#""fallback": [{"type": "stale", "on": ["failure"]}]"#;
    let respond = r#""fallback": [{"type": "respond", "on": ["open"]}]"#;
    let budget = Denial::Budget;
    let default = Counter::Fallback(On::Open, Kind::Default);
    for (fields, counter, expected) in [
        ("", Counter::Request(Outcome::Failure), true),
        ("", Counter::Rejected, true),
        ("", Counter::Probe, false),
        ("", Counter::Retries(Outcome::Success), false),
        ("", Counter::Slow, false),
        (breaker, Counter::Transition(Closed, Open), true),
        (breaker, Counter::Transition(HalfOpen, Recovering), false),
        (ramp, Counter::Transition(HalfOpen, Recovering), true),
        (retry, Counter::RetryDenied(budget), true),
        (retry, Counter::WouldDenyRetry(budget), false),
        (retry, Counter::RetryDenied(Denial::Pushback), false),
        (replay, Counter::RetryDenied(Denial::Pushback), true),
        (shadow, Counter::WouldReject, true),
        (shadow, Counter::Rejected, false),
        (shadow, Counter::WouldDenyRetry(budget), true),
        (shadow, Counter::RetryDenied(budget), false),
        (shadow, default, false),
        (canary, Counter::RetryDenied(budget), true),
        (canary, Counter::WouldDenyRetry(budget), true),
        (stale, Counter::StaleStored, true),
        (stale, Counter::Fallback(On::Timeout, Kind::Stale), true),
        (stale, Counter::Fallback(On::Open, Kind::Stale), false),
        (stale, default, true),
        (respond, default, false),
        (respond, Counter::StaleStored, false),
    ] {
        assert_eq!(has(fields, counter), expected, "{fields}: {counter:?}");
    }
}

#[test]
fn a_disabled_policy_has_no_series() {
    assert_eq!(series(r#""mode": "disabled", "circuit_breaker": {}"#), []);
}

#[test]
fn no_series_is_named_twice() {
    let found = series(EVERYTHING);
    for (at, one) in found.iter().enumerate() {
        assert!(!found[..at].contains(one), "{one:?}");
    }
}

/// Every field that adds series.
const EVERYTHING: &str = r#""enforce_percent": 50,
    "circuit_breaker": {"slow_threshold": "1s", "recovery": {"duration": "5s"}},
    "retry": {"engine": "filter", "replay": "as_received"},
    "fallback": [
        {"type": "stale", "on": ["open", "failure", "timeout"]},
        {"type": "cluster", "cluster": "b", "on": ["open", "failure", "timeout"]},
        {"type": "route", "header": {"name": "x-to", "value": "b"}},
        {"type": "respond", "on": ["open", "failure", "timeout"], "body": "{path}"}
    ]"#;

/// A host keeps each name forever, and each worker defines all of them.
#[test]
fn the_largest_policy_has_sixty_series_and_a_simple_one_a_third() {
    assert!(
        series(EVERYTHING).len() <= 60,
        "{}",
        series(EVERYTHING).len()
    );
    let simple = series(r#""circuit_breaker": {}"#).len();
    assert!(simple <= 20, "{simple}");
}
