use alloc::string::String;
use alloc::vec::Vec;

use super::*;
use crate::fallback::Kind;
use crate::policy::On;

fn reply(status: u16, body: &[u8]) -> FallbackResponse {
    FallbackResponse {
        status,
        headers: Vec::from([
            (String::from("content-type"), b"text/x-own".to_vec()),
            (String::from("x-both"), b"own".to_vec()),
            (String::from("content-length"), b"99".to_vec()),
        ]),
        body: body.into(),
        grpc_status: None,
        details: "spillway_failure",
        on: On::Failure,
        kind: Kind::Respond,
    }
}

fn headers(pairs: &[(&str, &str)]) -> Headers {
    let mut headers = Headers::default();
    for (name, value) in pairs {
        headers.push(name.as_bytes(), value.as_bytes());
    }
    headers
}

/// The headers as text, in their order.
fn text(headers: Option<Pairs>) -> Option<Vec<String>> {
    let line = |(name, value): (String, Vec<u8>)| {
        alloc::format!("{name}: {}", String::from_utf8_lossy(&value))
    };
    Some(headers?.into_iter().map(line).collect())
}

#[test]
fn headers_that_describe_the_failed_response_are_removed_and_the_rest_stays() {
    let old = headers(&[
        (":status", "503"),
        ("content-length", "7"),
        ("content-type", "text/html"),
        ("content-encoding", "gzip"),
        ("content-security-policy", "default-src 'self'"),
        ("etag", "\"v\""),
        ("last-modified", "now"),
        ("set-cookie", "a=b"),
        ("set-cookie", "c=d"),
        ("retry-after", "9"),
        ("x-envoy-upstream-service-time", "1"),
        ("grpc-status", "14"),
        ("strict-transport-security", "max-age=1"),
        ("x-both", "theirs"),
        ("x-both", "theirs too"),
        ("x-site", "1"),
    ]);
    let expected = [
        ":status: 298",
        "content-security-policy: default-src 'self'",
        "strict-transport-security: max-age=1",
        "x-site: 1",
        "content-type: text/x-own",
        "x-both: own",
        "content-length: 5",
    ];
    let written = reply(298, b"fixed").in_place(&old, false, false);
    assert_eq!(
        text(written).as_deref(),
        Some(&expected.map(String::from)[..])
    );
}

/// Each row: the replacement's status and body, whether the failed response ends with its
/// headers, whether the request is a HEAD, the failed response's length, and the length that the
/// replacement then has; `None` if it has to be a local reply.
#[test]
fn a_response_is_overwritten_if_the_replacement_fits() {
    const NO_LENGTH: Option<&str> = Some("");
    type Row = (
        u16,
        &'static [u8],
        bool,
        bool,
        &'static str,
        Option<&'static str>,
    );
    let rows: [Row; 14] = [
        (200, b"fixed", false, false, "3", Some("5")),
        (200, b"", false, false, "3", Some("0")),
        (200, b"fixed", false, false, "", Some("5")),
        // No body can be added.
        (200, b"fixed", true, false, "0", None),
        (200, b"fixed", true, false, "", None),
        (200, b"", true, false, "0", Some("0")),
        // A HEAD has the length of the GET's body.
        (200, b"fixed", true, true, "3", Some("5")),
        (200, b"fixed", true, true, "", Some("5")),
        (200, b"fixed", false, true, "3", Some("5")),
        (304, b"", false, true, "3", NO_LENGTH),
        // These statuses never have a body.
        (304, b"", false, false, "3", None),
        (204, b"", false, false, "3", None),
        (304, b"", true, false, "0", NO_LENGTH),
        (304, b"", true, true, "3", NO_LENGTH),
    ];
    for (status, body, ends, is_head, old_length, expected) in rows {
        let row = (status, body, ends, is_head, old_length);
        let old = headers(&[(":status", "503"), ("content-length", old_length)]);
        let written = reply(status, body).in_place(&old, ends, is_head);
        let length = written.map(|headers| {
            let mut lengths = headers
                .into_iter()
                .filter(|(name, _)| name == "content-length");
            let first = lengths.next().map_or(Vec::new(), |(_, value)| value);
            assert!(lengths.next().is_none(), "{row:?}");
            String::from_utf8(first).expect("text")
        });
        assert_eq!(length.as_deref(), expected, "{row:?}");
    }
}

#[test]
fn a_grpc_response_consists_of_headers_only() {
    let mut grpc = reply(200, b"");
    grpc.headers = Vec::from([(String::from("grpc-status"), b"10".to_vec())]);
    grpc.grpc_status = Some(10);
    let old = headers(&[
        (":status", "200"),
        ("content-type", "application/grpc"),
        ("grpc-status", "14"),
        ("grpc-message", "theirs"),
    ]);
    let expected = [
        ":status: 200",
        "grpc-status: 10",
        "content-type: application/grpc",
    ];
    let written = grpc.in_place(&old, true, false);
    assert_eq!(
        text(written).as_deref(),
        Some(&expected.map(String::from)[..])
    );
    assert_eq!(grpc.in_place(&old, false, false), None);
}
