//! The same circuit, and whether its decisions are applied.

use super::*;

fn with(mode: &str) -> String {
    format!("{FRAGILE}, {mode}")
}

const FALLBACK: &str =
    r#""fallback": [{"type": "respond", "on": ["open", "failure"], "status": 200}]"#;

#[test]
fn shadow_reports_everything_and_touches_nothing() {
    let mut bench = Bench::new(&[&with(&format!(r#""mode": "shadow", {FALLBACK}"#))]);
    let request = TestRequest::cluster("c");
    for _ in 0..2 {
        let mut ticket = bench.pass(&request);
        assert_eq!(bench.head(&mut ticket, &TestResponse::status(503)), None);
        bench.settle(ticket, &TestResponse::status(503));
    }
    assert_eq!(
        bench.events(),
        [
            "p0 Keys 1",
            "p0 failure",
            "p0 failure",
            "p0 closed>open",
            "p0 [c] closed>open failure_rate",
            "p0 OpenCircuits 1",
        ]
    );
    let ticket = bench.pass(&request);
    let note = ticket.note().expect("a note");
    assert_eq!(
        (note.state, note.decision),
        (StateName::Open, Decision::WouldReject)
    );
    bench.settle(ticket, &TestResponse::status(503));
    assert_eq!(bench.events(), ["p0 would reject", "p0 failure"]);
    bench.wait(1_000);
    let probe = bench.pass(&request);
    assert_eq!(probe.note().map(|n| n.decision), Some(Decision::Probe));
    let beside = bench.pass(&request);
    assert_eq!(beside.note().map(|n| n.state), Some(StateName::HalfOpen));
    bench.events();
    // A request that would have been rejected is in no window and is not a probe.
    bench.settle(beside, &TestResponse::status(503));
    assert_eq!(bench.events(), ["p0 failure"]);
    bench.settle(probe, &TestResponse::status(200));
    assert!(bench.happened("p0 [c] half_open>closed probes_succeeded"));
}

#[test]
fn a_request_that_the_mode_let_through_is_in_no_window() {
    let mut bench = Bench::new(&[&with(r#""mode": "shadow""#)]);
    let request = TestRequest::cluster("c");
    bench.trip(&request);
    let mut let_through: Vec<Box<Ticket>> = (0..50).map(|_| bench.pass(&request)).collect();
    bench.wait(1_000);
    bench.serve(&request, 200);
    bench.events();
    for ticket in let_through.drain(..) {
        bench.settle(ticket, &TestResponse::status(503));
    }
    assert_eq!(bench.count("p0 failure"), 50);
    // Still closed: one more failure is one of one, below the minimum.
    bench.serve(&request, 503);
    let ticket = bench.pass(&request);
    assert_eq!(ticket.note(), None);
    bench.settle(ticket, &TestResponse::status(200));
}

#[test]
fn disabled_falls_through_to_the_next_policy() {
    let mut bench = Bench::new(&[&with(r#""mode": "disabled""#), FRAGILE]);
    bench.serve(&TestRequest::cluster("c"), 200);
    assert_eq!(bench.events(), ["p1 Keys 1", "p1 success"]);
    let mut alone = Bench::new(&[&with(r#""mode": "disabled""#)]);
    let admission = alone.admit(&TestRequest::cluster("c"));
    assert!(matches!(admission, Admission::Unmatched));
    assert!(alone.events().is_empty());
}

#[test]
fn forced_open_rejects_everything_whatever_the_circuits_state() {
    let mut bench = Bench::new(&[&with(r#""mode": "forced_open""#)]);
    for _ in 0..3 {
        let (answer, note) = bench.reject(&TestRequest::cluster("c"));
        assert_eq!(
            (answer.status, answer.details),
            (503, "spillway_forced_open")
        );
        let state = ("x-circuit-state".to_string(), b"forced_open".to_vec());
        assert!(answer.headers.contains(&state));
        assert_eq!(
            (note.state, note.decision),
            (StateName::ForcedOpen, Decision::Reject)
        );
        let events = bench.events();
        assert!(events.ends_with(&["p0 rejected".into(), "p0 fallback Open default".into()]));
    }
}

#[test]
fn forced_open_responds_with_the_policys_own_fallback() {
    let mut bench = Bench::new(&[&format!(r#""mode": "forced_open", {FALLBACK}"#)]);
    let (answer, _) = bench.reject(&TestRequest::cluster("c"));
    assert_eq!((answer.status, answer.kind), (200, Kind::Respond));
    assert_eq!(
        bench.events(),
        ["p0 Keys 1", "p0 rejected", "p0 fallback Open respond"]
    );
}

#[test]
fn forced_closed_counts_outcomes_and_never_opens() {
    let forced = with(&format!(r#""mode": "forced_closed", {FALLBACK}"#));
    let mut bench = Bench::new(&[&forced]);
    for _ in 0..10 {
        let mut ticket = bench.pass(&TestRequest::cluster("c"));
        assert_eq!(ticket.note(), None);
        let answer = bench.head(&mut ticket, &TestResponse::status(503));
        let answer = answer.expect("a fallback");
        let state = ("x-circuit-state".to_string(), b"forced_closed".to_vec());
        assert!(answer.headers.contains(&state), "{answer:?}");
        bench.settle(ticket, &TestResponse::status(503));
    }
    let events = bench.events();
    let failures = events.iter().filter(|event| *event == "p0 failure");
    assert_eq!(failures.count(), 10);
    assert!(
        !events.iter().any(|it| it.contains("closed>")),
        "{events:?}"
    );
}

#[test]
fn forced_closed_counts_slow_responses_and_none_early() {
    let fields = r#""mode": "forced_closed", "circuit_breaker": {"minimum_requests": 1,
        "slow_threshold": "1s", "slow_rate_threshold": 1}"#;
    let mut bench = Bench::new(&[fields]);
    let ticket = bench.pass(&TestRequest::cluster("c"));
    bench.wait(2_000);
    // A request that arrives counts those that are overdue.
    bench.serve(&TestRequest::cluster("c"), 200);
    assert_eq!(bench.count("p0 slow"), 0);
    bench.settle(ticket, &TestResponse::status(200));
    let events = bench.events();
    assert!(events.iter().any(|event| event == "p0 slow"), "{events:?}");
    assert!(
        !events.iter().any(|event| event.contains("open")),
        "{events:?}"
    );
}

/// How many of 10,000 requests are rejected.
fn rejected(fields: &str, seed: u64) -> usize {
    let mut bench = Bench::seeded(&[fields], 1_000, seed);
    let request = TestRequest::cluster("c");
    let mut rejected = 0;
    for _ in 0..10_000 {
        match bench.admit(&request) {
            Admission::Reject(..) => rejected += 1,
            Admission::Pass(ticket, _) => bench.settle(ticket, &TestResponse::status(503)),
            Admission::Unmatched | Admission::Count(..) => panic!("matched"),
        }
    }
    let would = bench.count("p0 would reject");
    let tripped = usize::from(fields.contains("minimum_requests")) * 2;
    assert_eq!(rejected + would + tripped, 10_000, "{fields}");
    rejected
}

#[test]
fn enforce_percent_draws_for_each_request_even_if_forced() {
    let rows = [
        (r#""enforce_percent": 100"#, 9_950..10_001),
        (r#""enforce_percent": 0"#, 0..1),
        (r#""enforce_percent": 25"#, 2_350..2_650),
        (r#""enforce_percent": 99.9"#, 9_970..10_000),
    ];
    for (share, expected) in rows {
        for fields in [format!(r#"{share}, "mode": "forced_open""#), with(share)] {
            let found = rejected(&fields, 1);
            assert!(expected.contains(&found), "{fields}: {found}");
            assert_eq!(found, rejected(&fields, 1));
        }
    }
    let half = r#""enforce_percent": 50, "mode": "forced_open""#;
    assert_ne!(rejected(half, 1), rejected(half, 2));
}

#[test]
fn shadow_wins_over_enforce_percent() {
    let fields = with(r#""mode": "shadow", "enforce_percent": 100"#);
    assert_eq!(rejected(&fields, 1), 0);
}

#[test]
fn a_forced_rejection_that_was_not_applied_is_in_no_window() {
    let mut bench = Bench::new(&[&with(r#""mode": "forced_open", "enforce_percent": 0"#)]);
    for _ in 0..5 {
        let ticket = bench.pass(&TestRequest::cluster("c"));
        let note = ticket.note().expect("a note");
        assert_eq!(
            (note.state, note.decision),
            (StateName::ForcedOpen, Decision::WouldReject)
        );
        bench.settle(ticket, &TestResponse::status(503));
        let events = bench.events();
        assert!(events.ends_with(&["p0 would reject".into(), "p0 failure".into()]));
    }
}

#[test]
fn failures_of_requests_that_are_not_enforced_are_not_replaced() {
    let fields = with(&format!(r#""enforce_percent": 50, {FALLBACK}"#));
    let mut bench = Bench::new(&[&fields]);
    let mut replaced = 0;
    for _ in 0..400 {
        // Fresh keys, so that nothing opens.
        bench.wait(60_000);
        let mut ticket = bench.pass(&TestRequest::cluster("c"));
        replaced += usize::from(
            bench
                .head(&mut ticket, &TestResponse::status(503))
                .is_some(),
        );
        bench.settle(ticket, &TestResponse::status(503));
    }
    assert!((150..250).contains(&replaced), "{replaced}");
    let events = bench.events();
    let count = |what: &str| events.iter().filter(|e| *e == what).count();
    assert_eq!(count("p0 failure"), 400);
    assert_eq!(count("p0 fallback Failure respond"), replaced);
    assert_eq!(count("p0 too late"), 0);
}
