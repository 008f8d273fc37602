//! Which responses may be stored.

use super::*;

/// Each row: whether the response is stored without and with the policy's voucher; the headers of
/// the request and of the response.
#[test]
fn only_public_responses_that_need_no_revalidation_are_stored() {
    let rows: &[(bool, bool, &[&str], &[&str])] = &[
        (false, true, &[], &[]),
        (true, true, &[], &["cache-control: public"]),
        (true, true, &[], &["cache-control: s-maxage=5"]),
        (
            true,
            true,
            &[],
            &["cache-control: max-age=5", "cache-control: public"],
        ),
        (false, true, &[], &["cache-control: max-age=600"]),
        (
            false,
            true,
            &[],
            &["expires: Sun, 06 Nov 1994 08:49:37 GMT"],
        ),
        // The response forbids it.
        (false, false, &[], &["cache-control: public, no-store"]),
        (false, false, &[], &["cache-control: public, no-cache"]),
        (
            false,
            false,
            &[],
            &["cache-control: public, no-cache=\"x-a\""],
        ),
        (false, false, &[], &["cache-control: public, private"]),
        (
            false,
            false,
            &[],
            &["cache-control: public, private=\"set-cookie\""],
        ),
        (
            false,
            false,
            &[],
            &["cache-control: public, must-revalidate"],
        ),
        (
            false,
            false,
            &[],
            &["cache-control: public, proxy-revalidate"],
        ),
        (
            false,
            false,
            &[],
            &["cache-control: public", "cache-control: no-store"],
        ),
        (
            false,
            false,
            &[],
            &["cache-control: public", "set-cookie: a=b"],
        ),
        (false, false, &[], &["cache-control: public", "vary: *"]),
        (
            false,
            false,
            &[],
            &["cache-control: public", "vary: accept, *"],
        ),
        (true, true, &[], &["cache-control: public", "vary: accept"]),
        // The request forbids it.
        (
            false,
            false,
            &["authorization: Bearer a"],
            &["cache-control: public"],
        ),
        (
            false,
            false,
            &["proxy-authorization: a"],
            &["cache-control: public"],
        ),
        (false, false, &["cookie: a=b"], &["cache-control: public"]),
        (
            false,
            false,
            &["range: bytes=0-1"],
            &["cache-control: public"],
        ),
        (
            false,
            false,
            &["if-match: \"a\""],
            &["cache-control: public"],
        ),
        (
            false,
            false,
            &["cache-control: no-store"],
            &["cache-control: public"],
        ),
        (
            true,
            true,
            &["cache-control: no-cache, max-age=0"],
            &["cache-control: public"],
        ),
        (
            true,
            true,
            &["pragma: no-cache"],
            &["cache-control: public"],
        ),
    ];
    for (said, vouched, request, response) in rows {
        let stored = [false, true].map(|vouched| stored_for(request, response, vouched).is_some());
        assert_eq!(stored, [*said, *vouched], "{request:?} {response:?}");
    }
}

#[test]
fn only_ordinary_responses_to_get_are_stored() {
    for status in [
        "200", "201", "203", "204", "206", "301", "304", "404", "500", "",
    ] {
        let mut response = Headers::default();
        response.push(b":status", status.as_bytes());
        response.push(b"cache-control", b"public");
        let request = cache_request(&[]).expect("a GET");
        let stored = Recorder::new(&request, &response, facts(true));
        assert_eq!(stored.is_some(), status == "200", "{status}");
    }
    let rows = [
        ("GET", Some(Purpose::Get), true),
        ("HEAD", Some(Purpose::Head), false),
        ("POST", Some(Purpose::Change), false),
        ("PUT", Some(Purpose::Change), false),
        ("DELETE", Some(Purpose::Change), false),
        ("get", Some(Purpose::Change), false),
        ("M-SEARCH", Some(Purpose::Change), false),
        ("OPTIONS", None, false),
        ("TRACE", None, false),
        ("CONNECT", None, false),
        ("PROPFIND", None, false),
        ("REPORT", None, false),
        ("SEARCH", None, false),
        ("QUERY", None, false),
    ];
    for (method, purpose, keeps) in rows {
        let request = request(method, &[]);
        assert_eq!(Outline::of(&request).purpose(), purpose, "{method}");
        let request = scoped_request(&request, SCOPE, at_ms(0));
        let response = headers(&["cache-control: public"]);
        let stored = request.and_then(|request| Recorder::new(&request, &response, facts(true)));
        assert_eq!(stored.is_some(), keeps, "{method}");
    }
}
