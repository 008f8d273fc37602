//! Whole responses.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use serde_json::{Value, json};

use super::*;
use crate::policy::FallbackType;
use crate::testing::policy;
use crate::time::Span;

const STATES: [StateName; 5] = [
    StateName::Closed,
    StateName::Open,
    StateName::HalfOpen,
    StateName::Recovering,
    StateName::ForcedOpen,
];

/// A rejection by a circuit that stays open for 4.2 seconds.
fn rejected() -> Occasion<'static> {
    Occasion {
        on: On::Open,
        state: StateName::Open,
        retry_after: Span::from_ms(4_200),
        grpc: false,
        path: b"/pay?x=<1>",
        request_id: b"id-1",
        accept: b"",
    }
}

/// The response of the first entry, or else the default, with its labels.
fn answered(fields: &str, occasion: &Occasion<'_>) -> FallbackResponse {
    let policy = policy(fields);
    let entry = policy.fallback.first().map(|entry| &entry.from);
    let mut reply = match entry {
        Some(FallbackType::Respond(entry)) => respond(&policy, entry, occasion),
        _ => default(&policy, occasion),
    };
    reply
        .headers
        .extend(labels(&policy, reply.kind, occasion.state));
    reply
}

/// The headers as text, in their order.
fn headers(reply: &FallbackResponse) -> Vec<(&str, &str)> {
    let text = |value| core::str::from_utf8(value).expect("text");
    let headers = reply.headers.iter();
    headers
        .map(|(name, value)| (&**name, text(value)))
        .collect()
}

fn body(reply: &FallbackResponse) -> &str {
    core::str::from_utf8(&reply.body).expect("text")
}

