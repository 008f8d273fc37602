use alloc::string::String;
use alloc::vec::Vec;

use super::*;
use crate::random::Random;

const NAMES: [&str; 4] = ["content-type", "grpc-timeout", "a", "x-request-id"];

fn map(pairs: &[(&str, &str)]) -> Map {
    Map::new(encode(pairs).into())
}

/// Checks that one pass finds what a search for each name finds.
fn check(map: &Map) {
    let each = NAMES.map(|name| map.first(name));
    assert_eq!(map.firsts(&NAMES), each, "{map:?}");
}

#[test]
fn the_first_value_of_each_name_is_found_in_one_pass() {
    let long = "v".repeat(70_000);
    // Its length is that of "a" modulo 64.
    let name = "n".repeat(65);
    let rows: [&[(&str, &str)]; 6] = [
        &[],
        &[("a", "")],
        &[
            ("x-request-id", "1"),
            ("grpc-timeout", "2"),
            ("grpc-timeout", "3"),
        ],
        &[("", ""), ("a", &long), ("content-type", "4"), ("a", "5")],
        &[(&name, "6"), ("b", "7"), ("a", "8")],
        &[("grpc-timeoux", "9"), ("Content-Type", "10")],
    ];
    for pairs in rows {
        let map = map(pairs);
        assert_eq!(map.iter().count(), pairs.len());
        check(&map);
    }
    let found = map(rows[2])
        .firsts(&NAMES)
        .map(|value| value.map(<[u8]>::to_vec));
    assert_eq!(
        found,
        [None, Some(b"2".to_vec()), None, Some(b"1".to_vec())]
    );
}

#[test]
fn a_malformed_map_ends_at_the_first_pair_that_does_not_fit() {
    let pairs = [("a", "1"), ("x-request-id", "22"), ("content-type", "333")];
    let whole = encode(&pairs);
    for cut in 0..whole.len() {
        check(&Map::new(whole[..cut].into()));
    }
    // Each word in turn becomes a length or a count that does not fit.
    for word in 0..7 {
        for wrong in [0, 1, 2, 11, 13, 1 << 16, u32::MAX - 1, u32::MAX] {
            let mut bytes = whole.clone();
            bytes[word * 4..][..4].copy_from_slice(&wrong.to_le_bytes());
            check(&Map::new(bytes.into()));
        }
    }
}

#[test]
fn random_bytes_are_read_without_panic() {
    let mut random = Random::new(1);
    for _ in 0..20_000 {
        let len = usize::try_from(random.between(0, 64)).unwrap();
        let mut bytes: Vec<u8> = (0..len).map(|_| (random.word() % 8) as u8).collect();
        if let Some(count) = bytes.get_mut(..4) {
            count.copy_from_slice(&[(random.word() % 4) as u8, 0, 0, 0]);
        }
        check(&Map::new(bytes.into()));
    }
}

#[test]
fn values_are_found_by_name_in_order() {
    let map = map(&[("a", "1"), ("b", "2"), ("a", "3")]);
    let values: Vec<_> = map.values(b"a").map(String::from_utf8_lossy).collect();
    assert_eq!(values, ["1", "3"]);
}
