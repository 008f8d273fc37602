//! For which requests a stored response may be used.

use super::stale::{SHARED, answered, bench, get, headers};
use super::*;

/// Each row: whether the request is complete with its headers, the rest of its body, and
/// whether its response is shared.
#[test]
fn a_get_with_a_body_shares_nothing() {
    type Rest = Option<(bool, bool)>;
    let with_length = |length| get().with("content-length", length);
    let rows: [(TestRequest, bool, Rest, bool); 8] = [
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
            let ending = TestResponse::status(if stores { 200 } else { 503 });
            let reply = bench.head(&mut ticket, &ending);
            if stores && bench.engine.wants_headers(&ticket, now) {
                bench.engine.keep(&mut ticket, &headers(&[]), true, 0, now);
            }
            bench.settle(ticket, &ending);
            reply.is_some()
        };
        let row = format!("{request:?} {complete} {rest:?}");
        let mut stores = bench(SHARED);
        play(&mut stores, true);
        assert_eq!(stores.bad(&get()).is_some(), shares, "{row}");
        let mut gives = bench(SHARED);
        gives.good(&get(), &[], "");
        assert_eq!(play(&mut gives, false), shares, "{row}");
    }
    // Nor for a rejection, when no body has come yet.
    let mut bench = Bench::new(&[&format!(r#"{SHARED}, "mode": "forced_open""#)]);
    let now = bench.now;
    for complete in [true, false] {
        let Admission::Reject(ticket, _, _) = bench.engine.admit(&get(), complete, now) else {
            panic!("it is open");
        };
        assert_eq!(ticket.is_bodiless(), complete);
        bench.settle(ticket, &TestResponse::status(503));
    }
}

#[test]
fn the_route_is_part_of_the_cache_key() {
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

/// A client, and its request.
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
    fn request(&self) -> TestRequest {
        let plain = TestRequest::cluster("c")
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
        // 0 means that the client sends none.
        let more = more.into_iter().filter(|(_, value)| *value > 0);
        more.fold(plain, |request, (name, value)| {
            request.with(name, format!("{name}-{value}"))
        })
    }
}

/// An upstream whose responses depend on everything about the client, three workers in front of it,
/// and occasional outages. The upstream declares that its responses vary by language; it does not
/// declare credentials and tenants, as upstreams forget to.
#[test]
fn no_client_gets_the_response_of_another() {
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
            let failed = TestResponse::status(503);
            match engine.response_headers(&mut ticket, &failed, now) {
                Step::Respond(reply) => {
                    let body = String::from_utf8_lossy(&reply.body).into_owned();
                    let made = last.iter().find(|(_, made, _)| *made == body);
                    let (whose, _, at) = made.expect("a response that was made");
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
    // The test proves nothing unless stored responses are used.
    assert!(given > 1_000 && refused > 1_000, "{given} {refused}");
}
