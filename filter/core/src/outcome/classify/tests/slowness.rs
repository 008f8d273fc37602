//! Slowness of the upstream, as opposed to that of the client.

use super::*;

const UNTIL_END: &str = r#""circuit_breaker": {"slow_threshold": "1s", "slow_until": "end"}"#;

fn answered_at(ms: u64) -> RequestTiming {
    RequestTiming {
        response_start: Some(at_ms(ms)),
        ..timing()
    }
}

/// Returns the timing of a request whose end was never seen.
fn unfinished() -> RequestTiming {
    RequestTiming {
        response_start: Some(at_ms(90_000)),
        ..RequestTiming::default()
    }
}

fn left() -> TestResponse {
    TestResponse {
        details: Some("downstream_remote_disconnect"),
        flags: 0x4000,
        attempts: Some(1),
        ..TestResponse::default()
    }
}

#[test]
fn slow_is_strictly_longer_than_the_threshold_until_the_headers() {
    let rows = [
        (timing(), TestResponse::status(200), 1_000, "success"),
        (timing(), TestResponse::status(200), 1_001, "success slow"),
        // The time that the body takes does not count.
        (
            answered_at(1_000),
            TestResponse::status(200),
            90_000,
            "success",
        ),
        (
            answered_at(1_001),
            TestResponse::status(200),
            90_000,
            "success slow",
        ),
        (
            answered_at(2_000),
            TestResponse::status(503),
            2_000,
            "failure slow",
        ),
    ];
    for (timing, ending, end_ms, expected) in rows {
        check(SLOW, &timing, &ending, end_ms, expected);
    }
}

#[test]
fn with_slow_until_end_the_whole_response_counts() {
    let rows = [
        (answered_at(10), TestResponse::status(200), 1_000, "success"),
        (
            answered_at(10),
            TestResponse::status(200),
            1_001,
            "success slow",
        ),
    ];
    for (timing, ending, end_ms, expected) in rows {
        check(UNTIL_END, &timing, &ending, end_ms, expected);
    }
}

#[test]
fn a_slow_upload_is_not_a_slow_service() {
    let uploaded = RequestTiming {
        request_complete: true,
        request_end: Some(at_ms(80_000)),
        response_start: Some(at_ms(80_100)),
        ..RequestTiming::default()
    };
    check(
        SLOW,
        &uploaded,
        &TestResponse::status(200),
        81_000,
        "success",
    );
    for fields in [SLOW, UNTIL_END] {
        check(
            fields,
            &unfinished(),
            &TestResponse::status(200),
            90_000,
            "success",
        );
    }
}

#[test]
fn without_a_threshold_nothing_is_slow() {
    check(
        "",
        &answered_at(90_000),
        &TestResponse::status(200),
        90_000,
        "success",
    );
}

#[test]
fn an_ignored_request_is_not_slow() {
    let fields = alloc::format!(r#"{SLOW}, "outcome": {{"ignore_status": ["404"]}}"#);
    check(
        &fields,
        &answered_at(9_000),
        &TestResponse::status(404),
        9_000,
        "ignored",
    );
}

#[test]
fn an_abort_after_the_slow_threshold_is_a_slow_success() {
    let in_the_body = TestResponse {
        status: Some(200),
        ..left()
    };
    let rows = [
        (SLOW, timing(), left(), 1_000, "ignored"),
        (SLOW, timing(), left(), 1_001, "success slow"),
        (SLOW, unfinished(), left(), 90_000, "ignored"),
        (UNTIL_END, timing(), left(), 1_001, "success slow"),
        (UNTIL_END, unfinished(), left(), 90_000, "ignored"),
        ("", timing(), left(), 90_000, "ignored"),
        // The headers came in time. How long the client then read does not count.
        (
            SLOW,
            answered_at(10),
            in_the_body.clone(),
            90_000,
            "success",
        ),
        (
            SLOW,
            answered_at(1_001),
            in_the_body.clone(),
            90_000,
            "success slow",
        ),
        (
            UNTIL_END,
            answered_at(10),
            in_the_body,
            1_001,
            "success slow",
        ),
    ];
    for (fields, timing, ending, end_ms, expected) in rows {
        check(fields, &timing, &ending, end_ms, expected);
    }
}

#[test]
fn an_abort_during_the_upload_is_not_slow() {
    check(SLOW, &unfinished(), &left(), 90_000, "ignored");
    let early_answer = TestResponse {
        status: Some(200),
        ..left()
    };
    check(SLOW, &unfinished(), &early_answer, 90_000, "success");
}

#[test]
fn a_request_whose_end_has_no_time_is_not_slow() {
    let untimed = RequestTiming {
        request_end: None,
        ..answered_at(90_000)
    };
    check(
        SLOW,
        &untimed,
        &TestResponse::status(200),
        90_000,
        "success",
    );
    check(
        UNTIL_END,
        &untimed,
        &TestResponse::status(200),
        90_000,
        "success",
    );
}

#[test]
fn headers_of_the_upstream_do_not_affect_slowness() {
    for (claimed, ms, expected) in [("3", 1_001, "success slow"), ("4000", 10, "success")] {
        let ending = TestResponse {
            hints: alloc::vec![("x-envoy-upstream-service-time", claimed)],
            ..TestResponse::status(200)
        };
        check(SLOW, &answered_at(ms), &ending, 9_000, expected);
    }
}

#[test]
fn at_the_headers_a_response_is_slow_only_if_the_time_ends_there() {
    let rows = [
        (SLOW, "success slow"),
        (UNTIL_END, "success"),
        ("", "success"),
    ];
    for (fields, expected) in rows {
        let policy = policy(fields);
        let timing = answered_at(2_000);
        let verdict = at_headers(
            &rules(&policy),
            &timing,
            &TestResponse::status(200),
            at_ms(2_000),
        );
        assert_eq!(shown(verdict).join(" "), expected, "{fields}");
    }
}

#[test]
fn with_a_stopped_clock_nothing_is_slow() {
    let back = RequestTiming {
        request_end: Some(at_ms(50_000)),
        response_start: Some(at_ms(10)),
        ..timing()
    };
    check(SLOW, &back, &TestResponse::status(200), 10, "success");
}
