//! Envoy's router retries: which failures are retried, how often, and after which backoff.
//!
//! Request headers change the route's policy as in Envoy. They add conditions and never remove
//! any. The header for the number of retries replaces the policy's number, up or down, but only
//! if there is a condition at all.

use std::rc::Rc;

use crate::headers::HeaderMap;
use crate::model::spec;
use crate::sim::rng::Rng;
use crate::sim::span::Span;

/// A set of retry conditions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Conditions(u16);

const FIVE_XX: u16 = 1;
const GATEWAY_ERROR: u16 = 1 << 1;
const CONNECT_FAILURE: u16 = 1 << 2;
const RETRIABLE_4XX: u16 = 1 << 3;
const REFUSED_STREAM: u16 = 1 << 4;
const RETRIABLE_STATUS_CODES: u16 = 1 << 5;
const RESET: u16 = 1 << 6;
const RATE_LIMITED: u16 = 1 << 7;
const RESET_BEFORE_REQUEST: u16 = 1 << 8;

/// The words of `x-envoy-retry-on`. Two conditions of Envoy are not modelled:
/// `retriable-headers`, and the one for HTTP/3.
const HTTP_WORDS: [(&str, u16); 9] = [
    ("5xx", FIVE_XX),
    ("gateway-error", GATEWAY_ERROR),
    ("connect-failure", CONNECT_FAILURE),
    ("retriable-4xx", RETRIABLE_4XX),
    ("refused-stream", REFUSED_STREAM),
    ("retriable-status-codes", RETRIABLE_STATUS_CODES),
    ("reset", RESET),
    ("envoy-ratelimited", RATE_LIMITED),
    ("reset-before-request", RESET_BEFORE_REQUEST),
];

/// The words of `x-envoy-retry-grpc-on` and their gRPC status. A route's policy accepts words
/// of both lists.
const GRPC_WORDS: [(&str, u16, u32); 5] = [
    ("cancelled", 1 << 9, 1),
    ("deadline-exceeded", 1 << 10, 4),
    ("internal", 1 << 11, 13),
    ("resource-exhausted", 1 << 12, 8),
    ("unavailable", 1 << 13, 14),
];

/// Request headers that the router reads and removes.
pub const HEADERS: [&str; 6] = [
    "x-envoy-retry-on",
    "x-envoy-retry-grpc-on",
    "x-envoy-max-retries",
    "x-envoy-retriable-status-codes",
    "x-envoy-upstream-rq-per-try-timeout-ms",
    "x-envoy-upstream-rq-timeout-ms",
];

impl Conditions {
    /// Parses the conditions of a route's policy. Unknown words are ignored, as in Envoy.
    pub fn parse(text: &str) -> Conditions {
        Conditions(Conditions::http(text).0 | Conditions::grpc(text).0)
    }

    /// Returns the unknown words in `text`.
    pub fn unknown(text: &str) -> impl Iterator<Item = &str> {
        words(text).filter(|word| Conditions::parse(word) == Conditions::default())
    }

    fn http(text: &str) -> Conditions {
        let bit = |word| HTTP_WORDS.iter().find(|(name, _)| *name == word);
        let bits = words(text).filter_map(bit);
        Conditions(bits.fold(0, |all, (_, bit)| all | bit))
    }

    fn grpc(text: &str) -> Conditions {
        let bit = |word| GRPC_WORDS.iter().find(|(name, ..)| *name == word);
        let bits = words(text).filter_map(bit);
        Conditions(bits.fold(0, |all, (_, bit, _)| all | bit))
    }

    fn has(self, any: u16) -> bool {
        self.0 & any != 0
    }
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(',')
        .map(str::trim)
        .filter(|word| !word.is_empty())
}

/// Why an attempt failed without a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reset {
    ConnectionFailure,
    ConnectionTermination,
    /// The stream was reset for a request that is not valid.
    ProtocolError,
    ConnectionTimeout,
    /// Of a stream of HTTP/2.
    RemoteReset,
    /// Of a stream of HTTP/2 that the server has not looked at.
    RefusedStream,
    PerTryTimeout,
    /// `max_stream_duration` of the cluster.
    MaxDuration,
    Overflow,
}

/// A route's parsed policy.
#[derive(Clone, Debug)]
pub struct Policy {
    conditions: Conditions,
    retries: u32,
    statuses: Rc<[u16]>,
    per_try: Span,
    base_ms: u64,
    max_ms: u64,
}

/// The remaining retries of one request.
#[derive(Clone, Debug)]
pub struct Plan {
    conditions: Conditions,
    left: u32,
    statuses: Rc<[u16]>,
    /// Zero means no limit.
    pub per_try: Span,
    /// Time from the end of the request to the end of the response. Zero means no limit.
    pub timeout: Span,
    /// Whether the request had any of [`HEADERS`].
    pub had_headers: bool,
    next_ms: u64,
    max_ms: u64,
}