/// An entry with these fields, in a policy without labels.
fn entry(fields: &str) -> String {
    format!(r#""label": false, "fallback": [{{"type": "respond", {fields}}}]"#)
}

#[test]
fn the_default_response_tells_clients_and_proxies_not_to_retry() {
    let reply = answered("", &rejected());
    assert_eq!(
        (reply.status, reply.grpc_status, reply.on, reply.kind),
        (503, None, On::Open, Kind::Default)
    );
    assert_eq!(
        headers(&reply),
        [
            ("content-type", "application/problem+json"),
            ("retry-after", "5"),
            ("x-envoy-overloaded", "true"),
            ("x-envoy-ratelimited", "true"),
            ("x-circuit-fallback", "default"),
            ("x-circuit-state", "open"),
        ]
    );
    let problem: Value = serde_json::from_slice(&reply.body).expect("JSON");
    assert_eq!(
        problem,
        json!({
            "type": "about:blank",
            "title": "Service Unavailable",
            "status": 503,
            "detail": "The circuit is open; try again in 5 s.",
            "policy": "p",
            "retry_after": 5,
        })
    );
}

#[test]
fn the_default_grpc_response_is_unavailable_and_pushes_back() {
    let occasion = Occasion {
        grpc: true,
        ..rejected()
    };
    let reply = answered("", &occasion);
    assert_eq!(
        (reply.status, reply.grpc_status, reply.on, reply.kind),
        (200, Some(14), On::Open, Kind::Default)
    );
    assert_eq!(
        headers(&reply),
        [
            ("grpc-retry-pushback-ms", "-1"),
            ("x-envoy-overloaded", "true"),
            ("x-envoy-ratelimited", "true"),
            ("grpc-status", "14"),
            ("grpc-message", "circuit of policy p is open"),
            ("x-circuit-fallback", "default"),
            ("x-circuit-state", "open"),
        ]
    );
    assert_eq!(body(&reply), "");
}

#[test]
fn clients_are_never_told_to_retry_at_once() {
    let rows = [
        (Span::ZERO, "1"),
        (Span::from_ns(1), "1"),
        (Span::from_ms(1_000), "1"),
        (Span::from_ms(1_001), "2"),
        (Span::from_secs(86_400), "86400"),
    ];
    for (retry_after, expected) in rows {
        let occasion = Occasion {
            retry_after,
            ..rejected()
        };
        let default = answered("", &occasion);
        assert_eq!(headers(&default)[1], ("retry-after", expected));
        let own = answered(&entry(r#""body": "{retry_after}""#), &occasion);
        assert_eq!(body(&own), expected);
    }
}

#[test]
fn labels_name_the_source_and_the_state() {
    for state in STATES {
        for grpc in [false, true] {
            let occasion = Occasion {
                state,
                grpc,
                ..rejected()
            };
            let reply = answered(r#""fallback": [{"type": "respond"}]"#, &occasion);
            let headers = headers(&reply);
            assert_eq!(
                headers[headers.len() - 2..],
                [
                    ("x-circuit-fallback", "respond"),
                    ("x-circuit-state", state.name()),
                ]
            );
        }
    }
}

#[test]
fn a_policy_may_turn_labels_off() {
    for grpc in [false, true] {
        let occasion = Occasion { grpc, ..rejected() };
        for fields in [r#""label": false"#, &entry(r#""status": 200"#)] {
            let reply = answered(fields, &occasion);
            let labelled = |(name, _): &(&str, &str)| name.starts_with("x-circuit");
            assert!(!headers(&reply).iter().any(labelled), "{fields}");
        }
    }
}

#[test]
fn details_name_the_reason_for_access_logs() {
    let rows = [
        (On::Open, StateName::Open, "spillway_open"),
        (On::Open, StateName::HalfOpen, "spillway_half_open"),
        (On::Open, StateName::Recovering, "spillway_recovering"),
        (On::Open, StateName::ForcedOpen, "spillway_forced_open"),
        (On::Failure, StateName::Closed, "spillway_failure"),
        (On::Failure, StateName::HalfOpen, "spillway_failure"),
        (On::Timeout, StateName::Closed, "spillway_timeout"),
        (On::Timeout, StateName::Recovering, "spillway_timeout"),
    ];
    for (on, state, expected) in rows {
        let occasion = Occasion {
            on,
            state,
            ..rejected()
        };
        let fields = entry(r#""on": ["open", "failure", "timeout"]"#);
        assert_eq!(answered(&fields, &occasion).details, expected);
    }
}

#[test]
fn placeholders_are_filled_in_place() {
    let rows = [
        (
            r#""body": "{policy}: {path} {retry_after} {request_id} {other}""#,
            "p: /pay?x=<1> 5 id-1 {other}",
        ),
        (
            r#""json": {"p": "{policy}", "at": "{path}", "n": "{retry_after}", "id": "{request_id}"}"#,
            r#"{"p":"p","at":"/pay?x=\u003C1\u003E","n":"5","id":"id-1"}"#,
        ),
        (
            r#""body": "<p>{path}</p>", "headers": {"content-type": "text/html"}"#,
            "<p>/pay?x&#61;&#60;1&#62;</p>",
        ),
        (r#""status": 200"#, ""),
    ];
    for (fields, expected) in rows {
        assert_eq!(
            body(&answered(&entry(fields), &rejected())),
            expected,
            "{fields}"
        );
    }
}

#[test]
fn a_client_cannot_break_out_of_a_json_response() {
    let path = b"/\",\"admin\":true,\"x\":\"\\\r\n\x00\xff{policy}";
    let occasion = Occasion {
        path,
        request_id: path,
        ..rejected()
    };
    for fields in [
        r#""json": {"at": "{path}", "id": "{request_id}"}"#,
        r#""body": "{\"at\": \"{path}\", \"id\": \"{request_id}\"}", "headers": {"content-type": "Application/Problem+JSON; charset=utf-8"}"#,
    ] {
        let reply = answered(&entry(fields), &occasion);
        let found: Value = serde_json::from_slice(&reply.body).expect("JSON");
        let text = "/\",\"admin\":true,\"x\":\"\\\u{fffd}{policy}";
        assert_eq!(found, json!({"at": text, "id": text}));
    }
}

#[test]
fn headers_of_an_entry_are_filled_and_escaped() {
    let fields = entry(
        r#""headers": {"X-Path": "at {path}", "retry-after": "{retry_after}", "x-none": ""}, "body": "b""#,
    );
    let occasion = Occasion {
        path: b"/\r\nset-cookie: a=b",
        ..rejected()
    };
    assert_eq!(
        headers(&answered(&fields, &occasion)),
        [
            ("x-path", "at /%0D%0Aset-cookie: a=b"),
            ("retry-after", "5"),
            ("x-none", ""),
            ("content-type", "text/plain; charset=utf-8"),
        ]
    );
}

#[test]
fn a_grpc_response_has_a_code_and_a_message_and_no_content_type() {
    let fields = entry(
        r#""status": 200, "headers": {"x-a": "1"}, "json": {"for": "http"},
           "grpc_status": "RESOURCE_EXHAUSTED", "grpc_message": "{policy}, {path}, {request_id}: 1%""#,
    );
    let occasion = Occasion {
        grpc: true,
        path: b"/a.B/C\n",
        ..rejected()
    };
    let reply = answered(&fields, &occasion);
    assert_eq!((reply.status, reply.grpc_status), (200, Some(8)));
    assert_eq!(body(&reply), "");
    assert_eq!(
        headers(&reply),
        [
            ("x-a", "1"),
            (
                "grpc-status-details-bin",
                &*status_details(8, "p, /a.B/C, id-1: 1%")
            ),
            ("grpc-status", "8"),
            ("grpc-message", "p, /a.B/C, id-1: 1%25"),
        ]
    );
    let http = answered(&fields, &rejected());
    assert_eq!(http.grpc_status, None);
    assert_eq!(body(&http), r#"{"for":"http"}"#);
}

/// The `google.rpc.Status` of a rejection by [`rejected`], in base64: code, message, an
/// `ErrorInfo` and a `RetryInfo` of five seconds. Follows the protobuf encoding of the
/// googleapis definitions.
fn status_details(code: u8, message: &str) -> String {
    let field = |number: u8, bytes: &[u8]| {
        let head = [
            number << 3 | 2,
            u8::try_from(bytes.len()).expect("a short field"),
        ];
        [&head[..], bytes].concat()
    };
    let pair = |key: &str, value: &str| {
        field(
            3,
            &[field(1, key.as_bytes()), field(2, value.as_bytes())].concat(),
        )
    };
    let any = |name: &str, message: &[u8]| {
        let url = format!("type.googleapis.com/google.rpc.{name}");
        field(3, &[field(1, url.as_bytes()), field(2, message)].concat())
    };
    let info = [
        field(1, b"CIRCUIT_OPEN"),
        field(2, b"spillway"),
        pair("policy", "p"),
        pair("state", "open"),
    ];
    let status = [
        [1 << 3, code].to_vec(),
        field(2, message.as_bytes()),
        any("ErrorInfo", &info.concat()),
        any("RetryInfo", &field(1, &[1 << 3, 5])),
    ];
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD_NO_PAD.encode(status.concat())
}

#[test]
fn a_grpc_response_has_details_unless_it_is_ok_or_sets_its_own() {
    let grpc = Occasion {
        grpc: true,
        ..rejected()
    };
    let names = |fields: &str| -> Vec<String> {
        let reply = answered(&entry(fields), &grpc);
        reply.headers.into_iter().map(|(name, _)| name).collect()
    };
    assert_eq!(names(r#""grpc_status": "OK""#), ["grpc-status"]);
    assert_eq!(
        names(r#""headers": {"grpc-status-details-bin": "AA"}"#),
        ["grpc-status-details-bin", "grpc-status"]
    );
    assert_eq!(
        names(r#""grpc_status": "ABORTED""#),
        ["grpc-status-details-bin", "grpc-status"]
    );
}

#[test]
fn a_variant_is_selected_by_what_the_client_accepts() {
    let fields = entry(
        r#""status": 200, "headers": {"x-a": "1"}, "variants": {"plain": "at {path}", "html": "<p>{path}</p>",
           "json": {"at": "{path}"}}"#,
    );
    let rows: [(&[u8], &str, &str); 4] = [
        (b"", "application/json", r#"{"at":"/pay?x=\u003C1\u003E"}"#),
        (
            b"text/html",
            "text/html; charset=utf-8",
            "<p>/pay?x&#61;&#60;1&#62;</p>",
        ),
        (b"text/plain", "text/plain; charset=utf-8", "at /pay?x=<1>"),
        (
            b"image/png",
            "application/json",
            r#"{"at":"/pay?x=\u003C1\u003E"}"#,
        ),
    ];
    for (accept, content_type, expected) in rows {
        let reply = answered(
            &fields,
            &Occasion {
                accept,
                ..rejected()
            },
        );
        assert_eq!(body(&reply), expected);
        assert_eq!(
            headers(&reply),
            [
                ("x-a", "1"),
                ("content-type", content_type),
                ("vary", "accept")
            ]
        );
    }
}

#[test]
fn a_missing_path_or_id_is_an_empty_value() {
    let occasion = Occasion {
        path: b"",
        request_id: b"",
        ..rejected()
    };
    let reply = answered(&entry(r#""body": "[{path}{request_id}]""#), &occasion);
    assert_eq!(body(&reply).to_string(), "[]");
}
