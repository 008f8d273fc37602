//! gRPC calls, judged by `grpc-status`, or by the status that gRPC derives if it is missing.

use super::*;

fn grpc() -> RequestTiming {
    RequestTiming {
        grpc: true,
        ..timing()
    }
}

fn answered(status: u16, grpc_status: Option<u32>) -> TestResponse {
    TestResponse {
        grpc_status,
        grpc_status_sent: grpc_status,
        content_type: Some("application/grpc+proto"),
        ..TestResponse::status(status)
    }
}

#[test]
fn every_code_has_its_outcome() {
    let failures = [
        "UNKNOWN",
        "DEADLINE_EXCEEDED",
        "INTERNAL",
        "UNAVAILABLE",
        "DATA_LOSS",
    ];
    for (code, name) in GRPC_CODES.iter().enumerate() {
        let expected = match *name {
            "CANCELLED" => "ignored",
            name if failures.contains(&name) => "failure",
            _ => "success",
        };
        let ending = answered(200, Some(u32::try_from(code).unwrap()));
        check("", &grpc(), &ending, 5, expected);
    }
}

#[test]
fn an_undefined_code_counts_as_unknown() {
    for code in [17, 31, 32, 33, 46, 64, u32::MAX] {
        check("", &grpc(), &answered(200, Some(code)), 5, "failure");
        let only_internal = r#""outcome": {"failure_grpc_status": ["INTERNAL"]}"#;
        check(
            only_internal,
            &grpc(),
            &answered(200, Some(code)),
            5,
            "success",
        );
    }
}

#[test]
fn the_policy_says_which_codes_are_failures() {
    let fields = r#""outcome": {"failure_grpc_status": ["NOT_FOUND", "UNAUTHENTICATED"]}"#;
    for (code, name) in GRPC_CODES.iter().enumerate() {
        let expected = match *name {
            "CANCELLED" => "ignored",
            "NOT_FOUND" | "UNAUTHENTICATED" => "failure",
            _ => "success",
        };
        let ending = answered(200, Some(u32::try_from(code).unwrap()));
        check(fields, &grpc(), &ending, 5, expected);
    }
    let none = r#""outcome": {"failure_grpc_status": []}"#;
    check(none, &grpc(), &answered(200, Some(14)), 5, "success");
}

#[test]
fn the_http_status_alone_never_decides() {
    for status in [200, 404, 500, 503] {
        check("", &grpc(), &answered(status, Some(0)), 5, "success");
        check("", &grpc(), &answered(status, Some(14)), 5, "failure");
    }
    let ignored = r#""outcome": {"ignore_status": ["200"]}"#;
    check(ignored, &grpc(), &answered(200, Some(14)), 5, "failure");
}

