//! The response that a client gets.

use super::*;

const OCCASION: Occasion<'_> = Occasion {
    on: On::Open,
    state: StateName::Open,
    retry_after: Span::ZERO,
    grpc: false,
    path: b"",
    request_id: b"",
    accept: b"",
};

fn shown(reply: &FallbackResponse) -> Vec<String> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let headers = reply.headers.iter();
    headers
        .map(|(name, value)| format!("{name}: {}", text(value)))
        .collect()
}

#[test]
fn a_stored_response_keeps_end_to_end_headers_and_adds_its_status() {
    let response = [
        "content-type: text/plain",
        "content-length: 4",
        "connection: close, X-Hop",
        "x-hop: 1",
        "keep-alive: 5",
        "transfer-encoding: chunked",
        "age: 7",
        "server: up",
        "x-envoy-upstream-service-time: 3",
        "x-circuit-state: open",
        "cache-status: cdn; hit",
        "x-own: 1",
        "x-own: 2",
        "cache-control: public, max-age=10",
    ];
    let stored = stored_for(&[], &response, false).expect("stored");
    let request = cache_request(&[]).expect("a GET");
    let reply = stored.into_response(&request, &OCCASION, at_ms(15_500));
    assert_eq!((reply.status, &*reply.body), (200, &b"body"[..]));
    assert_eq!(
        shown(&reply),
        [
            "content-type: text/plain",
            "cache-status: cdn; hit",
            "x-own: 1",
            "x-own: 2",
            "cache-control: public, max-age=10",
            "age: 13",
            "cache-status: spillway; hit; ttl=-3",
        ]
    );
}

#[test]
fn the_cache_status_has_forwarding_and_remaining_freshness() {
    let rows = [
        (On::Open, 3, "spillway; hit; ttl=7"),
        (On::Open, 10, "spillway; hit; ttl=0"),
        (On::Open, 11, "spillway; hit; ttl=-1"),
        (On::Failure, 3, "spillway; fwd=bypass; ttl=7"),
        (On::Timeout, 12, "spillway; fwd=stale; ttl=-2"),
    ];
    for (on, secs, expected) in rows {
        let stored =
            stored_for(&[], &["cache-control: public, max-age=10"], false).expect("stored");
        let request = cache_request(&[]).expect("a GET");
        let occasion = Occasion { on, ..OCCASION };
        let reply = stored.into_response(&request, &occasion, at_ms(10_000 + secs * 1_000));
        let status = shown(&reply).pop().expect("headers");
        assert_eq!(status, format!("cache-status: {expected}"), "{on:?} {secs}");
    }
}

/// Each row: the conditions of the request, the stored headers, and whether the client has that
/// response already.
#[test]
fn a_client_that_has_the_response_gets_a_304() {
    let etag = "etag: \"a\"";
    let modified = "last-modified: Sun, 06 Nov 1994 08:00:00 GMT";
    let rows: &[(&[&str], &[&str], bool)] = &[
        (&[], &[etag, modified], false),
        (&["if-none-match: \"a\""], &[etag], true),
        (&["if-none-match: W/\"a\""], &[etag], true),
        (&["if-none-match: \"a\""], &["etag: W/\"a\""], true),
        (&["if-none-match: \"b\", \"a\""], &[etag], true),
        (
            &["if-none-match: \"b\"", "if-none-match: \"a\""],
            &[etag],
            true,
        ),
        (&["if-none-match: *"], &[etag], true),
        (&["if-none-match: *"], &[], false),
        (&["if-none-match: \"b\""], &[etag], false),
        (&["if-none-match: a"], &[etag], false),
        (&["if-none-match: \"a\""], &[], false),
        (
            &["if-modified-since: Sun, 06 Nov 1994 08:00:00 GMT"],
            &[modified],
            true,
        ),
        (
            &["if-modified-since: Sun, 06 Nov 1994 09:00:00 GMT"],
            &[modified],
            true,
        ),
        (
            &["if-modified-since: Sun, 06 Nov 1994 07:59:59 GMT"],
            &[modified],
            false,
        ),
        (&["if-modified-since: yesterday"], &[modified], false),
        (
            &["if-modified-since: Sun, 06 Nov 1994 09:00:00 GMT"],
            &[],
            false,
        ),
        // A tag has precedence.
        (
            &[
                "if-none-match: \"b\"",
                "if-modified-since: Sun, 06 Nov 1994 09:00:00 GMT",
            ],
            &[etag, modified],
            false,
        ),
    ];
    for (request, response, unchanged) in rows {
        let described = [
            "content-type: text/plain",
            "content-location: /a",
            "x-own: 1",
        ];
        let response = [*response, &described].concat();
        let stored = stored_for(&[], &response, true).expect("stored");
        let request = cache_request(request).expect("a GET");
        let reply = stored.into_response(&request, &OCCASION, at_ms(10_000));
        let expected = if *unchanged { (304, 0) } else { (200, 4) };
        assert_eq!(
            (reply.status, reply.body.len()),
            expected,
            "{request:?} {response:?}"
        );
        let names: Vec<String> = reply.headers.iter().map(|it| it.0.clone()).collect();
        let has = |name: &str| names.iter().any(|it| it == name);
        assert_eq!(has("content-type"), !unchanged, "{request:?}");
        assert!(
            has("content-location") && has("x-own") && has("age"),
            "{request:?}"
        );
    }
}
