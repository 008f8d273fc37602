//! Which requests can share a response, and which URI a change affects.

use super::*;

/// Each row: headers that distinguish a request from a plain one.
#[test]
fn a_body_or_an_override_excludes_a_request_from_sharing() {
    for line in [
        "content-length: 5",
        "transfer-encoding: chunked",
        "x-http-method-override: DELETE",
        "x-http-method: DELETE",
        "x-method-override: DELETE",
    ] {
        for method in ["GET", "HEAD"] {
            assert_eq!(
                Outline::of(&request(method, &[line])).purpose(),
                None,
                "{line}"
            );
        }
    }
    assert!(cache_request(&["content-length: 0"]).is_some());
    let stored = stored_for(&[], &[], true).expect("stored");
    for line in [
        "x-original-url: /b",
        "x-rewrite-url: /b",
        "x-forwarded-host: other",
        "x-forwarded-prefix: /b",
    ] {
        let request = cache_request(&[line]).expect("a GET");
        assert!(!stored.matches(&request), "{line}");
        let its = stored_for(&[line], &[], true).expect("stored");
        assert!(its.matches(&request), "{line}");
    }
    assert_eq!(
        cache_request(&["x-forwarded-host: a", "x-forwarded-host: b"]).map(|it| it.usual.resource),
        None
    );
}

/// Each row: a request, and whether its change affects `GET https://site/a?b`.
#[test]
fn a_uri_is_independent_of_policy_key_and_route() {
    let plain = || request("GET", &[]);
    let with = |name: &str, value: &str| {
        let mut other = plain();
        let header = other.headers.iter_mut().find(|(it, _)| it == name);
        header.expect("a header").1 = value.into();
        other
    };
    let elsewhere = TestRequest {
        cluster: Some(b"d".to_vec()),
        ..plain()
    };
    let uri = |request: &TestRequest| Outline::of(request).uri(request.cluster.as_deref(), 7);
    for (request, same) in [
        (
            request("PUT", &["content-length: 5", "authorization: a"]),
            true,
        ),
        (with(":scheme", "http"), true),
        (with(":authority", "SITE:8443"), true),
        (plain().with_route("r"), true),
        (with(":path", "/a"), false),
        (with(":authority", "other"), false),
        (elsewhere, false),
    ] {
        assert_eq!(uri(&request) == uri(&plain()), same, "{request:?}");
    }
    let routed = plain().with_route("r");
    for scope in [
        SCOPE,
        CacheScope {
            policy: 3,
            key: b"",
        },
    ] {
        let request = scoped_request(&routed, scope, at_ms(0)).expect("a GET");
        assert_eq!(request.usual.uri, uri(&plain()));
    }
}