impl Policy {
    /// Parses a route's policy.
    pub fn new(spec: &spec::RetryPolicy) -> Policy {
        let base_ms = spec.base_interval.as_ms().max(1);
        // Envoy's default is ten times the base.
        let max_ms = spec
            .max_interval
            .map_or(base_ms * 10, |max| max.as_ms().max(base_ms));
        Policy {
            conditions: Conditions::parse(&spec.retry_on),
            retries: spec.num_retries,
            statuses: spec.retriable_status_codes.as_slice().into(),
            per_try: spec.per_try_timeout,
            base_ms,
            max_ms,
        }
    }

    /// Returns the policy for one request, merged with its headers. `timeout` is the route's.
    pub fn plan(&self, headers: &HeaderMap, timeout: Span) -> Plan {
        let mut plan = Plan {
            conditions: self.conditions,
            left: self.retries,
            statuses: self.statuses.clone(),
            per_try: self.per_try,
            timeout,
            had_headers: false,
            next_ms: self.base_ms,
            max_ms: self.max_ms,
        };
        let mut retries = None;
        for (name, value) in headers.iter() {
            let Some(name) = name.strip_prefix(b"x-envoy-") else {
                continue;
            };
            let Ok(value) = std::str::from_utf8(value) else {
                continue;
            };
            match name {
                b"retry-on" => plan.conditions.0 |= Conditions::http(value).0,
                b"retry-grpc-on" => plan.conditions.0 |= Conditions::grpc(value).0,
                b"max-retries" => retries = value.parse().ok(),
                b"retriable-status-codes" => plan.add_statuses(value),
                b"upstream-rq-per-try-timeout-ms" => {
                    plan.per_try = value.parse().map_or(plan.per_try, Span::from_ms);
                }
                b"upstream-rq-timeout-ms" => {
                    plan.timeout = value.parse().map_or(plan.timeout, Span::from_ms);
                }
                _ => continue,
            }
            plan.had_headers = true;
        }
        if let Some(retries) = retries
            && plan.conditions != Conditions::default()
        {
            plan.left = retries;
        }
        // Envoy ignores a per-try timeout that is not shorter than the route's timeout.
        if plan.timeout > Span::ZERO && plan.per_try >= plan.timeout {
            plan.per_try = Span::ZERO;
        }
        plan
    }
}

impl Plan {
    fn add_statuses(&mut self, text: &str) {
        let added = words(text).filter_map(|word| word.parse().ok());
        self.statuses = self.statuses.iter().copied().chain(added).collect();
    }

    /// Returns whether to retry a response with this status. `grpc` is the gRPC status in its
    /// headers, `rate_limited` whether they contain `x-envoy-ratelimited`.
    pub fn retries_response(&self, status: u16, grpc: Option<u32>, rate_limited: bool) -> bool {
        let on = self.conditions;
        // Retrying a service that sheds load would add to the load.
        if rate_limited {
            return on.has(RATE_LIMITED);
        }
        let grpc_wanted = |status: u32| {
            let bits = GRPC_WORDS.iter().filter(|(_, _, it)| *it == status);
            bits.fold(0, |all, (_, bit, _)| all | bit)
        };
        on.has(FIVE_XX) && (500..600).contains(&status)
            || on.has(GATEWAY_ERROR) && (502..=504).contains(&status)
            || on.has(RETRIABLE_4XX) && status == 409
            || on.has(RETRIABLE_STATUS_CODES) && self.statuses.contains(&status)
            || grpc.is_some_and(|grpc| on.has(grpc_wanted(grpc)))
    }

    /// Returns whether to retry an attempt without a response.
    pub fn retries_reset(&self, reset: Reset) -> bool {
        let on = self.conditions;
        match reset {
            Reset::Overflow => false,
            Reset::ConnectionFailure | Reset::ConnectionTimeout => {
                on.has(FIVE_XX | GATEWAY_ERROR | RESET | CONNECT_FAILURE | RESET_BEFORE_REQUEST)
            }
            Reset::RefusedStream => on.has(FIVE_XX | GATEWAY_ERROR | RESET | REFUSED_STREAM),
            Reset::RemoteReset
            | Reset::ProtocolError
            | Reset::ConnectionTermination
            | Reset::PerTryTimeout
            | Reset::MaxDuration => on.has(FIVE_XX | GATEWAY_ERROR | RESET),
        }
    }

    /// Whether any failure is retried, so that the request has to be kept.
    pub fn retries_any(&self) -> bool {
        self.conditions != Conditions::default()
    }

    /// Gives up all retries: the request is too long to be kept.
    pub fn abandon(&mut self) {
        self.conditions = Conditions::default();
    }

