//! Several workers over one memory: what they agree on, and what happens when they
//! come between each other.

use super::*;
use crate::testing::{BeforeWrite, Memory};

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

    /// An engine of a worker that has just begun.
    pub(super) fn another(&self, seed: u64, json: &str) -> Engine<Memory> {
        engine_of(config(json), seed, self.memory.clone(), self.now)
    }

    pub(super) fn wait(&mut self, ms: u64) {
        self.now = self.now.after(Span::from_ms(ms));
    }

    pub(super) fn admit(&mut self, worker: usize) -> Admission {
        self.engines[worker].admit(&Asking::cluster("c"), true, self.now)
    }

    pub(super) fn pass(&mut self, worker: usize) -> Box<Ticket> {
        passed(self.admit(worker))
    }

    pub(super) fn settle(&mut self, worker: usize, ticket: Box<Ticket>, status: u16) {
        self.engines[worker].settle(ticket, &Ending::status(status), self.now);
    }

    /// A request that must pass, and ends at once with this status.
    pub(super) fn serve_to(&mut self, worker: usize, request: &Asking, status: u16) {
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

    /// The events of all workers that say this much.
    pub(super) fn events(&mut self, about: &str) -> Vec<String> {
        let mut events = Vec::new();
        for engine in &mut self.engines {
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
        fresh.admit(&Asking::cluster("c"), true, workers.now),
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
fn at_high_rates_a_worker_looks_at_the_record_once_an_interval() {
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
fn what_nobody_asks_for_any_more_is_merged_by_the_tick() {
    let mut workers = Workers::new(2, &json(FIVE_IN_A_ROW, 10));
    // The first is merged at once, the others wait.
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
fn a_worker_that_begins_anew_finds_the_circuit_as_it_was() {
    let mut workers = Workers::new(2, &json(FIVE_IN_A_ROW, 10));
    (0..5).for_each(|_| workers.serve(0, 503));
    workers.engines[0] = workers.another(7, &json(FIVE_IN_A_ROW, 10));
    assert!(workers.rejects(0) && workers.rejects(1));
}

#[test]
fn new_thresholds_apply_to_the_state_that_was() {
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
fn an_older_configuration_goes_on_counting_in_the_newer_ones_window() {
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
fn a_policy_that_is_gone_leaves_its_slots_empty() {
    let mut workers = Workers::new(2, &json(FIVE_IN_A_ROW, 10));
    (0..5).for_each(|_| workers.serve(0, 503));
    let other = json(FIVE_IN_A_ROW, 10).replace("p0", "q0");
    let next = workers.another(5, &other);
    // Nothing is emptied before the old configuration has gone: its requests go on, and
    // the new one may yet be given up.
    assert!(workers.rejects(0) && workers.rejects(1));
    workers.events("");
    for mut old in core::mem::take(&mut workers.engines) {
        old.retire(workers.now);
        workers.engines.push(old);
    }
    assert_eq!(
        workers.events(""),
        ["p0 Keys 0", "p0 OpenCircuits 0"],
        "by the first to go"
    );
    workers.engines = alloc::vec![next];
    assert_eq!(workers.names_in_directory(), ["q0"]);
    let back = workers.another(6, &json(FIVE_IN_A_ROW, 10));
    workers.engines = alloc::vec![back];
    workers.serve(0, 200);
}

#[test]
fn an_old_configuration_that_is_loaded_again_takes_nothing_from_the_new_one() {
    let old = json(FIVE_IN_A_ROW, 10);
    let new = old.replace("p0", "q0");
    let mut workers = Workers::new(1, &old);
    workers.wait(1);
    workers.engines.push(workers.another(2, &new));
    (0..5).for_each(|_| workers.serve(1, 503));
    // The old one's machine trapped while its last requests went on.
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
fn keys_made_of_other_parts_begin_anew_and_another_number_of_slots_keeps_what_is_open() {
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
fn lost_rounds_keep_outcomes_and_give_out_no_permits() {
    let mut workers = Workers::new(1, &json(FIVE_IN_A_ROW, 10));
    workers.serve(0, 503);
    workers.wait(100);
    workers.memory.lose(usize::MAX);
    (0..4).for_each(|_| workers.serve(0, 503));
    assert!(!workers.events("merge given up").is_empty());
    workers.memory.lose(7);
    workers.wait(100);
    workers.tick();
    assert_eq!(
        workers.events("[c]"),
        ["p0 [c] closed>open consecutive_failures"]
    );
    workers.wait(1_000);
    workers.memory.lose(8);
    assert!(workers.rejects(0));
    assert_eq!(workers.events("given up"), ["p0 permit given up"]);
    workers.memory.lose(7);
    let probe = workers.pass(0);
    workers.settle(0, probe, 200);
}

/// Every way a record can be none.
#[test]
fn a_record_that_is_none_is_discarded_counted_and_made_anew() {
    let whole = {
        let mut workers = Workers::new(1, &json(FIVE_IN_A_ROW, 1));
        (0..5).for_each(|_| workers.serve(0, 503));
        workers.memory.bytes("p0/0").expect("a record")
    };
    let mut newer = whole.clone();
    newer[3] += 1;
    let mut flipped = whole.clone();
    *flipped.last_mut().expect("a byte") ^= 1;
    let foreign = b"another plugin's".to_vec();
    let census = Workers::new(1, &json("{}", 1));
    let directory = census.memory.bytes("directory").expect("a record");
    let rows = [
        Vec::new(),
        foreign,
        newer,
        flipped,
        whole[..whole.len() - 1].to_vec(),
        directory,
    ];
    for (row, bytes) in rows.iter().enumerate() {
        let mut workers = Workers::new(2, &json(FIVE_IN_A_ROW, 1));
        (0..5).for_each(|_| workers.serve(0, 503));
        workers.events("");
        for name in ["p0/0", "p0/census"] {
            workers.memory.overwrite(name, bytes);
        }
        workers.wait(100);
        // To a worker that knew the circuit, and to one that looks for it.
        for worker in 0..2 {
            workers.serve(worker, 200);
        }
        // The slot, and the census when the slot is noted in it.
        assert_eq!(workers.events("discarded"), ["discarded 1"; 2], "{row}");
        workers.wait(1_000);
        (0..5).for_each(|_| workers.serve(0, 503));
        workers.wait(100);
        assert!(workers.rejects(1), "{row}");
        assert_eq!(
            workers.events("OpenCircuits"),
            ["p0 OpenCircuits 1"],
            "{row}"
        );
    }
}

#[test]
fn keys_that_come_back_under_an_old_layout_go_with_its_configuration() {
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

#[test]
fn who_finds_the_directory_damaged_goes_on_with_the_others() {
    let mut workers = Workers::new(2, &json(FIVE_IN_A_ROW, 1_000));
    (0..5).for_each(|_| workers.serve(0, 503));
    workers.memory.overwrite("directory", b"?");
    workers.engines[1] = workers.another(4, &json(FIVE_IN_A_ROW, 1_000));
    assert!(workers.rejects(0) && workers.rejects(1));
}

#[test]
fn a_damaged_directory_is_made_anew() {
    let workers = Workers::new(1, &json("{}", 10));
    workers.memory.overwrite("directory", b"?");
    let mut next = workers.another(4, &json("{}", 10));
    assert_eq!(next.next_event().map(shown), Some("discarded 1".into()));
    let bytes = workers.memory.bytes("directory").expect("a record");
    assert!(bytes.starts_with(b"spw"));
}

#[test]
fn a_key_that_there_is_no_room_for_is_still_rejected_by_its_circuit() {
    let tenants = by_tenant(2);
    let mut workers = Workers::new(2, &tenants);
    let tenant = |name: &str| Asking::default().with("x-tenant", name);
    let now = workers.now;
    (0..5).for_each(|_| workers.serve_to(0, &tenant("open"), 503));
    // Both places of the other worker's table are in use, by keys whose slots went on.
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
fn a_key_that_has_lost_its_slot_for_good_shares_the_overflow() {
    let tenants = by_tenant(1);
    let mut workers = Workers::new(2, &tenants);
    let tenant = |name: &str| Asking::default().with("x-tenant", name);
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

#[test]
fn a_long_interval_lets_no_key_wait_in_line_for_longer() {
    let tenants = r#"{"policies":[{"name":"p0", "key": [{"header": "x-tenant"}],
        "circuit_breaker": {}}], "limits": {"keys": 5000}, "sync": {"interval": "5s"}}"#;
    let mut workers = Workers::new(1, tenants);
    for n in 0..2_000 {
        let request = Asking::default().with("x-tenant", n.to_string());
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
fn who_goes_shares_all_that_still_waits() {
    let fields = by_tenant(2_000).replace(r#""limits""#, r#""sync": {"interval": "5s"}, "limits""#);
    let mut workers = Workers::new(1, &fields);
    for n in 0..1_200 {
        let request = Asking::default().with("x-tenant", n.to_string());
        (0..2).for_each(|_| workers.serve_to(0, &request, 503));
    }
    workers.engines[0].retire(workers.now);
    assert!(workers.engines[0].workspace.pending.is_empty());
    let now = workers.now;
    let mut next = workers.another(2, &fields);
    let listed = crate::admin::Circuits::circuits(&mut next.operator(now), &["p0"], 2_000);
    let mut views = listed.circuits.iter();
    assert_eq!(views.len(), 1_200);
    assert!(views.all(|view| view.automatic.counts.failures == 2));
}

#[test]
fn a_note_that_is_lost_is_made_up_for() {
    let mut workers = Workers::new(1, &json(FIVE_IN_A_ROW, 10));
    workers.serve(0, 200);
    workers.memory.overwrite("p0/census", b"?");
    (0..5).for_each(|_| workers.serve(0, 503));
    assert_eq!(workers.events("OpenCircuits"), ["p0 OpenCircuits 1"]);
    workers.wait(1_000);
    (0..3).for_each(|_| workers.serve(0, 200));
    workers.events("");
    (0..4).for_each(|_| workers.serve(0, 503));
    // The trip is written, and its note is not.
    let memory = workers.memory.clone();
    workers.memory.before_write(Box::new(LoseAfter(memory)));
    workers.serve(0, 503);
    assert!(workers.events("OpenCircuits").is_empty() && workers.engines[0].has_pending());
    workers.tick();
    assert_eq!(workers.events("OpenCircuits"), ["p0 OpenCircuits 1"]);
    assert!(workers.engines[0].workspace.unnoted.is_empty());
}

/// Loses the writes behind the next one.
#[derive(Debug)]
struct LoseAfter(Memory);

impl BeforeWrite for LoseAfter {
    fn act(self: Box<Self>) {
        self.0.lose_later(8);
    }
}

/// Another worker's whole request, in the middle of this one's write.
#[derive(Debug)]
struct Meanwhile {
    engine: alloc::rc::Rc<core::cell::RefCell<Engine<Memory>>>,
    now: Instant,
    status: u16,
}

impl BeforeWrite for Meanwhile {
    fn act(self: Box<Self>) {
        // It does not come between its own reads and writes.
        let Ok(mut engine) = self.engine.try_borrow_mut() else {
            return;
        };
        if let Admission::Pass(ticket, _) = engine.admit(&Asking::cluster("c"), true, self.now) {
            engine.settle(ticket, &Ending::status(self.status), self.now);
        }
    }
}

/// Random histories of workers that come between each other's reads and writes, and of
/// writes that are lost: no two records of one generation differ in what they say, no
/// generation goes back, and there are never more probes than permits.
#[test]
fn no_two_workers_hold_different_states_of_one_generation() {
    let fields = r#"{"failure_rate_threshold": 0, "consecutive_failures": 2,
        "open": {"duration": "10ms", "multiplier": 1, "jitter": 20},
        "half_open": {"permits": 2, "lease": "30ms"}}"#;
    let mut trips = 0;
    for seed in 0..300 {
        let mut random = Random::new(seed);
        let mut workers = Workers::new(3, &json(fields, 4));
        let other = workers.another(99, &json(fields, 4));
        let other = alloc::rc::Rc::new(core::cell::RefCell::new(other));
        let mut under_way: Vec<(usize, Box<Ticket>)> = Vec::new();
        let mut seen = alloc::collections::BTreeMap::new();
        for _ in 0..300 {
            let worker = random.between(0, 2) as usize;
            if random.chance(3_000) {
                let status = if random.chance(5_000) { 503 } else { 200 };
                workers.memory.before_write(Box::new(Meanwhile {
                    engine: other.clone(),
                    now: workers.now,
                    status,
                }));
            }
            if random.chance(1_000) {
                workers.memory.lose(random.between(1, 9) as usize);
            }
            match random.between(0, 9) {
                0..=3 => {
                    if let Admission::Pass(ticket, _) = workers.admit(worker) {
                        under_way.push((worker, ticket));
                    }
                }
                4..=6 if !under_way.is_empty() => {
                    let at = random.between(0, under_way.len() as u64 - 1) as usize;
                    let (worker, ticket) = under_way.swap_remove(at);
                    let status = if random.chance(6_000) { 503 } else { 200 };
                    workers.settle(worker, ticket, status);
                }
                7 => workers.tick(),
                _ => workers.wait(random.between(1, 120)),
            }
            let other = &mut *other.borrow_mut();
            for engine in workers.engines.iter_mut().chain([other]) {
                let Some((_, _, replica)) = engine.workspace.table.entry(0) else {
                    continue;
                };
                let breaker = &replica.view().breaker;
                let said = (breaker.state(), breaker.since(), breaker.open_until());
                let first = seen.entry(breaker.generation()).or_insert(said);
                assert_eq!(*first, said, "seed {seed}");
                assert!(
                    breaker.probes_out() + breaker.counts().requests <= 2 || !breaker.is_open()
                );
            }
        }
        trips += seen
            .values()
            .filter(|(state, ..)| *state == StateName::Open)
            .count();
    }
    assert!(trips > 1_000, "{trips}");
}

/// Others need ticks too, such as paused streams: merges come no more often for that.
#[test]
fn ticks_that_come_for_others_merge_nothing() {
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
    assert!(reads <= 12 && writes <= 12, "{reads} {writes}");
    // The last tick of all is one for which nothing has waited.
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
