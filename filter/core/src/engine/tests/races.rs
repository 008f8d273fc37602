//! Workers that lose writes to each other, and records that cannot be read.

use super::workers::{FIVE_IN_A_ROW, Workers, json};
use super::*;
use crate::testing::{BeforeWrite, Memory};

#[test]
fn lost_writes_keep_outcomes_and_issue_no_permits() {
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

/// Every way a record can be unreadable.
#[test]
fn an_unreadable_record_is_discarded_counted_and_replaced() {
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
        // For a worker that knew the circuit, and for one that seeks it.
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
fn a_worker_that_finds_the_directory_damaged_keeps_the_seed_of_the_others() {
    let mut workers = Workers::new(2, &json(FIVE_IN_A_ROW, 1_000));
    (0..5).for_each(|_| workers.serve(0, 503));
    workers.memory.overwrite("directory", b"?");
    workers.engines[1] = workers.another(4, &json(FIVE_IN_A_ROW, 1_000));
    assert!(workers.rejects(0) && workers.rejects(1));
}

#[test]
fn a_damaged_directory_is_replaced() {
    let workers = Workers::new(1, &json("{}", 10));
    workers.memory.overwrite("directory", b"?");
    let mut next = workers.another(4, &json("{}", 10));
    assert_eq!(next.next_event().map(shown), Some("discarded 1".into()));
    let bytes = workers.memory.bytes("directory").expect("a record");
    assert!(bytes.starts_with(b"spw"));
}

#[test]
fn a_lost_note_is_written_later() {
    let mut workers = Workers::new(1, &json(FIVE_IN_A_ROW, 10));
    workers.serve(0, 200);
    workers.memory.overwrite("p0/census", b"?");
    (0..5).for_each(|_| workers.serve(0, 503));
    assert_eq!(
        workers.events("OpenCircuits"),
        ["p0 OpenCircuits 1", "p0 HalfOpenCircuits 0"]
    );
    workers.wait(1_000);
    (0..3).for_each(|_| workers.serve(0, 200));
    workers.events("");
    (0..4).for_each(|_| workers.serve(0, 503));
    // The trip is written, but its note is not.
    let memory = workers.memory.clone();
    workers.memory.before_write(Box::new(LoseAfter(memory)));
    workers.serve(0, 503);
    assert!(workers.events("OpenCircuits").is_empty() && workers.engines[0].has_pending());
    workers.tick();
    assert_eq!(workers.events("OpenCircuits"), ["p0 OpenCircuits 1"]);
    assert!(workers.engines[0].workspace.unnoted.is_empty());
}

/// Loses the writes after the next one.
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
        // It does not interrupt its own reads and writes.
        let Ok(mut engine) = self.engine.try_borrow_mut() else {
            return;
        };
        if let Admission::Pass(ticket, _) = engine.admit(&TestRequest::cluster("c"), true, self.now)
        {
            engine.settle(ticket, &TestResponse::status(self.status), self.now);
        }
    }
}

/// Random histories of workers that interrupt each other's reads and writes, and of
/// lost writes: no two records of one generation differ in their state, no
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
