//! Which requests share a stored response.

use super::*;

/// Each row: `vary` and coding of the response; its request; a later request; whether that may
/// get the response.
#[test]
fn a_response_is_shared_by_requests_with_equal_values_of_the_vary_headers() {
    type Row = (Lines, Lines, Lines, bool);
    let rows: &[Row] = &[
        (&[], &[], &["accept-language: de"], true),
        (
            &["vary: Accept-Language"],
            &["accept-language: de"],
            &["accept-language: de"],
            true,
        ),
        (
            &["vary: accept-language"],
            &["accept-language: de"],
            &["accept-language: en"],
            false,
        ),
        (
            &["vary: accept-language"],
            &["accept-language: de"],
            &[],
            false,
        ),
        (
            &["vary: accept-language"],
            &[],
            &["accept-language: "],
            false,
        ),
        (&["vary: accept-language"], &[], &[], true),
        (&["vary: a, b"], &["a: 1", "b: 2"], &["b: 2", "a: 1"], true),
        (
            &["vary: a", "vary: b"],
            &["a: 1", "b: 2"],
            &["a: 1", "b: 3"],
            false,
        ),
        (&["vary: a"], &["a: 1", "a: 2"], &["a: 1", "a: 2"], true),
        (&["vary: a"], &["a: 1", "a: 2"], &["a: 2", "a: 1"], false),
        (&["vary: a"], &["a: 1", "a: 2"], &["a: 1"], false),
        (&["vary: a"], &["a: 1, 2"], &["a: 1", "a: 2"], false),
        (&["vary: a,, ,b"], &["a: 1"], &["a: 1", "b: 1"], false),
        // A coded response varies by `accept-encoding` even if it does not say so.
        (
            &["content-encoding: gzip"],
            &["accept-encoding: gzip"],
            &["accept-encoding: gzip"],
            true,
        ),
        (
            &["content-encoding: gzip"],
            &["accept-encoding: gzip"],
            &[],
            false,
        ),
        (
            &["content-encoding: gzip", "vary: accept-encoding"],
            &["accept-encoding: gzip"],
            &["accept-encoding: br"],
            false,
        ),
    ];
    for (response, first, later, expected) in rows {
        let stored = stored_for(first, response, true).expect("stored");
        let later_request = cache_request(later).expect("a GET");
        assert_eq!(
            stored.matches(&later_request),
            *expected,
            "{response:?} {first:?} {later:?}"
        );
    }
}

#[test]
fn a_response_is_shared_only_within_its_resource() {
    let stored = stored_for(&[], &[], true).expect("stored");
    let plain = || request("GET", &[]);
    let other = |name: &str, value: &str| {
        let mut other = plain();
        let header = other.headers.iter_mut().find(|(it, _)| it == name);
        header.expect("a header").1 = value.into();
        other
    };
    let without = |name: &str| {
        let mut other = plain();
        other.headers.retain(|(it, _)| it != name);
        other
    };
    let elsewhere = TestRequest {
        cluster: Some(b"d".to_vec()),
        ..plain()
    };
    let nowhere = TestRequest {
        cluster: None,
        ..plain()
    };
    let rows = [
        (plain(), SCOPE, true),
        (request("HEAD", &[]), SCOPE, true),
        (other(":path", "/a"), SCOPE, false),
        (other(":path", "/a?B"), SCOPE, false),
        (other(":authority", "site:80"), SCOPE, false),
        (other(":authority", ""), SCOPE, false),
        (without(":authority"), SCOPE, false),
        (other(":scheme", "http"), SCOPE, false),
        (elsewhere, SCOPE, false),
        (nowhere, SCOPE, false),
        (plain().with_route("r"), SCOPE, false),
        (plain().with_route(""), SCOPE, false),
        (plain(), CacheScope { policy: 2, ..SCOPE }, false),
        (plain(), CacheScope { key: b"l", ..SCOPE }, false),
        // The parts of a resource are separate.
        (
            plain().with_route("r"),
            CacheScope {
                key: b"kr",
                ..SCOPE
            },
            false,
        ),
    ];
    for (request, scope, expected) in rows {
        let request = scoped_request(&request, scope, at_ms(0)).expect("a GET or HEAD");
        assert_eq!(stored.matches(&request), expected, "{request:?} {scope:?}");
    }
}
