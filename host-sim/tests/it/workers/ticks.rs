//! Ticks: a worker ticks only if something is pending. The main thread has a VM too, but no
//! requests, and never ticks.

use host_sim::proxy::{Callback, Hostcall};
use host_sim::sim::clock::Time;

use super::{Workers, policy};

fn ticks(proxy: &Workers) -> u64 {
    proxy.proxy.host.counts().callback(Callback::Tick)
}

fn armings(proxy: &Workers) -> u64 {
    let counts = proxy.proxy.host.counts();
    counts.hostcall(Hostcall::SetTickPeriod)
}

fn shared_data_calls(proxy: &Workers) -> u64 {
    let counts = proxy.proxy.host.counts();
    counts.hostcall(Hostcall::GetSharedData) + counts.hostcall(Hostcall::SetSharedData)
}

fn next(proxy: &Workers) -> Option<Time> {
    proxy.proxy.host.next_timer()
}

#[test]
fn an_idle_proxy_does_not_tick() {
    let mut proxy = Workers::new(64, &policy("{}"));
    let calls = shared_data_calls(&proxy);
    assert_eq!((armings(&proxy), next(&proxy)), (0, None));
    proxy.run_to(Time::from_ms(60_000));
    assert_eq!((ticks(&proxy), shared_data_calls(&proxy)), (0, calls));
}

/// A proxy whose circuit was created a second ago. Its gauge is confirmed, and nothing is
/// pending.
fn settled(breaker: &str) -> Workers {
    let mut proxy = Workers::new(4, &policy(breaker));
    assert!(proxy.serve(0, "200"));
    assert_eq!(next(&proxy), Some(Time::from_ms(100)));
    proxy.run_to(Time::from_ms(1_000));
    assert_eq!((ticks(&proxy), armings(&proxy), next(&proxy)), (1, 2, None));
    proxy
}

#[test]
fn an_outcome_that_is_merged_at_once_needs_no_tick() {
    let mut proxy = settled("{}");
    let armed = armings(&proxy);
    for number in 0..40 {
        proxy.run_to(Time::from_ms(1_000 + number * 100));
        (0..4).for_each(|worker| assert!(proxy.serve(worker, "200")));
        assert_eq!((armings(&proxy), next(&proxy)), (armed, None), "{number}");
    }
}

#[test]
fn ticks_run_while_outcomes_are_pending_and_then_stop() {
    let mut proxy = settled("{}");
    let (rung, armed) = (ticks(&proxy), armings(&proxy));
    for worker in [0, 1, 2, 1] {
        assert!(proxy.serve(worker, "200"));
    }
    assert_eq!(
        (armings(&proxy) - armed, next(&proxy)),
        (1, Some(Time::from_ms(1_100)))
    );
    let calls = shared_data_calls(&proxy);
    proxy.run_to(Time::from_ms(1_100));
    assert_eq!(ticks(&proxy) - rung, 1);
    assert_eq!(shared_data_calls(&proxy), calls + 2, "a read and a write");
    proxy.run_to(Time::from_ms(60_000));
    assert_eq!((ticks(&proxy) - rung, armings(&proxy) - armed), (2, 2));
    assert_eq!(next(&proxy), None);
    assert_eq!(shared_data_calls(&proxy), calls + 2);
}

/// Arming restarts the host's timer. If every request armed it, it would never fire.
#[test]
fn under_traffic_the_timer_is_armed_once_and_only_on_the_worker() {
    let mut proxy = Workers::new(1, &policy("{}"));
    for number in 0..1_000 {
        proxy.run_to(Time::from_ms(number * 10));
        assert!(proxy.serve(0, "200"));
    }
    assert_eq!(armings(&proxy), 1);
    // With the main thread there would be twice as many.
    let ticks = ticks(&proxy);
    assert!((95..=100).contains(&ticks), "{ticks}");
}

#[test]
fn an_open_circuit_needs_no_tick_before_its_open_duration_ends() {
    let breaker = r#"{"failure_rate_threshold": 0, "consecutive_failures": 5,
        "open": {"duration": "60s", "jitter": 0}}"#;
    let mut proxy = Workers::new(4, &policy(breaker));
    proxy.fail(0, 5);
    // Each worker that uses the circuit confirms its gauge once.
    proxy.run_to(Time::from_ms(500));
    (0..4).for_each(|worker| assert!(proxy.ask(worker).is_none()));
    proxy.run_to(Time::from_ms(1_000));
    let (rung, armed) = (ticks(&proxy), armings(&proxy));
    for ms in 1_000..2_000 {
        proxy.run_to(Time::from_ms(ms));
        (0..4).for_each(|worker| assert!(proxy.ask(worker).is_none()));
    }
    assert_eq!((ticks(&proxy), armings(&proxy)), (rung, armed));
    assert_eq!(proxy.metric("open_circuits"), 1);
    let end = next(&proxy).unwrap();
    assert!((Time::from_ms(59_900)..Time::from_ms(60_100)).contains(&end));
    proxy.run_to(Time::from_ms(61_000));
    assert_eq!((proxy.metric("open_circuits"), next(&proxy)), (0, None));
}
