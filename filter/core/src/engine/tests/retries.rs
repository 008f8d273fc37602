//! Retries: granted to the host's router, and made by the filter.

use alloc::collections::VecDeque;

use super::*;
use crate::headers::Pairs;
use crate::random::Random;
use crate::retry::Denial;

/// Two retries at once and none that successes pay for.
const TWO: &str = r#""retry": {"budget": {"percent": 0, "interval": "1s",
    "min_retry_rate": {"count": 2, "interval": "1s"}}}"#;

const REPLAY: &str = r#""retry": {"engine": "filter", "replay": "as_received"}"#;

fn get() -> Asking {
    Asking::cluster("a").with(":method", "GET")
}

fn post() -> Asking {
    Asking::cluster("a").with(":method", "POST")
}

/// An answer after so many attempts.
fn after(attempts: u64, status: u16) -> Ending {
    Ending {
        attempts: Some(attempts),
        ..Ending::status(status)
    }
}

impl Bench {
    /// How many retries the host's router is told to make; absent where it is told
    /// nothing.
    fn ordered(&self, ticket: &Ticket) -> Option<u32> {
        self.engine.order(ticket).map(|order| order.max_retries)
    }
}

#[test]
fn the_router_is_told_how_often_and_on_what() {
    let fields = r#""retry": {"max_retries": 3, "retry_on": ["reset", "5xx"],
        "grpc_retry_on": ["unavailable", "internal"], "per_try_timeout": "2s"}"#;
    let mut bench = Bench::new(&[fields, r#""match": {"clusters": ["plain"]}"#]);
    let ticket = bench.pass(&get());
    let order = RetryHeaders {
        max_retries: 3,
        conditions: Some(("x-envoy-retry-on", "reset,5xx")),
        per_try_timeout: Some(Span::from_secs(2)),
    };
    assert_eq!(bench.engine.order(&ticket), Some(order));
    let grpc = post().with("content-type", "application/grpc");
    let ticket = bench.pass(&grpc);
    let order = RetryHeaders {
        conditions: Some(("x-envoy-retry-grpc-on", "unavailable,internal")),
        ..order
    };
    assert_eq!(bench.engine.order(&ticket), Some(order));
    // What may not be repeated is not, whatever the route says.
    let ticket = bench.pass(&post());
    let none = RetryHeaders {
        max_retries: 0,
        conditions: None,
        per_try_timeout: None,
    };
    assert_eq!(bench.engine.order(&ticket), Some(none));
    // A method that may not be repeated is no denial.
    assert!(!bench.events().iter().any(|it| it.contains("denied")));
}

#[test]
fn the_router_is_told_by_headers_of_the_request() {
    let fields = r#""retry": {"max_retries": 3, "retry_on": ["reset"], "per_try_timeout": "2s"}"#;
    let mut bench = Bench::new(&[fields]);
    let Admission::Pass(_, Some(instructions)) = bench.admit(&get()) else {
        panic!("no instructions");
    };
    let added = HeaderEdit {
        adds: true,
        ..HeaderEdit::set("x-envoy-retry-on", "reset".into())
    };
    let expected = [
        HeaderEdit::set("x-envoy-max-retries", "3".into()),
        added,
        HeaderEdit::set("x-envoy-upstream-rq-per-try-timeout-ms", "2000".into()),
    ];
    assert_eq!(instructions.headers, expected);
    let Admission::Pass(_, Some(instructions)) = bench.admit(&post()) else {
        panic!("no instructions");
    };
    let none = [HeaderEdit::set("x-envoy-max-retries", "0".into())];
    assert_eq!(instructions.headers, none);
}

#[test]
fn a_policy_without_retry_leaves_the_router_alone() {
    let mut bench = Bench::new(&[r#""circuit_breaker": {}"#]);
    let ticket = bench.pass(&get());
    assert_eq!(bench.ordered(&ticket), None);
}

#[test]
fn a_grant_weighs_until_its_request_ends_and_then_as_it_was_used() {
    let mut bench = Bench::new(&[TWO]);
    let first = bench.pass(&get());
    assert_eq!(bench.ordered(&first), Some(2));
    let second = bench.pass(&get());
    assert_eq!(bench.ordered(&second), Some(0));
    assert!(bench.happened("p0 denied by budget"));
    bench.engine.settle(second, &after(1, 503), bench.now);
    bench.engine.settle(first, &after(2, 200), bench.now);
    let events = bench.events();
    assert!(events.contains(&"p0 success retries".into()), "{events:?}");
    // One was used, one came back.
    bench.wait(100);
    let third = bench.pass(&get());
    assert_eq!(bench.ordered(&third), Some(1));
    bench.engine.settle(third, &after(1, 200), bench.now);
    // What was used comes back when it is an interval old.
    bench.wait(1_200);
    let fourth = bench.pass(&get());
    assert_eq!(bench.ordered(&fourth), Some(2));
    bench.engine.settle(fourth, &after(3, 503), bench.now);
    assert!(bench.happened("p0 failure retries x2"));
}

#[test]
fn who_is_not_told_how_many_were_used_counts_all() {
    let mut bench = Bench::new(&[TWO]);
    let ticket = bench.pass(&get());
    bench.engine.abandon(ticket, bench.now);
    bench.wait(100);
    let ticket = bench.pass(&get());
    assert_eq!(bench.ordered(&ticket), Some(0));
}

#[test]
fn what_was_settled_without_a_retry_is_there_for_the_next_at_once() {
    let mut bench = Bench::new(&[TWO]);
    for _ in 0..1_000 {
        let ticket = bench.pass(&get());
        assert_eq!(bench.ordered(&ticket), Some(2));
        bench.engine.settle(ticket, &after(1, 200), bench.now);
    }
    assert!(!bench.happened("p0 denied by budget"));
}

#[test]
fn nothing_is_granted_while_the_circuit_is_not_closed() {
    let fields =
        format!(r#"{FRAGILE}, "retry": {{}}, "recovery": {{}}"#).replace(r#", "recovery": {}"#, "");
    let mut bench = Bench::new(&[&fields]);
    for _ in 0..2 {
        let ticket = bench.pass(&get());
        assert_eq!(bench.ordered(&ticket), Some(2));
        bench.engine.settle(ticket, &after(3, 503), bench.now);
    }
    bench.reject(&get());
    bench.wait(1_000);
    let probe = bench.pass(&get());
    assert_eq!(bench.ordered(&probe), Some(0));
    assert!(bench.happened("p0 denied by circuit"));
    bench.engine.settle(probe, &after(1, 200), bench.now);
    let ticket = bench.pass(&get());
    assert_eq!(bench.ordered(&ticket), Some(2));
}

#[test]
fn denials_have_their_reasons() {
    let mut bench = Bench::new(&[r#""retry": {"per_try_timeout": "1s"}"#]);
    let rows = [
        (get().with("x-envoy-attempt-count", "2"), "nested"),
        (
            get().with("x-envoy-expected-rq-timeout-ms", "900"),
            "deadline",
        ),
    ];
    for (request, reason) in rows {
        let ticket = bench.pass(&request);
        assert_eq!(bench.ordered(&ticket), Some(0));
        assert!(
            bench.happened(&format!("p0 denied by {reason}")),
            "{reason}"
        );
    }
}

#[test]
fn in_shadow_no_request_is_touched_and_the_budget_is_reckoned_all_the_same() {
    let mut bench = Bench::new(&[&format!(r#""mode": "shadow", {TWO}"#)]);
    let ticket = bench.pass(&get());
    assert_eq!(bench.ordered(&ticket), None);
    // The route's own policy retried oftener than would have been granted.
    bench.engine.settle(ticket, &after(5, 503), bench.now);
    assert!(bench.happened("p0 failure retries x2"));
    bench.wait(100);
    let ticket = bench.pass(&get());
    assert_eq!(bench.ordered(&ticket), None);
    assert!(bench.happened("p0 would deny by budget"));
    bench.engine.settle(ticket, &after(4, 503), bench.now);
}

#[test]
fn keys_have_budgets_of_their_own_and_the_overflow_has_the_minimum_rate() {
    let fields = format!(r#""key": ["cluster"], {TWO}"#);
    let mut bench = Bench::limited(&[&fields], 1);
    let asking = |cluster: &str| Asking::cluster(cluster).with(":method", "GET");
    let own = bench.pass(&asking("a"));
    assert_eq!(bench.ordered(&own), Some(2));
    // The only place is in use: others share what is left over for them.
    let shared = bench.pass(&asking("b"));
    assert_eq!(bench.ordered(&shared), Some(2));
    let none = bench.pass(&asking("c"));
    assert_eq!(bench.ordered(&none), Some(0));
    let events = bench.events();
    for expected in ["p0 overflowed", "p0 denied by budget"] {
        assert!(events.iter().any(|it| it == expected), "{events:?}");
    }
    bench.engine.settle(shared, &after(1, 200), bench.now);
    bench.engine.settle(none, &after(1, 200), bench.now);
    bench.wait(100);
    let again = bench.pass(&asking("b"));
    assert_eq!(bench.ordered(&again), Some(2));
}

#[test]
fn what_is_forced_closed_may_be_retried() {
    let mut bench = Bench::new(&[&format!(r#"{FRAGILE}, {TWO}"#)]);
    let ticket = bench.pass(&get());
    bench.engine.settle(ticket, &after(1, 200), bench.now);
    let action = crate::admin::Action::Force(crate::circuit::Forced::Closed, Span::from_secs(60));
    use crate::admin::Circuits;
    let mut operator = bench.engine.operator(bench.now);
    assert_eq!(operator.control("p0", None, action), Ok(1));
    bench.wait(200);
    let ticket = bench.pass(&get());
    assert_eq!(bench.ordered(&ticket), Some(2));
    bench.engine.settle(ticket, &after(3, 503), bench.now);
    let ticket = bench.pass(&get());
    assert_eq!(bench.ordered(&ticket), Some(0));
}

/// 1,000 requests a second that take two seconds: how many of them are granted nothing,
/// once the traffic is steady.
#[test]
fn a_slow_but_healthy_service_is_denied_no_more_than_this() {
    let mut bench = Bench::new(&[r#""retry": {}"#]);
    let mut under_way: VecDeque<(u64, Box<Ticket>)> = VecDeque::new();
    let (mut grants, mut denied) = (0_u32, 0_u32);
    for ms in 0..60_000 {
        while under_way.front().is_some_and(|(end, _)| *end <= ms) {
            let (_, ticket) = under_way.pop_front().expect("a request");
            bench.engine.settle(ticket, &after(1, 200), bench.now);
        }
        if ms % 100 == 0 {
            bench.engine.tick(bench.now);
        }
        let ticket = bench.pass(&get());
        if ms >= 30_000 {
            match bench.ordered(&ticket) {
                Some(0) => denied += 1,
                _ => grants += 1,
            }
        }
        under_way.push_back((ms + 2_000, ticket));
        bench.events();
        bench.wait(1);
    }
    // 2,000 are under way, of a budget of 2,100; what a request gives back is known to all
    // only after the interval, in which another 100 have come.
    assert_eq!(grants + denied, 30_000);
    assert!(denied <= 1_600, "{denied} denied");
}

/// A request that the filter sends again: the wait, and what the attempt may take.
fn replayed(bench: &mut Bench, ticket: &mut Ticket, ending: &Ending) -> Option<Span> {
    let step = bench.engine.response_headers(ticket, ending, bench.now);
    let Step::Retry(wait) = step else {
        return None;
    };
    bench.now = bench.now.after(wait);
    let timeout = bench.engine.replay(ticket, bench.now).ok()?;
    bench.engine.replay_sent(ticket, bench.now);
    Some(timeout)
}

/// The answer of the last attempt goes to the client as it is.
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
    // The router makes none.
    assert_eq!(bench.ordered(&ticket), Some(0));
    let timeout = replayed(&mut bench, &mut ticket, &Ending::status(503));
    assert!(timeout.is_some_and(|it| it > Span::from_secs(14)));
    let step = bench
        .engine
        .replayed(&mut ticket, &Ending::status(200), true, bench.now);
    assert_eq!(step, handed_on());
    assert_eq!(ticket.note().map(|it| it.decision), Some(Decision::Retry));
    bench.engine.settle(ticket, &Ending::status(200), bench.now);
    let events = bench.events();
    for expected in ["p0 success", "p0 success retries"] {
        assert!(events.iter().any(|it| it == expected), "{events:?}");
    }
    // Three attempts in a row that fail open the circuit, within one request.
    let mut ticket = bench.pass(&get());
    replayed(&mut bench, &mut ticket, &Ending::status(503)).expect("a second attempt");
    let again = bench
        .engine
        .replayed(&mut ticket, &Ending::status(503), true, bench.now);
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
        .replayed(&mut ticket, &Ending::status(503), true, bench.now);
    assert_eq!(last, handed_on());
    bench.engine.settle(ticket, &Ending::status(503), bench.now);
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
        .response_headers(&mut ticket, &Ending::status(503), bench.now);
    assert_eq!(step, Step::Pass);
    assert!(bench.happened("p0 denied by circuit"));
    bench.engine.settle(ticket, &Ending::status(503), bench.now);
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
        .response_headers(&mut waiting, &Ending::status(503), bench.now);
    assert!(matches!(step, Step::Retry(_)), "{step:?}");
    let other = bench.pass(&post());
    bench.engine.settle(other, &Ending::status(503), bench.now);
    bench.wait(300);
    assert_eq!(
        bench.engine.replay(&mut waiting, bench.now),
        Err(Step::Pass)
    );
    assert!(bench.happened("p0 denied by circuit"));
    bench
        .engine
        .settle(waiting, &Ending::status(503), bench.now);
}

#[test]
fn what_cannot_be_sent_again_passes_and_is_counted() {
    let mut pushed = Ending::status(503);
    pushed.hints.push(("grpc-retry-pushback-ms", "-1"));
    let mut later = Ending::status(503);
    later.hints.push(("retry-after", "3600"));
    type Spoil = fn(&mut Ticket);
    let rows: [(&str, Asking, Spoil, Ending); 5] = [
        ("pushback", get(), |_| {}, pushed),
        ("deadline", get(), |_| {}, later),
        (
            "nested",
            get().with("x-envoy-attempt-count", "2"),
            |_| {},
            Ending::status(503),
        ),
        (
            "request_body",
            get(),
            |it| it.spoil(Denial::RequestBody),
            Ending::status(503),
        ),
        (
            "request_shape",
            get(),
            |it| it.spoil(Denial::RequestShape),
            Ending::status(503),
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
    // A good answer is no denial, whatever is wrong with the request.
    let mut bench = Bench::new(&[REPLAY]);
    let mut ticket = bench.pass(&get().with("x-envoy-attempt-count", "2"));
    let good = Ending::status(200);
    let step = bench.engine.response_headers(&mut ticket, &good, bench.now);
    assert_eq!(step, Step::Pass);
    assert!(!bench.happened("p0 denied by nested"));
}

#[test]
fn a_request_that_is_not_all_there_is_not_sent_again() {
    let mut bench = Bench::new(&[REPLAY]);
    let Admission::Pass(mut ticket, _) = bench.engine.admit(&get(), false, bench.now) else {
        panic!("no ticket");
    };
    let failed = Ending::status(503);
    let step = bench
        .engine
        .response_headers(&mut ticket, &failed, bench.now);
    assert_eq!(step, Step::Pass);
    assert!(bench.happened("p0 denied by request_body"));
}

#[test]
fn a_wait_that_is_broken_off_costs_nothing() {
    let fields = TWO.replace(
        r#""retry": {"#,
        r#""retry": {"engine": "filter", "replay": "as_received", "#,
    );
    let mut bench = Bench::new(&[&fields]);
    for _ in 0..100 {
        let mut ticket = bench.pass(&get());
        let step = bench
            .engine
            .response_headers(&mut ticket, &Ending::status(503), bench.now);
        assert!(matches!(step, Step::Retry(_)), "{step:?}");
        // The client leaves.
        bench.engine.settle(ticket, &Ending::default(), bench.now);
        bench.wait(1);
    }
}

#[test]
fn each_attempt_is_paid_for() {
    let fields = TWO.replace(
        r#""retry": {"#,
        r#""retry": {"engine": "filter", "replay": "as_received", "#,
    );
    let mut bench = Bench::new(&[&fields]);
    let mut made = 0;
    for _ in 0..10 {
        let mut ticket = bench.pass(&get());
        made += u32::from(replayed(&mut bench, &mut ticket, &Ending::status(503)).is_some());
        bench.engine.settle(ticket, &Ending::status(503), bench.now);
    }
    assert_eq!(made, 2);
    assert_eq!(bench.count("p0 denied by budget"), 8);
}

#[test]
fn what_counts_for_no_circuit_is_sent_again_without_counting() {
    let fields = format!(
        r#"{}, "circuit_breaker": {{"failure_rate_threshold": 0, "consecutive_failures": 2}}"#,
        TWO.replace(
            r#""retry": {"#,
            r#""retry": {"engine": "filter", "replay": "as_received", "max_retries": 1, "#
        )
    );
    let mut bench = Bench::limited(&[&fields], 1);
    let asking = |cluster: &str| Asking::cluster(cluster).with(":method", "GET");
    // The only place is in use: others share the overflow, which never opens.
    let _own = bench.pass(&asking("a"));
    for attempts in [true, true, false, false] {
        let mut shared = bench.pass(&asking("b"));
        let failed = Ending::status(503);
        assert_eq!(
            replayed(&mut bench, &mut shared, &failed).is_some(),
            attempts
        );
        bench.engine.settle(shared, &failed, bench.now);
    }
    assert_eq!(bench.count("p0 denied by budget"), 2);
    bench.wait(2_000);
    let mut shared = bench.pass(&asking("b"));
    let failed = Ending::status(503);
    assert!(replayed(&mut bench, &mut shared, &failed).is_some());
    bench.engine.settle(shared, &failed, bench.now);
    assert!(!bench.happened("p0 denied by circuit"));
}

#[test]
fn an_attempt_that_the_host_does_not_make_counts_for_nothing() {
    let mut bench = Bench::new(&[&format!(
        r#"{REPLAY}, "circuit_breaker": {{"failure_rate_threshold": 0, "consecutive_failures": 2}}"#
    )]);
    let mut ticket = bench.pass(&get());
    let failed = Ending::status(503);
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
fn grpc_is_the_routers_also_where_the_filter_does_the_rest() {
    let fields = REPLAY.replace("}", r#", "grpc_retry_on": ["unavailable"]}"#);
    let mut bench = Bench::new(&[&fields]);
    let ticket = bench.pass(&post().with("content-type", "application/grpc"));
    assert!(!ticket.wants_copy());
    assert_eq!(bench.ordered(&ticket), Some(2));
}

/// Whatever requests do, in whatever order they end: in the end the budget is whole.
#[test]
fn nothing_leaks_whatever_becomes_of_requests() {
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
                    let failed = Ending::status(503);
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
        let listed = bench.engine.operator(bench.now).circuits(&["p0"], 10);
        let whole = if fields == TWO { 2 } else { 100 };
        assert_eq!(listed.circuits[0].retry_budget, Some(whole), "seed {seed}");
    }
}
