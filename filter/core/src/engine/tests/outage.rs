//! Circuits through whole outages, one key apart from another.

use super::*;

fn tenant(name: &str) -> TestRequest {
    TestRequest::cluster("c").with("x-tenant", name)
}

#[test]
fn a_request_without_a_policy_is_left_alone() {
    let mut bench = Bench::new(&[r#""match": {"clusters": ["c"]}"#]);
    let admission = bench.admit(&TestRequest::cluster("d"));
    assert!(matches!(admission, Admission::Unmatched));
    assert!(bench.events().is_empty());
}

#[test]
fn an_outage_is_reported_event_by_event() {
    let mut bench = Bench::new(&[FRAGILE]);
    let request = TestRequest::cluster("c");
    bench.serve(&request, 200);
    assert_eq!(bench.events(), ["p0 Keys 1", "p0 success"]);
    // Past the window of ten seconds.
    bench.wait(20_000);
    let late = bench.pass(&request);
    bench.serve(&request, 503);
    bench.serve(&request, 503);
    assert_eq!(
        bench.events(),
        [
            "p0 failure",
            "p0 failure",
            "p0 closed>open",
            "p0 [c] closed>open failure_rate",
            "p0 OpenCircuits 1",
        ]
    );
    let (answer, note) = bench.reject(&request);
    assert_eq!((answer.status, answer.details), (503, "spillway_open"));
    assert_eq!(note.text(), "policy=p0 state=open decision=reject");
    assert_eq!(
        (note.state, note.decision),
        (StateName::Open, Decision::Reject)
    );
    assert_eq!(bench.events(), ["p0 rejected", "p0 fallback Open default"]);
    // A late outcome counts for the policy, and changes no circuit.
    bench.settle(late, &TestResponse::status(200));
    assert_eq!(bench.events(), ["p0 success"]);
    bench.wait(1_000);
    let probe = bench.pass(&request);
    let note = probe.note().expect("a note");
    assert_eq!(
        (note.state, note.decision),
        (StateName::HalfOpen, Decision::Probe)
    );
    assert_eq!(
        bench.events(),
        [
            "p0 open>half_open",
            "p0 [c] open>half_open open_elapsed",
            "p0 OpenCircuits 0",
            "p0 HalfOpenCircuits 1",
            "p0 probe",
        ]
    );
    let (answer, _) = bench.reject(&request);
    assert_eq!(answer.details, "spillway_half_open");
    bench.settle(probe, &TestResponse::status(503));
    assert_eq!(
        bench.events(),
        [
            "p0 rejected",
            "p0 fallback Open default",
            "p0 failure",
            "p0 half_open>open",
            "p0 [c] half_open>open probes_failed",
            "p0 OpenCircuits 1",
            "p0 HalfOpenCircuits 0",
        ]
    );
    bench.wait(1_000);
    bench.serve(&request, 200);
    assert_eq!(
        bench.events(),
        [
            "p0 open>half_open",
            "p0 [c] open>half_open open_elapsed",
            "p0 OpenCircuits 0",
            "p0 HalfOpenCircuits 1",
            "p0 probe",
            "p0 success",
            "p0 half_open>closed",
            "p0 [c] half_open>closed probes_succeeded",
            "p0 HalfOpenCircuits 0",
        ]
    );
    let ticket = bench.pass(&request);
    assert_eq!(ticket.note(), None);
    bench.settle(ticket, &TestResponse::status(200));
}

#[test]
fn the_ramp_is_reported_too() {
    let ramp = FRAGILE.replace(
        r#""minimum_requests""#,
        r#""recovery": {"duration": "1s", "start_percent": 0}, "minimum_requests""#,
    );
    let mut bench = Bench::new(&[&ramp]);
    let request = TestRequest::cluster("c");
    bench.trip(&request);
    bench.wait(1_000);
    bench.serve(&request, 200);
    let events = bench.events();
    assert_eq!(
        events[6..],
        [
            "p0 half_open>recovering",
            "p0 [c] half_open>recovering probes_succeeded",
            "p0 HalfOpenCircuits 0",
        ]
    );
    let (answer, note) = bench.reject(&request);
    assert_eq!(answer.details, "spillway_recovering");
    assert_eq!(note.state, StateName::Recovering);
    bench.events();
    bench.wait(1_000);
    bench.serve(&request, 200);
    assert_eq!(
        bench.events(),
        [
            "p0 recovering>closed",
            "p0 [c] recovering>closed recovered",
            "p0 success",
        ]
    );
}

#[test]
fn every_key_has_a_circuit_of_its_own() {
    let fields = format!(r#"{FRAGILE}, "key": ["cluster", {{"header": "x-tenant"}}]"#);
    let mut bench = Bench::new(&[&fields]);
    bench.serve(&tenant("a"), 503);
    bench.serve(&tenant("a"), 503);
    let events = bench.events();
    assert_eq!(events[4], "p0 [c a] closed>open failure_rate");
    bench.reject(&tenant("a"));
    bench.serve(&tenant("b"), 200);
    bench.serve(&tenant(""), 200);
    bench.serve(&TestRequest::cluster("d").with("x-tenant", "a"), 200);
    let absent = TestRequest::cluster("c");
    bench.trip(&absent);
    bench.reject(&absent);
    bench.serve(&tenant(""), 200);
}

#[test]
fn every_policy_has_circuits_of_its_own() {
    let one = format!(r#"{FRAGILE}, "match": {{"methods": ["GET"]}}"#);
    let mut bench = Bench::new(&[&one, FRAGILE]);
    let get = TestRequest::cluster("c").with(":method", "GET");
    bench.trip(&get);
    bench.reject(&get);
    bench.serve(&TestRequest::cluster("c"), 200);
    assert_eq!(bench.events().last().unwrap(), "p1 success");
    assert_eq!(bench.engine.policy_name(1), "p1");
    assert_eq!(bench.engine.policy_name(2), "");
}

#[test]
fn a_key_without_room_shares_the_overflow_which_never_rejects() {
    let fields = format!(r#"{FRAGILE}, "key": [{{"header": "x-tenant"}}]"#);
    let mut bench = Bench::limited(&[&fields], 1);
    bench.trip(&tenant("a"));
    for _ in 0..50 {
        bench.serve(&tenant("b"), 503);
    }
    let events = bench.events();
    assert_eq!(events[..2], ["p0 overflowed", "p0 failure"]);
    assert_eq!(events.len(), 100);
    let long = "x".repeat(60_000);
    bench.serve(&tenant(&long), 503);
    assert_eq!(bench.events(), ["p0 overflowed", "p0 failure"]);
    bench.reject(&tenant("a"));
}

#[test]
fn a_key_that_replaces_another_keeps_the_gauge_right() {
    let fields = format!(r#"{FRAGILE}, "key": [{{"header": "x-tenant"}}]"#);
    let mut bench = Bench::limited(&[&fields], 1);
    bench.trip(&tenant("a"));
    bench.wait(3_600_000);
    bench.serve(&tenant("b"), 200);
    assert_eq!(
        bench.events(),
        ["p0 OpenCircuits 0", "p0 HalfOpenCircuits 0", "p0 success"]
    );
    bench.serve(&tenant("c"), 200);
    assert_eq!(bench.events(), ["p0 success"]);
}

#[test]
fn ten_thousand_invented_tenants_neither_grow_the_table_nor_close_the_circuit() {
    let fields = format!(r#"{FRAGILE}, "key": [{{"header": "x-tenant"}}]"#);
    let mut bench = Bench::limited(&[&fields], 100);
    bench.trip(&tenant("real"));
    for n in 0..10_000 {
        bench.serve(&tenant(&format!("{n}")), 200);
    }
    let events = bench.events();
    let mut gauges = events.iter().filter(|event| event.starts_with("p0 Keys"));
    assert_eq!(gauges.next_back().unwrap(), "p0 Keys 100");
    assert_eq!(gauges.count(), 98);
    bench.reject(&tenant("real"));
}

#[test]
fn an_abandoned_ticket_returns_its_probe() {
    let mut bench = Bench::new(&[FRAGILE]);
    let request = TestRequest::cluster("c");
    bench.trip(&request);
    bench.wait(1_000);
    let probe = bench.pass(&request);
    bench.reject(&request);
    bench.engine.abandon(probe, bench.now);
    assert_eq!(bench.events().last().unwrap(), "p0 ignored");
    bench.serve(&request, 200);
    assert!(bench.happened("p0 [c] half_open>closed probes_succeeded"));
}

#[test]
fn an_abandoned_ticket_is_judged_by_the_headers_that_were_seen() {
    for (status, expected) in [(200, "p0 success"), (503, "p0 failure")] {
        let mut bench = Bench::new(&[FRAGILE]);
        bench.set_abilities(true, false);
        let mut ticket = bench.pass(&TestRequest::cluster("c"));
        assert!(ticket.watches_response());
        assert_eq!(bench.head(&mut ticket, &TestResponse::status(status)), None);
        bench.engine.abandon(ticket, bench.now);
        assert_eq!(bench.events().last().unwrap(), expected);
    }
}

#[test]
fn a_lost_probe_does_not_wedge_the_circuit() {
    let mut bench = Bench::new(&[FRAGILE]);
    let request = TestRequest::cluster("c");
    bench.trip(&request);
    bench.wait(1_000);
    let lost = bench.pass(&request);
    bench.wait(10_000);
    // Its request was complete: a failure at the end of its lease.
    let (answer, _) = bench.reject(&request);
    assert_eq!(answer.details, "spillway_open");
    bench.wait(1_000);
    bench.serve(&request, 200);
    bench.events();
    bench.settle(lost, &TestResponse::status(503));
    assert_eq!(bench.events(), ["p0 failure"]);
    bench.serve(&request, 200);
}

#[test]
fn a_probe_whose_client_is_still_sending_at_the_end_of_its_lease_is_not_a_failure() {
    let mut bench = Bench::new(&[FRAGILE]);
    let request = TestRequest::cluster("c");
    bench.trip(&request);
    bench.wait(1_000);
    let Admission::Pass(mut upload, _) = bench.engine.admit(&request, false, bench.now) else {
        panic!("a probe");
    };
    assert!(upload.watches_clock() && upload.watches_response());
    bench.wait(10_000);
    // Complete only after the lease: too late to be the upstream's fault.
    bench.engine.request_complete(&mut upload, Some(bench.now));
    let next = bench.pass(&request);
    assert_eq!(next.note().map(|n| n.decision), Some(Decision::Probe));
    bench.settle(next, &TestResponse::status(200));
    bench.settle(upload, &TestResponse::status(503));
    bench.serve(&request, 200);
}

#[test]
fn a_probe_with_timely_headers_may_keep_streaming() {
    let mut bench = Bench::new(&[FRAGILE]);
    let request = TestRequest::cluster("c");
    bench.trip(&request);
    bench.wait(1_000);
    let mut stream = bench.pass(&request);
    assert_eq!(bench.head(&mut stream, &TestResponse::status(200)), None);
    bench.wait(250);
    bench.events();
    bench.serve(&request, 200);
    assert!(bench.happened("p0 [c] half_open>closed probes_succeeded"));
    bench.settle(stream, &TestResponse::status(200));
}

#[test]
fn slow_requests_are_counted_and_can_open() {
    let fields = r#""circuit_breaker": {"minimum_requests": 2, "slow_threshold": "1s"}"#;
    let mut bench = Bench::new(&[fields]);
    let request = TestRequest::cluster("c");
    for _ in 0..2 {
        let mut ticket = bench.pass(&request);
        assert!(ticket.watches_clock() && ticket.watches_response());
        bench.wait(1_001);
        assert_eq!(bench.head(&mut ticket, &TestResponse::status(200)), None);
        bench.settle(ticket, &TestResponse::status(200));
    }
    assert_eq!(
        bench.events(),
        [
            "p0 Keys 1",
            "p0 slow",
            "p0 closed>open",
            "p0 [c] closed>open slow_rate",
            "p0 OpenCircuits 1",
            "p0 slow",
            "p0 success x2",
        ]
    );
}

#[test]
fn the_slow_threshold_starts_when_the_request_is_complete() {
    let fields = r#""circuit_breaker": {"slow_threshold": "1s"}"#;
    let mut bench = Bench::new(&[fields]);
    for (upload_ms, service_ms, slow) in [(60_000, 1_000, 0), (10, 1_001, 1)] {
        let Admission::Pass(mut ticket, _) =
            bench
                .engine
                .admit(&TestRequest::cluster("c"), false, bench.now)
        else {
            panic!("a closed circuit");
        };
        bench.wait(upload_ms);
        bench.engine.request_complete(&mut ticket, Some(bench.now));
        bench.wait(service_ms);
        // Only the first end counts.
        bench.engine.request_complete(&mut ticket, Some(bench.now));
        bench.head(&mut ticket, &TestResponse::status(200));
        bench.settle(ticket, &TestResponse::status(200));
        assert_eq!(bench.count("p0 slow"), slow);
    }
}

#[test]
fn an_ordinary_request_does_not_need_the_response() {
    let mut bench = Bench::new(&[FRAGILE]);
    let ticket = bench.pass(&TestRequest::cluster("c"));
    assert!(!ticket.watches_clock() && !ticket.watches_response());
    bench.settle(ticket, &TestResponse::status(200));
}

#[test]
fn a_hint_of_the_upstream_lengthens_the_open_time() {
    let with_hints = FRAGILE.replace(r#", "retry_after_max": "0s""#, "");
    for (fields, wait) in [(FRAGILE, "1"), (with_hints.as_str(), "7")] {
        let mut bench = Bench::new(&[fields]);
        let request = TestRequest::cluster("c");
        let ending = TestResponse {
            hints: alloc::vec![("retry-after", "7")],
            ..TestResponse::status(503)
        };
        for _ in 0..2 {
            let ticket = bench.pass(&request);
            bench.settle(ticket, &ending);
        }
        let (answer, _) = bench.reject(&request);
        let retry_after = ("retry-after".to_string(), wait.as_bytes().to_vec());
        assert!(answer.headers.contains(&retry_after), "{answer:?}");
    }
}

#[test]
fn the_same_seed_gives_the_same_events() {
    let life = |seed: u64| -> Vec<String> {
        let fields =
            r#""circuit_breaker": {"minimum_requests": 2, "recovery": {"duration": "5s"}}"#;
        let mut bench = Bench::seeded(&[fields], 1_000, seed);
        for n in 0..2_000 {
            bench.wait(100);
            if let Admission::Pass(ticket, _) = bench.admit(&TestRequest::cluster("c")) {
                let status = if n % 700 < 200 { 503 } else { 200 };
                bench.settle(ticket, &TestResponse::status(status));
            }
        }
        bench.events()
    };
    assert_eq!(life(3), life(3));
    assert_ne!(life(3), life(4));
}
