//! Several workers over one memory, and what they agree on.

use super::*;
use crate::testing::Memory;

/// Engines of one configuration over one memory, and one clock.
pub(super) struct Workers {
    pub(super) engines: Vec<Engine<Memory>>,
    pub(super) memory: Memory,
    pub(super) now: Instant,
}

const POLICY: &str =
    r#"{"policies":[{"name":"p0", "circuit_breaker": FIELDS}], "limits": {"keys": KEYS}}"#;

pub(super) fn json(fields: &str, keys: u32) -> String {
    let text = POLICY.replace("FIELDS", fields);
    text.replace("KEYS", &keys.to_string())
}

/// The policy of five in a row, with a circuit for each tenant.
pub(super) fn by_tenant(keys: u32) -> String {
    json(FIVE_IN_A_ROW, keys).replace(
        r#""circuit_breaker""#,
        r#""key": [{"header": "x-tenant"}], "circuit_breaker""#,
    )
}

/// Three probes decide; no jitter.
pub(super) const FIVE_IN_A_ROW: &str = r#"{"failure_rate_threshold": 0, "consecutive_failures": 5,
    "open": {"duration": "1s", "multiplier": 1, "jitter": 0}, "half_open": {"permits": 3, "lease": "10s"}}"#;

#[test]
fn an_open_time_shorter_than_any_timer_ends_at_the_next_request_of_any_worker() {
    let fields = FIVE_IN_A_ROW.replace(r#""1s""#, r#""1ms""#);
    for (wait_ms, rejected) in [(0, true), (1, false)] {
        let mut workers = Workers::new(2, &json(&fields, 10));
        (0..5).for_each(|_| workers.serve(0, 503));
        workers.wait(wait_ms);
        assert_eq!(workers.rejects(0), rejected, "{wait_ms}");
    }
    // The other worker learns of the opening by its interval, and of the end by the clock.
    let mut workers = Workers::new(2, &json(&fields, 10));
    workers.serve(1, 200);
    (0..5).for_each(|_| workers.serve(0, 503));
    workers.wait(100);
    let probe = workers.pass(1);
    assert_eq!(probe.note().map(|it| it.decision), Some(Decision::Probe));
    workers.settle(1, probe, 200);
}

impl Workers {
    pub(super) fn new(count: u64, json: &str) -> Workers {
        let memory = Memory::default();
        let mut workers = Workers {
            engines: Vec::new(),
            memory,
            now: at_ms(5_000),
        };
        for seed in 0..count {
            workers.engines.push(workers.another(seed, json));
        }
        workers
    }

    /// An engine of a worker that has just started.
    pub(super) fn another(&self, seed: u64, json: &str) -> Engine<Memory> {
        engine_of(config(json), seed, self.memory.clone(), self.now)
    }

    pub(super) fn wait(&mut self, ms: u64) {
        self.now = self.now.after(Span::from_ms(ms));
    }

    pub(super) fn admit(&mut self, worker: usize) -> Admission {
        self.engines[worker].admit(&TestRequest::cluster("c"), true, self.now)
    }

    pub(super) fn pass(&mut self, worker: usize) -> Box<Ticket> {
        passed(self.admit(worker))
    }

    pub(super) fn settle(&mut self, worker: usize, ticket: Box<Ticket>, status: u16) {
        self.engines[worker].settle(ticket, &TestResponse::status(status), self.now);
    }

    /// A request that must pass, and ends at once with this status.
    pub(super) fn serve_to(&mut self, worker: usize, request: &TestRequest, status: u16) {
        let admission = self.engines[worker].admit(request, true, self.now);
        let Admission::Pass(ticket, _) = admission else {
            panic!("{admission:?}");
        };
        self.settle(worker, ticket, status);
    }

    pub(super) fn serve(&mut self, worker: usize, status: u16) {
        let ticket = self.pass(worker);
        self.settle(worker, ticket, status);
    }

    pub(super) fn rejects(&mut self, worker: usize) -> bool {
        matches!(self.admit(worker), Admission::Reject(..))
    }

    /// The policies that the directory lists.
    pub(super) fn names_in_directory(&self) -> Vec<String> {
        let (directory, _) = crate::shared::directory::Directory::read(&mut self.memory.clone());
        let policies = directory.expect("a directory").policies.into_iter();
        policies.map(|entry| entry.name.into_string()).collect()
    }

    pub(super) fn tick(&mut self) {
        for engine in &mut self.engines {
            engine.tick(self.now);
        }
    }

    /// The events of all workers that contain this text.
    pub(super) fn events(&mut self, about: &str) -> Vec<String> {
        let mut events = Vec::new();
        for engine in &mut self.engines {
            engine.policies.count_requests(&mut engine.workspace);
            events.extend(core::iter::from_fn(|| engine.next_event()).map(shown));
        }
        events.retain(|event| event.contains(about));
        events
    }
}

#[test]
fn five_failures_on_five_workers_open_the_circuit_of_all() {
    let mut workers = Workers::new(5, &json(FIVE_IN_A_ROW, 10));
    for worker in 0..5 {
        workers.serve(worker, 503);
        workers.wait(1_000);
    }
    assert_eq!(
        workers.events(">open"),
        ["p0 closed>open", "p0 [c] closed>open consecutive_failures"]
    );
    let mut fresh = workers.another(9, &json(FIVE_IN_A_ROW, 10));
    workers.now = at_ms(9_999);
    for worker in 0..5 {
        assert!(workers.rejects(worker), "{worker}");
    }
    assert!(matches!(
        fresh.admit(&TestRequest::cluster("c"), true, workers.now),
        Admission::Reject(..)
    ));
}

#[test]
fn probes_are_counted_for_all_workers_together() {
    let mut workers = Workers::new(4, &json(FIVE_IN_A_ROW, 10));
    (0..5).for_each(|_| workers.serve(0, 503));
    workers.wait(1_000);
    let mut probes = Vec::new();
    for round in 0..3 {
        for worker in 0..4 {
            if let Admission::Pass(ticket, _) = workers.admit(worker) {
                assert_eq!(
                    ticket.note().map(|note| note.decision),
                    Some(Decision::Probe)
                );
                probes.push((worker, ticket));
            }
        }
        assert_eq!(probes.len(), 3, "round {round}");
    }
    for (worker, ticket) in probes {
        workers.settle(worker, ticket, 200);
    }
    workers.wait(100);
    (0..4).for_each(|worker| workers.serve(worker, 200));
    assert_eq!(workers.events("[c] half_open>closed").len(), 1);
    let gauges = workers.events("OpenCircuits");
    assert!(gauges.is_empty(), "taken above");
}

#[test]
fn a_trip_is_known_everywhere_after_an_interval() {
    let mut workers = Workers::new(2, &json(FIVE_IN_A_ROW, 10));
    workers.serve(1, 200);
    (0..5).for_each(|_| workers.serve(0, 503));
    workers.wait(99);
    workers.serve(1, 200);
    workers.wait(1);
    assert!(workers.rejects(1));
}

#[test]
fn a_restarted_worker_finds_the_circuit_as_it_was() {
    let mut workers = Workers::new(2, &json(FIVE_IN_A_ROW, 10));
    (0..5).for_each(|_| workers.serve(0, 503));
    workers.engines[0] = workers.another(7, &json(FIVE_IN_A_ROW, 10));
    assert!(workers.rejects(0) && workers.rejects(1));
}

#[test]
fn a_key_without_room_is_still_rejected_by_its_circuit() {
    let tenants = by_tenant(2);
    let mut workers = Workers::new(2, &tenants);
    let tenant = |name: &str| TestRequest::default().with("x-tenant", name);
    let now = workers.now;
    (0..5).for_each(|_| workers.serve_to(0, &tenant("open"), 503));
    // Both entries of the other worker's table are in use, by keys whose slots are still there.
    let mut slow = Vec::new();
    for name in ["a", "b"] {
        let admission = workers.engines[1].admit(&tenant(name), true, now);
        let Admission::Pass(ticket, _) = admission else {
            panic!("{admission:?}");
        };
        slow.push(ticket);
        let later = now.after(Span::from_ms(1));
        let _ = workers.engines[0].admit(&tenant("other"), true, later);
    }
    let admission = workers.engines[1].admit(&tenant("open"), true, now);
    assert!(matches!(admission, Admission::Reject(..)), "{admission:?}");
}

#[test]
fn a_key_that_lost_its_slot_for_good_shares_the_overflow() {
    let tenants = by_tenant(1);
    let mut workers = Workers::new(2, &tenants);
    let tenant = |name: &str| TestRequest::default().with("x-tenant", name);
    let admit = |workers: &mut Workers, worker: usize, name: &str| {
        let now = workers.now;
        workers.engines[worker].admit(&tenant(name), true, now)
    };
    workers.serve_to(0, &tenant("lost"), 503);
    let Admission::Pass(late, _) = admit(&mut workers, 0, "lost") else {
        panic!("closed");
    };
    (0..5).for_each(|_| workers.serve_to(1, &tenant("open"), 503));
    workers.wait(10);
    workers.settle(0, late, 503);
    workers.wait(200);
    workers.tick();
    assert!(workers.engines[0].workspace.pending.is_empty());
    for _ in 0..3 {
        assert!(matches!(
            admit(&mut workers, 0, "lost"),
            Admission::Pass(..)
        ));
        workers.wait(200);
    }
    assert!(!workers.events("overflowed").is_empty());
    assert!(matches!(
        admit(&mut workers, 1, "open"),
        Admission::Reject(..)
    ));
}
