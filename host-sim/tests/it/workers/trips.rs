//! Trips: all workers trip together, whichever of them saw the failures.

use std::time::Duration;

use host_sim::sim::clock::Time;

use super::{INTERVAL, Workers, policy};

const FIVE_IN_A_ROW: &str = r#"{"failure_rate_threshold": 0, "consecutive_failures": 5,
    "open": {"duration": "30s", "multiplier": 1, "jitter": 0}}"#;

#[test]
fn failures_on_five_workers_are_consecutive() {
    for gap_ms in [0, 1, 30, 99, 100, 1_000, 60_000] {
        let mut proxy = Workers::new(5, &policy(FIVE_IN_A_ROW));
        for worker in 0..5 {
            proxy.run_to(Time::from_ms(gap_ms * worker as u64));
            assert_eq!(proxy.history(), [""; 0], "gap {gap_ms} ms");
            proxy.fail(worker, 1);
        }
        let expected = ["closed>open consecutive_failures"];
        assert_eq!(proxy.history(), expected, "gap {gap_ms} ms");
    }
}

#[test]
fn a_success_on_another_worker_ends_a_run_of_failures() {
    let mut proxy = Workers::new(6, &policy(FIVE_IN_A_ROW));
    for (second, status) in ["503", "503", "503", "503", "200", "503"]
        .iter()
        .enumerate()
    {
        proxy.run_to(Time::from_ms(1_000 * second as u64));
        assert!(proxy.serve(second, status));
    }
    assert_eq!(proxy.history(), [""; 0]);
}

/// Worker `n` gets a request every `n + 1` milliseconds, so that some workers are busy and some
/// are nearly idle.
#[test]
fn a_trip_reaches_every_worker_within_the_interval() {
    const WORKERS: usize = 64;
    let tripped_at = Time::from_ms(1_000);
    let mut proxy = Workers::new(WORKERS, &policy(FIVE_IN_A_ROW));
    let mut passed_late = 0;
    for ms in 0..3_000 {
        let now = Time::from_ms(ms);
        proxy.run_to(now);
        if now == tripped_at {
            proxy.fail(0, 5);
            assert_eq!(proxy.history(), ["closed>open consecutive_failures"]);
        }
        for worker in (0..WORKERS).filter(|worker| ms % (*worker as u64 + 1) == 0) {
            let passed = proxy.serve(worker, "200");
            let known = now >= tripped_at + INTERVAL || (worker == 0 && now >= tripped_at);
            assert!(!(passed && known), "worker {worker} at {now}");
            assert!(passed || now >= tripped_at, "worker {worker} at {now}");
            passed_late += usize::from(passed && now > tripped_at);
        }
    }
    // A worker uses its own copy of the record between two reads.
    assert!(passed_late > 0);
    assert_eq!(proxy.history().len(), 1);
}

/// Outcomes that a worker counted before a trip, but merges after the circuit has closed again,
/// are dropped.
#[test]
fn outcomes_from_before_a_trip_are_dropped_after_it() {
    let breaker =
        FIVE_IN_A_ROW
            .replace("30s", "10ms")
            .replacen('{', r#"{"half_open": {"permits": 1},"#, 1);
    let mut proxy = Workers::new(2, &policy(&breaker));
    assert!(proxy.serve(1, "200"));
    proxy.fail(1, 4);
    proxy.fail(0, 5);
    proxy.run_to(Time::from_ms(10));
    assert!(proxy.serve(0, "200"));
    assert_eq!(proxy.history()[2..], ["half_open>closed probes_succeeded"]);
    proxy.run_to(Time::from_ms(100));
    proxy.fail(0, 4);
    proxy.run_to(Time::from_ms(1_000));
    assert_eq!(proxy.history().len(), 3);
    proxy.fail(0, 1);
    assert_eq!(proxy.history()[3..], ["closed>open consecutive_failures"]);
}

#[test]
fn the_sync_interval_bounds_the_delay_between_workers() {
    for interval_ms in [10, 100, 2_000] {
        let file = format!(
            r#"{{"policies": [{{"name": "p", "circuit_breaker": {FIVE_IN_A_ROW}}}],
                "sync": {{"interval": "{interval_ms}ms"}}}}"#
        );
        let mut proxy = Workers::new(2, &file);
        assert!(proxy.serve(1, "200"));
        proxy.fail(0, 5);
        proxy.run_to(Time::from_ms(interval_ms - 1));
        assert!(proxy.serve(1, "200"), "{interval_ms}");
        proxy.run_to(Time::ZERO + Duration::from_millis(interval_ms));
        assert!(!proxy.serve(1, "200"), "{interval_ms}");
    }
}
