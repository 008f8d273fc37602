//! What the lite module cannot do.
//!
//! It sees a request at its headers and at its end, and nothing between: no body, no response
//! before it has ended.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::parse::error::{PolicyError, Problem};
use super::{Config, FallbackType, JudgeAt, Mode, Policy, RetryEngine};

impl Config {
    /// Returns what the lite module cannot do of this file, in the order of the file. Empty if
    /// it can load the file. A disabled policy needs nothing.
    pub fn beyond_lite(&self) -> Vec<PolicyError> {
        let policies = self.policies.iter().enumerate();
        let acting = policies.filter(|(_, policy)| policy.mode != Mode::Disabled);
        let mut errors: Vec<PolicyError> =
            acting.flat_map(|(at, policy)| beyond(at, policy)).collect();
        if self.events.is_some() {
            errors.push(needs("events".into(), "the responses to its own calls"));
        }
        errors
    }
}

fn needs(path: String, what: &str) -> PolicyError {
    PolicyError {
        path,
        problem: Problem::Conflict(format!(
            "needs {what}, which spillway-lite.wasm does not see: remove it, or load spillway.wasm"
        )),
    }
}

fn beyond(at: usize, policy: &Policy) -> Vec<PolicyError> {
    const RESPONSES: &str = "the response before its end";
    const BODIES: &str = "the bodies of requests and responses";
    let mut errors = Vec::new();
    let mut needs = |field: &str, what: &str| {
        errors.push(needs(format!("policies[{at}].{field}"), what));
    };
    if policy.outcome.judge_at == JudgeAt::Headers {
        needs("outcome.judge_at", RESPONSES);
    }
    if policy.breaker.slow_threshold.is_some() {
        needs("circuit_breaker.slow_threshold", RESPONSES);
    }
    let engine = policy.retry.as_ref().map(|retry| retry.engine);
    if engine == Some(RetryEngine::Filter) {
        needs("retry.engine", BODIES);
    }
    for (at, entry) in policy.fallback.iter().enumerate() {
        let field = |name: &str| -> String { format!("fallback[{at}].{name}") };
        match &entry.from {
            FallbackType::Stale(_) | FallbackType::Cluster(_) => needs(&field("type"), BODIES),
            FallbackType::Respond(_) | FallbackType::Route(_) if entry.on.wants_response() => {
                needs(&field("on"), RESPONSES);
            }
            FallbackType::Respond(_) | FallbackType::Route(_) => {}
        }
    }
    errors
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::config;
    use alloc::string::ToString;

    #[test]
    fn events_need_the_responses_to_calls() {
        let events = r#"{"events": {"cluster": "otel"}, "policies": [{"name": "a"}]}"#;
        let errors = config(events).beyond_lite();
        let seen: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(
            seen,
            [
                "events needs the responses to its own calls, which spillway-lite.wasm does not see: \
              remove it, or load spillway.wasm"
            ]
        );
    }

    #[test]
    fn what_needs_bodies_or_responses_is_named() {
        let replay = r#""retry": {"engine": "filter", "replay": "as_received"}"#;
        let rows: [(&str, &[&str]); 15] = [
            (r#""circuit_breaker": {}"#, &[]),
            (r#""retry": {}, "timeout": "1s""#, &[]),
            (
                r#""mode": "shadow", "circuit_breaker": {"recovery": {"duration": "5s"}}"#,
                &[],
            ),
            (
                r#""fallback": [{"type": "respond", "body": "{path}"}]"#,
                &[],
            ),
            (
                r#""fallback": [{"type": "route", "header": {"name": "x-to", "value": "b"}}]"#,
                &[],
            ),
            (
                r#""circuit_breaker": {"slow_threshold": "1s"}"#,
                &["circuit_breaker.slow_threshold"],
            ),
            (
                r#""outcome": {"judge_at": "headers"}"#,
                &["outcome.judge_at"],
            ),
            (replay, &["retry.engine"]),
            (r#""fallback": [{"type": "stale"}]"#, &["fallback[0].type"]),
            (
                r#""fallback": [{"type": "cluster", "cluster": "b"}]"#,
                &["fallback[0].type"],
            ),
            (
                r#""fallback": [{"type": "respond", "on": ["open"]}, {"type": "respond", "on": ["failure"]}]"#,
                &["fallback[1].on"],
            ),
            (
                r#""fallback": [{"type": "respond", "on": ["open", "timeout"]}]"#,
                &["fallback[0].on"],
            ),
            (
                r#""mode": "disabled", "fallback": [{"type": "stale"}]"#,
                &[],
            ),
            (
                r#""mode": "shadow", "fallback": [{"type": "stale"}]"#,
                &["fallback[0].type"],
            ),
            (
                r#""mode": "forced_open", "fallback": [{"type": "stale"}]"#,
                &["fallback[0].type"],
            ),
        ];
        for (fields, expected) in rows {
            let file = format!(r#"{{"policies": [{{"name": "a"}}, {{"name": "b", {fields}}}]}}"#);
            let errors = config(&file).beyond_lite();
            let seen: Vec<String> = errors.iter().map(|error| error.path.clone()).collect();
            let expected: Vec<String> = expected
                .iter()
                .map(|field| format!("policies[1].{field}"))
                .collect();
            assert_eq!(seen, expected, "{fields}");
            for error in errors {
                assert!(error.to_string().contains("load spillway.wasm"), "{error}");
            }
        }
    }
}
