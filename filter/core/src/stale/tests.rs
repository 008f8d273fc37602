//! What may be kept, who gets it, and until when.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::recording::Recording;
use super::*;
use crate::circuit::breaker::StateName;
use crate::exchange::Request;
use crate::fallback::{Answer, Occasion};
use crate::headers::Headers;
use crate::policy::{On, StaleConfig};
use crate::testing::{Asking, at_ms};
use crate::time::{Instant, Span};

mod refresh;
mod request;

/// Sun, 06 Nov 1994 08:49:37 GMT.
const UNIX_SECS: u64 = 784_111_777;

/// Header lines.
type Lines = &'static [&'static str];

/// A header line as `name: value`.
fn line(text: &str) -> (&str, &str) {
    text.split_once(": ").expect("a header line")
}

fn headers(lines: &[&str]) -> Headers {
    let mut headers = Headers::default();
    headers.push(b":status", b"200");
    for text in lines {
        let (name, value) = line(text);
        headers.push(name.as_bytes(), value.as_bytes());
    }
    headers
}

fn request(method: &str, lines: &[&str]) -> Asking {
    let plain = Asking::cluster("c")
        .with(":method", method)
        .with(":scheme", "https")
        .with(":authority", "site")
        .with(":path", "/a?b");
    lines.iter().fold(plain, |request, text| {
        let (name, value) = line(text);
        request.with(name, value)
    })
}

const UNDER: CacheScope<'_> = CacheScope {
    policy: 1,
    key: b"k",
};

fn ask(request: &Asking, under: CacheScope<'_>, now: Instant) -> Option<CacheRequest> {
    let outline = Outline::of(request);
    let purpose = outline.purpose().filter(|it| *it != Purpose::Change)?;
    let mut resource = Resource::default();
    let whole = resource.set(request, &outline, under, 7);
    whole.then(|| CacheRequest::new(purpose, &resource, request.copy_headers(), now))
}

fn asked(lines: &[&str]) -> Option<CacheRequest> {
    ask(&request("GET", lines), UNDER, at_ms(10_000))
}

fn kept_of(request: &[&str], response: &[&str], vouched: bool) -> Option<StoredResponse> {
    let asked = asked(request)?;
    let collection = Recorder::new(&asked, &headers(response), vouched, UNIX_SECS, 7);
    collection.map(|it| StoredResponse {
        body: b"body".to_vec(),
        ..it.kept
    })
}

fn config(max_age_ms: u64, shared: bool) -> StaleConfig {
    StaleConfig {
        max_age: Span::from_ms(max_age_ms),
        shared,
    }
}

/// Each row: whether the answer is kept where it must say that it is for all, and where the
/// policy vouches for it; the request's headers, and the response's.
#[test]
fn only_what_is_for_everybody_and_needs_no_asking_is_kept() {
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
        // What the response says.
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
        // What the request says.
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
        let kept = [false, true].map(|vouched| kept_of(request, response, vouched).is_some());
        assert_eq!(kept, [*said, *vouched], "{request:?} {response:?}");
    }
}

#[test]
fn only_an_ordinary_answer_to_get_is_kept() {
    for status in [
        "200", "201", "203", "204", "206", "301", "304", "404", "500", "",
    ] {
        let mut response = Headers::default();
        response.push(b":status", status.as_bytes());
        response.push(b"cache-control", b"public");
        let asked = asked(&[]).expect("a GET");
        let kept = Recorder::new(&asked, &response, true, UNIX_SECS, 7);
        assert_eq!(kept.is_some(), status == "200", "{status}");
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
        let asked = ask(&request, UNDER, at_ms(0));
        let response = headers(&["cache-control: public"]);
        let kept = asked.and_then(|asked| Recorder::new(&asked, &response, true, UNIX_SECS, 7));
        assert_eq!(kept.is_some(), keeps, "{method}");
    }
}

