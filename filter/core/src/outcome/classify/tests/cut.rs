//! Requests and responses that end early.

use super::endings::*;
use super::*;

#[test]
fn rotation_by_the_proxy_after_good_headers_is_a_success() {
    for (details, flags) in [
        ("stream_idle_timeout", SI),
        ("max_duration_timeout", 0),
        ("upstream_max_stream_duration_reached", UMSDR),
        ("upstream_per_try_idle_timeout", SI),
    ] {
        for timing in [timing(), RequestTiming::default()] {
            for (status, expected) in [(200, "success"), (101, "success"), (503, "failure")] {
                let ending = ending(status, details, flags, 1);
                check("", &timing, &ending, 300_000, expected);
            }
        }
        let waiting = ending(504, details, flags, 1);
        check("", &timing(), &waiting, 300_000, "failure timeout");
        check("", &RequestTiming::default(), &waiting, 300_000, "ignored");
        // A response of the proxy says nothing about the upstream, whatever the policy lists.
        let none = r#""outcome": {"failure_status": []}"#;
        check(none, &timing(), &waiting, 300_000, "failure timeout");
    }
}

#[test]
fn an_upload_cut_by_the_upstream_is_ignored_but_a_refused_connection_is_not() {
    let rows = [
        (
            503,
            "upstream_reset_before_response_started{connection_termination}",
            UC,
            "ignored",
        ),
        (
            503,
            "upstream_reset_before_response_started{remote_reset}",
            UR,
            "ignored",
        ),
        (
            502,
            "upstream_reset_before_response_started{protocol_error}",
            UPE,
            "ignored",
        ),
        (
            401,
            "upstream_reset_after_response_started{connection_termination}",
            UC,
            "ignored",
        ),
        (
            503,
            "upstream_reset_before_response_started{remote_connection_failure}",
            UF,
            "failure",
        ),
        (
            503,
            "upstream_reset_before_response_started{connection_termination}",
            UF | UC,
            "failure",
        ),
        (503, "no_healthy_upstream", UH, "failure"),
    ];
    for (status, details, flags, expected) in rows {
        let ending = ending(status, details, flags, 1);
        check("", &RequestTiming::default(), &ending, 5, expected);
        check("", &timing(), &ending, 5, "failure");
    }
}

#[test]
fn either_side_may_close_an_upgraded_connection() {
    let details = "upstream_reset_after_response_started{connection_termination}";
    check(
        "",
        &RequestTiming::default(),
        &ending(101, details, UC, 1),
        5,
        "success",
    );
}

#[test]
fn a_protocol_error_of_the_client_is_never_a_failure_of_the_upstream() {
    let fields = r#""outcome": {"failure_status": ["400-599"]}"#;
    for status in [400, 501, 503] {
        check(
            fields,
            &timing(),
            &ending(status, "http1.codec_error", DPE, 1),
            5,
            "ignored",
        );
    }
}

#[test]
fn the_policy_says_whether_the_clusters_own_limits_are_failures() {
    let details = "upstream_reset_before_response_started{overflow}";
    for (word, expected) in [("ignore", "ignored"), ("failure", "failure")] {
        let fields = alloc::format!(r#""outcome": {{"overflow": "{word}"}}"#);
        check(
            &fields,
            &timing(),
            &ending(503, details, UO, 1),
            5,
            expected,
        );
    }
}
