//! Operators who change circuits, and how the workers react.

use super::workers::{FIVE_IN_A_ROW, Workers, by_tenant, json};
use super::*;
use crate::admin::{Action, Busy, CircuitView, Circuits};
use crate::circuit::Forced;
use crate::testing::Memory;

/// An engine of a listener for operators, without policies of its own.
pub(super) fn desk(workers: &Workers) -> Engine<Memory> {
    workers.another(77, r#"{"policies": [], "admin": {}}"#)
}

pub(super) fn views(workers: &Workers, policy: &str) -> Vec<CircuitView> {
    let mut desk = desk(workers);
    desk.operator(workers.now)
        .circuits(&[policy], first(100))
        .circuits
}

pub(super) fn control(workers: &Workers, action: Action) -> Result<usize, Busy> {
    let mut desk = desk(workers);
    desk.operator(workers.now).control("p0", None, action)
}

pub(super) const MINUTE: Span = Span::from_secs(60);

pub(super) fn operator_sees(workers: &Workers, most: usize) -> usize {
    let mut desk = desk(workers);
    desk.operator(workers.now)
        .circuits(&["p0"], first(most))
        .circuits
        .len()
}

/// Policies `p0`, `p1` and so on for the clusters `0`, `1` and so on, with a circuit for each
/// tenant.
pub(super) fn many(policies: usize, breaker: &str) -> String {
    let policy = |n| {
        format!(
            r#"{{"name": "p{n}", "match": {{"clusters": ["{n}"]}}, "key": [{{"header": "x-tenant"}}],
            "circuit_breaker": {breaker}}}"#
        )
    };
    let policies: Vec<String> = (0..policies).map(policy).collect();
    let policies = policies.join(",");
    format!(r#"{{"policies": [{policies}], "limits": {{"keys": 2000}}}}"#)
}

