//! Operators: what they see and move, and what the workers make of it.

use super::workers::{FIVE_IN_A_ROW, Workers, by_tenant, json};
use super::*;
use crate::admin::{Action, Busy, CircuitView, Circuits};
use crate::circuit::Forced;
use crate::testing::Memory;

/// An engine as a listener for operators has it: without policies of its own.
fn desk(workers: &Workers) -> Engine<Memory> {
    workers.another(77, r#"{"policies": [], "admin": {}}"#)
}

fn views(workers: &Workers, policy: &str) -> Vec<CircuitView> {
    let mut desk = desk(workers);
    desk.operator(workers.now).circuits(policy, 100)
}

fn control(workers: &Workers, action: Action) -> Result<usize, Busy> {
    let mut desk = desk(workers);
    desk.operator(workers.now).control("p0", None, action)
}

const MINUTE: Span = Span::from_secs(60);

#[test]
fn an_operator_sees_what_all_workers_have_counted() {
    let mut workers = Workers::new(2, &json(FIVE_IN_A_ROW, 10));
    assert!(views(&workers, "p0").is_empty() && views(&workers, "none").is_empty());
    workers.serve(0, 503);
    workers.serve(1, 503);
    let seen = views(&workers, "p0");
    assert_eq!(seen.len(), 1);
    assert_eq!((seen[0].counts.failures, seen[0].consecutive), (2, 2));
    assert_eq!(seen[0].key, [Some(Box::from(*b"c"))]);
    assert_eq!(
        (seen[0].automatic, seen[0].mode),
        (StateName::Closed, Mode::Enforce)
    );
    let mut desk = desk(&workers);
    assert_eq!(desk.operator(workers.now).policies(), ["p0".into()]);
}

#[test]
fn a_force_holds_on_every_worker_until_it_ends() {
    let mut workers = Workers::new(3, &json(FIVE_IN_A_ROW, 10));
    (0..3).for_each(|worker| workers.serve(worker, 200));
    assert_eq!(
        control(&workers, Action::Force(Forced::Open, MINUTE)),
        Ok(1)
    );
    workers.wait(100);
    for worker in 0..3 {
        match workers.admit(worker) {
            Admission::Reject(ticket, _) => {
                assert_eq!(
                    ticket.note().map(|note| note.state),
                    Some(StateName::ForcedOpen)
                );
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(views(&workers, "p0")[0].automatic, StateName::Closed);
    workers.wait(59_899);
    assert!(workers.rejects(0));
    workers.wait(1);
    (0..3).for_each(|worker| workers.serve(worker, 200));
    assert_eq!(views(&workers, "p0")[0].force, None);
}

#[test]
fn what_is_forced_closed_passes_and_is_in_no_window() {
    let mut workers = Workers::new(1, &json(FIVE_IN_A_ROW, 10));
    (0..5).for_each(|_| workers.serve(0, 503));
    control(&workers, Action::Force(Forced::Closed, MINUTE)).expect("nobody comes between");
    workers.wait(100);
    for _ in 0..50 {
        workers.serve(0, 503);
    }
    // It goes on where its own state is: open, and the time is over.
    control(&workers, Action::Automatic).expect("nobody comes between");
    workers.wait(100);
    assert!(workers.rejects(0));
    assert!(workers.events("p0 [c]").len() == 1);
    workers.wait(1_000);
    let probe = workers.pass(0);
    assert_eq!(
        probe.note().map(|note| note.decision),
        Some(Decision::Probe)
    );
    workers.settle(0, probe, 200);
}

#[test]
fn a_reset_closes_the_circuit_and_ends_a_force() {
    let mut workers = Workers::new(2, &json(FIVE_IN_A_ROW, 10));
    (0..5).for_each(|_| workers.serve(0, 503));
    control(&workers, Action::Force(Forced::Open, MINUTE)).expect("nobody comes between");
    let late = {
        let mut desk = desk(&workers);
        desk.operator(workers.now)
            .control("p0", None, Action::Reset)
            .expect("nobody comes between");
        core::iter::from_fn(|| desk.next_event())
            .map(shown)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        late,
        [
            "p0 operator reset",
            "p0 open>closed",
            "p0 [c] open>closed reset",
            "p0 OpenCircuits 0"
        ]
    );
    workers.wait(100);
    (0..2).for_each(|worker| workers.serve(worker, 200));
    let view = &views(&workers, "p0")[0];
    assert_eq!((view.opens, view.counts.requests), (0, 2));
}

#[test]
fn precedence_is_shadow_then_force_then_the_mode_then_the_circuit() {
    let force = |to| Some(Action::Force(to, MINUTE));
    let rows = [
        ("enforce", None, false),
        ("enforce", force(Forced::Open), true),
        ("enforce", force(Forced::Closed), false),
        ("forced_open", None, true),
        ("forced_open", force(Forced::Closed), false),
        ("forced_open", force(Forced::Open), true),
        ("shadow", force(Forced::Open), false),
    ];
    for (mode, action, rejected) in rows {
        let policy = format!(r#""mode": "{mode}", "circuit_breaker""#);
        let json = json(FIVE_IN_A_ROW, 10).replace(r#""circuit_breaker""#, &policy);
        let mut workers = Workers::new(1, &json);
        let _ = workers.admit(0);
        if let Some(action) = action {
            assert_eq!(control(&workers, action), Ok(1));
        }
        workers.wait(100);
        assert_eq!(workers.rejects(0), rejected, "{mode} {action:?}");
        assert_eq!(views(&workers, "p0")[0].mode.name(), mode);
    }
}

#[test]
fn one_circuit_is_reached_by_its_id_and_an_id_that_is_none_reaches_nothing() {
    let tenants = by_tenant(100);
    let mut workers = Workers::new(1, &tenants);
    let tenant = |name: &str| Asking::default().with("x-tenant", name);
    for name in ["a", "b", "c"] {
        let admission = workers.engines[0].admit(&tenant(name), true, workers.now);
        assert!(matches!(admission, Admission::Pass(_)));
    }
    let seen = views(&workers, "p0");
    let id = seen
        .iter()
        .find(|view| view.key == [Some(Box::from(*b"b"))]);
    let id = id.expect("a circuit").id;
    let mut desk = desk(&workers);
    let mut operator = desk.operator(workers.now);
    let open = Action::Force(Forced::Open, MINUTE);
    assert_eq!(operator.control("p0", Some(id), open), Ok(1));
    assert_eq!(operator.control("p0", Some(id ^ 1), open), Ok(0));
    assert_eq!(operator.control("p1", Some(id), open), Ok(0));
    workers.wait(100);
    for (name, rejected) in [("a", false), ("b", true), ("c", false)] {
        let admission = workers.engines[0].admit(&tenant(name), true, workers.now);
        assert_eq!(
            matches!(admission, Admission::Reject(..)),
            rejected,
            "{name}"
        );
    }
    assert_eq!(views(&workers, "p0").len(), 3);
    assert_eq!(operator_sees(&workers, 2), 2);
}

fn operator_sees(workers: &Workers, most: usize) -> usize {
    let mut desk = desk(workers);
    desk.operator(workers.now).circuits("p0", most).len()
}

#[test]
fn an_operator_who_loses_every_round_is_told_so() {
    let mut workers = Workers::new(1, &json(FIVE_IN_A_ROW, 10));
    workers.serve(0, 200);
    let mut desk = desk(&workers);
    workers.memory.lose(8);
    let mut operator = desk.operator(workers.now);
    assert_eq!(operator.control("p0", None, Action::Reset), Err(Busy));
    assert_eq!(operator.control("p0", None, Action::Reset), Ok(1));
}

#[test]
fn a_reset_empties_the_window_of_a_recovering_circuit() {
    let ramp = FIVE_IN_A_ROW.replace(
        r#""half_open""#,
        r#""recovery": {"duration": "1h", "start_percent": 100}, "half_open""#,
    );
    let mut workers = Workers::new(1, &json(&ramp, 10));
    (0..5).for_each(|_| workers.serve(0, 503));
    workers.wait(1_000);
    (0..3).for_each(|_| workers.serve(0, 200));
    (0..4).for_each(|_| workers.serve(0, 503));
    workers.wait(100);
    workers.tick();
    assert_eq!(views(&workers, "p0")[0].automatic, StateName::Recovering);
    control(&workers, Action::Reset).expect("nobody comes between");
    let view = &views(&workers, "p0")[0];
    assert_eq!((view.automatic, view.consecutive), (StateName::Closed, 0));
    assert_eq!(view.counts.requests, 0);
}

#[test]
fn an_operator_who_finds_the_directory_damaged_takes_no_seed_from_it() {
    let mut workers = Workers::new(2, &json(FIVE_IN_A_ROW, 1_000));
    workers.serve(0, 200);
    workers.memory.overwrite("directory", b"?");
    let now = workers.now;
    assert!(
        workers.engines[0]
            .operator(now)
            .circuits("p0", 10)
            .is_empty()
    );
    assert_eq!(workers.events("discarded"), ["discarded 1"]);
    assert_eq!(workers.engines[0].operator(now).circuits("p0", 10).len(), 1);
    (0..5).for_each(|_| workers.serve(0, 503));
    workers.wait(100);
    assert!(workers.rejects(1));
}

#[test]
fn open_circuits_are_listed_before_there_is_no_room_for_more() {
    let tenants = by_tenant(100);
    let mut workers = Workers::new(1, &tenants);
    for n in 0..40 {
        let request = Asking::default().with("x-tenant", n.to_string());
        let status = if n >= 35 { 503 } else { 200 };
        (0..5).for_each(|_| workers.serve_to(0, &request, status));
    }
    let mut desk = desk(&workers);
    let views = desk.operator(workers.now).circuits("p0", 10);
    let open = views
        .iter()
        .filter(|view| view.automatic == StateName::Open);
    assert_eq!((views.len(), open.count()), (10, 5));
    // All of them stand in the same order, whatever their state.
    let all = desk.operator(workers.now).circuits("p0", 100);
    let order = |id: u64| all.iter().position(|view| view.id == id).expect("listed");
    assert!(views.is_sorted_by_key(|view| order(view.id)));
}
