//! Retries that the filter makes itself.

use super::retries::{TWO, after, get, post};
use super::*;
use crate::headers::Pairs;
use crate::random::Random;
use crate::retry::Denial;

const REPLAY: &str = r#""retry": {"engine": "filter", "replay": "as_received"}"#;

/// The filter sends a request again. Returns how long the attempt may take.
fn replayed(bench: &mut Bench, ticket: &mut Ticket, ending: &TestResponse) -> Option<Span> {
    let step = bench.engine.response_headers(ticket, ending, bench.now);
    let Step::Retry(wait) = step else {
        return None;
    };
    bench.now = bench.now.after(wait);
    let timeout = bench.engine.replay(ticket, bench.now).ok()?;
    bench.engine.replay_sent(ticket, bench.now);
    Some(timeout)
}

/// The response to the last attempt goes to the client as it is.
fn handed_on() -> Step {
    Step::HandOn {
        labels: Pairs::new(),
        details: "spillway_retry",
    }
}

#[test]
fn the_filter_sends_a_request_again_and_the_breaker_sees_each_attempt() {
    let mut bench = Bench::new(&[&format!(
        r#"{REPLAY}, "circuit_breaker": {{"failure_rate_threshold": 0, "consecutive_failures": 3}}"#
    )]);
    let mut ticket = bench.pass(&get());
    assert!(ticket.wants_copy());
    // The router makes no retries.
    assert_eq!(bench.ordered(&ticket), Some(0));
    let timeout = replayed(&mut bench, &mut ticket, &TestResponse::status(503));
    assert!(timeout.is_some_and(|it| it > Span::from_secs(14)));
    let step = bench
        .engine
        .replayed(&mut ticket, &TestResponse::status(200), true, bench.now);
    assert_eq!(step, handed_on());
    assert_eq!(ticket.note().map(|it| it.decision), Some(Decision::Retry));
    bench
        .engine
        .settle(ticket, &TestResponse::status(200), bench.now);
    let events = bench.events();
    for expected in ["p0 success", "p0 success retries"] {
        assert!(events.iter().any(|it| it == expected), "{events:?}");
    }
    // Three attempts in a row that fail open the circuit, within one request.
    let mut ticket = bench.pass(&get());
    replayed(&mut bench, &mut ticket, &TestResponse::status(503)).expect("a second attempt");
    let again = bench
        .engine
        .replayed(&mut ticket, &TestResponse::status(503), true, bench.now);
    let Step::Retry(_) = again else {
        panic!("{again:?}");
    };
    bench
        .engine
        .replay(&mut ticket, bench.now)
        .expect("a third attempt");
    bench.engine.replay_sent(&mut ticket, bench.now);
    let last = bench
        .engine
        .replayed(&mut ticket, &TestResponse::status(503), true, bench.now);
    assert_eq!(last, handed_on());
    bench
        .engine
        .settle(ticket, &TestResponse::status(503), bench.now);
    let events = bench.events();
    for expected in ["p0 closed>open", "p0 failure", "p0 failure retries x2"] {
        assert!(events.iter().any(|it| it == expected), "{events:?}");
    }
    bench.reject(&get());
}

#[test]
fn an_attempt_that_opens_the_circuit_is_the_last() {
    let mut bench = Bench::new(&[&format!(
        r#"{REPLAY}, "circuit_breaker": {{"failure_rate_threshold": 0, "consecutive_failures": 1}}"#
    )]);
    let mut ticket = bench.pass(&get());
    let step = bench
        .engine
        .response_headers(&mut ticket, &TestResponse::status(503), bench.now);
    assert_eq!(step, Step::Pass);
    assert!(bench.happened("p0 denied by circuit"));
    bench
        .engine
        .settle(ticket, &TestResponse::status(503), bench.now);
    assert!(bench.happened("p0 failure"));
}

#[test]
fn a_circuit_that_opens_during_the_wait_ends_it() {
    let mut bench = Bench::new(&[&format!(
        r#"{REPLAY}, "circuit_breaker": {{"failure_rate_threshold": 0, "consecutive_failures": 2}}"#
    )]);
    let mut waiting = bench.pass(&get());
    let step = bench
        .engine
        .response_headers(&mut waiting, &TestResponse::status(503), bench.now);
    assert!(matches!(step, Step::Retry(_)), "{step:?}");
    let other = bench.pass(&post());
    bench
        .engine
        .settle(other, &TestResponse::status(503), bench.now);
    bench.wait(300);
    assert_eq!(
        bench.engine.replay(&mut waiting, bench.now),
        Err(Step::Pass)
    );
    assert!(bench.happened("p0 denied by circuit"));
    bench
        .engine
        .settle(waiting, &TestResponse::status(503), bench.now);
}

