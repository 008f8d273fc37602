//! Kept answers, from the request that brought one to the one that gets it.

use alloc::vec;

use super::ticket::Storing;
use super::*;
use crate::headers::Headers;

const SHARED: &str = r#""fallback": [{"type": "stale", "on": ["open", "failure"], "max_age": "10s", "shared": true}]"#;

/// Opens at the second failure in a row.
const BREAKER: &str =
    r#""circuit_breaker": {"failure_rate_threshold": 0, "consecutive_failures": 2}"#;

fn bench(fallback: &str) -> Bench {
    Bench::new(&[&format!(r#"{BREAKER}, {fallback}"#)])
}

fn request(method: &str, path: &str) -> Asking {
    Asking::cluster("c")
        .with(":method", method)
        .with(":scheme", "https")
        .with(":authority", "site")
        .with(":path", path)
}

fn get() -> Asking {
    request("GET", "/a")
}

fn headers(pairs: &[(&str, &str)]) -> Headers {
    let mut headers = Headers::default();
    headers.push(b":status", b"200");
    for (name, value) in pairs {
        headers.push(name.as_bytes(), value.as_bytes());
    }
    headers
}

/// The upstream answers a request of an engine with these headers and this body.
fn answered<R: Records>(
    engine: &mut Engine<R>,
    now: Instant,
    request: &Asking,
    headers: &Headers,
    body: &str,
) {
    let Admission::Pass(mut ticket, _) = engine.admit(request, true, now) else {
        panic!("{request:?} was rejected");
    };
    let ending = Ending::status(200);
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
    fn good(&mut self, request: &Asking, pairs: &[(&str, &str)], body: &str) {
        answered(&mut self.engine, self.now, request, &headers(pairs), body);
    }

    /// The body that a failed request gets in the end; `None` where its own answer stands.
    fn bad(&mut self, request: &Asking) -> Option<String> {
        let mut ticket = self.pass(request);
        let answer = self.head(&mut ticket, &Ending::status(503));
        self.settle(ticket, &Ending::status(503));
        answer.map(|answer| String::from_utf8_lossy(&answer.body).into_owned())
    }
}

#[test]
fn the_last_good_answer_is_given_for_a_failure_and_for_a_rejection() {
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
    // HEAD is answered from the same, whose body the host leaves out.
    let (answer, _) = bench.reject(&request("HEAD", "/a"));
    assert_eq!((answer.status, &*answer.body), (200, &b"good"[..]));
    // Another has none, nor a caller with credentials.
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

#[test]
fn a_kept_answer_is_never_given_beyond_its_age() {
    let mut bench = bench(SHARED);
    bench.good(&get(), &[("age", "4")], "good");
    bench.wait(6_000);
    assert!(bench.bad(&get()).is_some());
    bench.now = bench.now.after(Span::from_ns(1));
    assert_eq!(bench.bad(&get()), None);
}

#[test]
fn only_good_answers_of_the_upstream_are_kept() {
    let direct = Ending {
        details: Some("direct_response"),
        attempts: Some(0),
        ..Ending::status(200)
    };
    let mut bench = bench(SHARED);
    for ending in [direct, Ending::status(503), Ending::status(404)] {
        let mut ticket = bench.pass(&get());
        let _step = bench.head(&mut ticket, &ending);
        let keeps = ending.status == Some(404);
        // Of a good one the headers decide.
        assert_eq!(
            bench.engine.wants_headers(&ticket, bench.now),
            keeps,
            "{ending:?}"
        );
        bench.settle(ticket, &ending);
    }
}

#[test]
fn an_answer_that_does_not_come_to_its_end_is_not_kept() {
    let mut bench = bench(SHARED);
    let mut ticket = bench.pass(&get());
    assert!(bench.head(&mut ticket, &Ending::status(200)).is_none());
    let now = bench.now;
    bench.engine.keep(&mut ticket, &headers(&[]), false, 0, now);
    assert!(ticket.is_keeping());
    bench.engine.collect(&mut ticket, b"half", false, now);
    bench.settle(ticket, &Ending::status(200));
    assert_eq!(bench.bad(&get()), None);
}

#[test]
fn an_answer_without_a_body_is_kept_too() {
    let mut bench = bench(SHARED);
    bench.good(&get(), &[], "");
    assert_eq!(bench.bad(&get()).as_deref(), Some(""));
}

#[test]
fn a_stream_that_outgrows_its_room_is_let_go_and_counted() {
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

/// Each row: what a request does to what is kept, and whether that is still there.
#[test]
fn what_was_changed_is_forgotten() {
    let rows = [
        ("POST", "/a", 200, false),
        ("PUT", "/a", 204, false),
        ("DELETE", "/a", 303, false),
        ("PATCH", "/a", 400, true),
        ("POST", "/a", 503, true),
        ("POST", "/b", 200, true),
        ("OPTIONS", "/a", 200, true),
        ("PROPFIND", "/a", 207, true),
        ("REPORT", "/a", 207, true),
        ("SEARCH", "/a", 200, true),
        ("HEAD", "/a", 200, true),
    ];
    for (method, path, status, there) in rows {
        let mut bench = bench(SHARED);
        bench.good(&get(), &[], "good");
        let change = request(method, path);
        let mut ticket = bench.pass(&change);
        let _step = bench.head(&mut ticket, &Ending::status(status));
        bench.settle(ticket, &Ending::status(status));
        assert_eq!(
            bench.bad(&get()).is_some(),
            there,
            "{method} {path} {status}"
        );
    }
}

/// Each row: the key of the policy that stores, another policy before it, what each request has
/// besides, and whether a PUT to the same URL makes the response forgotten.
#[test]
fn a_change_is_found_whatever_the_response_was_stored_under() {
    let other = r#""match": {"methods": ["PUT"]}"#;
    type Row = (
        &'static str,
        Option<&'static str>,
        &'static [(&'static str, &'static str)],
        bool,
    );
    let rows: [Row; 9] = [
        (r#""key": ["cluster", "method"]"#, None, &[], true),
        (
            r#""key": [{"header": "x-tenant"}]"#,
            None,
            &[("x-tenant", "b")],
            true,
        ),
        (r#""key": ["route"]"#, None, &[], true),
        (
            r#""match": {"methods": ["GET"]}"#,
            Some(r#""mode": "shadow""#),
            &[],
            true,
        ),
        (r#""key": ["cluster"]"#, Some(other), &[], true),
        (
            r#""key": ["cluster"]"#,
            Some(other),
            &[("content-type", "application/grpc")],
            false,
        ),
        // No policy is for it.
        (r#""match": {"methods": ["GET"]}"#, None, &[], true),
        (
            r#""match": {"methods": ["GET"]}"#,
            None,
            &[("content-type", "application/grpc")],
            false,
        ),
        // Too long for a key.
        (
            r#""key": [{"header": "x-tenant"}]"#,
            None,
            &[("x-tenant", "LONG")],
            true,
        ),
    ];
    for (fields, another, more, forgotten) in rows {
        let storing = format!("{SHARED}, {fields}");
        let policies = match another {
            Some(other) if other.contains("PUT") => vec![other, &*storing],
            Some(other) => vec![&*storing, other],
            None => vec![&*storing],
        };
        let mut bench = Bench::new(&policies);
        let get = get().with("x-tenant", "a").with_route("r");
        bench.good(&get, &[], "good");
        let long = "l".repeat(600);
        let put = more.iter().fold(request("PUT", "/a"), |it, (name, value)| {
            it.with(name, if *value == "LONG" { &*long } else { value })
        });
        if let Admission::Pass(mut ticket, _) = bench.admit(&put) {
            let _step = bench.head(&mut ticket, &Ending::status(200));
            bench.settle(ticket, &Ending::status(200));
        }
        assert_eq!(
            bench.bad(&get).is_none(),
            forgotten,
            "{fields} {another:?} {more:?}"
        );
    }
}

/// Each row: whether the request is complete with its headers, what comes of its body, and
/// whether its response is shared.
#[test]
fn a_get_with_a_body_shares_nothing() {
    type Rest = Option<(bool, bool)>;
    let with_length = |length| get().with("content-length", length);
    let rows: [(Asking, bool, Rest, bool); 8] = [
        (get(), true, None, true),
        (get(), false, Some((false, true)), true),
        (get(), false, Some((true, true)), false),
        (get(), false, Some((true, false)), false),
        (get(), false, None, false),
        (with_length("5"), false, Some((true, true)), false),
        (with_length("5"), true, None, false),
        (with_length("0"), true, None, true),
    ];
    for (request, complete, rest, shares) in rows {
        let play = |bench: &mut Bench, stores: bool| {
            let now = bench.now;
            let Admission::Pass(mut ticket, _) = bench.engine.admit(&request, complete, now) else {
                panic!("nothing opens");
            };
            if let Some((body, ends)) = rest {
                if body {
                    ticket.body_came();
                }
                if ends {
                    bench.engine.request_complete(&mut ticket, Some(now));
                }
            }
            let ending = Ending::status(if stores { 200 } else { 503 });
            let answer = bench.head(&mut ticket, &ending);
            if stores && bench.engine.wants_headers(&ticket, now) {
                bench.engine.keep(&mut ticket, &headers(&[]), true, 0, now);
            }
            bench.settle(ticket, &ending);
            answer.is_some()
        };
        let row = format!("{request:?} {complete} {rest:?}");
        let mut stores = bench(SHARED);
        play(&mut stores, true);
        assert_eq!(stores.bad(&get()).is_some(), shares, "{row}");
        let mut gives = bench(SHARED);
        gives.good(&get(), &[], "");
        assert_eq!(play(&mut gives, false), shares, "{row}");
    }
    // Nor on open, where no body has come yet.
    let mut bench = Bench::new(&[&format!(r#"{SHARED}, "mode": "forced_open""#)]);
    let now = bench.now;
    for complete in [true, false] {
        let Admission::Reject(ticket, _, _) = bench.engine.admit(&get(), complete, now) else {
            panic!("it is open");
        };
        assert_eq!(ticket.is_bodiless(), complete);
        bench.settle(ticket, &Ending::status(503));
    }
}

#[test]
fn the_route_is_part_of_what_a_response_is_stored_under() {
    let v1 = || get().with_route("v1");
    for (other, given) in [
        (get().with_route("v2"), None),
        (get(), None),
        (v1(), Some("one")),
    ] {
        let mut bench = bench(SHARED);
        bench.good(&v1(), &[], "one");
        assert_eq!(bench.bad(&other).as_deref(), given, "{other:?}");
    }
}

#[test]
fn a_304_makes_the_stored_response_young_again() {
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
        assert!(bench.head(&mut ticket, &Ending::status(304)).is_none());
        if bench.engine.wants_headers(&ticket, now) {
            bench.engine.keep(&mut ticket, &not_modified, true, 0, now);
        }
        assert!(!ticket.is_keeping());
        bench.settle(ticket, &Ending::status(304));
        assert_eq!(bench.count("p0 kept"), stored);
    }
    bench.wait(9_000);
    assert_eq!(bench.bad(&get()).as_deref(), Some("good"));
}

/// However many requests wait with however long headers, and whatever they download.
#[test]
fn what_is_held_for_storing_has_a_total() {
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
        assert!(bench.head(ticket, &Ending::status(200)).is_none());
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
        bench.settle(ticket, &Ending::status(200));
    }
    // Then others have room.
    bench.good(&get(), &[], "good");
    assert_eq!(bench.bad(&get()).as_deref(), Some("good"));
}

/// Each row: further fields, and whether answers are kept under them.
#[test]
fn nothing_is_kept_that_nobody_would_ever_get() {
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
    bench.settle(ticket, &Ending::status(200));
}

/// Each row: how the policy is written when its configuration comes again, and whether what was
/// kept under it is still given.
#[test]
fn what_was_kept_outlives_its_configuration_where_it_means_the_same() {
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
        let step = new.response_headers(&mut ticket, &Ending::status(503), at_ms(3));
        assert_eq!(matches!(step, Step::Answer(_)), given, "{name} {fields}");
        new.settle(ticket, &Ending::status(503), at_ms(3));
    }
}

#[test]
fn a_configuration_without_kept_answers_empties_the_shelf() {
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
    // Nor does one that only shows circuits.
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

/// Who asks, and for what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Who {
    authorization: u64,
    cookie: u64,
    tenant: u64,
    language: u64,
    authority: u64,
    path: u64,
}

impl Who {
    fn request(&self) -> Asking {
        let plain = Asking::cluster("c")
            .with(":method", "GET")
            .with(":scheme", "https")
            .with(":authority", format!("site{}", self.authority))
            .with(":path", format!("/{}", self.path));
        let more = [
            ("authorization", self.authorization),
            ("cookie", self.cookie),
            ("x-tenant", self.tenant),
            ("accept-language", self.language),
        ];
        // 0 is a caller without.
        let more = more.into_iter().filter(|(_, value)| *value > 0);
        more.fold(plain, |request, (name, value)| {
            request.with(name, format!("{name}-{value}"))
        })
    }
}

/// An upstream whose answers depend on everything about who asks, three workers in front of it, and
/// an outage now and then. It says of the language that its answers vary by it; of credentials and
/// tenants it says nothing, as upstreams forget to.
#[test]
fn nobody_ever_gets_an_answer_that_was_made_for_somebody_else() {
    let json = format!(
        r#"{{"policies":[{{"name":"p0","key":["cluster",{{"header":"x-tenant"}}],{SHARED}}}],
            "limits":{{"stale_bytes":65536}}}}"#
    );
    let (mut given, mut refused) = (0, 0);
    for seed in 0..200 {
        let mut random = Random::new(seed);
        let mut draw = |below: u64| random.between(0, below - 1);
        let memory = Memory::default();
        let mut workers: Vec<Engine<Memory>> = (0..3)
            .map(|seed| engine_of(config(&json), seed, memory.clone(), at_ms(0)))
            .collect();
        let mut last: Vec<(Who, String, Instant)> = Vec::new();
        for step in 0..300_u64 {
            let now = at_ms(step * 70);
            let who = Who {
                authorization: draw(4).saturating_sub(1),
                cookie: draw(4).saturating_sub(1),
                tenant: draw(3),
                language: draw(3),
                authority: draw(2),
                path: draw(2),
            };
            let engine = &mut workers[usize::try_from(draw(3)).expect("small")];
            let request = who.request();
            if draw(3) > 0 {
                let body = format!("{who:?} at {step}");
                let headers = headers(&[("vary", "accept-language")]);
                answered(engine, now, &request, &headers, &body);
                last.push((who, body, now));
                continue;
            }
            let Admission::Pass(mut ticket, _) = engine.admit(&request, true, now) else {
                panic!("nothing opens");
            };
            let failed = Ending::status(503);
            match engine.response_headers(&mut ticket, &failed, now) {
                Step::Answer(answer) => {
                    let body = String::from_utf8_lossy(&answer.body).into_owned();
                    let made = last.iter().find(|(_, made, _)| *made == body);
                    let (whose, _, at) = made.expect("an answer that was made");
                    assert_eq!(*whose, who, "seed {seed} step {step}: {body}");
                    assert_eq!((who.authorization, who.cookie), (0, 0));
                    assert!(
                        now.since(*at) <= Span::from_secs(10),
                        "seed {seed} step {step}"
                    );
                    given += 1;
                }
                step => {
                    assert_eq!(step, Step::Pass);
                    refused += 1;
                }
            }
            engine.settle(ticket, &failed, now);
            while engine.next_event().is_some() {}
        }
    }
    // It is no proof where nobody gets anything.
    assert!(given > 1_000 && refused > 1_000, "{given} {refused}");
}

/// Each row: what the policy says of outcomes, how the change ends, and whether it is one.
#[test]
fn what_the_upstream_has_changed_is_forgotten_whatever_that_counts_as() {
    let direct = Ending {
        details: Some("direct_response"),
        attempts: Some(0),
        ..Ending::status(204)
    };
    let rows = [
        (r#"{"ignore_status": ["204"]}"#, Ending::status(204), true),
        (
            r#"{"failure_status": ["204", "5xx"]}"#,
            Ending::status(204),
            true,
        ),
        (r#"{"ignore_status": ["204"]}"#, direct, false),
        (r#"{"ignore_status": ["4xx"]}"#, Ending::status(404), false),
    ];
    for (outcome, ending, forgotten) in rows {
        let mut bench = bench(&format!(r#""outcome": {outcome}, {SHARED}"#));
        bench.good(&get(), &[], "good");
        let mut ticket = bench.pass(&request("PUT", "/a"));
        let _step = bench.head(&mut ticket, &ending);
        bench.settle(ticket, &ending);
        assert_eq!(
            bench.bad(&get()).is_none(),
            forgotten,
            "{outcome} {ending:?}"
        );
    }
}

#[test]
fn a_change_under_no_policy_is_counted_nowhere() {
    let mut bench = bench(&format!(r#"{SHARED}, "match": {{"methods": ["GET"]}}"#));
    for (abandoned, status) in [(false, 200), (true, 200), (false, 503)] {
        let mut ticket = bench.pass(&request("PUT", "/a"));
        assert!(bench.head(&mut ticket, &Ending::status(status)).is_none());
        assert!(ticket.note().is_none());
        match abandoned {
            true => bench.engine.abandon(ticket, bench.now),
            false => bench.settle(ticket, &Ending::status(status)),
        }
    }
    assert!(bench.events().is_empty());
}
