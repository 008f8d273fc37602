//! Timeouts of the caller's own deadline, which say nothing about the upstream.

use super::*;

const UT: u64 = 0x4;

fn with(values: [Option<&str>; 3]) -> RequestTiming {
    RequestTiming {
        deadlines: Deadlines::read(values.map(|value| value.map(str::as_bytes))),
        ..timing()
    }
}

fn timeout(status: u16, details: &'static str) -> TestResponse {
    TestResponse {
        details: Some(details),
        flags: UT,
        ..TestResponse::status(status)
    }
}

#[test]
fn an_expired_deadline_of_the_caller_is_ignored_or_shows_a_slow_upstream() {
    let whole = || with([Some("300"), None, None]);
    let each = || with([None, Some("300"), None]);
    let grpc = || with([None, None, Some("300m")]);
    let rows = [
        (whole(), "response_timeout", 301, "ignored"),
        (whole(), "response_timeout", 299, "ignored"),
        // A busy host's timer may expire early.
        (
            with([Some("1"), None, None]),
            "response_timeout",
            0,
            "ignored",
        ),
        (whole(), "response_timeout", 1_001, "success slow"),
        (each(), "upstream_per_try_timeout", 301, "ignored"),
        (grpc(), "response_timeout", 301, "ignored"),
        (grpc(), "max_duration_timeout", 301, "ignored"),
        // The route's own timeout expired first.
        (whole(), "response_timeout", 200, "failure timeout"),
        (grpc(), "response_timeout", 200, "failure timeout"),
        (grpc(), "max_duration_timeout", 200, "failure timeout"),
        (each(), "response_timeout", 301, "failure timeout"),
        (whole(), "upstream_per_try_timeout", 301, "failure timeout"),
        (timing(), "response_timeout", 301, "failure timeout"),
        // The caller's timeout replaces the route's, so that of gRPC has no effect.
        (
            with([Some("9000"), None, Some("300m")]),
            "response_timeout",
            301,
            "failure timeout",
        ),
    ];
    for (timing, details, ms, expected) in rows {
        check(SLOW, &timing, &timeout(504, details), ms, expected);
    }
}

#[test]
fn a_deadline_that_ends_a_good_response_counts_as_an_abort_by_the_caller() {
    let timing = with([Some("300"), None, None]);
    check(
        "",
        &timing,
        &timeout(200, "response_timeout"),
        301,
        "success",
    );
    check(
        "",
        &timing,
        &timeout(503, "response_timeout"),
        301,
        "failure",
    );
    check(
        "",
        &super::timing(),
        &timeout(200, "response_timeout"),
        301,
        "failure timeout",
    );
}

#[test]
fn a_service_that_gives_up_at_the_callers_deadline_has_not_failed() {
    let exceeded = TestResponse {
        grpc_status: Some(4),
        content_type: Some("application/grpc"),
        ..TestResponse::status(200)
    };
    let called = |deadline| RequestTiming {
        grpc: true,
        ..with([None, None, deadline])
    };
    let rows = [
        (Some("300m"), 300, "ignored"),
        (Some("300m"), 290, "ignored"),
        (Some("300m"), 200, "failure"),
        (Some("300m"), 1_001, "success slow"),
        (None, 300, "failure"),
        (Some("soon"), 300, "failure"),
    ];
    for (deadline, ms, expected) in rows {
        check(SLOW, &called(deadline), &exceeded, ms, expected);
    }
}

#[test]
fn an_invalid_deadline_is_ignored() {
    for value in ["", "0", "-1", "1.5", "soon"] {
        let read = [Some(value.as_bytes()), Some(value.as_bytes()), None];
        assert_eq!(Deadlines::read(read), None, "{value}");
    }
    assert_eq!(Deadlines::read([None; 3]), None);
    assert_eq!(Deadlines::read([None, None, Some(b"5x")]), None);
}
