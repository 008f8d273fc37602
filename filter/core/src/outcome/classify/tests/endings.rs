//! The verdict on each way a request can end, and the reads from the host that it takes.

use super::*;

pub(super) const UH: u64 = 0x2;
const UT: u64 = 0x4;
const LR: u64 = 0x8;
pub(super) const UR: u64 = 0x10;
pub(super) const UF: u64 = 0x20;
pub(super) const UC: u64 = 0x40;
pub(super) const UO: u64 = 0x80;
const NR: u64 = 0x100;
const FI: u64 = 0x400;
const RL: u64 = 0x800;
const UAEX: u64 = 0x1000;
const DC: u64 = 0x4000;
const URX: u64 = 0x8000;
pub(super) const SI: u64 = 0x1_0000;
pub(super) const DPE: u64 = 0x4_0000;
pub(super) const UMSDR: u64 = 0x8_0000;
pub(super) const UPE: u64 = 0x80_0000;
const NC: u64 = 0x100_0000;
const DF: u64 = 0x400_0000;
const DR: u64 = 0x1000_0000;

pub(super) fn ending(
    status: impl Into<Option<u16>>,
    details: &'static str,
    flags: u64,
    attempts: u64,
) -> TestResponse {
    TestResponse {
        status: status.into(),
        details: Some(details),
        flags,
        attempts: Some(attempts),
        ..TestResponse::default()
    }
}

