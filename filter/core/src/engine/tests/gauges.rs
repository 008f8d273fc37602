//! Gauges of several workers over one host, whose sets can overtake each other.

use alloc::collections::BTreeMap;

use super::workers::{FIVE_IN_A_ROW, Workers, by_tenant, json};
use super::*;
use crate::admin::{Action, Circuits};
use crate::event::Gauge;
use crate::shared::slots::Slot;

/// A host's gauges, by policy.
#[derive(Default)]
pub(super) struct Host(BTreeMap<(usize, &'static str), u64>);

impl Host {
    /// Applies the sets of a worker, as a callback does after its work.
    pub(super) fn report(&mut self, engine: &mut Engine<Memory>) {
        while let Some(event) = engine.next_event() {
            if let Event::Gauge {
                policy,
                gauge,
                value,
            } = event
            {
                self.0.insert((policy, name(gauge)), value);
            }
        }
    }

    pub(super) fn report_all(&mut self, workers: &mut Workers) {
        let engines = workers.engines.iter_mut();
        engines.for_each(|engine| self.report(engine));
    }

    /// A gauge of the first policy.
    pub(super) fn gauge(&self, gauge: Gauge) -> Option<u64> {
        self.0.get(&(0, name(gauge))).copied()
    }
}

fn name(gauge: Gauge) -> &'static str {
    match gauge {
        Gauge::OpenCircuits => "open",
        Gauge::HalfOpenCircuits => "half_open",
        Gauge::FailureRate => "failure_rate",
        Gauge::Keys => "keys",
        Gauge::RetryBudget => "budget",
    }
}

/// Advances the clock, with a tick of all workers every 50 ms and no traffic.
pub(super) fn idle(workers: &mut Workers, host: &mut Host, ms: u64) {
    for _ in 0..ms / 50 {
        workers.wait(50);
        workers.tick();
        host.report_all(workers);
    }
}

/// Number of open circuits of `p0`, by reading every slot.
fn truly_open(workers: &Workers, keys: u32) -> u64 {
    let mut memory = workers.memory.clone();
    let open = (0..keys).filter(|place| {
        let Slot::Taken(taken) = Slot::read(&mut memory, "p0", *place) else {
            return false;
        };
        let until = taken.circuit.breaker.open_until();
        until.is_some_and(|until| workers.now < until)
    });
    open.count() as u64
}

#[test]
fn an_open_time_that_ends_without_traffic_leaves_the_gauge() {
    let mut workers = Workers::new(4, &json(FIVE_IN_A_ROW, 10));
    let mut host = Host::default();
    (0..5).for_each(|_| workers.serve(0, 503));
    host.report_all(&mut workers);
    assert_eq!(host.gauge(Gauge::OpenCircuits), Some(1));
    idle(&mut workers, &mut host, 950);
    assert_eq!(host.gauge(Gauge::OpenCircuits), Some(1));
    idle(&mut workers, &mut host, 50);
    assert_eq!(host.gauge(Gauge::OpenCircuits), Some(0));
    idle(&mut workers, &mut host, 300);
    let pending = workers.engines.iter().any(Engine::has_pending);
    assert!(!pending, "nothing waits for a tick any more");
}

#[test]
fn open_and_half_open_circuits_are_told_apart() {
    let ramp = FIVE_IN_A_ROW.replace(
        "\"half_open\"",
        r#""recovery": {"duration": "3s"}, "half_open""#,
    );
    let mut workers = Workers::new(2, &json(&ramp, 10));
    let mut host = Host::default();
    let states = |host: &Host| {
        let states = [Gauge::OpenCircuits, Gauge::HalfOpenCircuits];
        states.map(|gauge| host.gauge(gauge).unwrap_or(0))
    };
    (0..5).for_each(|_| workers.serve(0, 503));
    host.report_all(&mut workers);
    assert_eq!(states(&host), [1, 0]);
    // By the clock alone.
    idle(&mut workers, &mut host, 1_000);
    assert_eq!(states(&host), [0, 1]);
    let probes = [0, 1, 1].map(|worker| (worker, workers.pass(worker)));
    idle(&mut workers, &mut host, 300);
    assert_eq!(states(&host), [0, 1]);
    for (worker, probe) in probes {
        workers.settle(worker, probe, 200);
    }
    host.report_all(&mut workers);
    assert_eq!(states(&host), [0, 0], "recovering");
}

#[test]
fn a_half_open_circuit_is_not_open_whatever_its_probes_do() {
    let mut workers = Workers::new(1, &json(FIVE_IN_A_ROW, 10));
    let mut host = Host::default();
    (0..5).for_each(|_| workers.serve(0, 503));
    workers.wait(1_000);
    let probe = workers.pass(0);
    host.report_all(&mut workers);
    assert_eq!(host.gauge(Gauge::OpenCircuits), Some(0));
    workers.settle(0, probe, 200);
    idle(&mut workers, &mut host, 60_000);
    assert_eq!(host.gauge(Gauge::OpenCircuits), Some(0));
    workers.serve(0, 503);
    host.report_all(&mut workers);
    assert_eq!(host.gauge(Gauge::OpenCircuits), Some(1));
}

#[test]
fn a_late_set_of_a_gauge_is_corrected_by_the_next_tick() {
    let mut workers = Workers::new(2, &json(FIVE_IN_A_ROW, 10));
    let mut host = Host::default();
    (0..5).for_each(|_| workers.serve(0, 503));
    // The first worker is delayed before it has set its gauges, and an operator resets
    // the circuit on the other.
    let now = workers.now;
    let reset = workers.engines[1]
        .operator(now)
        .control("p0", None, Action::Reset);
    assert_eq!(reset, Ok(1));
    host.report(&mut workers.engines[1]);
    assert_eq!(host.gauge(Gauge::OpenCircuits), Some(0));
    host.report(&mut workers.engines[0]);
    assert_eq!(host.gauge(Gauge::OpenCircuits), Some(1), "overtaken");
    idle(&mut workers, &mut host, 100);
    assert_eq!(host.gauge(Gauge::OpenCircuits), Some(0));
}

/// Random histories in which workers are delayed between a change and its sets, while
/// others continue: a moment after the last one the gauges are right, and stay so without
/// traffic.
#[test]
fn gauges_are_correct_a_second_after_any_history() {
    let mut overtaken = 0;
    for seed in 0..400 {
        let mut random = Random::new(seed);
        let mut workers = Workers::new(4, &by_tenant(20).replace(r#""1s""#, r#""2s""#));
        let mut host = Host::default();
        // A delayed worker does nothing until it has set its gauges.
        let mut held_up = [false; 4];
        for _ in 0..200 {
            let worker = random.between(0, 3) as usize;
            if core::mem::take(&mut held_up[worker]) {
                host.report(&mut workers.engines[worker]);
                continue;
            }
            let tenant = random.between(0, 5).to_string();
            let request = TestRequest::default().with("x-tenant", tenant);
            let now = workers.now;
            let engine = &mut workers.engines[worker];
            match random.between(0, 9) {
                0 => workers.wait(random.between(1, 300)),
                1 => engine.tick(now),
                2 => drop(engine.operator(now).control("p0", None, Action::Reset)),
                _ => {
                    let status = if random.chance(7_000) { 503 } else { 200 };
                    for _ in 0..5 {
                        if let Admission::Pass(ticket, _) = engine.admit(&request, true, now) {
                            engine.settle(ticket, &TestResponse::status(status), now);
                        }
                    }
                }
            }
            held_up[worker] = random.chance(5_000);
            if !held_up[worker] {
                host.report(&mut workers.engines[worker]);
            }
        }
        let mut order = [0, 1, 2, 3];
        for at in 1..4 {
            order.swap(at, random.between(0, at as u64) as usize);
        }
        for worker in order {
            host.report(&mut workers.engines[worker]);
        }
        let open = |host: &Host| host.gauge(Gauge::OpenCircuits).unwrap_or(0);
        overtaken += usize::from(open(&host) != truly_open(&workers, 20));
        idle(&mut workers, &mut host, 1_000);
        assert_eq!(open(&host), truly_open(&workers, 20), "seed {seed}");
        let keys = host.gauge(Gauge::Keys).unwrap_or(0);
        let now = workers.now;
        let listing = workers.engines[0]
            .operator(now)
            .circuits(&["p0"], first(100));
        assert_eq!(keys as usize, listing.circuits.len(), "seed {seed}");
        idle(&mut workers, &mut host, 4_000);
        assert_eq!(open(&host), 0, "seed {seed}");
    }
    assert!(overtaken > 20, "{overtaken}");
}

#[test]
fn a_worker_corrects_the_gauge_when_the_circuit_of_an_ended_worker_closes() {
    let mut workers = Workers::new(2, &json(FIVE_IN_A_ROW, 10));
    let mut host = Host::default();
    (0..5).for_each(|_| workers.serve(0, 503));
    host.report_all(&mut workers);
    assert!(workers.rejects(1));
    workers.engines.remove(0);
    idle(&mut workers, &mut host, 1_000);
    assert_eq!(host.gauge(Gauge::OpenCircuits), Some(0));
}

#[test]
fn a_new_worker_sets_the_gauges_of_circuits_left_by_an_ended_one() {
    let mut workers = Workers::new(1, &json(FIVE_IN_A_ROW, 10));
    (0..5).for_each(|_| workers.serve(0, 503));
    // The worker that opened it crashed before it set the gauge.
    workers.engines[0] = workers.another(2, &json(FIVE_IN_A_ROW, 10));
    let mut host = Host::default();
    idle(&mut workers, &mut host, 100);
    assert_eq!(host.gauge(Gauge::OpenCircuits), Some(1));
    assert_eq!(host.gauge(Gauge::Keys), Some(1));
    idle(&mut workers, &mut host, 900);
    assert_eq!(host.gauge(Gauge::OpenCircuits), Some(0));
}

#[test]
fn a_worker_of_a_new_proxy_reads_no_records_for_gauges() {
    let mut workers = Workers::new(2, &json(FIVE_IN_A_ROW, 10));
    assert!(!workers.engines.iter().any(Engine::has_pending));
    workers.serve(0, 200);
    let mut host = Host::default();
    idle(&mut workers, &mut host, 300);
    assert!(!workers.engines.iter().any(Engine::has_pending));
    assert_eq!(host.gauge(Gauge::OpenCircuits), None);
}

#[test]
fn a_budget_that_recovers_without_traffic_shows_in_the_gauge() {
    let budget = r#""retry": {"retry_on": ["5xx"], "budget": {"percent": 0, "interval": "10s",
        "min_retry_rate": {"count": 1, "interval": "1s"}}}"#;
    let json = json(FIVE_IN_A_ROW, 10).replace(
        r#""circuit_breaker""#,
        &format!(r#"{budget}, "circuit_breaker""#),
    );
    let mut workers = Workers::new(2, &json);
    let mut host = Host::default();
    let get = TestRequest::cluster("c").with(":method", "GET");
    for n in 0..4 {
        let now = workers.now;
        let engine = &mut workers.engines[n % 2];
        let Admission::Pass(ticket, _) = engine.admit(&get, true, now) else {
            panic!("closed");
        };
        let ending = TestResponse {
            attempts: Some(3),
            ..TestResponse::status(200)
        };
        engine.settle(ticket, &ending, now);
        workers.wait(100);
    }
    idle(&mut workers, &mut host, 1_200);
    let spent = host.gauge(Gauge::RetryBudget).expect("a budget");
    assert!(spent < 10, "{spent}");
    idle(&mut workers, &mut host, 13_000);
    assert_eq!(host.gauge(Gauge::RetryBudget), Some(10));
    idle(&mut workers, &mut host, 20_000);
    assert!(!workers.engines.iter().any(Engine::has_pending));
}

#[test]
fn a_tick_updates_the_gauges_of_some_of_many_policies() {
    let policy = |n| {
        format!(
            r#"{{"name": "p{n}", "match": {{"clusters": ["{n}"]}},
            "circuit_breaker": {FIVE_IN_A_ROW}}}"#
        )
    };
    let policies: Vec<String> = (0..1_200).map(policy).collect();
    let json = format!(r#"{{"policies": [{}]}}"#, policies.join(","));
    let mut workers = Workers::new(1, &json);
    let last = TestRequest::cluster("1199");
    (0..5).for_each(|_| workers.serve_to(0, &last, 503));
    workers.engines[0] = workers.another(2, &json);
    let mut host = Host::default();
    for ticks in 1..=3 {
        let (before, _) = workers.memory.calls();
        idle(&mut workers, &mut host, 50);
        let (after, _) = workers.memory.calls();
        assert!(after - before <= 510, "{ticks}: {}", after - before);
    }
    idle(&mut workers, &mut host, 50);
    assert_eq!(host.0.get(&(1_199, "open")), Some(&1));
    let mut policies = host.0.keys().map(|(policy, _)| *policy);
    assert!(
        policies.all(|policy| policy == 1_199),
        "no other policy has gauges"
    );
}
