//! When a worker merges what it has counted.

use super::workers::{FIVE_IN_A_ROW, Workers, by_tenant, json};
use super::*;

#[test]
fn at_high_rates_a_worker_reads_the_record_once_per_interval() {
    let mut workers = Workers::new(1, &json("{}", 10));
    workers.serve(0, 200);
    let (reads, writes) = workers.memory.calls();
    for _ in 0..1_000 {
        workers.serve(0, 200);
        workers.wait(1);
        if workers.now.as_ns().is_multiple_of(100_000_000) {
            workers.tick();
        }
    }
    let after = workers.memory.calls();
    assert!(after.0 - reads <= 20 && after.1 - writes <= 11, "{after:?}");
    workers.serve(0, 200);
    assert!(workers.engines[0].has_pending());
    workers.wait(100);
    workers.tick();
    assert!(!workers.engines[0].has_pending());
}

#[test]
fn outcomes_of_a_key_without_traffic_are_merged_by_the_tick() {
    let mut workers = Workers::new(2, &json(FIVE_IN_A_ROW, 10));
    // The first outcome is merged at once, the others wait.
    for worker in [0, 1, 0, 1] {
        workers.serve(worker, 503);
    }
    assert!(workers.engines[0].has_pending() && workers.engines[1].has_pending());
    workers.wait(100);
    workers.tick();
    workers.wait(100);
    workers.serve(0, 503);
    assert!(workers.rejects(0));
    workers.wait(100);
    assert!(workers.rejects(1));
}

#[test]
fn a_key_waits_no_longer_than_a_long_interval() {
    let tenants = r#"{"policies":[{"name":"p0", "key": [{"header": "x-tenant"}],
        "circuit_breaker": {}}], "limits": {"keys": 5000}, "sync": {"interval": "5s"}}"#;
    let mut workers = Workers::new(1, tenants);
    for n in 0..2_000 {
        let request = TestRequest::default().with("x-tenant", n.to_string());
        (0..2).for_each(|_| workers.serve_to(0, &request, 200));
    }
    assert_eq!(
        workers.engines[0].workspace.tick_period(),
        Span::from_ms(100)
    );
    let mut ticks = 0;
    while !workers.engines[0].workspace.pending.is_empty() {
        workers.wait(100);
        workers.tick();
        ticks += 1;
    }
    assert!((50..=54).contains(&ticks), "{ticks}");
}

#[test]
fn a_worker_that_ends_merges_all_its_outcomes() {
    let fields = by_tenant(2_000).replace(r#""limits""#, r#""sync": {"interval": "5s"}, "limits""#);
    let mut workers = Workers::new(1, &fields);
    for n in 0..1_200 {
        let request = TestRequest::default().with("x-tenant", n.to_string());
        (0..2).for_each(|_| workers.serve_to(0, &request, 503));
    }
    workers.engines[0].retire(workers.now);
    assert!(workers.engines[0].workspace.pending.is_empty());
    let now = workers.now;
    let mut next = workers.another(2, &fields);
    let listed = crate::admin::Circuits::circuits(&mut next.operator(now), &["p0"], first(2_000));
    let mut views = listed.circuits.iter();
    assert_eq!(views.len(), 1_200);
    assert!(views.all(|view| view.automatic.counts.failures == 2));
}

/// Paused streams need ticks too. They do not make merges more frequent.
#[test]
fn ticks_for_another_purpose_merge_nothing() {
    let mut workers = Workers::new(1, &json(FIVE_IN_A_ROW, 10));
    workers.serve(0, 200);
    let before = workers.memory.calls();
    for _ in 0..200 {
        workers.serve(0, 200);
        workers.wait(5);
        workers.tick();
    }
    let after = workers.memory.calls();
    let (reads, writes) = (after.0 - before.0, after.1 - before.1);
    assert!(reads <= 13 && writes <= 12, "{reads} {writes}");
    // The last tick is one for which nothing has waited.
    let mut ticks = 0;
    while let Some(at) = workers.engines[0].next_tick(workers.now) {
        workers.wait(at.since(workers.now).as_ms());
        workers.tick();
        ticks += 1;
    }
    assert!(ticks <= 3, "{ticks}");
}

#[test]
fn a_clock_that_steps_back_does_not_stop_merges() {
    let mut workers = Workers::new(1, &json(FIVE_IN_A_ROW, 10));
    workers.wait(60_000);
    workers.serve(0, 200);
    workers.serve(0, 200);
    assert!(workers.engines[0].has_pending());
    workers.now = Instant::from_ns(workers.now.as_ns() - 30_000_000_000);
    workers.tick();
    let next = workers.engines[0].next_tick(workers.now).unwrap();
    assert!(next <= workers.now.after(Span::from_ms(100)));
}
