//! What operators see of the circuits of all workers.

use super::operator::{MINUTE, control, desk, many, of, views};
use super::workers::{FIVE_IN_A_ROW, Workers, by_tenant, json};
use super::*;
use crate::admin::{Action, Circuits};
use crate::circuit::Forced;

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
fn an_operator_takes_no_seed_from_a_damaged_directory() {
    let mut workers = Workers::new(2, &json(FIVE_IN_A_ROW, 1_000));
    workers.serve(0, 200);
    workers.memory.overwrite("directory", b"?");
    let now = workers.now;
    assert!(
        workers.engines[0]
            .operator(now)
            .circuits(&["p0"], first(10))
            .circuits
            .is_empty()
    );
    assert_eq!(workers.events("discarded"), ["discarded 1"]);
    let listed = workers.engines[0]
        .operator(now)
        .circuits(&["p0"], first(10));
    assert_eq!(listed.circuits.len(), 1);
    (0..5).for_each(|_| workers.serve(0, 503));
    workers.wait(100);
    assert!(workers.rejects(1));
}

#[test]
fn open_circuits_are_listed_before_closed_ones() {
    let tenants = by_tenant(100);
    let mut workers = Workers::new(1, &tenants);
    for n in 0..40 {
        let request = TestRequest::default().with("x-tenant", n.to_string());
        let status = if n >= 35 { 503 } else { 200 };
        (0..5).for_each(|_| workers.serve_to(0, &request, status));
    }
    let mut desk = desk(&workers);
    let views = desk
        .operator(workers.now)
        .circuits(&["p0"], first(10))
        .circuits;
    let open = views.iter().filter(|view| view.state() == StateName::Open);
    assert_eq!((views.len(), open.count()), (10, 5));
    // They are listed in the same order, whatever their state.
    let all = desk
        .operator(workers.now)
        .circuits(&["p0"], first(100))
        .circuits;
    let order = |id: u64| all.iter().position(|view| view.id == id).expect("listed");
    assert!(views.is_sorted_by_key(|view| order(view.id)));
}

/// Circuits listed for all policies, as policy, first part of the key, and state.
fn shown_of_all(workers: &Workers, most: usize) -> (Vec<String>, bool) {
    let mut desk = desk(workers);
    let mut operator = desk.operator(workers.now);
    let policies = operator.policies();
    let policies: Vec<&str> = policies.iter().map(|name| &**name).collect();
    let listing = operator.circuits(&policies, first(most));
    let words = listing.circuits.iter().map(|view| {
        let key = view.key[0].as_deref().unwrap_or_default();
        let key = String::from_utf8_lossy(key);
        format!("{} {key} {}", view.policy, view.state().name())
    });
    (words.collect(), listing.more)
}

/// The same for circuits that are not closed.
fn shown_not_closed(workers: &Workers, most: usize) -> Vec<String> {
    let (mut shown, _) = shown_of_all(workers, most);
    shown.retain(|words| !words.ends_with(" closed"));
    shown
}

const RAMP: &str = r#"{"failure_rate_threshold": 0, "consecutive_failures": 5,
    "open": {"duration": "1s", "multiplier": 1, "jitter": 0}, "half_open": {"permits": 1},
    "recovery": {"duration": "10s", "start_percent": 100}}"#;

