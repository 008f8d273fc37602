//! Which requests and responses are retried, row by row.

use alloc::format;

use super::*;
use crate::testing::{TestRequest, TestResponse, policy};

fn config(fields: &str) -> RetryConfig {
    let policy = policy(&format!(r#""retry": {{{fields}}}"#));
    policy.retry.expect("a policy with retry")
}

const GRPC: bool = true;
const HTTP: bool = false;
const TWO: RetryEligibility = RetryEligibility::Again(2, None);

fn eligible(fields: &str, grpc: bool, headers: &[(&str, &str)]) -> RetryEligibility {
    let request = headers
        .iter()
        .fold(TestRequest::default(), |it, (name, value)| {
            it.with(name, value)
        });
    eligibility(&config(fields), &request, grpc)
}

#[test]
fn only_requests_that_may_be_repeated_are_retried() {
    type Row = (
        &'static str,
        bool,
        &'static [(&'static str, &'static str)],
        RetryEligibility,
    );
    let rows: &[Row] = &[
        ("", HTTP, &[(":method", "GET")], TWO),
        ("", HTTP, &[(":method", "HEAD")], TWO),
        ("", HTTP, &[(":method", "PUT")], TWO),
        ("", HTTP, &[(":method", "get")], RetryEligibility::Once),
        ("", HTTP, &[(":method", "POST")], RetryEligibility::Once),
        ("", HTTP, &[(":method", "PATCH")], RetryEligibility::Once),
        ("", HTTP, &[(":method", "CONNECT")], RetryEligibility::Once),
        ("", HTTP, &[], RetryEligibility::Once),
        (
            "",
            HTTP,
            &[(":method", "POST"), ("idempotency-key", "")],
            TWO,
        ),
        (
            r#""idempotency_header": "X-Key""#,
            HTTP,
            &[(":method", "POST"), ("idempotency-key", "1")],
            RetryEligibility::Once,
        ),
        (
            r#""idempotency_header": "X-Key""#,
            HTTP,
            &[(":method", "POST"), ("x-key", "1")],
            TWO,
        ),
        (
            r#""methods": []"#,
            HTTP,
            &[(":method", "GET")],
            RetryEligibility::Once,
        ),
        (r#""methods": ["POST"]"#, HTTP, &[(":method", "POST")], TWO),
        (
            r#""retry_on": []"#,
            HTTP,
            &[(":method", "GET")],
            RetryEligibility::Once,
        ),
        (
            r#""max_retries": 0"#,
            HTTP,
            &[(":method", "GET")],
            RetryEligibility::Once,
        ),
        // gRPC is always POST: what is retried there says `grpc_retry_on` alone.
        (
            "",
            GRPC,
            &[(":method", "POST"), ("idempotency-key", "1")],
            RetryEligibility::Once,
        ),
        (
            r#""grpc_retry_on": ["unavailable"]"#,
            GRPC,
            &[(":method", "POST")],
            TWO,
        ),
        (
            r#""grpc_retry_on": ["unavailable"], "retry_on": []"#,
            GRPC,
            &[(":method", "POST")],
            TWO,
        ),
    ];
    for (fields, grpc, headers, expected) in rows {
        assert_eq!(
            eligible(fields, *grpc, headers),
            *expected,
            "{fields} {headers:?}"
        );
    }
}

#[test]
fn a_retry_is_not_retried() {
    let nested = RetryEligibility::Denied(Denial::Nested);
    let rows = [
        ("x-envoy-attempt-count", "0", TWO),
        ("x-envoy-attempt-count", "1", TWO),
        ("x-envoy-attempt-count", "2", nested),
        ("x-envoy-attempt-count", "9999999999", nested),
        // What is no number says nothing.
        ("x-envoy-attempt-count", "two", TWO),
        ("x-envoy-attempt-count", "", TWO),
        ("x-envoy-attempt-count", "-2", TWO),
        ("grpc-previous-rpc-attempts", "0", TWO),
        ("grpc-previous-rpc-attempts", "1", nested),
    ];
    for (name, value, expected) in rows {
        let headers = [(":method", "GET"), (name, value)];
        assert_eq!(eligible("", HTTP, &headers), expected, "{name}: {value}");
        assert_eq!(
            eligible(r#""nested": true"#, HTTP, &headers),
            TWO,
            "{name}: {value}"
        );
    }
}

#[test]
fn no_retry_is_planned_that_would_start_after_the_deadline() {
    let ms = |ms| Some(Span::from_ms(ms));
    let late = RetryEligibility::Denied(Denial::Deadline);
    let rows = [
        (
            "",
            "x-envoy-expected-rq-timeout-ms",
            "300",
            RetryEligibility::Again(2, ms(300)),
        ),
        // Zero is Envoy's word for no time-out.
        ("", "x-envoy-expected-rq-timeout-ms", "0", TWO),
        ("", "x-envoy-expected-rq-timeout-ms", "soon", TWO),
        (
            "",
            "grpc-timeout",
            "1S",
            RetryEligibility::Again(2, ms(1_000)),
        ),
        (
            "",
            "grpc-timeout",
            "2M",
            RetryEligibility::Again(2, ms(120_000)),
        ),
        (
            "",
            "grpc-timeout",
            "1H",
            RetryEligibility::Again(2, ms(3_600_000)),
        ),
        (
            "",
            "grpc-timeout",
            "5000u",
            RetryEligibility::Again(2, ms(5)),
        ),
        (
            "",
            "grpc-timeout",
            "7000000n",
            RetryEligibility::Again(2, ms(7)),
        ),
        ("", "grpc-timeout", "0n", late),
        // Nine digits, no unit, no number: none.
        ("", "grpc-timeout", "123456789m", TWO),
        ("", "grpc-timeout", "100", TWO),
        ("", "grpc-timeout", "m", TWO),
        ("", "grpc-timeout", "", TWO),
        ("100ms", "x-envoy-expected-rq-timeout-ms", "100", late),
        (
            "100ms",
            "x-envoy-expected-rq-timeout-ms",
            "101",
            RetryEligibility::Again(1, ms(101)),
        ),
        (
            "100ms",
            "x-envoy-expected-rq-timeout-ms",
            "200",
            RetryEligibility::Again(1, ms(200)),
        ),
        (
            "100ms",
            "x-envoy-expected-rq-timeout-ms",
            "201",
            RetryEligibility::Again(2, ms(201)),
        ),
        (
            "100ms",
            "x-envoy-expected-rq-timeout-ms",
            "9999",
            RetryEligibility::Again(2, ms(9_999)),
        ),
    ];
    for (each, name, value, expected) in rows {
        let fields = match each {
            "" => "".into(),
            each => format!(r#""per_try_timeout": "{each}""#),
        };
        let headers = [(":method", "GET"), (name, value)];
        assert_eq!(
            eligible(&fields, HTTP, &headers),
            expected,
            "{name}: {value}"
        );
    }
    let both = [
        (":method", "GET"),
        ("grpc-timeout", "1S"),
        ("x-envoy-expected-rq-timeout-ms", "300"),
    ];
    assert_eq!(
        eligible("", HTTP, &both),
        RetryEligibility::Again(2, ms(300))
    );
}

/// An attempt with this status, and the host's flags and details.
fn ending(status: u16, flags: u64, details: &'static str) -> TestResponse {
    TestResponse {
        flags,
        details: Some(details),
        ..TestResponse::status(status)
    }
}

#[test]
fn responses_are_retried_as_envoys_router_would() {
    let upstream = |status| ending(status, 0, "via_upstream");
    let refused = || {
        ending(
            503,
            0x20,
            "upstream_reset_before_response_started{remote_connection_failure}",
        )
    };
    let reset = || {
        ending(
            503,
            0x40,
            "upstream_reset_before_response_started{connection_termination}",
        )
    };
    let not_taken = || {
        ending(
            503,
            0x10,
            "upstream_reset_before_response_started{remote_refused_stream_reset}",
        )
    };
    let limited = || {
        let mut limited = upstream(503);
        limited.hints.push(("x-envoy-ratelimited", "true"));
        limited
    };
    let none = TestResponse::default;
    type Row<'a> = (
        &'a str,
        &'a [(&'a str, TestResponse)],
        &'a [(&'a str, TestResponse)],
    );
    let rows: &[Row<'_>] = &[
        (
            "5xx",
            &[
                ("500", upstream(500)),
                ("599", upstream(599)),
                ("refused", refused()),
                ("reset", reset()),
                ("none", none()),
            ],
            &[
                ("200", upstream(200)),
                ("409", upstream(409)),
                ("429", upstream(429)),
                ("limited", limited()),
            ],
        ),
        (
            "gateway-error",
            &[
                ("502", upstream(502)),
                ("503", upstream(503)),
                ("504", upstream(504)),
                ("refused", refused()),
                ("none", none()),
            ],
            &[
                ("500", upstream(500)),
                ("501", upstream(501)),
                ("505", upstream(505)),
                ("limited", limited()),
            ],
        ),
        (
            "reset",
            &[
                ("refused", refused()),
                ("reset", reset()),
                ("not taken", not_taken()),
                ("none", none()),
            ],
            &[("503", upstream(503)), ("500", upstream(500))],
        ),
        (
            "connect-failure",
            &[("refused", refused())],
            &[
                ("reset", reset()),
                ("not taken", not_taken()),
                ("503", upstream(503)),
                ("none", none()),
            ],
        ),
        (
            "reset-before-request",
            &[("refused", refused())],
            &[("reset", reset()), ("503", upstream(503))],
        ),
        (
            "refused-stream",
            &[("not taken", not_taken())],
            &[
                ("reset", reset()),
                ("refused", refused()),
                ("503", upstream(503)),
            ],
        ),
        (
            "retriable-4xx",
            &[("409", upstream(409))],
            &[
                ("429", upstream(429)),
                ("404", upstream(404)),
                ("503", upstream(503)),
                ("none", none()),
            ],
        ),
        (
            "envoy-ratelimited",
            &[("limited", limited())],
            &[
                ("503", upstream(503)),
                ("429", upstream(429)),
                ("none", none()),
            ],
        ),
    ];
    for (word, wanted, unwanted) in rows {
        let config = config(&format!(r#""retry_on": ["{word}"]"#));
        let answers = wanted.iter().map(|row| (row, true));
        for ((what, answer), expected) in answers.chain(unwanted.iter().map(|row| (row, false))) {
            assert_eq!(is_wanted(&config, answer), expected, "{word}: {what}");
        }
    }
}

#[test]
fn an_upstream_may_delay_or_forbid_a_retry() {
    let after = |ms| Pushback::After(Span::from_ms(ms));
    let rows = [
        (503, "retry-after", "2", after(2_000)),
        (429, "retry-after", "0", after(0)),
        (500, "retry-after", "2", Pushback::None),
        (503, "retry-after", "never", Pushback::None),
        (503, "x-other", "2", Pushback::None),
        (503, "grpc-retry-pushback-ms", "250", after(250)),
        (500, "grpc-retry-pushback-ms", "0", after(0)),
        (503, "grpc-retry-pushback-ms", "-1", Pushback::Never),
        (503, "grpc-retry-pushback-ms", "soon", Pushback::Never),
    ];
    for (status, name, value, expected) in rows {
        let mut answer = TestResponse::status(status);
        answer.hints.push((name, value));
        assert_eq!(pushback(&answer), expected, "{status} {name}: {value}");
    }
}

#[test]
fn waits_are_random_up_to_a_limit_that_doubles() {
    let config = BackoffConfig {
        base_interval: Span::from_ms(25),
        max_interval: Span::from_ms(250),
    };
    let mut random = Random::new(1);
    for (number, limit) in [
        (0, 25),
        (1, 50),
        (2, 100),
        (3, 200),
        (4, 250),
        (5, 250),
        (200, 250),
    ] {
        let waits = || backoff(&config, number, &mut random).as_ms();
        let waits: alloc::vec::Vec<u64> = core::iter::repeat_with(waits).take(2_000).collect();
        assert!(waits.iter().all(|wait| *wait <= limit), "{number}");
        assert!(waits.iter().any(|wait| *wait < limit / 10), "{number}");
        assert!(waits.iter().any(|wait| *wait > limit * 9 / 10), "{number}");
    }
}
