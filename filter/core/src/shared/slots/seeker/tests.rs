//! Where keys find their slots, and which circuits are dropped when there is no room.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;

use super::*;
use crate::circuit::breaker::StepContext;
use crate::outcome::classify::Verdict;
use crate::policy::Outcome;
use crate::random::Random;
use crate::shared::key;
use crate::testing::{Memory, at_ms, breaker};
use crate::time::Span;

/// Opens at the first failure for a second, and may be dropped ten seconds after that.
const FRAGILE: &str = r#""minimum_requests": 1, "failure_rate_threshold": 1,
    "open": {"duration": "1s", "max_duration": "10s", "jitter": 0}"#;

/// Slots, a clock and the keys that are in use.
struct Bench {
    memory: Memory,
    capacity: u32,
    config: BreakerConfig,
    now: Instant,
    used: BTreeSet<String>,
    discarded: u32,
}

impl Bench {
    fn new(capacity: u32) -> Bench {
        Bench {
            memory: Memory::default(),
            capacity,
            config: breaker(FRAGILE),
            now: at_ms(1_000),
            used: BTreeSet::new(),
            discarded: 0,
        }
    }

    /// Looks for the circuit of a key, or puts `fresh` into a slot.
    fn put(&mut self, key: &str, fresh: &Circuit) -> Placement {
        self.now = self.now.after(Span::from_ms(1));
        let seeker = Seeker {
            policy: "p",
            capacity: self.capacity,
            config: &self.config,
            key: key.as_bytes(),
            hash: key::hash(7, key.as_bytes()),
            now: self.now,
            in_use: &|key| {
                self.used
                    .contains(core::str::from_utf8(key).expect("a key"))
            },
        };
        seeker.place(
            &mut self.memory,
            fresh,
            &mut Vec::new(),
            &mut self.discarded,
        )
    }

    fn request(&mut self, key: &str) -> Placement {
        let fresh = Circuit::new(&self.config, None, self.now, self.now);
        self.put(key, &fresh)
    }

    /// A circuit that has just opened.
    fn open(&mut self, key: &str) {
        let mut circuit = Circuit::new(&self.config, None, self.now, self.now);
        let mut context = StepContext {
            config: &self.config,
            now: self.now,
            random: &mut Random::new(1),
            transitions: &mut Vec::new(),
        };
        let permit = circuit
            .breaker
            .try_acquire(true, &mut context)
            .expect("closed");
        let failure = Verdict::of(Outcome::Failure);
        circuit.breaker.settle(permit, failure, &mut context);
        assert!(matches!(self.put(key, &circuit), Placement::New(_)));
    }

    fn holds(&mut self, key: &str) -> bool {
        let hash = key::hash(7, key.as_bytes());
        candidates(hash, self.capacity).any(|slot| {
            let content = Slot::read(&mut self.memory, "p", slot);
            matches!(content, Slot::Taken(taken) if taken.key == key.as_bytes())
        })
    }

    fn wait(&mut self, ms: u64) {
        self.now = self.now.after(Span::from_ms(ms));
    }
}

fn is_new(placement: &Placement) -> bool {
    matches!(placement, Placement::New(_))
}

#[test]
fn a_key_finds_its_slot_again() {
    let mut bench = Bench::new(100);
    for key in ["a", "b", ""] {
        let Placement::New(new) = bench.request(key) else {
            panic!("a new key");
        };
        let Placement::Found {
            slot: found, taken, ..
        } = bench.request(key)
        else {
            panic!("a known key");
        };
        assert_eq!((new, taken.key.as_slice()), (found, key.as_bytes()));
    }
}

#[test]
fn a_table_finds_slots_for_nearly_all_keys_up_to_four_fifths_of_its_size() {
    let mut bench = Bench::new(1_000);
    let mut without = 0;
    for n in 0..800 {
        let key = format!("{n}");
        without += u32::from(!is_new(&bench.request(&key)));
        bench.used.insert(key);
    }
    assert!(without <= 8, "{without}");
}

#[test]
fn the_least_recently_used_key_is_dropped_first() {
    let mut bench = Bench::new(3);
    for key in ["a", "b", "c"] {
        bench.request(key);
    }
    for (new, gone) in [("d", "a"), ("e", "b"), ("f", "c"), ("g", "d")] {
        assert!(is_new(&bench.request(new)));
        assert!(!bench.holds(gone) && bench.holds(new), "{new}");
    }
}

#[test]
fn a_key_in_use_stays() {
    let mut bench = Bench::new(2);
    bench.request("a");
    bench.used.insert("a".into());
    for key in ["b", "c", "d"] {
        bench.wait(1_000_000_000);
        assert!(is_new(&bench.request(key)));
        assert!(bench.holds("a"));
    }
    bench.used.insert("d".into());
    assert!(matches!(bench.request("e"), Placement::Full));
}

