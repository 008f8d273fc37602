//! Which stored response a 304 is about, and what it brings.

use super::*;

/// Each row: what the request knows, what is stored, what the 304 says, and whether that
/// refreshes it.
#[test]
fn a_304_refreshes_only_what_it_is_about() {
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
        // It says more.
        (&[known], &[tag], &[tag, "cache-control: no-store"], false),
        (&[known], &[tag], &[tag, "set-cookie: a=b"], false),
        (&[known, "cache-control: no-store"], &[tag], &[tag], false),
        (&[known], &[tag], &[tag, "vary: accept"], false),
    ];
    for (request, stored, said, expected) in rows {
        let kept = kept_of(&[], stored, true).expect("kept");
        let later = ask(&self::request("GET", request), UNDER, at_ms(20_000));
        let headers = headers(said);
        let newer =
            Recorder::refreshed(&later.expect("a GET"), &kept, &headers, true, UNIX_SECS, 7);
        assert_eq!(
            newer.is_some(),
            *expected,
            "{request:?} {stored:?} {said:?}"
        );
    }
}

#[test]
fn a_304_brings_its_headers_and_leaves_those_of_the_body() {
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
    let kept = kept_of(&[], &stored, false).expect("kept");
    let asked = ask(
        &request("GET", &["if-none-match: \"a\""]),
        UNDER,
        at_ms(20_000),
    );
    let asked = asked.expect("a GET");
    let newer = Recorder::refreshed(&asked, &kept, &said, false, UNIX_SECS, 7);
    let newer = newer.expect("a newer one");
    let kept = newer.kept;
    assert_eq!(
        (newer.length, kept.at, kept.age(at_ms(21_000))),
        (None, at_ms(20_000), Span::from_secs(4))
    );
    assert_eq!(kept.fresh_for, Span::from_secs(60));
    let pairs = kept.headers.iter();
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
