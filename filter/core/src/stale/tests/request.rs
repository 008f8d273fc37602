//! Which requests can share a response, and what a change is about.

use super::*;

/// Each row: headers of a request that tell it apart from a plain one.
#[test]
fn a_body_or_a_trick_keeps_a_request_from_sharing() {
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
    assert!(asked(&["content-length: 0"]).is_some());
    let kept = kept_of(&[], &[], true).expect("kept");
    for line in [
        "x-original-url: /b",
        "x-rewrite-url: /b",
        "x-forwarded-host: other",
        "x-forwarded-prefix: /b",
    ] {
        let asked = asked(&[line]).expect("a GET");
        assert!(!kept.is_for(&asked), "{line}");
        let its = kept_of(&[line], &[], true).expect("kept");
        assert!(its.is_for(&asked), "{line}");
    }
    assert_eq!(
        asked(&["x-forwarded-host: a", "x-forwarded-host: b"]).map(|it| it.hash),
        None
    );
}

/// Each row: a request, and whether a change there changes what `GET https://site/a?b` names.
#[test]
fn a_uri_is_the_same_whatever_it_is_asked_under() {
    let plain = || request("GET", &[]);
    let with = |name: &str, value: &str| {
        let mut other = plain();
        let header = other.headers.iter_mut().find(|(it, _)| it == name);
        header.expect("a header").1 = value.into();
        other
    };
    let elsewhere = Asking {
        cluster: Some(b"d".to_vec()),
        ..plain()
    };
    let uri = |request: &Asking| Outline::of(request).uri(request.cluster.as_deref(), 7);
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
    for under in [
        UNDER,
        CacheScope {
            policy: 3,
            key: b"",
        },
    ] {
        let asked = ask(&routed, under, at_ms(0)).expect("a GET");
        assert_eq!(asked.uri(7), uri(&plain()));
    }
}