pub(super) fn of(policy: usize, tenant: usize) -> TestRequest {
    TestRequest::cluster(policy.to_string()).with("x-tenant", tenant.to_string())
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
            Admission::Reject(ticket, _, _) => {
                assert_eq!(
                    ticket.note().map(|note| note.state),
                    Some(StateName::ForcedOpen)
                );
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(views(&workers, "p0")[0].automatic.state, StateName::Closed);
    workers.wait(59_899);
    assert!(workers.rejects(0));
    workers.wait(1);
    (0..3).for_each(|worker| workers.serve(worker, 200));
    assert_eq!(views(&workers, "p0")[0].force, None);
}

#[test]
fn a_forced_closed_circuit_admits_and_counts_nothing() {
    let mut workers = Workers::new(1, &json(FIVE_IN_A_ROW, 10));
    (0..5).for_each(|_| workers.serve(0, 503));
    control(&workers, Action::Force(Forced::Closed, MINUTE)).expect("nobody comes between");
    workers.wait(100);
    for _ in 0..50 {
        workers.serve(0, 503);
    }
    // It continues in its own state: open, and the time is over.
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
    let view = views(&workers, "p0")[0].automatic;
    assert_eq!((view.opens, view.counts.requests), (0, 2));
}

#[test]
fn precedence_is_shadow_then_force_then_mode_then_circuit() {
    let force = |to| Some(Action::Force(to, MINUTE));
    let rows = [
        ("enforce", None, false),
        ("enforce", force(Forced::Open), true),
        ("enforce", force(Forced::Closed), false),
        ("forced_open", None, true),
        ("forced_open", force(Forced::Closed), false),
        ("forced_open", force(Forced::Open), true),
        ("forced_closed", None, false),
        ("forced_closed", force(Forced::Closed), false),
        ("forced_closed", force(Forced::Open), true),
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
fn an_id_reaches_one_circuit_and_an_unknown_id_none() {
    let tenants = by_tenant(100);
    let mut workers = Workers::new(1, &tenants);
    let tenant = |name: &str| TestRequest::default().with("x-tenant", name);
    for name in ["a", "b", "c"] {
        let admission = workers.engines[0].admit(&tenant(name), true, workers.now);
        assert!(matches!(admission, Admission::Pass(..)));
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

#[test]
fn an_operator_who_loses_every_write_gets_an_error() {
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
    assert_eq!(
        views(&workers, "p0")[0].automatic.state,
        StateName::Recovering
    );
    control(&workers, Action::Reset).expect("nobody comes between");
    let view = views(&workers, "p0")[0].automatic;
    assert_eq!((view.state, view.consecutive), (StateName::Closed, 0));
    assert_eq!(view.counts.requests, 0);
}

#[test]
fn a_reset_of_a_closed_circuit_changes_nothing_but_its_counts() {
    let mut workers = Workers::new(2, &json(FIVE_IN_A_ROW, 10));
    (0..2).for_each(|worker| workers.serve(worker, 503));
    // These wait to be merged.
    (0..2).for_each(|worker| workers.serve(worker, 503));
    let before = views(&workers, "p0").remove(0);
    assert_eq!(before.automatic.consecutive, 2);
    workers.events("");
    workers.wait(10);
    let mut desk = desk(&workers);
    let reset = desk
        .operator(workers.now)
        .control("p0", None, Action::Reset);
    assert_eq!(reset, Ok(1));
    let events: Vec<String> = core::iter::from_fn(|| desk.next_event())
        .map(shown)
        .collect();
    assert_eq!(events, ["p0 operator reset"]);
    workers.wait(200);
    workers.tick();
    let after = views(&workers, "p0").remove(0);
    assert_eq!(after.automatic.since, before.automatic.since);
    assert_eq!(
        (after.automatic.consecutive, after.automatic.counts.requests),
        (0, 0)
    );
    assert!(crate::shared::history::read(&mut workers.memory).is_empty());
}

/// Reads, writes and bytes per circuit of a reset of all circuits of ten policies.
fn cost_of_resetting_all(circuits: usize, open: bool) -> [usize; 3] {
    let once = FIVE_IN_A_ROW.replace(
        r#""consecutive_failures": 5"#,
        r#""consecutive_failures": 1"#,
    );
    let mut workers = Workers::new(1, &many(10, &once));
    let status = if open { 503 } else { 200 };
    for policy in 0..10 {
        (0..circuits).for_each(|n| workers.serve_to(0, &of(policy, n), status));
    }
    let mut desk = desk(&workers);
    let memory = workers.memory.clone();
    let (reads, writes) = memory.calls();
    let bytes = memory.bytes_moved();
    for policy in 0..10 {
        let name = format!("p{policy}");
        let reset = desk
            .operator(workers.now)
            .control(&name, None, Action::Reset);
        assert_eq!(reset, Ok(circuits));
    }
    let after = memory.calls();
    let all = circuits * 10;
    [
        (after.0 - reads).div_ceil(all),
        (after.1 - writes).div_ceil(all as u32) as usize,
        (memory.bytes_moved() - bytes).div_ceil(all),
    ]
}

#[test]
fn resetting_all_costs_the_same_for_each_circuit() {
    for open in [false, true] {
        let [few, many] = [100, 1_000].map(|circuits| cost_of_resetting_all(circuits, open));
        assert!(many[0] <= 3 && many[1] <= 2, "{many:?}");
        assert!(many[2] <= few[2] + few[2] / 10, "{few:?} {many:?}");
    }
}

#[test]
fn circuits_that_were_reset_before_a_lost_write_are_noted() {
    let mut workers = Workers::new(1, &many(1, FIVE_IN_A_ROW));
    for tenant in 0..2 {
        (0..5).for_each(|_| workers.serve_to(0, &of(0, tenant), 503));
    }
    let mut desk = desk(&workers);
    // The second circuit is lost.
    let memory = workers.memory.clone();
    workers.memory.before_write(Box::new(LoseLater(memory)));
    let reset = desk
        .operator(workers.now)
        .control("p0", None, Action::Reset);
    assert_eq!(reset, Err(Busy));
    let events: Vec<String> = core::iter::from_fn(|| desk.next_event())
        .map(shown)
        .collect();
    assert!(events.contains(&"p0 OpenCircuits 1".into()), "{events:?}");
}

/// Loses eight writes after the next one.
#[derive(Debug)]
struct LoseLater(Memory);

impl crate::testing::BeforeWrite for LoseLater {
    fn act(self: Box<Self>) {
        self.0.lose_later(8);
    }
}
