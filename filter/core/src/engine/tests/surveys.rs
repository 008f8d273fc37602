//! The gauges that only all keys of a policy together tell.

use super::gauges::{Host, idle};
use super::workers::{FIVE_IN_A_ROW, Workers, by_tenant, json};
use super::*;
use crate::event::Gauge;

fn tenant(name: impl ToString) -> TestRequest {
    TestRequest::default().with("x-tenant", name.to_string())
}

#[test]
fn the_failure_rate_is_that_of_all_keys_and_workers() {
    let mut workers = Workers::new(4, &by_tenant(20));
    let mut host = Host::default();
    for n in 0..16 {
        let status = if n % 4 == 0 { 503 } else { 200 };
        workers.serve_to(n % 4, &tenant(n), status);
    }
    idle(&mut workers, &mut host, 250);
    assert_eq!(host.gauge(Gauge::FailureRate), Some(25));
    // The outcomes leave the window, and then nothing waits for a tick.
    idle(&mut workers, &mut host, 13_000);
    assert_eq!(host.gauge(Gauge::FailureRate), Some(0));
    assert!(!workers.engines.iter().any(Engine::has_pending));
}

#[test]
fn the_failure_rate_of_a_count_window_stays_without_traffic_and_costs_no_ticks() {
    let window = FIVE_IN_A_ROW.replacen('{', r#"{"window": {"type": "count", "size": 10}, "#, 1);
    let mut workers = Workers::new(2, &json(&window, 10));
    let mut host = Host::default();
    for status in [503, 200, 200, 200] {
        workers.serve(0, status);
    }
    idle(&mut workers, &mut host, 2_000);
    assert_eq!(host.gauge(Gauge::FailureRate), Some(25));
    assert!(!workers.engines.iter().any(Engine::has_pending));
    // The failure is pushed out, on another worker.
    for _ in 0..10 {
        workers.wait(150);
        workers.serve(1, 200);
    }
    idle(&mut workers, &mut host, 2_000);
    assert_eq!(host.gauge(Gauge::FailureRate), Some(0));
}

/// A policy with a circuit and two retries for each tenant.
fn retries() -> String {
    let budget = r#""retry": {"retry_on": ["5xx"], "budget": {"percent": 0, "interval": "10s",
        "min_retry_rate": {"count": 2, "interval": "10s"}}}"#;
    by_tenant(20).replace(
        r#""circuit_breaker""#,
        &format!(r#"{budget}, "circuit_breaker""#),
    )
}

#[test]
fn the_retry_budget_is_the_lowest_of_all_keys() {
    let mut workers = Workers::new(2, &retries());
    let mut host = Host::default();
    host.report_all(&mut workers);
    assert_eq!(
        host.gauge(Gauge::RetryBudget),
        Some(2),
        "before any request"
    );
    let request = |name: &str| tenant(name).with(":method", "GET");
    let spend = |workers: &mut Workers, name: &str, attempts| {
        let admission = workers.engines[0].admit(&request(name), true, workers.now);
        let ending = TestResponse {
            attempts: Some(attempts),
            ..TestResponse::status(200)
        };
        workers.engines[0].settle(passed(admission), &ending, workers.now);
    };
    spend(&mut workers, "a", 3);
    spend(&mut workers, "b", 1);
    idle(&mut workers, &mut host, 2_000);
    assert_eq!(host.gauge(Gauge::RetryBudget), Some(0));
    // Another key, merged last, has its whole budget.
    spend(&mut workers, "c", 1);
    idle(&mut workers, &mut host, 2_000);
    assert_eq!(host.gauge(Gauge::RetryBudget), Some(0));
    idle(&mut workers, &mut host, 30_000);
    assert_eq!(host.gauge(Gauge::RetryBudget), Some(2));
    assert!(!workers.engines.iter().any(Engine::has_pending));
}

/// Each of 16 workers wants surveys of the same 50 keys.
#[test]
fn one_worker_at_a_time_reads_all_circuits() {
    let mut workers = Workers::new(16, &by_tenant(50));
    let mut host = Host::default();
    for worker in 0..16 {
        for n in 0..50 {
            let fails = n == 0 && worker % 4 == 0;
            workers.serve_to(worker, &tenant(n), if fails { 503 } else { 200 });
        }
        workers.wait(20);
    }
    idle(&mut workers, &mut host, 1_000);
    let (before, _) = workers.memory.calls();
    idle(&mut workers, &mut host, 5_000);
    let (after, _) = workers.memory.calls();
    // Five surveys of 50 keys and a little, and two records for each worker and second.
    assert!(
        (250..=600).contains(&(after - before)),
        "{}",
        after - before
    );
}

#[test]
fn a_survey_of_many_keys_is_made_in_portions() {
    let mut workers = Workers::new(1, &by_tenant(3_000));
    let mut host = Host::default();
    for n in 0..1_600 {
        workers.serve_to(0, &tenant(n), if n % 2 == 0 { 503 } else { 200 });
    }
    idle(&mut workers, &mut host, 50);
    let mut surveyed = 0;
    for _ in 0..8 {
        let (before, _) = workers.memory.calls();
        idle(&mut workers, &mut host, 50);
        let (after, _) = workers.memory.calls();
        assert!(after - before <= 1_100, "{}", after - before);
        surveyed += after - before;
    }
    assert!(surveyed > 1_600, "{surveyed}");
    assert_eq!(host.gauge(Gauge::FailureRate), Some(50));
}