#[test]
fn every_way_that_envoy_ends_a_request_has_a_verdict() {
    let rows: &[(&str, TestResponse, &str)] = &[
        ("a response", TestResponse::status(200), "success"),
        (
            "not found is a response",
            TestResponse::status(404),
            "success",
        ),
        ("upstream 5xx", TestResponse::status(500), "failure"),
        ("the last 5xx", TestResponse::status(599), "failure"),
        (
            "a retry succeeded",
            ending(200, "via_upstream", 0, 3),
            "success",
        ),
        (
            "the retries are used up",
            ending(503, "via_upstream", URX, 3),
            "failure",
        ),
        (
            "connect refused",
            ending(
                503,
                "upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_Connection_refused}",
                UF,
                1,
            ),
            "failure",
        ),
        (
            "closed without headers",
            ending(
                503,
                "upstream_reset_before_response_started{connection_termination}",
                UC,
                1,
            ),
            "failure",
        ),
        (
            "reset by the upstream",
            ending(
                503,
                "upstream_reset_before_response_started{remote_reset}",
                UR,
                1,
            ),
            "failure",
        ),
        (
            "reset by the proxy",
            ending(
                503,
                "upstream_reset_before_response_started{local_reset}",
                LR,
                1,
            ),
            "failure",
        ),
        (
            "protocol error",
            ending(
                502,
                "upstream_reset_before_response_started{protocol_error}",
                UPE,
                1,
            ),
            "failure",
        ),
        (
            "route timeout",
            ending(504, "response_timeout", UT, 1),
            "failure timeout",
        ),
        (
            "tries timed out",
            ending(504, "upstream_per_try_timeout", UT | URX, 2),
            "failure timeout",
        ),
        (
            "timeout after headers",
            ending(200, "response_timeout", UT, 1),
            "failure timeout",
        ),
        (
            "maximum stream duration reached",
            ending(504, "upstream_max_stream_duration_reached", UMSDR, 1),
            "failure timeout",
        ),
        (
            "no endpoints",
            ending(503, "no_healthy_upstream", UH, 1),
            "failure",
        ),
        (
            "reset after headers",
            ending(
                200,
                "upstream_reset_after_response_started{protocol_error}",
                UPE,
                1,
            ),
            "failure",
        ),
        (
            "closed in the body",
            ending(
                200,
                "upstream_reset_after_response_started{connection_termination}",
                UC,
                1,
            ),
            "failure",
        ),
        (
            "name not resolved by the dynamic forward proxy filter",
            ending(503, "dns_resolution_failure{x}", DF, 0),
            "failure",
        ),
        (
            "name not resolved by the cluster",
            ending(503, "dns_resolution_failure{x}", UH, 1),
            "failure",
        ),
        (
            "unknown cluster",
            ending(503, "cluster_not_found", NC, 0),
            "ignored",
        ),
        ("no route", ending(404, "route_not_found", NR, 0), "ignored"),
        (
            "direct response",
            ending(503, "direct_response", 0, 0),
            "ignored",
        ),
        (
            "fault filter",
            ending(503, "fault_filter_abort", FI, 0),
            "ignored",
        ),
        (
            "rate limit",
            ending(429, "request_rate_limited", RL, 0),
            "ignored",
        ),
        ("denied", ending(503, "ext_authz_error", UAEX, 0), "ignored"),
        (
            "own connection limit",
            ending(
                503,
                "upstream_reset_before_response_started{overflow}",
                UO,
                1,
            ),
            "ignored",
        ),
        (
            "a retry was refused by the limit, behind a real failure",
            ending(503, "via_upstream", UO | URX, 1),
            "failure",
        ),
        (
            "a retry was refused by the limit, behind a refused connection",
            ending(
                503,
                "upstream_reset_before_response_started{remote_connection_failure}",
                UO | UF,
                1,
            ),
            "failure",
        ),
        (
            "client left before the response",
            ending(None, "downstream_remote_disconnect", DC, 1),
            "ignored",
        ),
        (
            "client left in the body",
            ending(200, "downstream_remote_disconnect", DC, 1),
            "success",
        ),
        (
            "client left in the body of a failure",
            ending(503, "downstream_remote_disconnect", DC, 1),
            "failure",
        ),
        (
            "client reset its stream",
            ending(None, "http2.remote_reset", DR, 1),
            "ignored",
        ),
        (
            "protocol error of the client",
            ending(400, "http1.codec_error", DPE, 1),
            "ignored",
        ),
        (
            "client left an upgraded connection",
            ending(101, "downstream_remote_disconnect", DC, 1),
            "success",
        ),
        (
            "protocol error of the client in the body",
            ending(200, "http1.codec_error", DPE, 1),
            "success",
        ),
        (
            "protocol error of the client before the first attempt",
            ending(501, "http1.codec_error", DPE, 0),
            "ignored",
        ),
        (
            "upstream was idle for too long",
            ending(504, "stream_idle_timeout", SI, 1),
            "failure timeout",
        ),
        (
            "the host's stream timeout",
            ending(504, "max_duration_timeout", 0, 1),
            "failure timeout",
        ),
        (
            "the host's request timeout",
            ending(504, "request_overall_timeout", 0, 1),
            "failure timeout",
        ),
        (
            "local reply of a later filter",
            ending(503, "lua_response", 0, 1),
            "failure",
        ),
    ];
    for (name, ending, expected) in rows {
        let verdict = at_end(&rules(&policy(SLOW)), &timing(), ending, at_ms(10));
        assert_eq!(shown(verdict).join(" "), *expected, "{name}");
    }
}

#[test]
fn a_silent_client_is_not_a_failure_of_the_upstream() {
    let sending = RequestTiming::default();
    for (details, flags) in [
        ("stream_idle_timeout", SI),
        ("request_overall_timeout", 0),
        ("max_duration_timeout", 0),
    ] {
        let ending = ending(408, details, flags, 1);
        check(SLOW, &sending, &ending, 300_000, "ignored");
    }
}

#[test]
fn without_details_and_flags_the_status_decides() {
    let rows = [
        (Some(200), "success"),
        (Some(503), "failure"),
        (None, "ignored"),
    ];
    for (status, expected) in rows {
        let ending = TestResponse {
            status,
            ..TestResponse::default()
        };
        check("", &timing(), &ending, 5, expected);
    }
}

