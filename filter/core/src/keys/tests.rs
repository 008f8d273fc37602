//! The table of keys, alone and against a naive model.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::vec::Vec;

use super::*;
use crate::breaker::Moment;
use crate::classify::{Outcome, Verdict};
use crate::policy::{BreakerConfig, Policy};
use crate::random::Random;
use crate::testing::{Asking, at_ms, breaker, policy};
use crate::time::Span;

mod model;

/// Opens at the first failure for a second, and may be forgotten ten seconds after that.
const FRAGILE: &str = r#""minimum_requests": 1, "failure_rate_threshold": 1,
    "open": {"duration": "1s", "max_duration": "10s", "jitter": 0}"#;

/// A table, its clock and its numbers.
struct Bench {
    table: KeyTable,
    config: BreakerConfig,
    now: Instant,
}

impl Bench {
    fn new(capacity: u32) -> Bench {
        Bench {
            table: KeyTable::new(capacity, 7),
            config: breaker(FRAGILE),
            now: at_ms(1_000),
        }
    }

    fn find(&mut self, key: &str) -> Found {
        self.table
            .find_or_insert(key.as_bytes(), &self.config, self.now)
    }

    fn wait(&mut self, ms: u64) {
        self.now = self.now.after(Span::from_ms(ms));
    }

    /// One request that comes, and ends so at once.
    fn request(&mut self, key: &str, outcome: Outcome) -> Found {
        let found = self.find(key);
        let (Found::Old(at) | Found::New(at) | Found::Replaced(at, _)) = found else {
            return found;
        };
        let mut moment = Moment {
            config: &self.config,
            now: self.now,
            random: &mut Random::new(1),
            transitions: &mut Vec::new(),
        };
        let breaker = self.table.breaker_mut(at).expect("a slot");
        let admitted = breaker.try_acquire(&mut moment);
        if let Ok(permit) = admitted {
            breaker.settle(permit, Verdict::of(outcome), &mut moment);
            self.table.enter(at, self.now);
            self.table.leave(at, self.now);
        } else {
            self.table.touch(at, self.now);
        }
        found
    }

    fn holds(&mut self, key: &str) -> bool {
        let before = self.table.len();
        let hash = self.table.hash(key.as_bytes());
        let slots = &self.table.slots;
        let same = |at: &u32| slot_of(slots, *at).is_some_and(|slot| slot.key == key.as_bytes());
        let found = self.table.index.find(hash, same).is_some();
        assert_eq!(self.table.len(), before);
        found
    }
}

#[test]
fn a_key_keeps_its_slot() {
    let mut bench = Bench::new(3);
    assert!(bench.table.is_empty());
    assert_eq!(bench.find("a"), Found::New(0));
    assert_eq!(bench.find("b"), Found::New(1));
    assert_eq!(bench.find("a"), Found::Old(0));
    assert_eq!(bench.find(""), Found::New(2));
    assert_eq!(bench.find(""), Found::Old(2));
    assert_eq!(bench.table.len(), 3);
}

#[test]
fn the_key_that_was_used_longest_ago_goes_first() {
    let mut bench = Bench::new(3);
    for key in ["a", "b", "c"] {
        bench.request(key, Outcome::Success);
    }
    bench.request("a", Outcome::Success);
    assert_eq!(
        bench.request("d", Outcome::Success),
        Found::Replaced(1, false)
    );
    assert_eq!(
        bench.request("e", Outcome::Success),
        Found::Replaced(2, false)
    );
    assert_eq!(
        bench.request("f", Outcome::Success),
        Found::Replaced(0, false)
    );
    assert!(!bench.holds("a") && !bench.holds("b") && !bench.holds("c"));
}

#[test]
fn a_key_in_use_stays_however_long() {
    let mut bench = Bench::new(2);
    bench.find("a");
    bench.table.enter(0, bench.now);
    bench.table.enter(0, bench.now);
    bench.request("b", Outcome::Success);
    bench.wait(1_000_000_000);
    assert_eq!(
        bench.request("c", Outcome::Success),
        Found::Replaced(1, false)
    );
    assert_eq!(
        bench.request("d", Outcome::Success),
        Found::Replaced(1, false)
    );
    bench.table.leave(0, bench.now);
    assert_eq!(
        bench.request("e", Outcome::Success),
        Found::Replaced(1, false)
    );
    // Its last request is over: now it was used later than the other.
    bench.table.leave(0, bench.now);
    assert_eq!(
        bench.request("f", Outcome::Success),
        Found::Replaced(1, false)
    );
    assert_eq!(
        bench.request("g", Outcome::Success),
        Found::Replaced(0, false)
    );
}