#[test]
fn a_request_that_cannot_be_sent_again_passes_and_is_counted() {
    let mut pushed = TestResponse::status(503);
    pushed.hints.push(("grpc-retry-pushback-ms", "-1"));
    let mut later = TestResponse::status(503);
    later.hints.push(("retry-after", "3600"));
    type Spoil = fn(&mut Ticket);
    let rows: [(&str, TestRequest, Spoil, TestResponse); 5] = [
        ("pushback", get(), |_| {}, pushed),
        ("deadline", get(), |_| {}, later),
        (
            "nested",
            get().with("x-envoy-attempt-count", "2"),
            |_| {},
            TestResponse::status(503),
        ),
        (
            "request_body",
            get(),
            |it| it.spoil(Denial::RequestBody),
            TestResponse::status(503),
        ),
        (
            "request_shape",
            get(),
            |it| it.spoil(Denial::RequestShape),
            TestResponse::status(503),
        ),
    ];
    for (reason, request, spoil, ending) in rows {
        let mut bench = Bench::new(&[REPLAY]);
        let mut ticket = bench.pass(&request);
        spoil(&mut ticket);
        let step = bench
            .engine
            .response_headers(&mut ticket, &ending, bench.now);
        assert_eq!(step, Step::Pass, "{reason}");
        assert!(
            bench.happened(&format!("p0 denied by {reason}")),
            "{reason}"
        );
        bench.engine.settle(ticket, &ending, bench.now);
        assert!(bench.happened("p0 failure"), "{reason}");
    }
    // A good response is not a denial, whatever is wrong with the request.
    let mut bench = Bench::new(&[REPLAY]);
    let mut ticket = bench.pass(&get().with("x-envoy-attempt-count", "2"));
    let good = TestResponse::status(200);
    let step = bench.engine.response_headers(&mut ticket, &good, bench.now);
    assert_eq!(step, Step::Pass);
    assert!(!bench.happened("p0 denied by nested"));
}

#[test]
fn an_incomplete_request_is_not_sent_again() {
    let mut bench = Bench::new(&[REPLAY]);
    let Admission::Pass(mut ticket, _) = bench.engine.admit(&get(), false, bench.now) else {
        panic!("no ticket");
    };
    let failed = TestResponse::status(503);
    let step = bench
        .engine
        .response_headers(&mut ticket, &failed, bench.now);
    assert_eq!(step, Step::Pass);
    assert!(bench.happened("p0 denied by request_body"));
}

#[test]
fn an_aborted_wait_costs_nothing() {
    let fields = TWO.replace(
        r#""retry": {"#,
        r#""retry": {"engine": "filter", "replay": "as_received", "#,
    );
    let mut bench = Bench::new(&[&fields]);
    for _ in 0..100 {
        let mut ticket = bench.pass(&get());
        let step =
            bench
                .engine
                .response_headers(&mut ticket, &TestResponse::status(503), bench.now);
        assert!(matches!(step, Step::Retry(_)), "{step:?}");
        // The client aborts.
        bench
            .engine
            .settle(ticket, &TestResponse::default(), bench.now);
        bench.wait(1);
    }
}

#[test]
fn each_attempt_is_withdrawn_from_the_budget() {
    let fields = TWO.replace(
        r#""retry": {"#,
        r#""retry": {"engine": "filter", "replay": "as_received", "#,
    );
    let mut bench = Bench::new(&[&fields]);
    let mut made = 0;
    for _ in 0..10 {
        let mut ticket = bench.pass(&get());
        made += u32::from(replayed(&mut bench, &mut ticket, &TestResponse::status(503)).is_some());
        bench
            .engine
            .settle(ticket, &TestResponse::status(503), bench.now);
    }
    assert_eq!(made, 2);
    assert_eq!(bench.count("p0 denied by budget"), 8);
}

