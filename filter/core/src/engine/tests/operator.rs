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
    desk.operator(workers.now).circuits(&[policy], 100).circuits
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
    assert_eq!(
        (
            seen[0].automatic.counts.failures,
            seen[0].automatic.consecutive
        ),
        (2, 2)
    );
    assert_eq!(seen[0].key, [Some(Box::from(*b"c"))]);
    assert_eq!(
        (seen[0].automatic.state, seen[0].mode),
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
    let view = views(&workers, "p0")[0].automatic;
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

fn operator_sees(workers: &Workers, most: usize) -> usize {
    let mut desk = desk(workers);
    desk.operator(workers.now)
        .circuits(&["p0"], most)
        .circuits
        .len()
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
fn an_operator_who_finds_the_directory_damaged_takes_no_seed_from_it() {
    let mut workers = Workers::new(2, &json(FIVE_IN_A_ROW, 1_000));
    workers.serve(0, 200);
    workers.memory.overwrite("directory", b"?");
    let now = workers.now;
    assert!(
        workers.engines[0]
            .operator(now)
            .circuits(&["p0"], 10)
            .circuits
            .is_empty()
    );
    assert_eq!(workers.events("discarded"), ["discarded 1"]);
    let listed = workers.engines[0].operator(now).circuits(&["p0"], 10);
    assert_eq!(listed.circuits.len(), 1);
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
    let views = desk.operator(workers.now).circuits(&["p0"], 10).circuits;
    let open = views.iter().filter(|view| view.state() == StateName::Open);
    assert_eq!((views.len(), open.count()), (10, 5));
    // All of them stand in the same order, whatever their state.
    let all = desk.operator(workers.now).circuits(&["p0"], 100).circuits;
    let order = |id: u64| all.iter().position(|view| view.id == id).expect("listed");
    assert!(views.is_sorted_by_key(|view| order(view.id)));
}

/// Policies `p0`, `p1` and so on for the clusters `0`, `1` and so on, with a circuit for each
/// tenant.
fn many(policies: usize, breaker: &str) -> String {
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

fn of(policy: usize, tenant: usize) -> Asking {
    Asking::cluster(policy.to_string()).with("x-tenant", tenant.to_string())
}

/// What an operator is shown of all policies, as policy, first part of the key and state.
fn shown_of_all(workers: &Workers, most: usize) -> (Vec<String>, bool) {
    let mut desk = desk(workers);
    let mut operator = desk.operator(workers.now);
    let policies = operator.policies();
    let policies: Vec<&str> = policies.iter().map(|name| &**name).collect();
    let listing = operator.circuits(&policies, most);
    let words = listing.circuits.iter().map(|view| {
        let key = view.key[0].as_deref().unwrap_or_default();
        let key = String::from_utf8_lossy(key);
        format!("{} {key} {}", view.policy, view.state().name())
    });
    (words.collect(), listing.more)
}

/// The same of those that are not closed.
fn shown_not_closed(workers: &Workers, most: usize) -> Vec<String> {
    let (mut shown, _) = shown_of_all(workers, most);
    shown.retain(|words| !words.ends_with(" closed"));
    shown
}

const RAMP: &str = r#"{"failure_rate_threshold": 0, "consecutive_failures": 5,
    "open": {"duration": "1s", "multiplier": 1, "jitter": 0}, "half_open": {"permits": 1},
    "recovery": {"duration": "10s", "start_percent": 100}}"#;

#[test]
fn what_is_not_closed_is_listed_whatever_policy_it_is_of() {
    let mut workers = Workers::new(1, &many(3, RAMP));
    (0..1_100).for_each(|n| workers.serve_to(0, &of(0, n), 200));
    (0..5).for_each(|_| workers.serve_to(0, &of(1, 7), 503));
    workers.wait(1_000);
    workers.serve_to(0, &of(1, 7), 200);
    (0..5).for_each(|_| workers.serve_to(0, &of(1, 8), 503));
    workers.serve_to(0, &of(2, 1), 200);
    let mut expected = [
        String::from("p1 7 recovering"),
        "p1 8 open".into(),
        "p2 1 forced_closed".into(),
    ];
    let mut desk = desk(&workers);
    let force = Action::Force(Forced::Closed, MINUTE);
    let forced = desk.operator(workers.now).control("p2", None, force);
    assert_eq!(forced, Ok(1));
    let (shown, more) = shown_of_all(&workers, 1_000);
    assert_eq!((shown.len(), more), (1_000, true));
    let mut found = shown_not_closed(&workers, 1_000);
    found.sort();
    assert_eq!(found, expected);
    assert_eq!(shown_not_closed(&workers, 2).len(), 2);
    // By the clock alone.
    workers.wait(9_000);
    expected[1] = "p1 8 half_open".into();
    let mut found = shown_not_closed(&workers, 1_000);
    found.sort();
    assert_eq!(found, expected);
    workers.wait(1_000);
    assert_eq!(shown_not_closed(&workers, 1_000).len(), 2);
}

#[test]
fn forces_that_have_ended_hide_nothing() {
    let mut workers = Workers::new(1, &many(2, FIVE_IN_A_ROW));
    (0..1_100).for_each(|n| workers.serve_to(0, &of(0, n), 200));
    let mut desk = desk(&workers);
    let force = Action::Force(Forced::Open, MINUTE);
    let forced = desk.operator(workers.now).control("p0", None, force);
    assert_eq!(forced, Ok(1_100));
    assert_eq!(shown_not_closed(&workers, 100).len(), 100);
    workers.wait(60_000);
    (0..5).for_each(|_| workers.serve_to(0, &of(1, 0), 503));
    // The list repairs the census as it goes, if there are too many at once.
    let found = (0..6).fold(Vec::new(), |_, _| shown_not_closed(&workers, 100));
    assert_eq!(found, ["p1 0 open"]);
    assert_eq!(shown_not_closed(&workers, 1_000), ["p1 0 open"]);
}

#[test]
fn what_is_shown_is_as_old_as_the_look_at_it() {
    let mut workers = Workers::new(1, &json("{}", 10));
    (0..4).for_each(|_| workers.serve(0, 503));
    workers.wait(100);
    workers.tick();
    let counts = |workers: &Workers| views(workers, "p0")[0].automatic.counts.requests;
    assert_eq!(counts(&workers), 4);
    workers.wait(3_600_000);
    assert_eq!(counts(&workers), 0);

    let mut workers = Workers::new(1, &json(FIVE_IN_A_ROW, 10));
    (0..5).for_each(|_| workers.serve(0, 503));
    let standing = |workers: &Workers| views(workers, "p0")[0].automatic;
    let open = standing(&workers);
    let end = workers.now.after(Span::from_secs(1));
    assert_eq!((open.state, open.until), (StateName::Open, Some(end)));
    workers.wait(1_000);
    let over = standing(&workers);
    assert_eq!((over.state, over.until), (StateName::HalfOpen, None));
    assert_eq!((over.since, over.opens), (end, 1));
    let lost = workers.pass(0);
    assert_eq!(standing(&workers).probes_out, 1);
    workers.wait(10_000);
    assert_eq!(standing(&workers).probes_out, 0);
    drop(lost);
}

#[test]
fn openings_in_a_row_are_forgotten_after_a_healthy_time() {
    let mut workers = Workers::new(1, &json(&FIVE_IN_A_ROW.replace("3,", "1,"), 10));
    (0..5).for_each(|_| workers.serve(0, 503));
    workers.wait(1_000);
    workers.serve(0, 200);
    let standing = |workers: &Workers| views(workers, "p0")[0].automatic;
    assert_eq!(
        (standing(&workers).state, standing(&workers).opens),
        (StateName::Closed, 1)
    );
    workers.wait(999);
    assert_eq!(standing(&workers).opens, 1);
    workers.wait(1);
    assert_eq!(standing(&workers).opens, 0);
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
fn circuits_that_were_reset_before_others_were_lost_are_noted() {
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

/// Loses eight writes behind the next one.
#[derive(Debug)]
struct LoseLater(Memory);

impl crate::testing::BeforeWrite for LoseLater {
    fn act(self: Box<Self>) {
        self.0.lose_later(8);
    }
}

#[test]
fn the_last_twenty_transitions_of_all_workers_are_remembered_once_each() {
    let mut workers = Workers::new(3, &json(&FIVE_IN_A_ROW.replace("3,", "1,"), 10));
    let mut told = Vec::new();
    for round in 0..15 {
        (0..5).for_each(|_| workers.serve(round % 3, 503));
        told.extend(workers.events("p0 ["));
        workers.wait(1_000);
        workers.serve((round + 1) % 3, 200);
        told.extend(workers.events("p0 ["));
        workers.wait(2_000);
    }
    assert_eq!(told.len(), 45);
    let past = desk(&workers).operator(workers.now).transitions();
    let shown: Vec<String> = past
        .iter()
        .map(|it| {
            let (from, to) = (it.transition.from.name(), it.transition.to.name());
            format!("{} [c] {from}>{to} {}", it.policy, it.transition.why.name())
        })
        .collect();
    assert_eq!(shown, told[25..]);
    assert!(past.is_sorted_by_key(|it| it.at));
    // It outlives whoever has written it, and damage to it.
    workers.engines.clear();
    assert_eq!(desk(&workers).operator(workers.now).transitions(), past);
    workers.memory.overwrite("history", b"?");
    assert!(
        desk(&workers)
            .operator(workers.now)
            .transitions()
            .is_empty()
    );
}
