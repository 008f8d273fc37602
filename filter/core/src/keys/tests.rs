//! The table of keys, by example and against a naive model.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::*;
use crate::circuit::Circuit;
use crate::random::Random;
use crate::shared::key::hash;
use crate::testing::{at_ms, breaker};

fn replica(slot: u32) -> Replica {
    let now = at_ms(1_000);
    Replica::new(slot, Circuit::new(&breaker(""), None, now, now), None, now)
}

impl KeyTable {
    fn len(&self) -> usize {
        self.held
    }

    fn is_empty(&self) -> bool {
        self.held == 0
    }
}

/// Creates a table with room for this number of keys of one policy.
fn table(capacity: u32) -> KeyTable {
    KeyTable::new(1_000, core::iter::once(capacity))
}

fn insert(table: &mut KeyTable, key: &str) -> Option<u32> {
    insert_for(table, 0, key)
}

fn insert_for(table: &mut KeyTable, policy: usize, key: &str) -> Option<u32> {
    let hash = hash(7, key.as_bytes());
    table.insert(policy, hash, key.as_bytes(), replica(0))
}

fn find(table: &mut KeyTable, key: &str) -> Option<u32> {
    find_for(table, 0, key)
}

fn find_for(table: &mut KeyTable, policy: usize, key: &str) -> Option<u32> {
    table.find(policy, hash(7, key.as_bytes()), key.as_bytes())
}

#[test]
fn a_key_keeps_its_entry_and_its_circuit() {
    let mut table = table(3);
    assert!(table.is_empty() && table.make_room(0));
    for (number, key) in ["a", "b", ""].into_iter().enumerate() {
        let at = table.insert(
            0,
            hash(7, key.as_bytes()),
            key.as_bytes(),
            replica(number as u32 + 10),
        );
        assert_eq!(at, Some(number as u32));
    }
    assert_eq!(find(&mut table, "b"), Some(1));
    assert_eq!(find(&mut table, "c"), None);
    let (_, key, replica) = table.entry(1).expect("an entry");
    assert_eq!((key, replica.slot()), (b"b".as_slice(), 11));
    assert_eq!(table.len(), 3);
    assert_eq!(table.entries().collect::<Vec<_>>(), [0, 1, 2]);
}

#[test]
fn the_key_found_last_is_found_without_its_hash() {
    let mut table = table(2);
    assert_eq!(table.find_recent(0, |key| key == b""), None);
    for key in ["a", "b"] {
        insert(&mut table, key);
    }
    for (found, key, expected) in [("b", "b", Some(1)), ("a", "b", None), ("a", "a", Some(0))] {
        find(&mut table, found);
        assert_eq!(table.find_recent(0, |it| it == key.as_bytes()), expected);
    }
    // Its entry belongs to another key now.
    insert(&mut table, "c");
    assert_eq!(table.find_recent(0, |key| key == b"a"), None);
}

#[test]
fn there_is_no_room_while_all_keys_are_in_use() {
    let mut table = table(2);
    for key in ["a", "b"] {
        let at = insert(&mut table, key).expect("room");
        table.enter(at);
    }
    table.enter(0);
    assert!(!table.make_room(0));
    assert_eq!(insert(&mut table, "c"), None);
    table.leave(0);
    assert!(!table.make_room(0), "a is in use twice");
    table.leave(0);
    assert_eq!(insert(&mut table, "c"), Some(0));
    assert!(!table.in_use(0, hash(7, b"a"), b"a") && table.in_use(0, hash(7, b"b"), b"b"));
}

#[test]
fn an_entry_that_does_not_exist_is_ignored() {
    let mut table = table(1);
    for at in [0, 7, u32::MAX] {
        table.enter(at);
        table.touch(at);
        table.leave(at);
        assert!(table.entry(at).is_none());
    }
    assert_eq!(insert(&mut table, "a"), Some(0));
}

/// A naive table: a list, least recently used first.
#[derive(Default)]
struct Naive(Vec<(String, u32)>);

impl Naive {
    fn find(&self, key: &str) -> Option<usize> {
        self.0.iter().position(|(held, _)| held == key)
    }

    fn insert(&mut self, key: &str, capacity: usize) -> bool {
        if self.0.len() >= capacity {
            let Some(idle) = self.0.iter().position(|(_, uses)| *uses == 0) else {
                return false;
            };
            self.0.remove(idle);
        }
        self.0.push((key.to_string(), 0));
        true
    }

    fn adjust(&mut self, key: &str, change: impl FnOnce(u32) -> u32) {
        if let Some(at) = self.find(key) {
            let (key, uses) = self.0.remove(at);
            self.0.push((key, change(uses)));
        }
    }
}

