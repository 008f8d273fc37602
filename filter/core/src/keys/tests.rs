//! The table of keys, alone and against a naive model.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::*;
use crate::circuit::Circuit;
use crate::policy::Policy;
use crate::random::Random;
use crate::testing::{Asking, at_ms, breaker, policy};

/// A copy of the circuit in this slot.
fn replica(place: u32) -> Replica {
    let now = at_ms(1_000);
    Replica::new(place, Circuit::new(&breaker(""), None, now, now), None, now)
}

/// A table with room for so many keys of one policy.
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
fn a_key_keeps_its_place_and_its_circuit() {
    let mut table = table(3);
    assert!(table.is_empty() && table.make_room(0));
    for (place, key) in ["a", "b", ""].into_iter().enumerate() {
        let at = table.insert(
            0,
            hash(7, key.as_bytes()),
            key.as_bytes(),
            replica(place as u32 + 10),
        );
        assert_eq!(at, Some(place as u32));
    }
    assert_eq!(find(&mut table, "b"), Some(1));
    assert_eq!(find(&mut table, "c"), None);
    let (_, key, replica) = table.entry(1).expect("an entry");
    assert_eq!((key, replica.place()), (b"b".as_slice(), 11));
    assert_eq!(table.len(), 3);
    assert_eq!(table.entries().collect::<Vec<_>>(), [0, 1, 2]);
}

#[test]
fn the_key_that_was_found_last_is_found_without_its_hash() {
    let mut table = table(2);
    assert_eq!(table.find_recent(0, b""), None);
    for key in ["a", "b"] {
        insert(&mut table, key);
    }
    for (found, key, expected) in [("b", "b", Some(1)), ("a", "b", None), ("a", "a", Some(0))] {
        find(&mut table, found);
        assert_eq!(table.find_recent(0, key.as_bytes()), expected);
    }
    // Its place is another key's now.
    insert(&mut table, "c");
    assert_eq!(table.find_recent(0, b"a"), None);
}