#[test]
fn circuits_that_are_not_closed_are_listed_for_every_policy() {
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
fn expired_forces_hide_no_circuit() {
    let mut workers = Workers::new(1, &many(2, FIVE_IN_A_ROW));
    (0..1_100).for_each(|n| workers.serve_to(0, &of(0, n), 200));
    let mut desk = desk(&workers);
    let force = Action::Force(Forced::Open, MINUTE);
    let forced = desk.operator(workers.now).control("p0", None, force);
    assert_eq!(forced, Ok(1_100));
    assert_eq!(shown_not_closed(&workers, 100).len(), 100);
    workers.wait(60_000);
    (0..5).for_each(|_| workers.serve_to(0, &of(1, 0), 503));
    // Listing repairs the census step by step, if there are too many at once.
    let found = (0..6).fold(Vec::new(), |_, _| shown_not_closed(&workers, 100));
    assert_eq!(found, ["p1 0 open"]);
    assert_eq!(shown_not_closed(&workers, 1_000), ["p1 0 open"]);
}

#[test]
fn a_view_shows_the_circuit_at_the_time_of_the_read() {
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
fn consecutive_opens_are_forgotten_after_a_healthy_time() {
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
    // The history outlives its writer, and damage to it.
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

/// Keys of the circuits that a search among all policies finds, sorted, whether there may be
/// more, and the total.
fn found(workers: &Workers, contains: &str, most: usize) -> (Vec<String>, bool, u32) {
    let mut desk = desk(workers);
    let mut operator = desk.operator(workers.now);
    let policies = operator.policies();
    let policies: Vec<&str> = policies.iter().map(|name| &**name).collect();
    let contains = contains.as_bytes();
    let listing = operator.circuits(&policies, Search { most, contains });
    let keys = listing.circuits.iter().map(|view| {
        let key = view.key[0].as_deref().unwrap_or_default();
        format!("{} {}", view.policy, String::from_utf8_lossy(key))
    });
    let mut keys: Vec<String> = keys.collect();
    keys.sort();
    (keys, listing.more, listing.total)
}

#[test]
fn a_search_finds_circuits_whatever_their_state_and_number() {
    let mut workers = Workers::new(1, &many(2, FIVE_IN_A_ROW));
    (0..1_200).for_each(|n| workers.serve_to(0, &of(0, n), 200));
    (0..5).for_each(|_| workers.serve_to(0, &of(1, 1_199), 503));
    let acme = TestRequest::cluster("1").with("x-tenant", "Acme/\u{e9}");
    workers.serve_to(0, &acme, 200);
    let rows: [(&str, usize, &[&str], bool); 8] = [
        ("1199", 1_000, &["p0 1199", "p1 1199"], false),
        ("119", 2, &["p0 119", "p1 1199"], true),
        ("aCmE", 1_000, &["p1 Acme/\u{e9}"], false),
        ("/\u{e9}", 1_000, &["p1 Acme/\u{e9}"], false),
        ("P1", 1_000, &["p1 1199", "p1 Acme/\u{e9}"], false),
        ("1199 ", 1_000, &[], false),
        ("p1 1199", 1_000, &[], false),
        ("119", 0, &[], true),
    ];
    for (contains, most, keys, more) in rows {
        let expected: Vec<String> = keys.iter().map(ToString::to_string).collect();
        let result = found(&workers, contains, most);
        // Which of the closed ones are left out depends on their slots.
        if most == 2 {
            assert!(
                result.0.len() == 2 && result.0.contains(&expected[1]),
                "{result:?}"
            );
            assert_eq!((result.1, result.2), (more, 1_202));
        } else {
            assert_eq!(result, (expected, more, 1_202), "{contains}");
        }
    }
    let (keys, more, total) = found(&workers, "", 1_000);
    assert_eq!((keys.len(), more, total), (1_000, true, 1_202));
}

#[test]
fn a_view_says_why_and_when_the_circuit_last_opened() {
    let mut workers = Workers::new(2, &json(FIVE_IN_A_ROW, 10));
    workers.serve(0, 200);
    let opened = |workers: &Workers| views(workers, "p0")[0].automatic.opened;
    assert_eq!(opened(&workers), None);
    (0..5).for_each(|_| workers.serve(1, 503));
    let first = opened(&workers).expect("an opening");
    let words = (first.at, first.why.name(), first.counts.failures);
    assert_eq!(words, (workers.now, "consecutive_failures", 5));
    // A probe fails.
    workers.wait(1_000);
    workers.serve(0, 503);
    let second = opened(&workers).expect("an opening");
    let words = (second.at, second.why.name(), second.counts.failures);
    assert_eq!(words, (workers.now, "probes_failed", 1));
    control(&workers, Action::Reset).expect("nobody comes between");
    assert_eq!(opened(&workers), Some(second));
}