/// Each row: the response's headers, the seconds for which it may be given after its request
/// came where the policy allows a thousand, and how old it is then.
#[test]
fn an_answer_is_given_for_as_long_as_it_and_the_policy_allow() {
    let date = "date: Sun, 06 Nov 1994 08:49:37 GMT";
    let old = "date: Sun, 06 Nov 1994 08:48:37 GMT";
    let rows: &[(&[&str], u64, u64)] = &[
        // The policy alone.
        (&["cache-control: public"], 1_000, 1_000),
        (&["cache-control: public, max-age=5"], 1_000, 1_000),
        // It was old already.
        (&["cache-control: public", "age: 300"], 700, 1_000),
        (&["cache-control: public", "age: 1001"], 0, 1_001),
        (&["cache-control: public", old], 940, 1_000),
        (&["cache-control: public", old, "age: 100"], 900, 1_000),
        (&["cache-control: public", old, "age: 10"], 940, 1_000),
        (&["cache-control: public", "age: soon"], 1_000, 1_000),
        // stale-if-error, from the end of its freshness.
        (
            &["cache-control: public, max-age=5, stale-if-error=10"],
            15,
            15,
        ),
        (
            &["cache-control: public, max-age=5, stale-if-error=0"],
            5,
            5,
        ),
        (&["cache-control: public, stale-if-error=10"], 10, 10),
        (
            &["cache-control: public, stale-if-error=86400"],
            1_000,
            1_000,
        ),
        (
            &[
                "cache-control: public, max-age=5, stale-if-error=10",
                "age: 8",
            ],
            7,
            15,
        ),
        // Expires, where there is no max-age.
        (
            &[
                "cache-control: public, stale-if-error=10",
                date,
                "expires: Sun, 06 Nov 1994 08:49:57 GMT",
            ],
            30,
            30,
        ),
        (
            &[
                "cache-control: public, stale-if-error=10, max-age=1",
                date,
                "expires: Sun, 06 Nov 1994 08:49:57 GMT",
            ],
            11,
            11,
        ),
        (
            &["cache-control: public, stale-if-error=10", "expires: 0"],
            10,
            10,
        ),
        // s-maxage forbids staleness, unless stale-if-error allows it.
        (&["cache-control: s-maxage=20, max-age=500"], 20, 20),
        (&["cache-control: s-maxage=20, stale-if-error=30"], 50, 50),
        (&["cache-control: s-maxage=0"], 0, 0),
        (&["cache-control: s-maxage=x"], 0, 0),
    ];
    let config = config(1_000_000, false);
    for (response, secs, age) in rows {
        let kept = kept_of(&[], response, false).expect("kept");
        let at = |ms: u64| at_ms(10_000 + ms);
        let given = |ms| kept.may_be_given(&config, at(ms));
        let last = secs * 1_000;
        // What the answer forbids ends at its time, what the policy does behind it.
        let by_policy = *age == 1_000;
        assert_eq!(given(last), by_policy, "{response:?} at {secs} s");
        assert!(!given(last + 1), "{response:?} behind {secs} s");
        if *secs > 0 {
            assert!(given(0) && given(last - 1), "{response:?} before {secs} s");
        }
        assert_eq!(kept.age(at(last)), Span::from_secs(*age), "{response:?}");
        assert!(
            !kept.may_be_given(&config, at_ms(9_999)),
            "{response:?} before it came"
        );
    }
}

#[test]
fn what_was_vouched_for_is_given_only_where_it_still_is() {
    let vouched = kept_of(&[], &[], true).expect("kept");
    let public = kept_of(&[], &["cache-control: public"], true).expect("kept");
    for (kept, expected) in [(vouched, [false, true]), (public, [true, true])] {
        let given =
            [false, true].map(|shared| kept.may_be_given(&config(1_000, shared), at_ms(10_000)));
        assert_eq!(given, expected);
    }
}

/// Each row: what the response varies by and how it is coded; the request that it answered; one
/// that asks later; whether that may have it.
#[test]
fn an_answer_is_for_requests_with_the_same_values_of_what_it_varies_by() {
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
        // A coding that is not said to vary does.
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
        let kept = kept_of(first, response, true).expect("kept");
        let later_asked = asked(later).expect("a GET");
        assert_eq!(
            kept.is_for(&later_asked),
            *expected,
            "{response:?} {first:?} {later:?}"
        );
    }
}

#[test]
fn an_answer_is_for_what_it_was_asked_for_and_nothing_else() {
    let kept = kept_of(&[], &[], true).expect("kept");
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
    let elsewhere = Asking {
        cluster: Some(b"d".to_vec()),
        ..plain()
    };
    let nowhere = Asking {
        cluster: None,
        ..plain()
    };
    let rows = [
        (plain(), UNDER, true),
        (request("HEAD", &[]), UNDER, true),
        (other(":path", "/a"), UNDER, false),
        (other(":path", "/a?B"), UNDER, false),
        (other(":authority", "site:80"), UNDER, false),
        (other(":authority", ""), UNDER, false),
        (without(":authority"), UNDER, false),
        (other(":scheme", "http"), UNDER, false),
        (elsewhere, UNDER, false),
        (nowhere, UNDER, false),
        (plain().with_route("r"), UNDER, false),
        (plain().with_route(""), UNDER, false),
        (plain(), CacheScope { policy: 2, ..UNDER }, false),
        (plain(), CacheScope { key: b"l", ..UNDER }, false),
        // Parts do not run into each other.
        (
            plain().with_route("r"),
            CacheScope {
                key: b"kr",
                ..UNDER
            },
            false,
        ),
    ];
    for (request, under, expected) in rows {
        let asked = ask(&request, under, at_ms(0)).expect("one that may ask");
        assert_eq!(kept.is_for(&asked), expected, "{request:?} {under:?}");
    }
}