#[test]
fn an_open_circuit_is_dropped_only_after_the_longest_open_time_past_its_own() {
    let mut bench = Bench::new(1);
    bench.open("a");
    bench.wait(10_900);
    assert!(matches!(bench.request("b"), Placement::Full));
    bench.wait(100);
    assert!(is_new(&bench.request("b")));
}

#[test]
fn a_half_open_circuit_stays_while_a_probe_is_in_flight() {
    let patient = FRAGILE.replace(
        r#""open""#,
        r#""half_open": {"permits": 1, "lease": "1h"}, "open""#,
    );
    let mut bench = Bench::new(1);
    bench.config = breaker(&patient);
    let mut circuit = Circuit::new(&bench.config, None, bench.now, bench.now);
    let step = |now: Instant, circuit: &mut Circuit| {
        let mut context = StepContext {
            config: &bench.config,
            now,
            random: &mut Random::new(1),
            transitions: &mut Vec::new(),
        };
        let permit = circuit
            .breaker
            .try_acquire(true, &mut context)
            .expect("a permit");
        if !permit.is_probe() {
            let failure = Verdict::of(Outcome::Failure);
            circuit.breaker.settle(permit, failure, &mut context);
        }
    };
    step(bench.now, &mut circuit);
    step(bench.now.after(Span::from_secs(1)), &mut circuit);
    bench.put("a", &circuit);
    bench.wait(3_600_000);
    assert!(matches!(bench.request("b"), Placement::Full));
    bench.wait(20_000);
    assert!(is_new(&bench.request("b")));
}

#[test]
fn a_forced_circuit_stays_until_the_force_ends() {
    use crate::circuit::{Force, Forced};
    let mut bench = Bench::new(1);
    let mut forced = Circuit::new(&bench.config, None, bench.now, bench.now);
    forced.set_force(Some(Force {
        to: Forced::Closed,
        until: bench.now.after(Span::from_secs(60)),
    }));
    bench.put("a", &forced);
    bench.wait(59_000);
    assert!(matches!(bench.request("b"), Placement::Full));
    bench.wait(1_000);
    assert!(is_new(&bench.request("b")));
}

#[test]
fn a_vacated_or_damaged_slot_is_filled_first() {
    let mut bench = Bench::new(3);
    for key in ["a", "b", "c"] {
        bench.request(key);
    }
    vacate(&mut bench.memory, "p", 1, None, &mut Vec::new());
    assert!(matches!(bench.request("d"), Placement::New(1)));
    bench.memory.overwrite("p/2", b"?");
    assert!(matches!(bench.request("e"), Placement::New(2)));
    assert_eq!(bench.discarded, 1);
    vacate(&mut bench.memory, "p", 2, Some(b"other"), &mut Vec::new());
    assert!(bench.holds("e"));
}

#[test]
fn the_second_writer_of_the_same_key_vacates_its_slot() {
    let mut bench = Bench::new(3);
    for key in ["a", "b", "c"] {
        bench.request(key);
    }
    // Another worker has found another slot for the same key.
    let hash = key::hash(7, b"k");
    let all: Vec<u32> = candidates(hash, 3).collect();
    let circuit = Circuit::new(&bench.config, None, bench.now, bench.now);
    let mut bytes = Vec::new();
    write_slot(Some((b"k", &circuit)), &mut bytes);
    bench.memory.overwrite(&format!("p/{}", all[2]), &bytes);
    let seeker = Seeker {
        policy: "p",
        capacity: 3,
        config: &bench.config,
        key: b"k",
        hash,
        now: bench.now,
        in_use: &|_| false,
    };
    write_slot(Some((b"k", &circuit)), &mut bytes);
    bench.memory.overwrite(&format!("p/{}", all[0]), &bytes);
    let placement = seeker.resolve_duplicate(&mut bench.memory, all[0], &mut Vec::new());
    assert!(matches!(
        placement,
        Placement::Found { slot, vacated: Some(mine), .. } if (slot, mine) == (all[2], all[0])
    ));
    assert!(matches!(
        Slot::read(&mut bench.memory, "p", all[0]),
        Slot::Vacant(Some(_))
    ));
}

#[test]
fn a_hundred_thousand_invented_keys_create_no_extra_names_and_drop_no_open_circuit() {
    let mut bench = Bench::new(1_000);
    bench.open("open");
    for n in 0..100_000 {
        // The clock goes back to the open time now and then.
        if n % 500 == 0 {
            bench.now = at_ms(1_500);
        }
        assert!(is_new(&bench.request(&format!("{n}"))), "{n}");
    }
    assert!(bench.holds("open"));
    assert_eq!(bench.memory.names().len(), 1_000);
}