#[test]
fn the_table_equals_a_naive_list_under_random_histories() {
    for seed in 0..200 {
        let mut random = Random::new(seed);
        let capacity = 1 + (seed % 5) as usize;
        let (mut table, mut naive) = (table(capacity as u32), Naive::default());
        for step in 0..500 {
            let key = random.between(0, 7).to_string();
            let at = find(&mut table, &key);
            assert_eq!(at.is_some(), naive.find(&key).is_some(), "{seed} {step}");
            let Some(at) = at else {
                let room = table.make_room(0);
                assert_eq!(insert(&mut table, &key).is_some(), room);
                assert_eq!(naive.insert(&key, capacity), room, "{seed} {step}");
                continue;
            };
            match random.between(0, 2) {
                0 => {
                    table.enter(at);
                    naive.adjust(&key, |uses| uses + 1);
                }
                1 => {
                    table.leave(at);
                    naive.adjust(&key, |uses| uses.saturating_sub(1));
                }
                _ => {
                    table.touch(at);
                    naive.adjust(&key, |uses| uses);
                }
            }
        }
    }
}

/// Creates a table for seven keys in all and four of each policy.
fn three_policies() -> KeyTable {
    KeyTable::new(7, [4, 4, 4].into_iter())
}

#[test]
fn the_same_key_under_two_policies_has_two_entries() {
    let mut table = three_policies();
    let entries = [0, 1].map(|policy| insert_for(&mut table, policy, "a"));
    assert_eq!(entries, [Some(0), Some(1)]);
    for policy in [0, 1, 2, 3] {
        let at = find_for(&mut table, policy, "a");
        assert_eq!(at, entries.get(policy).copied().flatten());
        assert_eq!(table.find_recent(policy, |key| key == b"a"), at);
        assert_eq!(at.and_then(|at| table.policy_of(at)), at.map(|_| policy));
    }
}

#[test]
fn beyond_the_total_keys_of_any_policy_that_were_not_used_lately_are_evicted() {
    let mut table = three_policies();
    for n in 0..1_000 {
        for policy in 0..3 {
            assert!(insert_for(&mut table, policy, &n.to_string()).is_some());
            // A regular client uses its key all the time.
            if find_for(&mut table, 2, "regular").is_none() {
                assert!(n == 0, "{n}");
                insert_for(&mut table, 2, "regular").expect("room");
            }
            let at = find_for(&mut table, 2, "regular").expect("held");
            table.enter(at);
            table.leave(at);
        }
        assert!(table.len() <= 7);
    }
    assert!(table.entries().count() <= 7);
}

#[test]
fn each_policy_has_room_for_one_key_while_all_others_are_in_use() {
    let mut table = three_policies();
    let names = ["a", "b", "c", "d"];
    for policy in 0..2 {
        for name in names {
            if let Some(at) = insert_for(&mut table, policy, name) {
                table.enter(at);
            }
        }
    }
    assert_eq!((table.len(), insert_for(&mut table, 1, "e")), (7, None));
    let own = insert_for(&mut table, 2, "own").expect("room for one key");
    table.enter(own);
    assert_eq!(insert_for(&mut table, 2, "more"), None);
    assert_eq!(find_for(&mut table, 2, "own"), Some(own));
    // An idle key is evicted first.
    table.leave(0);
    assert_eq!(insert_for(&mut table, 0, "e"), Some(0));
    assert_eq!(table.len(), 8);
}

#[test]
fn an_overflow_entry_does_not_count_and_is_never_evicted() {
    let mut table = KeyTable::new(1, [1].into_iter());
    let overflow = table.insert_overflow(0, replica(9));
    for n in 0..10 {
        assert!(insert(&mut table, &n.to_string()).is_some());
    }
    assert_eq!((table.len(), table.overflow(0)), (1, overflow));
    assert_eq!(overflow.map(|at| table.in_flight(at)), Some(0));
}

#[test]
fn an_entry_takes_little_more_than_half_a_kilobyte() {
    assert!(size_of::<Entry>() <= 544, "{}", size_of::<Entry>());
}

#[test]
fn a_free_entry_is_not_freed_twice() {
    // Two more than the total: the only key of a policy always has room.
    let mut table = KeyTable::new(1, [2, 2, 2].into_iter());
    let used = insert_for(&mut table, 0, "used").unwrap();
    table.enter(used);
    for policy in [1, 2] {
        insert_for(&mut table, policy, "first").unwrap();
    }
    // Evict without inserting.
    while table.make_room(0) && table.len() > 1 {}
    assert_eq!(table.len(), 1);
    let entries = [1, 2].map(|policy| {
        let at = insert_for(&mut table, policy, "second").unwrap();
        table.enter(at);
        at
    });
    assert_ne!(entries[0], entries[1]);
    for policy in [1, 2] {
        assert!(find_for(&mut table, policy, "second").is_some(), "{policy}");
    }
}
