//! Random operations against a table that is a plain list.

use super::*;

/// One key of the naive table.
struct Entry {
    key: u64,
    in_flight: u32,
    used: u64,
}

/// What the naive table says of a key that came.
#[derive(Debug, PartialEq)]
enum Expected {
    Old,
    New,
    Replaced(u64),
    Overflow,
}

/// Closed breakers alone: of those without requests, the one used longest ago goes.
#[derive(Default)]
struct Naive {
    entries: Vec<Entry>,
    uses: u64,
}

impl Naive {
    fn find(&mut self, key: u64, capacity: usize) -> Expected {
        let fresh = Entry {
            key,
            in_flight: 0,
            used: self.uses + 1,
        };
        if self.entries.iter().any(|entry| entry.key == key) {
            return Expected::Old;
        }
        self.uses += 1;
        if self.entries.len() < capacity {
            self.entries.push(fresh);
            return Expected::New;
        }
        let idle = self.entries.iter_mut().filter(|entry| entry.in_flight == 0);
        match idle.min_by_key(|entry| entry.used) {
            None => Expected::Overflow,
            Some(oldest) => {
                let gone = oldest.key;
                *oldest = fresh;
                Expected::Replaced(gone)
            }
        }
    }

    fn change(&mut self, key: u64, by: i32) {
        self.uses += 1;
        let used = self.uses;
        let entry = self.entries.iter_mut().find(|entry| entry.key == key);
        let entry = entry.expect("a key that is held");
        entry.in_flight = entry.in_flight.saturating_add_signed(by);
        entry.used = used;
    }
}

/// Every slot stands in the queue that it should, once, and the queues are in order.
fn queues_are_sound(table: &KeyTable) {
    let queued = |list: &List, queue: Queue| {
        let slots: Vec<u32> = list.iter(&table.slots).collect();
        let belonging = table.slots.iter().filter(|slot| slot.queue == queue);
        assert_eq!(slots.len(), belonging.count(), "{queue:?}");
        let mut last = Instant::default();
        for at in slots {
            let slot = slot_of(&table.slots, at).expect("a slot");
            assert!(slot.queue == queue && slot.in_flight == 0);
            assert_eq!(
                slot.breaker.state() == StateName::Closed,
                queue == Queue::Idle
            );
            assert!(slot.idle_since >= last, "{queue:?} is in order");
            last = slot.idle_since;
        }
    };
    queued(&table.idle, Queue::Idle);
    queued(&table.held, Queue::Held);
    for slot in &table.slots {
        assert_eq!(slot.in_flight > 0, slot.queue == Queue::InUse);
    }
    assert_eq!(table.index.len(), table.slots.len());
}

#[test]
fn the_table_equals_a_naive_list_under_random_use() {
    for seed in 0..60 {
        let mut random = Random::new(seed);
        let capacity = random.between(1, 12) as u32;
        let keys = random.between(1, 20);
        let mut bench = Bench::new(capacity);
        let mut naive = Naive::default();
        let mut under_way: Vec<(u64, u32)> = Vec::new();
        for step in 0..400 {
            bench.wait(1);
            if !under_way.is_empty() && random.chance(4_500) {
                let at = random.between(0, under_way.len() as u64 - 1) as usize;
                let (key, slot) = under_way.swap_remove(at);
                bench.table.leave(slot, bench.now);
                naive.change(key, -1);
            } else {
                let key = random.between(1, keys);
                let expected = naive.find(key, capacity as usize);
                let found = bench.find(&format!("{key}"));
                let slot = match (found, &expected) {
                    (Found::Old(slot), Expected::Old) | (Found::New(slot), Expected::New) => slot,
                    (Found::Replaced(slot, false), Expected::Replaced(gone)) => {
                        assert!(!bench.holds(&format!("{gone}")), "seed {seed} step {step}");
                        slot
                    }
                    (Found::Overflow, Expected::Overflow) => continue,
                    _ => panic!("{found:?}, not {expected:?}: seed {seed} step {step}"),
                };
                if random.chance(8_000) {
                    bench.table.enter(slot, bench.now);
                    naive.change(key, 1);
                    under_way.push((key, slot));
                } else {
                    bench.table.touch(slot, bench.now);
                    naive.change(key, 0);
                }
            }
            queues_are_sound(&bench.table);
        }
    }
}

#[test]
fn the_queues_stay_sound_while_circuits_open_and_close() {
    let mut overflowed = 0;
    let mut forgotten_open = 0;
    for seed in 0..60 {
        let mut random = Random::new(seed);
        let mut bench = Bench::new(random.between(1, 30) as u32);
        for _ in 0..400 {
            bench.wait(random.between(0, 40) * 25);
            if random.chance(100) {
                bench.wait(12_000);
            }
            let open_before: BTreeSet<Vec<u8>> = bench
                .table
                .slots
                .iter()
                .filter(|slot| {
                    !slot
                        .breaker
                        .is_forgettable(&bench.config, slot.idle_since, bench.now)
                })
                .map(|slot| slot.key.clone())
                .collect();
            let outcome = match random.between(0, 2) {
                0 => Outcome::Success,
                1 => Outcome::Failure,
                _ => Outcome::Ignored,
            };
            match bench.request(&format!("{}", random.between(0, 40)), outcome) {
                Found::Overflow => overflowed += 1,
                Found::Replaced(_, true) => forgotten_open += 1,
                _ => {}
            }
            let kept: BTreeSet<Vec<u8>> = bench.table.slots.iter().map(|s| s.key.clone()).collect();
            assert!(open_before.is_subset(&kept), "seed {seed}");
            queues_are_sound(&bench.table);
        }
    }
    assert!(
        overflowed > 100 && forgotten_open > 100,
        "{overflowed} {forgotten_open}"
    );
}