#[test]
fn where_all_keys_are_in_use_there_is_no_room() {
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
fn a_place_that_is_not_there_is_nobodys() {
    let mut table = table(1);
    for at in [0, 7, u32::MAX] {
        table.enter(at);
        table.touch(at);
        table.leave(at);
        assert!(table.entry(at).is_none());
        assert!(table.parts(at).is_empty());
    }
    assert_eq!(insert(&mut table, "a"), Some(0));
}

/// The obvious table: a list, longest idle first.
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

/// Seven keys in all, four of a policy.
fn three_policies() -> KeyTable {
    KeyTable::new(7, [4, 4, 4].into_iter())
}

#[test]
fn one_key_under_two_policies_is_two() {
    let mut table = three_policies();
    let places = [0, 1].map(|policy| insert_for(&mut table, policy, "a"));
    assert_eq!(places, [Some(0), Some(1)]);
    for policy in [0, 1, 2, 3] {
        let at = find_for(&mut table, policy, "a");
        assert_eq!(at, places.get(policy).copied().flatten());
        assert_eq!(table.find_recent(policy, b"a"), at);
        assert_eq!(at.and_then(|at| table.policy_of(at)), at.map(|_| policy));
    }
}

#[test]
fn beyond_the_total_what_was_not_used_lately_goes_whosever_it_is() {
    let mut table = three_policies();
    for n in 0..1_000 {
        for policy in 0..3 {
            assert!(insert_for(&mut table, policy, &n.to_string()).is_some());
            // Asked for again and again, as a caller does who is served.
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
fn who_keeps_all_keys_in_use_leaves_each_policy_one() {
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
    let own = insert_for(&mut table, 2, "own").expect("a place of its own");
    table.enter(own);
    assert_eq!(insert_for(&mut table, 2, "more"), None);
    assert_eq!(find_for(&mut table, 2, "own"), Some(own));
    // What is over goes first.
    table.leave(0);
    assert_eq!(insert_for(&mut table, 0, "e"), Some(0));
    assert_eq!(table.len(), 8);
}

#[test]
fn an_overflow_is_besides_all_keys_and_never_evicted() {
    let mut table = KeyTable::new(1, [1].into_iter());
    let overflow = table.insert_overflow(0, replica(9));
    for n in 0..10 {
        assert!(insert(&mut table, &n.to_string()).is_some());
    }
    assert_eq!((table.len(), table.overflow(0)), (1, overflow));
    assert_eq!(overflow.map(|at| table.in_flight(at)), Some(0));
}

/// A whole table at its default total, with keys of a usual length.
#[test]
fn an_entry_takes_at_most_half_a_kilobyte() {
    assert!(size_of::<Entry>() <= 512, "{}", size_of::<Entry>());
}

#[test]
fn keys_are_hashed_by_the_seed() {
    let hashes: BTreeSet<u64> = (0..100).map(|seed| hash(seed, b"a")).collect();
    assert_eq!(hashes.len(), 100);
}

fn parts(key: &str) -> Vec<KeyPart> {
    let Policy { key, .. } = policy(&format!(
        r#""key": {key}, "match": {{"paths": [{{"prefix": "/"}}]}}"#
    ));
    key
}

/// The key of a request; absent where it is too long.
fn encoded(key: &str, request: &Asking) -> Option<Vec<u8>> {
    let mut bytes = Vec::from(*b"left over");
    encode(&parts(key), request, Some("/p/{x}"), &mut bytes).then_some(bytes)
}

#[test]
fn every_part_of_a_key_comes_back() {
    let request = Asking::cluster("c")
        .with_route("r")
        .with(":authority", "Shop.Example:80")
        .with(":method", "GET")
        .with("x-a", "First")
        .with("x-a", "second")
        .with("x-raw", b"\xff\x00");
    let key = r#"["cluster", "route", "authority", "method", "path", {"header": "X-A"},
                  {"header": "x-raw"}, {"header": "x-none"}]"#;
    let decoded = decode(&encoded(key, &request).expect("a key"));
    let expected: [Option<&[u8]>; 8] = [
        Some(b"c"),
        Some(b"r"),
        Some(b"shop.example"),
        Some(b"GET"),
        Some(b"/p/{x}"),
        Some(b"First"),
        Some(b"\xff\x00"),
        None,
    ];
    let decoded: Vec<Option<&[u8]>> = decoded.iter().map(Option::as_deref).collect();
    assert_eq!(decoded, expected);
}

/// Each row: authorities of one key. They are compared as `match.authorities` compares them.
#[test]
fn an_authority_in_a_key_is_compared_as_in_a_match() {
    let rows: [&[&str]; 8] = [
        &["api", "API", "api:1", "Api:65536", "api:00"],
        &["10.0.0.1", "10.0.0.1:80"],
        &["[::1]", "[::1]:80", "[::1]:443"],
        // Without brackets the last group is no port.
        &["::1"],
        &["::1:80"],
        // What is no port is part of the name, as is the dot at its end.
        &["api:"],
        &["api:http"],
        &["api.", "API.:80"],
    ];
    let mut keys = BTreeSet::new();
    for row in rows {
        let mut of_row = BTreeSet::new();
        for authority in row {
            let request = Asking::default().with(":authority", authority);
            of_row.insert(encoded(r#"["authority"]"#, &request).expect("a key"));
        }
        assert_eq!(of_row.len(), 1, "{row:?}");
        keys.append(&mut of_row);
    }
    assert_eq!(keys.len(), rows.len());
}

#[test]
fn a_key_of_no_parts_is_one_key_for_all() {
    let bytes = encoded("[]", &Asking::cluster("c")).expect("a key");
    assert!(bytes.is_empty() && decode(&bytes).is_empty());
}

#[test]
fn tuples_that_differ_have_keys_that_differ() {
    let key = r#"[{"header": "a"}, {"header": "b"}]"#;
    let values = [
        None,
        Some(""),
        Some("x"),
        Some("xy"),
        Some("y"),
        Some("\u{ffff}"),
    ];
    let mut keys = BTreeSet::new();
    for a in values {
        for b in values {
            let mut request = Asking::default();
            for (name, value) in [("a", a), ("b", b)] {
                if let Some(value) = value {
                    request = request.with(name, value);
                }
            }
            keys.insert(encoded(key, &request).expect("a key"));
        }
    }
    assert_eq!(keys.len(), values.len() * values.len());
}

#[test]
fn a_key_that_is_too_long_has_no_place() {
    let rows = [
        (0, true),
        (KEY_BYTES_MAX - 2, true),
        (KEY_BYTES_MAX - 1, false),
        (60_000, false),
        (65_534, false),
        (65_535, false),
        (65_536, false),
        (200_000, false),
    ];
    for (len, fits) in rows {
        let request = Asking::default().with("a", alloc::vec![b'a'; len]);
        let found = encoded(r#"[{"header": "a"}]"#, &request);
        assert_eq!(found.is_some(), fits, "{len}");
    }
}

#[test]
fn bytes_that_are_no_key_decode_to_what_can_be_read() {
    let rows: &[(&[u8], usize)] = &[
        (b"", 0),
        (b"\x01", 0),
        (b"\x05\x00abc", 0),
        (b"\x01\x00a\x09", 1),
        (b"\xff\xff\xff\xff", 2),
    ];
    for (bytes, expected) in rows {
        assert_eq!(decode(bytes).len(), *expected, "{bytes:?}");
    }
}

#[test]
fn a_place_that_is_free_is_not_freed_again() {
    // Two more than the total: the only key of a policy always has room.
    let mut table = KeyTable::new(1, [2, 2, 2].into_iter());
    let used = insert_for(&mut table, 0, "used").unwrap();
    table.enter(used);
    for policy in [1, 2] {
        insert_for(&mut table, policy, "first").unwrap();
    }
    // Room was made, and nothing came in.
    while table.make_room(0) && table.len() > 1 {}
    assert_eq!(table.len(), 1);
    let places = [1, 2].map(|policy| {
        let at = insert_for(&mut table, policy, "second").unwrap();
        table.enter(at);
        at
    });
    assert_ne!(places[0], places[1]);
    for policy in [1, 2] {
        assert!(find_for(&mut table, policy, "second").is_some(), "{policy}");
    }
}
