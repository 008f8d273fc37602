//! The series of single circuits, over several workers.

use alloc::collections::BTreeMap;

use super::workers::{FIVE_IN_A_ROW, Workers, by_tenant, json};
use super::*;
use crate::admin::{Action, Circuits};
use crate::circuit::breaker::StateName;

/// A host's series, by circuit and state.
#[derive(Default)]
struct Host(BTreeMap<(String, &'static str), bool>);

impl Host {
    fn report(&mut self, engine: &mut Engine<Memory>) {
        while let Some(event) = engine.next_event() {
            if let Event::CircuitState {
                circuit, state, is, ..
            } = event
            {
                self.0.insert((circuit.1.into(), state.name()), is);
            }
        }
    }

    /// The circuits that are in a state, with a part of their names.
    fn shown(&self) -> Vec<String> {
        let on = self.0.iter().filter(|(_, is)| **is);
        let text = |((circuit, state), _): (&(String, &str), _)| {
            let (name, _) = circuit.rsplit_once('-').expect("a hash");
            format!("{name} {state}")
        };
        on.map(text).collect()
    }
}

fn idle(workers: &mut Workers, host: &mut Host, ms: u64) {
    for _ in 0..ms / 50 {
        workers.wait(50);
        workers.tick();
        let engines = workers.engines.iter_mut();
        engines.for_each(|engine| host.report(engine));
    }
}

fn with_series(json: &str, circuits: u32) -> String {
    let metrics = format!(r#"{{"metrics": {{"circuits": {circuits}}}, "policies""#);
    json.replacen(r#"{"policies""#, &metrics, 1)
}

fn tenant(name: impl ToString) -> TestRequest {
    TestRequest::default().with("x-tenant", name.to_string())
}

#[test]
fn a_circuit_has_a_series_for_each_state_it_is_in() {
    let ramp = FIVE_IN_A_ROW.replace(
        r#""half_open""#,
        r#""recovery": {"duration": "3s"}, "half_open""#,
    );
    let mut workers = Workers::new(2, &with_series(&json(&ramp, 10), 5));
    let mut host = Host::default();
    workers.serve(0, 200);
    idle(&mut workers, &mut host, 300);
    assert!(host.0.is_empty(), "it never left closed");
    (0..5).for_each(|_| workers.serve(0, 503));
    idle(&mut workers, &mut host, 200);
    assert_eq!(host.shown(), ["c open"]);
    assert_eq!(host.0.len(), 3);
    idle(&mut workers, &mut host, 900);
    assert_eq!(host.shown(), ["c half_open"]);
    for worker in [0, 1, 1] {
        workers.serve(worker, 200);
    }
    idle(&mut workers, &mut host, 200);
    assert_eq!(host.shown(), ["c recovering"]);
    // By the clock alone.
    idle(&mut workers, &mut host, 3_200);
    assert_eq!(host.shown(), [""; 0]);
    assert_eq!(host.0.len(), 3);
    assert!(!workers.engines.iter().any(Engine::has_pending));
}

#[test]
fn only_the_first_circuits_have_series_however_many_keys_clients_invent() {
    let mut workers = Workers::new(3, &with_series(&by_tenant(100), 4));
    let mut host = Host::default();
    for n in 0..60 {
        for _ in 0..5 {
            workers.serve_to(n % 3, &tenant(format!("..{n}/\u{1F980}")), 503);
        }
        idle(&mut workers, &mut host, 50);
    }
    idle(&mut workers, &mut host, 200);
    assert_eq!(host.0.len(), 4 * 3, "{:?}", host.0);
    let all = host.0.keys().flat_map(|(circuit, _)| circuit.bytes());
    let is_safe = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    assert!(all.into_iter().all(is_safe));
}

#[test]
fn without_the_field_no_circuit_has_series() {
    let mut workers = Workers::new(2, &json(FIVE_IN_A_ROW, 10));
    let mut host = Host::default();
    (0..5).for_each(|_| workers.serve(0, 503));
    idle(&mut workers, &mut host, 300);
    assert!(host.0.is_empty());
    assert!(!workers.memory.names().iter().any(|name| name == "shown"));
}

#[test]
fn a_reset_by_a_worker_without_the_field_empties_the_series() {
    let file = json(FIVE_IN_A_ROW, 10);
    let mut workers = Workers::new(1, &with_series(&file, 5));
    workers.engines.push(workers.another(7, &file));
    let mut host = Host::default();
    (0..5).for_each(|_| workers.serve(0, 503));
    idle(&mut workers, &mut host, 200);
    assert_eq!(host.shown(), ["c open"]);
    let now = workers.now;
    let reset = workers.engines[1]
        .operator(now)
        .control("p0", None, Action::Reset);
    assert_eq!(reset, Ok(1));
    idle(&mut workers, &mut host, 200);
    assert_eq!(host.shown(), [""; 0]);
}

#[test]
fn a_late_set_is_corrected_and_a_new_worker_sets_what_an_ended_one_left() {
    let file = with_series(&json(FIVE_IN_A_ROW, 10), 5);
    let mut workers = Workers::new(2, &file);
    (0..5).for_each(|_| workers.serve(0, 503));
    // The worker that opened it is gone before it has set anything.
    workers.engines[0] = workers.another(9, &file);
    let mut host = Host::default();
    idle(&mut workers, &mut host, 200);
    assert_eq!(host.shown(), ["c open"]);

    let mut late = Vec::new();
    workers.wait(900);
    workers.tick();
    while let Some(event) = workers.engines[0].next_event() {
        late.push(event);
    }
    idle(&mut workers, &mut host, 300);
    let states = late.iter().filter_map(|event| match event {
        Event::CircuitState { state, is, .. } => Some((*state, *is)),
        _ => None,
    });
    let states: Vec<(StateName, bool)> = states.collect();
    assert_eq!(
        states,
        [(StateName::Open, false), (StateName::HalfOpen, true)]
    );
}
