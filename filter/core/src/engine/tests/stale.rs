//! Stored responses, from the request that stored one to the one that gets it.

use super::ticket::Storing;
use super::*;
use crate::headers::Headers;

pub(super) const SHARED: &str = r#""fallback": [{"type": "stale", "on": ["open", "failure"], "max_age": "10s", "shared": true}]"#;

/// Opens at the second failure in a row.
const BREAKER: &str =
    r#""circuit_breaker": {"failure_rate_threshold": 0, "consecutive_failures": 2}"#;

pub(super) fn bench(fallback: &str) -> Bench {
    Bench::new(&[&format!(r#"{BREAKER}, {fallback}"#)])
}

pub(super) fn request(method: &str, path: &str) -> TestRequest {
    TestRequest::cluster("c")
        .with(":method", method)
        .with(":scheme", "https")
        .with(":authority", "site")
        .with(":path", path)
}

pub(super) fn get() -> TestRequest {
    request("GET", "/a")
}

pub(super) fn headers(pairs: &[(&str, &str)]) -> Headers {
    let mut headers = Headers::default();
    headers.push(b":status", b"200");
    for (name, value) in pairs {
        headers.push(name.as_bytes(), value.as_bytes());
    }
    headers
}

/// The upstream answers a request of an engine with these headers and this body.
pub(super) fn answered<R: Records>(
    engine: &mut Engine<R>,
    now: Instant,
    request: &TestRequest,
    headers: &Headers,
    body: &str,
) {
    let Admission::Pass(mut ticket, _) = engine.admit(request, true, now) else {
        panic!("{request:?} was rejected");
    };
    let ending = TestResponse::status(200);
    let step = engine.response_headers(&mut ticket, &ending, now);
    assert_eq!(step, Step::Pass);
    if engine.wants_headers(&ticket, now) {
        engine.keep(&mut ticket, headers, body.is_empty(), 0, now);
        let (first, rest) = body.split_at(body.len() / 2);
        for (piece, ends) in [(first, false), (rest, true)] {
            if ticket.is_keeping() && engine.expects(&mut ticket, piece.len(), now) {
                engine.collect(&mut ticket, piece.as_bytes(), ends, now);
            }
        }
    }
    engine.settle(ticket, &ending, now);
}

impl Bench {
    pub(super) fn good(&mut self, request: &TestRequest, pairs: &[(&str, &str)], body: &str) {
        answered(&mut self.engine, self.now, request, &headers(pairs), body);
    }

    /// The body that a failed request gets in the end, or `None` if its own response stands.
    pub(super) fn bad(&mut self, request: &TestRequest) -> Option<String> {
        let mut ticket = self.pass(request);
        let answer = self.head(&mut ticket, &TestResponse::status(503));
        self.settle(ticket, &TestResponse::status(503));
        answer.map(|answer| String::from_utf8_lossy(&answer.body).into_owned())
    }
}

#[test]
fn the_last_good_response_replaces_a_failure_and_a_rejection() {
    let mut bench = bench(SHARED);
    bench.good(&get(), &[("etag", "\"1\"")], "good");
    assert!(bench.happened("p0 kept"));
    bench.wait(5_000);
    assert_eq!(bench.bad(&get()).as_deref(), Some("good"));
    assert_eq!(bench.events(), ["p0 fallback Failure stale", "p0 failure"]);
    assert_eq!(bench.bad(&get()).as_deref(), Some("good"));
    bench.events();
    let (answer, note) = bench.reject(&get());
    assert_eq!((answer.status, &*answer.body), (200, &b"good"[..]));
    assert_eq!(
        (answer.details, note.decision),
        ("spillway_open", Decision::Reject)
    );
    let has = |name: &str, value: &str| answer.headers.contains(&(name.into(), value.into()));
    assert!(has("age", "5") && has("cache-status", "spillway; hit; ttl=-5"));
    assert!(has("x-circuit-fallback", "stale") && has("x-circuit-state", "open"));
    assert_eq!(bench.events(), ["p0 rejected", "p0 fallback Open stale"]);
    // The same response answers a HEAD; the host leaves out the body.
    let (answer, _) = bench.reject(&request("HEAD", "/a"));
    assert_eq!((answer.status, &*answer.body), (200, &b"good"[..]));
    // Another path has none, nor a client with credentials.
    for other in [
        request("GET", "/b"),
        get().with("cookie", "a=b"),
        request("POST", "/a"),
    ] {
        let (answer, _) = bench.reject(&other);
        assert_eq!(answer.kind, Kind::Default, "{other:?}");
        assert!(bench.happened("p0 skipped stale not_kept"));
    }
}

/// Each row: how long after the last response this one comes, its tag, and whether it is stored.
#[test]
fn an_unchanged_response_is_not_stored_again() {
    let mut bench = bench(SHARED);
    let rows = [
        (0, "\"1\"", 1),
        (200, "\"1\"", 0),
        (200, "\"1\"", 0),
        (200, "\"2\"", 1),
        (50, "\"3\"", 0),
        // A sixteenth of ten seconds.
        (574, "\"2\"", 0),
        (101, "\"2\"", 1),
    ];
    for (waits, tag, stored) in rows {
        bench.wait(waits);
        bench.good(&get(), &[("etag", tag)], "good");
        assert_eq!(bench.count("p0 kept"), stored, "{waits} {tag}");
    }
}

#[test]
fn a_stored_response_is_never_used_beyond_its_age() {
    let mut bench = bench(SHARED);
    bench.good(&get(), &[("age", "4")], "good");
    bench.wait(6_000);
    assert!(bench.bad(&get()).is_some());
    bench.now = bench.now.after(Span::from_ns(1));
    assert_eq!(bench.bad(&get()), None);
}

#[test]
fn only_good_responses_of_the_upstream_are_stored() {
    let direct = TestResponse {
        details: Some("direct_response"),
        attempts: Some(0),
        ..TestResponse::status(200)
    };
    let mut bench = bench(SHARED);
    for ending in [direct, TestResponse::status(503), TestResponse::status(404)] {
        let mut ticket = bench.pass(&get());
        let _step = bench.head(&mut ticket, &ending);
        let keeps = ending.status == Some(404);
        // The headers of a good response decide.
        assert_eq!(
            bench.engine.wants_headers(&ticket, bench.now),
            keeps,
            "{ending:?}"
        );
        bench.settle(ticket, &ending);
    }
}

#[test]
fn an_incomplete_response_is_not_stored() {
    let mut bench = bench(SHARED);
    let mut ticket = bench.pass(&get());
    assert!(
        bench
            .head(&mut ticket, &TestResponse::status(200))
            .is_none()
    );
    let now = bench.now;
    bench.engine.keep(&mut ticket, &headers(&[]), false, 0, now);
    assert!(ticket.is_keeping());
    bench.engine.collect(&mut ticket, b"half", false, now);
    bench.settle(ticket, &TestResponse::status(200));
    assert_eq!(bench.bad(&get()), None);
}

#[test]
fn a_response_without_a_body_is_stored_too() {
    let mut bench = bench(SHARED);
    bench.good(&get(), &[], "");
    assert_eq!(bench.bad(&get()).as_deref(), Some(""));
}

#[test]
fn a_response_that_grows_too_large_is_dropped_and_counted() {
    let json =
        format!(r#"{{"policies":[{{"name":"p0",{SHARED}}}],"limits":{{"stale_bytes":4096}}}}"#);
    let mut bench = bench(SHARED);
    bench.engine = engine_of(config(&json), 1, Memory::default(), bench.now);
    bench.good(&get(), &[], &"b".repeat(9_000));
    assert_eq!(bench.count("p0 too large"), 1);
    assert_eq!(bench.bad(&get()), None);
    bench.good(
        &request("GET", "/b"),
        &[("content-length", "9000")],
        &"b".repeat(9_000),
    );
    assert_eq!(bench.count("p0 too large"), 1);
}

#[test]
fn a_304_refreshes_the_stored_response() {
    let mut bench = bench(SHARED);
    bench.good(&get(), &[("etag", "\"1\"")], "good");
    assert_eq!(bench.count("p0 kept"), 1);
    bench.wait(9_000);
    let mut not_modified = Headers::default();
    not_modified.push(b":status", b"304");
    not_modified.push(b"etag", b"\"1\"");
    let asks = get().with("if-none-match", "\"1\"");
    for (waits, stored) in [(0, 1), (0, 0), (1_000, 1)] {
        bench.wait(waits);
        let mut ticket = bench.pass(&asks);
        let now = bench.now;
        assert!(
            bench
                .head(&mut ticket, &TestResponse::status(304))
                .is_none()
        );
        if bench.engine.wants_headers(&ticket, now) {
            bench.engine.keep(&mut ticket, &not_modified, true, 0, now);
        }
        assert!(!ticket.is_keeping());
        bench.settle(ticket, &TestResponse::status(304));
        assert_eq!(bench.count("p0 kept"), stored);
    }
    bench.wait(9_000);
    assert_eq!(bench.bad(&get()).as_deref(), Some("good"));
}

/// However many requests wait, however long their headers are, and whatever they download.
#[test]
fn bytes_held_for_storing_have_a_total_limit() {
    let limits = r#""limits":{"stale_bytes":1073741824,"recording_bytes":1048576}"#;
    let json = format!(r#"{{"policies":[{{"name":"p0",{SHARED}}}],{limits}}}"#);
    let mut bench = bench(SHARED);
    bench.engine = engine_of(config(&json), 1, Memory::default(), bench.now);
    let mut tickets = Vec::new();
    for n in 0..100 {
        let request = request("GET", &format!("/{n}")).with("x-long", "l".repeat(50_000));
        tickets.push(bench.pass(&request));
    }
    let dropped = bench.count("p0 not recorded");
    assert!((80..95).contains(&dropped), "{dropped}");
    let now = bench.now;
    for ticket in &mut tickets {
        assert!(bench.head(ticket, &TestResponse::status(200)).is_none());
        bench.engine.keep(ticket, &headers(&[]), false, 0, now);
        for _ in 0..20 {
            if bench.engine.expects(ticket, 50_000, now) {
                bench.engine.collect(ticket, &[b'b'; 50_000], false, now);
            }
        }
    }
    let dropped = dropped + bench.count("p0 not recorded");
    assert!((99..=100).contains(&dropped), "{dropped}");
    for ticket in tickets {
        bench.settle(ticket, &TestResponse::status(200));
    }
    // Then others have room.
    bench.good(&get(), &[], "good");
    assert_eq!(bench.bad(&get()).as_deref(), Some("good"));
}

/// Each row: further fields, and whether responses are stored under them.
#[test]
fn a_response_that_no_request_could_get_is_not_stored() {
    let grpc = get().with("content-type", "application/grpc");
    let rows = [
        ("", get(), true),
        (r#", "mode": "shadow""#, get(), false),
        (r#", "enforce_percent": 0"#, get(), true),
        ("", grpc, false),
        (
            r#", "key": [{"header": "x-long"}]"#,
            get().with("x-long", "l".repeat(600)),
            false,
        ),
    ];
    for (more, request, keeps) in rows {
        let mut bench = Bench::new(&[&format!("{SHARED}{more}")]);
        bench.good(&request, &[], "good");
        assert_eq!(bench.happened("p0 kept"), keeps, "{more} {request:?}");
    }
    let on_open = r#""fallback": [{"type": "respond"}]"#;
    let mut bench = Bench::new(&[on_open]);
    let ticket = bench.pass(&get());
    assert!(ticket.stale == Storing::None && !ticket.watches_response());
    bench.settle(ticket, &TestResponse::status(200));
}

/// Each row: the policy when its configuration is loaded again, and whether the response that was
/// stored under it is still used.
#[test]
fn a_stored_response_outlives_its_configuration_if_its_scope_is_unchanged() {
    let not_shared = SHARED.replace(r#", "shared": true"#, "");
    let by_method = format!(r#"{SHARED}, "key": ["method"]"#);
    let renamed = ("q", SHARED);
    let rows = [
        (("p", SHARED), true),
        (("p", &*not_shared), false),
        (("p", &*by_method), false),
        (renamed, false),
    ];
    for ((name, fields), given) in rows {
        let memory = Memory::default();
        let of = |name: &str, fields: &str| {
            config(&format!(r#"{{"policies":[{{"name":"{name}",{fields}}}]}}"#))
        };
        let mut old = engine_of(of("p", SHARED), 1, memory.clone(), at_ms(0));
        answered(&mut old, at_ms(0), &get(), &headers(&[]), "good");
        let mut new = engine_of(of(name, fields), 2, memory.clone(), at_ms(1));
        old.retire(at_ms(2));
        let Admission::Pass(mut ticket, _) = new.admit(&get(), true, at_ms(3)) else {
            panic!("nothing opens");
        };
        let step = new.response_headers(&mut ticket, &TestResponse::status(503), at_ms(3));
        assert_eq!(matches!(step, Step::Respond(_)), given, "{name} {fields}");
        new.settle(ticket, &TestResponse::status(503), at_ms(3));
    }
}

#[test]
fn a_configuration_without_stale_responses_empties_the_store() {
    let memory = Memory::default();
    let with = |fields: &str| config(&format!(r#"{{"policies":[{{"name":"p"{fields}}}]}}"#));
    let mut engine = engine_of(with(&format!(",{SHARED}")), 1, memory.clone(), at_ms(0));
    answered(&mut engine, at_ms(0), &get(), &headers(&[]), "good");
    let slots = || {
        memory
            .names()
            .into_iter()
            .filter(|it| it.matches('/').count() == 2)
    };
    let lies = || {
        slots()
            .map(|name| memory.bytes(&name).map_or(0, |it| it.len()))
            .sum::<usize>()
    };
    assert!(lies() > 0);
    // Nor does a configuration that only shows circuits.
    let _desk = engine_of(
        config(r#"{"policies":[],"admin":{}}"#),
        1,
        memory.clone(),
        at_ms(1),
    );
    assert!(lies() > 0);
    let _other = engine_of(with(""), 1, memory.clone(), at_ms(2));
    assert_eq!(lies(), 0);
}

/// The store ignores a parameter for the first policy only. Each row: a request that reads after
/// the first has stored, and whether it gets that response.
#[test]
fn requests_that_differ_in_ignored_parameters_share_a_response() {
    let ignoring = SHARED.replace("\"shared\"", "\"ignore_query\": [\"utm_*\"], \"shared\"");
    let other = r#""match": {"methods": ["PUT"]}"#;
    for (path, change, expected) in [
        ("/a?id=1&utm_b=2", None, Some("good")),
        ("/a?id=1", None, Some("good")),
        ("/a?utm_a=9&id=1", None, Some("good")),
        ("/a?id=2&utm_a=1", None, None),
        ("/a?id=1&x=1", None, None),
        ("/b?id=1", None, None),
        // A change of any query removes it: its own policy may ignore nothing.
        ("/a?id=1", Some("/a?id=1&utm_a=1"), None),
        ("/a?id=1", Some("/a?id=7"), None),
        ("/a?id=1", Some("/b?id=1"), Some("good")),
    ] {
        let mut bench = Bench::new(&[
            other,
            &format!(r#""match": {{"methods": ["GET"]}}, {BREAKER}, {ignoring}"#),
        ]);
        bench.good(&request("GET", "/a?id=1&utm_a=1"), &[], "good");
        if let Some(changed) = change {
            bench.good(&request("PUT", changed), &[], "");
        }
        let seen = bench.bad(&request("GET", path));
        assert_eq!(seen.as_deref(), expected, "{path} {change:?}");
    }
}