#[test]
fn a_new_key_shares_the_overflow_where_nothing_can_go() {
    let mut bench = Bench::new(2);
    bench.find("a");
    bench.table.enter(0, bench.now);
    bench.request("b", Outcome::Failure);
    assert_eq!(bench.table.open_circuits(), 1);
    assert_eq!(bench.find("c"), Found::Overflow);
    assert_eq!(bench.find("c"), Found::Overflow);
    assert_eq!(bench.find("a"), Found::Old(0));
    assert_eq!(bench.find("b"), Found::Old(1));
    assert_eq!(bench.table.len(), 2);
}

#[test]
fn an_open_circuit_goes_only_when_idle_for_the_longest_open_time_past_its_own() {
    let mut bench = Bench::new(1);
    bench.request("a", Outcome::Failure);
    // Open for 1 s, then 10 s.
    bench.wait(10_999);
    assert_eq!(bench.find("b"), Found::Overflow);
    bench.wait(1);
    assert_eq!(bench.find("b"), Found::Replaced(0, true));
    assert_eq!(bench.table.open_circuits(), 0);
}

#[test]
fn an_open_circuit_that_is_still_asked_for_stays() {
    let mut bench = Bench::new(1);
    bench.request("a", Outcome::Failure);
    bench.wait(999);
    assert_eq!(bench.request("a", Outcome::Success), Found::Old(0));
    bench.wait(10_000);
    assert_eq!(bench.find("b"), Found::Overflow);
    bench.wait(1);
    assert_eq!(bench.find("b"), Found::Replaced(0, true));
}

#[test]
fn a_half_open_circuit_whose_probes_are_lost_goes_in_the_end() {
    let mut bench = Bench::new(1);
    bench.request("a", Outcome::Failure);
    bench.wait(1_000);
    bench.request("a", Outcome::Ignored);
    assert_eq!(bench.table.slots[0].breaker.state(), StateName::HalfOpen);
    bench.wait(9_999);
    assert_eq!(bench.find("b"), Found::Overflow);
    bench.wait(1);
    assert_eq!(bench.find("b"), Found::Replaced(0, true));
}

#[test]
fn closed_keys_go_before_forgettable_open_ones() {
    let mut bench = Bench::new(2);
    bench.request("open", Outcome::Failure);
    bench.wait(1_000_000);
    bench.request("closed", Outcome::Success);
    assert_eq!(
        bench.request("c", Outcome::Success),
        Found::Replaced(1, false)
    );
}

#[test]
fn a_slot_that_changed_hands_has_a_new_breaker() {
    let mut bench = Bench::new(1);
    bench.request("a", Outcome::Failure);
    bench.wait(11_000);
    bench.request("b", Outcome::Success);
    let slot = &bench.table.slots[0];
    assert_eq!(slot.breaker.state(), StateName::Closed);
    assert_eq!(bench.find("a"), Found::Replaced(0, false));
    assert!(!bench.holds("b"));
}

#[test]
fn a_slot_that_is_not_there_is_nobodys() {
    let mut bench = Bench::new(1);
    for at in [0, 7, u32::MAX] {
        bench.table.enter(at, bench.now);
        bench.table.touch(at, bench.now);
        bench.table.leave(at, bench.now);
        assert!(bench.table.breaker_mut(at).is_none());
        assert!(bench.table.parts(at).is_empty());
    }
    assert_eq!(bench.find("a"), Found::New(0));
}

#[test]
fn a_million_invented_keys_do_not_grow_the_table_nor_push_out_what_matters() {
    let mut bench = Bench::new(1_000);
    bench.request("open", Outcome::Failure);
    let Found::New(at) = bench.find("busy") else {
        panic!("a new key");
    };
    bench.table.enter(at, bench.now);
    let mut replaced = 0;
    for n in 0..1_000_000 {
        let found = bench.request(&format!("{n}"), Outcome::Success);
        replaced += u32::from(matches!(found, Found::Replaced(_, false)));
        assert!(bench.table.len() <= 1_000);
        assert!(!matches!(found, Found::Overflow));
    }
    assert_eq!(replaced, 1_000_000 - 998);
    assert!(bench.holds("open") && bench.holds("busy") && bench.holds("999999"));
    assert_eq!(bench.table.index.len(), 1_000);
    assert!(bench.table.slots.capacity() < 2_048);
}

#[test]
fn keys_are_hashed_by_the_seed() {
    let hashes: BTreeSet<u64> = (0..100)
        .map(|seed| KeyTable::new(1, seed).hash(b"a"))
        .collect();
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
        Some(b"shop.example:80"),
        Some(b"GET"),
        Some(b"/p/{x}"),
        Some(b"First"),
        Some(b"\xff\x00"),
        None,
    ];
    let decoded: Vec<Option<&[u8]>> = decoded.iter().map(Option::as_deref).collect();
    assert_eq!(decoded, expected);
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
