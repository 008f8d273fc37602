//! Where keys find their slots, and what goes when there is no room.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;

use super::*;
use crate::circuit::breaker::StepContext;
use crate::keys;
use crate::outcome::classify::{Outcome, Verdict};
use crate::random::Random;
use crate::shared::census::Census;
use crate::testing::{Memory, at_ms, breaker};
use crate::time::Span;

/// Opens at the first failure for a second, and may be forgotten ten seconds after that.
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

    /// Where a request of this key finds its circuit, or puts this one.
    fn put(&mut self, key: &str, fresh: &Circuit) -> Place {
        self.now = self.now.after(Span::from_ms(1));
        let seeker = Seeker {
            policy: "p",
            capacity: self.capacity,
            config: &self.config,
            key: key.as_bytes(),
            hash: keys::hash(7, key.as_bytes()),
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

    fn request(&mut self, key: &str) -> Place {
        let fresh = Circuit::new(&self.config, None, self.now, self.now);
        self.put(key, &fresh)
    }

    /// A circuit that has just opened.
    fn open(&mut self, key: &str) {
        let mut circuit = Circuit::new(&self.config, None, self.now, self.now);
        let mut moment = StepContext {
            config: &self.config,
            now: self.now,
            random: &mut Random::new(1),
            transitions: &mut Vec::new(),
        };
        let permit = circuit
            .breaker
            .try_acquire(true, &mut moment)
            .expect("closed");
        let failure = Verdict::of(Outcome::Failure);
        circuit.breaker.settle(permit, failure, &mut moment);
        assert!(matches!(self.put(key, &circuit), Place::Made(_)));
    }

    fn holds(&mut self, key: &str) -> bool {
        let hash = keys::hash(7, key.as_bytes());
        places(hash, self.capacity).any(|place| {
            let slot = Slot::read(&mut self.memory, "p", place);
            matches!(slot, Slot::Taken(taken) if taken.key == key.as_bytes())
        })
    }

    fn wait(&mut self, ms: u64) {
        self.now = self.now.after(Span::from_ms(ms));
    }
}

fn is_made(place: &Place) -> bool {
    matches!(place, Place::Made(_))
}

#[test]
fn a_key_finds_the_slot_that_it_was_put_into() {
    let mut bench = Bench::new(100);
    for key in ["a", "b", ""] {
        let Place::Made(made) = bench.request(key) else {
            panic!("a new key");
        };
        let Place::Found {
            place: found,
            taken,
            ..
        } = bench.request(key)
        else {
            panic!("a known key");
        };
        assert_eq!((made, taken.key.as_slice()), (found, key.as_bytes()));
    }
}

#[test]
fn the_slots_of_a_key_are_all_of_a_small_table_and_a_few_of_a_large_one() {
    for capacity in [1, 2, 5, WAYS, WAYS + 1, 100, 1_000, 100_000] {
        for n in 0..200_u64 {
            let hash = keys::hash(n, b"a");
            let all: Vec<u32> = places(hash, capacity).collect();
            assert_eq!(all.len(), capacity.min(WAYS) as usize);
            assert!(all.iter().all(|place| *place < capacity));
            let distinct = all.iter().collect::<BTreeSet<_>>().len();
            assert_eq!(distinct, all.len(), "{capacity}");
        }
    }
    assert_eq!(places(1, 0).count(), 0);
}

#[test]
fn a_table_that_is_four_fifths_full_of_keys_in_use_has_room_for_nearly_all() {
    let mut bench = Bench::new(1_000);
    let mut without = 0;
    for n in 0..800 {
        let key = format!("{n}");
        without += u32::from(!is_made(&bench.request(&key)));
        bench.used.insert(key);
    }
    assert!(without <= 8, "{without}");
}

#[test]
fn the_key_that_was_used_longest_ago_goes_first() {
    let mut bench = Bench::new(3);
    for key in ["a", "b", "c"] {
        bench.request(key);
    }
    for (new, gone) in [("d", "a"), ("e", "b"), ("f", "c"), ("g", "d")] {
        assert!(is_made(&bench.request(new)));
        assert!(!bench.holds(gone) && bench.holds(new), "{new}");
    }
}

#[test]
fn a_key_in_use_stays_however_long() {
    let mut bench = Bench::new(2);
    bench.request("a");
    bench.used.insert("a".into());
    for key in ["b", "c", "d"] {
        bench.wait(1_000_000_000);
        assert!(is_made(&bench.request(key)));
        assert!(bench.holds("a"));
    }
    bench.used.insert("d".into());
    assert!(matches!(bench.request("e"), Place::None));
}

#[test]
fn an_open_circuit_goes_only_when_idle_for_the_longest_open_time_past_its_own() {
    let mut bench = Bench::new(1);
    bench.open("a");
    bench.wait(10_900);
    assert!(matches!(bench.request("b"), Place::None));
    bench.wait(100);
    assert!(is_made(&bench.request("b")));
}

#[test]
fn a_half_open_circuit_stays_while_a_probe_is_out() {
    let patient = FRAGILE.replace(
        r#""open""#,
        r#""half_open": {"permits": 1, "lease": "1h"}, "open""#,
    );
    let mut bench = Bench::new(1);
    bench.config = breaker(&patient);
    let mut circuit = Circuit::new(&bench.config, None, bench.now, bench.now);
    let step = |now: Instant, circuit: &mut Circuit| {
        let mut moment = StepContext {
            config: &bench.config,
            now,
            random: &mut Random::new(1),
            transitions: &mut Vec::new(),
        };
        let permit = circuit
            .breaker
            .try_acquire(true, &mut moment)
            .expect("a permit");
        if !permit.is_probe() {
            let failure = Verdict::of(Outcome::Failure);
            circuit.breaker.settle(permit, failure, &mut moment);
        }
    };
    step(bench.now, &mut circuit);
    step(bench.now.after(Span::from_secs(1)), &mut circuit);
    bench.put("a", &circuit);
    bench.wait(3_600_000);
    assert!(matches!(bench.request("b"), Place::None));
    bench.wait(20_000);
    assert!(is_made(&bench.request("b")));
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
    assert!(matches!(bench.request("b"), Place::None));
    bench.wait(1_000);
    assert!(is_made(&bench.request("b")));
}

#[test]
fn a_slot_that_was_emptied_or_damaged_is_filled_first() {
    let mut bench = Bench::new(3);
    for key in ["a", "b", "c"] {
        bench.request(key);
    }
    vacate(&mut bench.memory, "p", 1, None, &mut Vec::new());
    assert!(matches!(bench.request("d"), Place::Made(1)));
    bench.memory.overwrite("p/2", b"?");
    assert!(matches!(bench.request("e"), Place::Made(2)));
    assert_eq!(bench.discarded, 1);
    vacate(&mut bench.memory, "p", 2, Some(b"other"), &mut Vec::new());
    assert!(bench.holds("e"));
}

#[test]
fn who_puts_a_key_where_it_stands_already_gives_way() {
    let mut bench = Bench::new(3);
    for key in ["a", "b", "c"] {
        bench.request(key);
    }
    // Another worker has found another slot for the same key.
    let hash = keys::hash(7, b"k");
    let all: Vec<u32> = places(hash, 3).collect();
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
    let place = seeker.yields(&mut bench.memory, all[0], &mut Vec::new());
    assert!(matches!(
        place,
        Place::Found { place, vacated: Some(mine), .. } if (place, mine) == (all[2], all[0])
    ));
    assert!(matches!(
        Slot::read(&mut bench.memory, "p", all[0]),
        Slot::Vacant(Some(_))
    ));
}

#[test]
fn a_hundred_thousand_invented_keys_make_no_more_names_than_slots_nor_push_out_what_is_open() {
    let mut bench = Bench::new(1_000);
    bench.open("open");
    for n in 0..100_000 {
        // The open circuit is asked for now and then, as long as it matters.
        if n % 500 == 0 {
            bench.now = at_ms(1_500);
        }
        assert!(is_made(&bench.request(&format!("{n}"))), "{n}");
    }
    assert!(bench.holds("open"));
    assert_eq!(bench.memory.names().len(), 1_000);
}

/// The census after notes in any order, and at any time, equals a walk over what was noted.
#[test]
fn the_census_knows_what_was_noted() {
    let mut memory = Memory::default();
    let mut naive = alloc::collections::BTreeMap::new();
    let mut random = Random::new(9);
    let slots = Slots {
        policy: "p",
        capacity: 100,
        recovery: Span::ZERO,
    };
    for step in 0..2_000 {
        let now = at_ms(step * 10);
        let held: Vec<(u32, Outline)> = (0..random.between(1, 5))
            .map(|_| {
                let open = random.chance(3_000);
                let until = now.after(Span::from_ms(random.between(1, 500)));
                let outline = Outline {
                    taken: open || random.chance(6_000),
                    notable: open || random.chance(1_000),
                    open_until: open.then_some(until),
                };
                (random.between(0, 99) as u32, outline)
            })
            .collect();
        naive.extend(held.iter().copied());
        let noted = Census::note(&mut memory, slots, 7, &held, now, &mut Vec::new());
        let noted = noted.expect("nobody comes between");
        let taken = naive.values().filter(|it| it.taken).count();
        let ends = || naive.values().filter_map(|it| it.open_until);
        let open = ends().filter(|until| now < *until);
        assert_eq!(noted.after.taken as usize, taken);
        assert_eq!(noted.after.open as usize, open.clone().count());
        assert_eq!(noted.open_until, open.min());
        let census = Census::read(&mut memory, "p", 100);
        let later = now.after(Span::from_ms(200));
        let open = ends().filter(|until| later < *until).count();
        assert_eq!(census.totals_at(later).open as usize, open);
    }
    assert_eq!(Census::seed(&mut memory, "p"), Some(7));
    let census = Census::read(&mut memory, "p", 100);
    let taken: Vec<u32> = census.taken().collect();
    let expected = naive.iter().filter(|(_, it)| it.taken);
    assert_eq!(taken, expected.map(|(place, _)| *place).collect::<Vec<_>>());
    for place in 0..100 {
        let expected = naive.get(&place).is_some_and(|it| it.notable);
        assert_eq!(census.is_notable(place), expected);
    }
}