#[test]
fn with_unknown_details_the_flags_and_the_status_decide() {
    let rows = [
        (Some(200), 0, None, "success"),
        (Some(503), 0, None, "failure"),
        (Some(200), UF, None, "failure"),
        (Some(503), 0, Some(0), "ignored"),
        (None, 0, Some(1), "ignored"),
        (None, 0xffff_ffff_0000_0000, None, "ignored"),
    ];
    for (status, flags, attempts, expected) in rows {
        let ending = TestResponse {
            status,
            details: Some("some_new_details"),
            flags,
            attempts,
            ..TestResponse::default()
        };
        check("", &timing(), &ending, 5, expected);
    }
}

#[test]
fn the_policy_says_which_statuses_are_failures_and_which_are_ignored() {
    let fields = r#""outcome": {"failure_status": ["500-502", "429", "4xx"],
                                "ignore_status": ["404", "501"]}"#;
    let rows = [
        (399, "success"),
        (400, "failure"),
        (404, "ignored"),
        (429, "failure"),
        (499, "failure"),
        (500, "failure"),
        (501, "ignored"),
        (502, "failure"),
        (503, "success"),
        (100, "success"),
        (999, "success"),
        (65_535, "success"),
    ];
    for (status, expected) in rows {
        check(
            fields,
            &timing(),
            &TestResponse::status(status),
            5,
            expected,
        );
    }
    let none = r#""outcome": {"failure_status": []}"#;
    check(none, &timing(), &TestResponse::status(500), 5, "success");
}

#[test]
fn an_unreachable_upstream_is_a_failure_whatever_statuses_are_listed() {
    let none = r#""outcome": {"failure_status": [], "ignore_status": ["5xx"]}"#;
    let refused = ending(503, "upstream_reset_before_response_started{x}", UF, 1);
    check(none, &timing(), &refused, 5, "failure");
}

/// Returns the values that classifying this response reads from the host.
fn reads_of(fields: &str, timing: &RequestTiming, ending: &TestResponse) -> Vec<&'static str> {
    let policy = policy(fields);
    at_end(&rules(&policy), timing, ending, at_ms(5));
    let mut reads = ending.reads.take();
    reads.sort_unstable();
    reads
}

#[test]
fn an_ordinary_response_costs_two_reads() {
    let rows: &[(&str, RequestTiming, TestResponse, &[&str])] = &[
        (
            "",
            timing(),
            TestResponse::status(200),
            &["details", "status"],
        ),
        (
            "",
            timing(),
            TestResponse::status(404),
            &["details", "status"],
        ),
        (
            SLOW,
            timing(),
            TestResponse::status(200),
            &["details", "status"],
        ),
        (
            r#""circuit_breaker": {"slow_threshold": "1s", "slow_until": "end"}"#,
            timing(),
            TestResponse::status(200),
            &["details", "status"],
        ),
        (
            "",
            timing(),
            TestResponse::status(500),
            &["details", "status"],
        ),
        (
            "",
            timing(),
            TestResponse::status(503),
            &["details", "hint", "status"],
        ),
        (
            "",
            RequestTiming {
                grpc: true,
                ..timing()
            },
            TestResponse {
                grpc_status: Some(0),
                content_type: Some("application/grpc"),
                ..TestResponse::status(200)
            },
            &["content-type", "details", "grpc_status"],
        ),
        (
            "",
            timing(),
            ending(
                503,
                "upstream_reset_before_response_started{overflow}",
                UO,
                1,
            ),
            &["details"],
        ),
        (
            "",
            timing(),
            ending(404, "route_not_found", NR, 0),
            &["attempts", "details", "flags"],
        ),
        (
            "",
            timing(),
            ending(504, "response_timeout", UT, 1),
            &["attempts", "details", "flags", "status"],
        ),
    ];
    for (fields, timing, ending, expected) in rows {
        assert_eq!(reads_of(fields, timing, ending), *expected, "{ending:?}");
    }
}
