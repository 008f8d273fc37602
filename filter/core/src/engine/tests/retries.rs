//! Retries that are granted to the host's router.

use alloc::collections::VecDeque;

use super::*;

/// Two retries at once, and none from successes.
pub(super) const TWO: &str = r#""retry": {"budget": {"percent": 0, "interval": "1s",
    "min_retry_rate": {"count": 2, "interval": "1s"}}}"#;

pub(super) fn get() -> TestRequest {
    TestRequest::cluster("a").with(":method", "GET")
}

pub(super) fn post() -> TestRequest {
    TestRequest::cluster("a").with(":method", "POST")
}

/// A response after so many attempts.
pub(super) fn after(attempts: u64, status: u16) -> TestResponse {
    TestResponse {
        attempts: Some(attempts),
        ..TestResponse::status(status)
    }
}

impl Bench {
    /// How many retries the host's router is told to make, or `None` if it is told
    /// nothing.
    pub(super) fn ordered(&self, ticket: &Ticket) -> Option<u32> {
        ticket.ordered()
    }
}

#[test]
fn the_router_gets_its_orders_in_request_headers() {
    type Headers<'a> = &'a [(&'a str, &'a str)];
    let fields = r#""retry": {"max_retries": 3, "retry_on": ["reset", "5xx"],
        "grpc_retry_on": ["unavailable", "internal"], "per_try_timeout": "2s"}"#;
    let each = ("x-envoy-upstream-rq-per-try-timeout-ms", "2000");
    let three = ("x-envoy-max-retries", "3");
    let grpc = post().with("content-type", "application/grpc");
    let rows: [(TestRequest, Headers<'_>); 6] = [
        (get(), &[three, ("x-envoy-retry-on", "reset,5xx"), each]),
        (
            grpc.clone(),
            &[
                three,
                ("x-envoy-retry-grpc-on", "unavailable,internal"),
                each,
            ],
        ),
        // The client's own conditions stay.
        (
            get().with("x-envoy-retry-on", "retriable-4xx"),
            &[three, ("+x-envoy-retry-on", "reset,5xx"), each],
        ),
        (
            grpc.with("x-envoy-retry-grpc-on", ""),
            &[
                three,
                ("+x-envoy-retry-grpc-on", "unavailable,internal"),
                each,
            ],
        ),
        (
            get().with("x-envoy-retry-grpc-on", "internal"),
            &[three, ("x-envoy-retry-on", "reset,5xx"), each],
        ),
        // A request that may not be repeated is not, whatever the route says.
        (post(), &[("x-envoy-max-retries", "0")]),
    ];
    for (request, expected) in rows {
        let mut bench = Bench::new(&[fields]);
        let admission = bench.admit(&request);
        let edits = bench.engine.edits(&admission);
        let edits = edits.iter().map(|(name, value)| (&**name, &**value));
        assert_eq!(edits.collect::<Vec<_>>(), expected, "{request:?}");
        // A method that may not be repeated does not count as a denial.
        assert!(!bench.events().iter().any(|it| it.contains("denied")));
        bench.engine.abandon(passed(admission), bench.now);
    }
}

#[test]
fn a_policy_without_retry_leaves_the_router_alone() {
    let mut bench = Bench::new(&[r#""circuit_breaker": {}"#]);
    let ticket = bench.pass(&get());
    assert_eq!(bench.ordered(&ticket), None);
}

#[test]
fn a_grant_counts_in_full_until_its_request_ends_and_then_as_used() {
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
    // A used retry comes back when it is an interval old.
    bench.wait(1_200);
    let fourth = bench.pass(&get());
    assert_eq!(bench.ordered(&fourth), Some(2));
    bench.engine.settle(fourth, &after(3, 503), bench.now);
    assert!(bench.happened("p0 failure retries x2"));
}

#[test]
fn without_a_count_of_retries_all_granted_ones_count() {
    let mut bench = Bench::new(&[TWO]);
    let ticket = bench.pass(&get());
    bench.engine.abandon(ticket, bench.now);
    bench.wait(100);
    let ticket = bench.pass(&get());
    assert_eq!(bench.ordered(&ticket), Some(0));
}

#[test]
fn an_unused_grant_is_available_to_the_next_request_at_once() {
    let mut bench = Bench::new(&[TWO]);
    for _ in 0..1_000 {
        let ticket = bench.pass(&get());
        assert_eq!(bench.ordered(&ticket), Some(2));
        bench.engine.settle(ticket, &after(1, 200), bench.now);
    }
    assert!(!bench.happened("p0 denied by budget"));
}

#[test]
fn no_retry_is_granted_unless_the_circuit_is_closed() {
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
fn in_shadow_mode_the_budget_counts_but_no_request_is_touched() {
    let mut bench = Bench::new(&[&format!(r#""mode": "shadow", {TWO}"#)]);
    let ticket = bench.pass(&get());
    assert_eq!(bench.ordered(&ticket), None);
    // The route's own policy made more retries than would have been granted.
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
    let asking = |cluster: &str| TestRequest::cluster(cluster).with(":method", "GET");
    let own = bench.pass(&asking("a"));
    assert_eq!(bench.ordered(&own), Some(2));
    // The only slot is in use: other keys share the overflow's budget.
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
fn a_forced_closed_circuit_allows_retries() {
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

/// 1,000 requests a second that take two seconds: how many of them get no retry,
/// once the traffic is steady.
#[test]
fn a_slow_but_healthy_service_is_denied_few_retries() {
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