#[test]
fn a_request_without_a_permit_is_sent_again_without_counting() {
    let fields = format!(
        r#"{}, "circuit_breaker": {{"failure_rate_threshold": 0, "consecutive_failures": 2}}"#,
        TWO.replace(
            r#""retry": {"#,
            r#""retry": {"engine": "filter", "replay": "as_received", "max_retries": 1, "#
        )
    );
    let mut bench = Bench::limited(&[&fields], 1);
    let asking = |cluster: &str| TestRequest::cluster(cluster).with(":method", "GET");
    // The only slot is in use: other keys share the overflow, which never opens.
    let _own = bench.pass(&asking("a"));
    for attempts in [true, true, false, false] {
        let mut shared = bench.pass(&asking("b"));
        let failed = TestResponse::status(503);
        assert_eq!(
            replayed(&mut bench, &mut shared, &failed).is_some(),
            attempts
        );
        bench.engine.settle(shared, &failed, bench.now);
    }
    assert_eq!(bench.count("p0 denied by budget"), 2);
    bench.wait(2_000);
    let mut shared = bench.pass(&asking("b"));
    let failed = TestResponse::status(503);
    assert!(replayed(&mut bench, &mut shared, &failed).is_some());
    bench.engine.settle(shared, &failed, bench.now);
    assert!(!bench.happened("p0 denied by circuit"));
}

#[test]
fn an_attempt_that_the_host_refuses_is_not_counted() {
    let mut bench = Bench::new(&[&format!(
        r#"{REPLAY}, "circuit_breaker": {{"failure_rate_threshold": 0, "consecutive_failures": 2}}"#
    )]);
    let mut ticket = bench.pass(&get());
    let failed = TestResponse::status(503);
    let step = bench
        .engine
        .response_headers(&mut ticket, &failed, bench.now);
    assert!(matches!(step, Step::Retry(_)), "{step:?}");
    bench.wait(300);
    assert!(bench.engine.replay(&mut ticket, bench.now).is_ok());
    let step = bench.engine.give_up(&mut ticket, Denial::Host, bench.now);
    assert_eq!(step, Step::Pass);
    bench.engine.settle(ticket, &failed, bench.now);
    let events = bench.events();
    assert!(events.contains(&"p0 denied by host".into()), "{events:?}");
    assert!(!events.contains(&"p0 closed>open".into()), "{events:?}");
}

#[test]
fn grpc_is_retried_by_the_router_even_if_the_filter_retries_http() {
    let fields = REPLAY.replace("}", r#", "grpc_retry_on": ["unavailable"]}"#);
    let mut bench = Bench::new(&[&fields]);
    let ticket = bench.pass(&post().with("content-type", "application/grpc"));
    assert!(!ticket.wants_copy());
    assert_eq!(bench.ordered(&ticket), Some(2));
}

/// In whatever order requests end, the budget is whole afterwards.
#[test]
fn nothing_leaks_however_requests_end() {
    for (seed, fields) in [(1, TWO), (2, REPLAY), (3, TWO), (4, REPLAY)] {
        let mut random = Random::new(seed);
        let mut bench = Bench::new(&[fields]);
        let mut under_way: Vec<(Box<Ticket>, bool)> = Vec::new();
        for _ in 0..20_000 {
            bench.now = bench.now.after(Span::from_ns(random.between(0, 5_000_000)));
            match random.between(0, 4) {
                0 => under_way.push((bench.pass(&get()), false)),
                1 => bench.engine.tick(bench.now),
                _ if under_way.is_empty() => {}
                2 => {
                    let at = random.between(0, under_way.len() as u64 - 1) as usize;
                    let (ticket, waits) = &mut under_way[at];
                    let failed = TestResponse::status(503);
                    if *waits {
                        if bench.engine.replay(ticket, bench.now).is_ok() {
                            bench.engine.replay_sent(ticket, bench.now);
                        }
                        *waits = false;
                    } else {
                        let step = bench.engine.response_headers(ticket, &failed, bench.now);
                        *waits = matches!(step, Step::Retry(_));
                    }
                }
                _ => {
                    let at = random.between(0, under_way.len() as u64 - 1) as usize;
                    let (ticket, _) = under_way.swap_remove(at);
                    let attempts = random.between(1, 3);
                    let ending = after(attempts, if random.chance(5_000) { 200 } else { 503 });
                    match random.between(0, 9) {
                        0 => bench.engine.abandon(ticket, bench.now),
                        _ => bench.engine.settle(ticket, &ending, bench.now),
                    }
                }
            }
            bench.events();
        }
        for (ticket, _) in under_way {
            bench.engine.settle(ticket, &after(1, 200), bench.now);
        }
        bench.wait(60_000);
        for _ in 0..4 {
            bench.engine.tick(bench.now);
            bench.wait(100);
        }
        assert!(bench.engine.workspace.pending.is_empty(), "seed {seed}");
        use crate::admin::Circuits;
        let listed = bench
            .engine
            .operator(bench.now)
            .circuits(&["p0"], first(10));
        let whole = if fields == TWO { 2 } else { 100 };
        assert_eq!(listed.circuits[0].retry_budget, Some(whole), "seed {seed}");
    }
}
