//! Hints of a failing upstream about when to retry.

use super::*;

/// Returns the hint in a response with this header, in milliseconds, if hints are respected.
fn hint_ms(
    timing: &RequestTiming,
    ending: TestResponse,
    header: (&'static str, &'static str),
) -> Option<u64> {
    let policy = policy("");
    let ending = TestResponse {
        hints: alloc::vec![header],
        content_type: timing.grpc.then_some("application/grpc"),
        // 37 seconds before the date below.
        unix_secs: 784_111_740,
        ..ending
    };
    let deaf = Rules {
        hints: false,
        ..rules(&policy)
    };
    assert_eq!(at_end(&deaf, timing, &ending, at_ms(5)).hint, None);
    let verdict = at_end(&rules(&policy), timing, &ending, at_ms(5));
    verdict.hint.map(Span::as_ms)
}

#[test]
fn a_failing_503_may_say_when_to_retry() {
    let rows = [
        ("retry-after", "7", Some(7_000)),
        ("retry-after", " 7 ", Some(7_000)),
        ("retry-after", "0", Some(0)),
        ("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT", Some(37_000)),
        ("retry-after", "Sun, 06 Nov 1994 08:48:00 GMT", Some(0)),
        ("retry-after", "soon", None),
        ("retry-after", "-5", None),
        ("retry-after", "1.5", None),
        ("grpc-retry-pushback-ms", "70", None),
    ];
    for (name, value, expected) in rows {
        let found = hint_ms(&timing(), TestResponse::status(503), (name, value));
        assert_eq!(found, expected, "{name}: {value}");
    }
    // Another status, or no failure.
    for status in [200, 429, 500, 504] {
        let found = hint_ms(
            &timing(),
            TestResponse::status(status),
            ("retry-after", "7"),
        );
        assert_eq!(found, None, "{status}");
    }
}

#[test]
fn a_failing_grpc_call_may_push_back() {
    let grpc = RequestTiming {
        grpc: true,
        ..timing()
    };
    let rows = [
        (14, "grpc-retry-pushback-ms", "70", Some(70)),
        (14, "grpc-retry-pushback-ms", "-1", None),
        (14, "retry-after", "7", None),
        (0, "grpc-retry-pushback-ms", "70", None),
    ];
    for (code, name, value, expected) in rows {
        let ending = TestResponse {
            grpc_status: Some(code),
            ..TestResponse::status(200)
        };
        assert_eq!(
            hint_ms(&grpc, ending, (name, value)),
            expected,
            "{code} {name}"
        );
    }
}

#[test]
fn a_hint_on_429_counts_if_429_is_a_failure() {
    let policy = policy(r#""outcome": {"failure_status": ["429"]}"#);
    let ending = TestResponse {
        hints: alloc::vec![("retry-after", "7")],
        ..TestResponse::status(429)
    };
    let verdict = at_end(&rules(&policy), &timing(), &ending, at_ms(5));
    assert_eq!(verdict.hint, Some(Span::from_secs(7)));
}