    /// Takes one retry. Returns false if none is left.
    pub fn take(&mut self) -> bool {
        let had = self.left > 0;
        self.left = self.left.saturating_sub(1);
        had
    }

    /// Draws the backoff before the next attempt. Its bound doubles each time.
    pub fn backoff(&mut self, rng: &mut Rng) -> Span {
        let wait_ms = rng.below(self.next_ms);
        self.next_ms = (self.next_ms * 2).min(self.max_ms);
        Span::from_ms(wait_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::rng::Seed;

    fn plan(retry_on: &str, num_retries: u32, headers: &[(&str, &str)]) -> Plan {
        let policy = Policy::new(&spec::RetryPolicy {
            retry_on: retry_on.into(),
            num_retries,
            ..spec::RetryPolicy::default()
        });
        policy.plan(&headers.iter().copied().collect(), Span::ZERO)
    }

    fn tries(mut plan: Plan, status: u16) -> u32 {
        let mut tries = 1;
        while plan.retries_response(status, None, false) && plan.take() {
            tries += 1;
        }
        tries
    }

    #[test]
    fn headers_add_conditions_and_replace_the_number() {
        type Headers = &'static [(&'static str, &'static str)];
        let rows: [(&str, Headers, u16, u32); 10] = [
            ("", &[], 503, 1),
            ("5xx", &[], 503, 3),
            ("5xx", &[], 404, 1),
            ("5xx", &[("x-envoy-max-retries", "0")], 503, 1),
            ("5xx", &[("x-envoy-max-retries", "7")], 503, 8),
            ("5xx", &[("x-envoy-max-retries", "some")], 503, 3),
            ("", &[("x-envoy-max-retries", "7")], 503, 1),
            (
                "",
                &[("x-envoy-retry-on", "5xx"), ("x-envoy-max-retries", "1")],
                500,
                2,
            ),
            (
                "gateway-error",
                &[("x-envoy-retry-on", "retriable-4xx, nonsense")],
                409,
                3,
            ),
            (
                "retriable-status-codes",
                &[("x-envoy-retriable-status-codes", "418,x")],
                418,
                3,
            ),
        ];
        for (retry_on, headers, status, expected) in rows {
            let seen = tries(plan(retry_on, 2, headers), status);
            assert_eq!(seen, expected, "{retry_on} {headers:?} {status}");
        }
    }

    #[test]
    fn a_rate_limited_response_is_retried_only_by_its_own_condition() {
        assert!(!plan("5xx", 1, &[]).retries_response(503, None, true));
        assert!(plan("envoy-ratelimited", 1, &[]).retries_response(429, None, true));
    }

    #[test]
    fn only_a_grpc_status_in_the_headers_is_retried() {
        let plan = plan("", 1, &[("x-envoy-retry-grpc-on", "unavailable")]);
        assert!(plan.retries_response(200, Some(14), false));
        assert!(!plan.retries_response(200, Some(13), false));
        assert!(!plan.retries_response(200, None, false));
    }

    #[test]
    fn each_condition_retries_its_own_kinds_of_resets() {
        use Reset::{ConnectionFailure, ConnectionTermination, Overflow, PerTryTimeout};
        let rows = [
            (
                "5xx",
                vec![ConnectionFailure, ConnectionTermination, PerTryTimeout],
            ),
            (
                "gateway-error",
                vec![ConnectionFailure, ConnectionTermination, PerTryTimeout],
            ),
            (
                "reset",
                vec![ConnectionFailure, ConnectionTermination, PerTryTimeout],
            ),
            ("connect-failure", vec![ConnectionFailure]),
            ("retriable-4xx", vec![]),
        ];
        for (retry_on, expected) in rows {
            let plan = plan(retry_on, 1, &[]);
            let mut all = vec![
                ConnectionFailure,
                ConnectionTermination,
                PerTryTimeout,
                Overflow,
            ];
            all.retain(|reset| plan.retries_reset(*reset));
            assert_eq!(all, expected, "{retry_on}");
        }
    }

    #[test]
    fn backoffs_double_up_to_ten_times_the_base() {
        let mut plan = plan("5xx", 1, &[]);
        let mut rng = Seed(1).split("test");
        let mut limits = Vec::new();
        for _ in 0..6 {
            limits.push(plan.next_ms);
            assert!(plan.backoff(&mut rng).as_ms() < limits[limits.len() - 1]);
        }
        assert_eq!(limits, [25, 50, 100, 200, 250, 250]);
    }

    #[test]
    fn unknown_conditions_are_reported() {
        let unknown: Vec<_> = Conditions::unknown("5xx,6xx, internal,x").collect();
        assert_eq!(unknown, ["6xx", "x"]);
    }
}
