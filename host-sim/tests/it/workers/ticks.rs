//! Ticks: only where something waits, and never on the main thread, which has a machine
//! too but no requests.

use host_sim::host::{Callback, Hostcall};
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
fn a_proxy_that_is_idle_does_nothing_at_all() {
    let mut proxy = Workers::new(64, &policy("{}"));
    let calls = shared_data_calls(&proxy);
    assert_eq!((armings(&proxy), next(&proxy)), (0, None));
    proxy.run_to(Time::from_ms(60_000));
    assert_eq!((ticks(&proxy), shared_data_calls(&proxy)), (0, calls));
}

#[test]
fn what_is_merged_as_it_comes_needs_no_tick() {
    let mut proxy = Workers::new(4, &policy("{}"));
    for number in 0..40 {
        proxy.run_to(Time::from_ms(number * 100));
        (0..4).for_each(|worker| assert!(proxy.serve(worker, "200")));
        assert_eq!((armings(&proxy), next(&proxy)), (0, None), "{number}");
    }
}

#[test]
fn a_tick_comes_for_what_waits_and_stops_once_it_comes_for_nothing() {
    let mut proxy = Workers::new(4, &policy("{}"));
    for worker in [0, 1, 2, 1] {
        assert!(proxy.serve(worker, "200"));
    }
    assert_eq!(
        (armings(&proxy), next(&proxy)),
        (1, Some(Time::from_ms(100)))
    );
    let calls = shared_data_calls(&proxy);
    proxy.run_to(Time::from_ms(100));
    assert_eq!(ticks(&proxy), 1);
    assert_eq!(shared_data_calls(&proxy), calls + 2, "a read and a write");
    proxy.run_to(Time::from_ms(60_000));
    assert_eq!((ticks(&proxy), armings(&proxy), next(&proxy)), (2, 2, None));
    assert_eq!(shared_data_calls(&proxy), calls + 2);
}

/// Each arming starts the host's timer anew: armed by every request it would never ring.
#[test]
fn under_traffic_the_timer_is_armed_once_and_rings_for_the_worker_alone() {
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
fn an_open_circuit_needs_no_tick() {
    let breaker = r#"{"failure_rate_threshold": 0, "consecutive_failures": 5,
        "open": {"duration": "60s", "jitter": 0}}"#;
    let mut proxy = Workers::new(4, &policy(breaker));
    proxy.fail(0, 5);
    proxy.run_to(Time::from_ms(1_000));
    let (ticks_before, armed) = (ticks(&proxy), armings(&proxy));
    for ms in 1_000..2_000 {
        proxy.run_to(Time::from_ms(ms));
        (0..4).for_each(|worker| assert!(proxy.ask(worker).is_none()));
    }
    assert_eq!((ticks(&proxy), armings(&proxy)), (ticks_before, armed));
    assert_eq!(next(&proxy), None);
}
