//! Which stored response a 304 refreshes, and with which headers.

use super::*;

/// Each row: the conditions of the request, the stored headers, the headers of the 304, and
/// whether it refreshes the stored response.
#[test]
fn a_304_refreshes_only_the_response_that_it_confirms() {
    let date = "last-modified: Sun, 06 Nov 1994 08:00:00 GMT";
    let since = "if-modified-since: Sun, 06 Nov 1994 08:00:00 GMT";
    let (known, tag, weak) = ("if-none-match: \"a\"", "etag: \"a\"", "etag: W/\"a\"");
    type Row<'a> = (&'a [&'a str], &'a [&'a str], &'a [&'a str], bool);
    let rows: &[Row<'_>] = &[
        (&[known], &[tag], &[tag], true),
        (&[known], &[tag], &[], true),
        (&[known], &[tag], &[weak], true),
        (&[known], &[weak], &[tag], false),
        (&[known], &["etag: \"b\""], &[tag], false),
        (&[known], &["etag: \"b\""], &[], false),
        (&[known], &[], &[tag], false),
        (&["if-none-match: \"a\", \"b\""], &[tag], &[], false),
        (
            &["if-none-match: \"a\", \"b\"", since],
            &[tag, date],
            &[],
            false,
        ),
        (
            &["if-none-match: \"a\", \"b\""],
            &[tag, date],
            &[date],
            true,
        ),
        (&[since], &[date], &[], true),
        (&[since], &[date], &[date], true),
        (&[since], &[], &[], false),
        (&[], &[date], &[date], true),
        (&[], &[], &[], false),
        // Its other headers forbid it.
        (&[known], &[tag], &[tag, "cache-control: no-store"], false),
        (&[known], &[tag], &[tag, "set-cookie: a=b"], false),
        (&[known, "cache-control: no-store"], &[tag], &[tag], false),
        (&[known], &[tag], &[tag, "vary: accept"], false),
    ];
    for (request, stored, said, expected) in rows {
        let stored = stored_for(&[], stored, true).expect("stored");
        let later = scoped_request(&self::request("GET", request), SCOPE, at_ms(20_000));
        let headers = headers(said);
        let newer = Recorder::refreshed(&later.expect("a GET"), &stored, &headers, facts(true));
        assert_eq!(
            newer.is_some(),
            *expected,
            "{request:?} {stored:?} {said:?}"
        );
    }
}

#[test]
fn a_304_replaces_headers_except_those_that_describe_the_body() {
    let stored = [
        "etag: \"a\"",
        "content-type: text/plain",
        "cache-control: public, max-age=5",
        "x-old: 1",
        "x-both: 1",
        "date: Sun, 06 Nov 1994 08:00:00 GMT",
    ];
    let said = headers(&[
        "etag: \"a\"",
        "content-type: text/odd",
        "content-length: 0",
        "cache-control: public, max-age=60",
        "x-both: 2",
        "age: 3",
        "connection: close",
        "date: Sun, 06 Nov 1994 08:49:37 GMT",
    ]);
    let stored = stored_for(&[], &stored, false).expect("stored");
    let request = scoped_request(
        &request("GET", &["if-none-match: \"a\""]),
        SCOPE,
        at_ms(20_000),
    );
    let request = request.expect("a GET");
    let newer = Recorder::refreshed(&request, &stored, &said, facts(false));
    let newer = newer.expect("a refreshed response");
    let stored = newer.stored;
    assert_eq!(
        (newer.length, stored.at, stored.age(at_ms(21_000))),
        (None, at_ms(20_000), Span::from_secs(4))
    );
    assert_eq!(stored.fresh_for, Span::from_secs(60));
    let pairs = stored.headers.iter();
    let lines: Vec<String> = pairs
        .map(|(name, value)| [name, value].map(String::from_utf8_lossy).join(": "))
        .collect();
    assert_eq!(
        lines,
        [
            "content-type: text/plain",
            "x-old: 1",
            "etag: \"a\"",
            "cache-control: public, max-age=60",
            "x-both: 2",
            "date: Sun, 06 Nov 1994 08:49:37 GMT",
        ]
    );
}
