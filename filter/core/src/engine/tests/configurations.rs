//! Circuits when configurations come and go.

use super::workers::{FIVE_IN_A_ROW, Workers, json};
use super::*;

#[test]
fn new_thresholds_apply_to_the_existing_state() {
    let mut workers = Workers::new(1, &json(FIVE_IN_A_ROW, 10));
    (0..4).for_each(|_| workers.serve(0, 503));
    workers.wait(100);
    workers.tick();
    let stricter = FIVE_IN_A_ROW.replace("5,", "4,");
    let other_window = stricter.replace(
        r#"{"failure_rate_threshold""#,
        r#"{"window": {"type": "count", "size": 10}, "failure_rate_threshold""#,
    );
    for fields in [&stricter, &other_window] {
        let mut later = workers.another(3, &json(fields, 10));
        workers.now = workers.now.after(Span::from_ms(1));
        core::mem::swap(&mut workers.engines[0], &mut later);
        workers.serve(0, 503);
        assert!(workers.rejects(0));
        workers.wait(1_000);
        (0..3).for_each(|_| workers.serve(0, 200));
        (0..4).for_each(|_| workers.serve(0, 503));
        assert!(workers.rejects(0));
        later.retire(workers.now);
        workers.wait(1_000);
        (0..3).for_each(|_| workers.serve(0, 200));
        (0..3).for_each(|_| workers.serve(0, 503));
        workers.wait(100);
        workers.tick();
    }
}

#[test]
fn an_older_configuration_counts_in_the_window_of_the_newer_one() {
    let time = json(r#"{"consecutive_failures": 3}"#, 10);
    let count = json(
        r#"{"consecutive_failures": 3, "window": {"type": "count", "size": 10}}"#,
        10,
    );
    let mut workers = Workers::new(1, &time);
    workers.serve(0, 503);
    workers.wait(1);
    workers.engines.push(workers.another(2, &count));
    workers.serve(1, 503);
    for _ in 0..3 {
        workers.wait(100);
        workers.serve(0, 200);
        workers.wait(100);
        workers.serve(1, 200);
    }
    let view = |engine: &mut Engine<Memory>| {
        let (_, _, replica) = engine.workspace.table.entry(0).expect("an entry");
        let breaker = &replica.view().breaker;
        (breaker.shape(), breaker.counts().requests)
    };
    workers.wait(100);
    workers.serve(0, 200);
    let (shape, requests) = view(&mut workers.engines[0]);
    assert_eq!(shape, crate::policy::WindowShape::Count { size: 10 });
    assert_eq!(
        requests, 8,
        "the one before the new shape is not among them"
    );
}

#[test]
fn a_removed_policy_leaves_its_slots_empty() {
    let mut workers = Workers::new(2, &json(FIVE_IN_A_ROW, 10));
    (0..5).for_each(|_| workers.serve(0, 503));
    let other = json(FIVE_IN_A_ROW, 10).replace("p0", "q0");
    let next = workers.another(5, &other);
    // Nothing is emptied before the old configuration has gone: its requests continue, and
    // the new one may still be rolled back.
    assert!(workers.rejects(0) && workers.rejects(1));
    workers.events("");
    for mut old in core::mem::take(&mut workers.engines) {
        old.retire(workers.now);
        workers.engines.push(old);
    }
    assert_eq!(
        workers.events(""),
        ["p0 Keys 0", "p0 OpenCircuits 0", "p0 FailureRate 0"],
        "by the first to go"
    );
    workers.engines = alloc::vec![next];
    assert_eq!(workers.names_in_directory(), ["q0"]);
    let back = workers.another(6, &json(FIVE_IN_A_ROW, 10));
    workers.engines = alloc::vec![back];
    workers.serve(0, 200);
}

#[test]
fn reloading_an_old_configuration_keeps_the_circuits_of_the_new_one() {
    let old = json(FIVE_IN_A_ROW, 10);
    let new = old.replace("p0", "q0");
    let mut workers = Workers::new(1, &old);
    workers.wait(1);
    workers.engines.push(workers.another(2, &new));
    (0..5).for_each(|_| workers.serve(1, 503));
    // The old one's VM trapped during its last requests.
    workers.wait(1);
    let again = workers.another(3, &old);
    workers.engines[0] = again;
    workers.serve(0, 200);
    assert!(workers.rejects(1));
    workers.engines.remove(0).retire(workers.now);
    workers.wait(100);
    assert!(workers.rejects(0));
}

#[test]
fn new_key_parts_start_fresh_and_a_new_number_of_slots_keeps_open_circuits() {
    let tenants = json(FIVE_IN_A_ROW, 10).replace(
        r#""circuit_breaker""#,
        r#""key": ["cluster", {"header": "x-tenant"}], "circuit_breaker""#,
    );
    for (next, open) in [(json(FIVE_IN_A_ROW, 999), true), (tenants, false)] {
        let mut workers = Workers::new(1, &json(FIVE_IN_A_ROW, 10));
        (0..5).for_each(|_| workers.serve(0, 503));
        workers.engines[0] = workers.another(2, &next);
        assert_eq!(workers.rejects(0), open, "{next}");
    }
}

#[test]
fn keys_that_return_under_old_slots_are_removed_with_their_configuration() {
    let tenants = json(FIVE_IN_A_ROW, 10).replace(
        r#""circuit_breaker""#,
        r#""key": ["cluster", "method"], "circuit_breaker""#,
    );
    for next in [json(FIVE_IN_A_ROW, 20), tenants] {
        let mut workers = Workers::new(1, &json(FIVE_IN_A_ROW, 10));
        let late: Vec<Box<Ticket>> = (0..5).map(|_| workers.pass(0)).collect();
        let newer = workers.another(2, &next);
        workers.engines.push(newer);
        workers.serve(1, 200);
        for ticket in late {
            workers.wait(100);
            workers.settle(0, ticket, 503);
        }
        let mut old = workers.engines.remove(0);
        old.retire(workers.now);
        workers.engines.push(old);
        let gauges = workers.events("p0 Keys");
        assert_eq!(
            gauges.last().map(String::as_str),
            Some("p0 Keys 1"),
            "{next}"
        );
        let gauges = workers.events("p0 OpenCircuits");
        assert!(gauges.last().is_none_or(|last| last == "p0 OpenCircuits 0"));
        workers.serve(0, 200);
    }
}