const OCCASION: Occasion<'_> = Occasion {
    on: On::Open,
    state: StateName::Open,
    retry_after: Span::ZERO,
    grpc: false,
    path: b"",
    request_id: b"",
    accept: b"",
};

fn shown(answer: &Answer) -> Vec<String> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let headers = answer.headers.iter();
    headers
        .map(|(name, value)| format!("{name}: {}", text(value)))
        .collect()
}

#[test]
fn an_answer_keeps_what_goes_from_end_to_end_and_says_how_it_came() {
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
    let kept = kept_of(&[], &response, false).expect("kept");
    let asked = asked(&[]).expect("a GET");
    let answer = kept.answer(&asked, &OCCASION, at_ms(15_500));
    assert_eq!((answer.status, &*answer.body), (200, &b"body"[..]));
    assert_eq!(
        shown(&answer),
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
fn the_cache_status_says_whether_the_upstream_was_asked_and_what_is_left() {
    let rows = [
        (On::Open, 3, "spillway; hit; ttl=7"),
        (On::Open, 10, "spillway; hit; ttl=0"),
        (On::Open, 11, "spillway; hit; ttl=-1"),
        (On::Failure, 3, "spillway; fwd=bypass; ttl=7"),
        (On::Timeout, 12, "spillway; fwd=stale; ttl=-2"),
    ];
    for (on, secs, expected) in rows {
        let kept = kept_of(&[], &["cache-control: public, max-age=10"], false).expect("kept");
        let asked = asked(&[]).expect("a GET");
        let occasion = Occasion { on, ..OCCASION };
        let answer = kept.answer(&asked, &occasion, at_ms(10_000 + secs * 1_000));
        let status = shown(&answer).pop().expect("headers");
        assert_eq!(status, format!("cache-status: {expected}"), "{on:?} {secs}");
    }
}

/// Each row: what the caller has already, what is kept, and whether that is the same.
#[test]
fn a_caller_who_has_the_answer_is_told_so() {
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
        // A tag is the better word.
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
        let kept = kept_of(&[], &response, true).expect("kept");
        let asked = asked(request).expect("a GET");
        let answer = kept.answer(&asked, &OCCASION, at_ms(10_000));
        let expected = if *unchanged { (304, 0) } else { (200, 4) };
        assert_eq!(
            (answer.status, answer.body.len()),
            expected,
            "{request:?} {response:?}"
        );
        let names: Vec<String> = answer.headers.iter().map(|it| it.0.to_string()).collect();
        let has = |name: &str| names.iter().any(|it| it == name);
        assert_eq!(has("content-type"), !unchanged, "{request:?}");
        assert!(
            has("content-location") && has("x-own") && has("age"),
            "{request:?}"
        );
    }
}

#[test]
fn a_record_gives_back_what_was_put_in_and_nothing_where_it_is_damaged() {
    let response = [
        "cache-control: public, stale-if-error=5",
        "vary: a",
        "x-own: 1",
    ];
    let kept = kept_of(&["a: 1"], &response, false).expect("kept");
    let asked = asked(&["a: 1"]).expect("a GET");
    let collection = Recorder::new(&asked, &headers(&response), false, UNIX_SECS, 7);
    let mut recording = Recording::new(collection.expect("one to keep"), 0, 4_096).expect("room");
    recording.push(b"bo");
    recording.push(b"dy");
    let record = recording.end().expect("a whole one");
    assert_eq!(StoredResponse::open(&record, &asked), Some(kept));
    for at in 0..record.len() {
        let mut damaged = record.clone();
        damaged[at] ^= 0x40;
        assert_eq!(StoredResponse::open(&damaged, &asked), None, "byte {at}");
        assert_eq!(
            StoredResponse::open(&record[..at], &asked),
            None,
            "cut at {at}"
        );
    }
    let others = self::asked(&["a: 2"]).expect("a GET");
    assert_eq!(StoredResponse::open(&record, &others), None);
}

#[test]
fn an_answer_that_is_not_as_long_as_it_says_is_not_whole() {
    let rows: [(&[&str], bool); 4] = [
        (&["content-length: 4"], true),
        (&["content-length: 5"], false),
        (&["content-length: x"], true),
        (&[], true),
    ];
    for (response, whole) in rows {
        let asked = asked(&[]).expect("a GET");
        let collection = Recorder::new(&asked, &headers(response), true, UNIX_SECS, 7);
        let recording = Recording::new(collection.expect("one to keep"), 0, 4_096);
        let mut recording = recording.expect("room");
        recording.push(&[0; 4]);
        assert_eq!(recording.end().is_some(), whole, "{response:?}");
    }
}