#[test]
fn a_missing_code_follows_from_the_http_status() {
    // grpc/doc/http-grpc-status-mapping.md. Every status that it does not name is UNKNOWN.
    let rows = [
        (400, "INTERNAL"),
        (401, "UNAUTHENTICATED"),
        (403, "PERMISSION_DENIED"),
        (404, "UNIMPLEMENTED"),
        (429, "UNAVAILABLE"),
        (502, "UNAVAILABLE"),
        (503, "UNAVAILABLE"),
        (504, "UNAVAILABLE"),
        (200, "UNKNOWN"),
        (302, "UNKNOWN"),
        (418, "UNKNOWN"),
        (500, "UNKNOWN"),
        (505, "UNKNOWN"),
    ];
    for (status, name) in rows {
        let only = alloc::format!(r#""outcome": {{"failure_grpc_status": ["{name}"]}}"#);
        check(&only, &grpc(), &answered(status, None), 5, "failure");
        let others: Vec<&str> = GRPC_CODES[2..]
            .iter()
            .filter(|other| **other != name)
            .copied()
            .collect();
        let others = others.join(r#"", ""#);
        let others = alloc::format!(r#""outcome": {{"failure_grpc_status": ["{others}"]}}"#);
        check(&others, &grpc(), &answered(status, None), 5, "success");
    }
}

#[test]
fn at_the_headers_a_missing_code_is_not_yet_a_failure() {
    let policy = policy("");
    let rows = [
        (200, None, "success"),
        (200, Some(0), "success"),
        (200, Some(14), "failure"),
        // A gRPC response never begins like this, so no code follows.
        (503, None, "failure"),
        (404, None, "success"),
    ];
    for (status, code, expected) in rows {
        let ending = answered(status, code);
        let verdict = at_headers(&rules(&policy), &grpc(), &ending, at_ms(5));
        assert_eq!(shown(verdict).join(" "), expected, "{status} {code:?}");
    }
}

#[test]
fn an_unreachable_upstream_is_a_failure_whatever_codes_are_listed() {
    let fields = r#""outcome": {"failure_grpc_status": ["INTERNAL"]}"#;
    let refused = TestResponse {
        details: Some("upstream_reset_before_response_started{remote_connection_failure}"),
        flags: 0x20,
        ..answered(200, Some(14))
    };
    check(fields, &grpc(), &refused, 5, "failure");
}

#[test]
fn a_call_that_its_client_aborts_is_judged_by_its_headers() {
    // The host derives a missing status from the HTTP status.
    let rows = [
        (200, None, Some(2), "success"),
        (503, None, Some(14), "failure"),
        (200, Some(14), Some(14), "failure"),
        (200, Some(0), Some(0), "success"),
    ];
    for (status, sent, derived, expected) in rows {
        let left = TestResponse {
            details: Some("downstream_remote_disconnect"),
            flags: 0x4000,
            grpc_status: derived,
            grpc_status_sent: sent,
            ..answered(status, None)
        };
        for complete in [true, false] {
            let timing = RequestTiming {
                request_complete: complete,
                ..grpc()
            };
            check("", &timing, &left, 5, expected);
        }
    }
}

#[test]
fn rotation_ends_a_good_call_and_fails_one_that_never_began() {
    let rotated = |sent| TestResponse {
        details: Some("max_duration_timeout"),
        grpc_status_sent: sent,
        ..answered(200, sent)
    };
    check("", &grpc(), &rotated(None), 5, "success");
    // The proxy's own response is a status without a body.
    check("", &grpc(), &rotated(Some(4)), 5, "failure timeout");
}

#[test]
fn a_request_that_claims_grpc_is_judged_by_http_if_its_response_is_not_grpc() {
    for (content_type, sent, status, expected) in [
        (Some("application/json"), None, 200, "success"),
        (Some("application/json"), None, 404, "success"),
        (Some("application/json"), None, 429, "success"),
        (Some("application/json"), None, 503, "failure"),
        (None, None, 200, "success"),
        (None, Some(14), 200, "failure"),
        (Some("application/grpc"), None, 200, "failure"),
    ] {
        let ending = TestResponse {
            content_type,
            grpc_status_sent: sent,
            // Derived by the host.
            grpc_status: sent.or(Some(if status == 200 { 2 } else { 14 })),
            ..TestResponse::status(status)
        };
        check("", &grpc(), &ending, 5, expected);
    }
}

#[test]
fn only_grpcs_own_content_types_are_grpc() {
    let rows: &[(Option<&[u8]>, bool)] = &[
        (Some(b"application/grpc"), true),
        (Some(b"application/grpc+proto"), true),
        (Some(b"application/grpc;charset=utf-8"), true),
        (Some(b"application/grpc-web"), false),
        (Some(b"application/grpc-web-text+proto"), false),
        (Some(b"application/grpcx"), false),
        (Some(b"application/json"), false),
        (Some(b"\xff\xfe"), false),
        (Some(b""), false),
        (None, false),
    ];
    for (content_type, expected) in rows {
        assert_eq!(is_grpc(*content_type), *expected, "{content_type:?}");
    }
}
