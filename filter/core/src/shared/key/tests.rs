use alloc::collections::BTreeSet;
use alloc::format;

use super::*;
use crate::policy::Policy;
use crate::testing::{TestRequest, policy};

#[test]
fn the_hash_of_a_key_depends_on_the_seed() {
    let hashes: BTreeSet<u64> = (0..100).map(|seed| hash(seed, b"a")).collect();
    assert_eq!(hashes.len(), 100);
}

fn parts(key: &str) -> Vec<KeyPart> {
    let Policy { key, .. } = policy(&format!(
        r#""key": {key}, "match": {{"paths": [{{"prefix": "/"}}]}}"#
    ));
    key
}

/// Encodes the key of a request; `None` if it is too long.
fn encoded(key: &str, request: &TestRequest) -> Option<Vec<u8>> {
    let mut bytes = Vec::from(*b"left over");
    encode(&parts(key), request, Some("/p/{x}"), &mut bytes).then_some(bytes)
}

#[test]
fn a_decoded_key_has_all_parts() {
    let request = TestRequest::cluster("c")
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

/// Each row has authorities that give the same key.
#[test]
fn an_authority_in_a_key_is_normalised_as_in_a_match() {
    let rows: [&[&str]; 8] = [
        &["api", "API", "api:1", "Api:65536", "api:00"],
        &["10.0.0.1", "10.0.0.1:80"],
        &["[::1]", "[::1]:80", "[::1]:443"],
        // Without brackets the last group is not a port.
        &["::1"],
        &["::1:80"],
        // An invalid port is part of the name, and so is a final dot.
        &["api:"],
        &["api:http"],
        &["api.", "API.:80"],
    ];
    let mut keys = BTreeSet::new();
    for row in rows {
        let mut of_row = BTreeSet::new();
        for authority in row {
            let request = TestRequest::default().with(":authority", authority);
            of_row.insert(encoded(r#"["authority"]"#, &request).expect("a key"));
        }
        assert_eq!(of_row.len(), 1, "{row:?}");
        keys.append(&mut of_row);
    }
    assert_eq!(keys.len(), rows.len());
}

#[test]
fn a_key_without_parts_is_the_same_for_all_requests() {
    let bytes = encoded("[]", &TestRequest::cluster("c")).expect("a key");
    assert!(bytes.is_empty() && decode(&bytes).is_empty());
}

#[test]
fn different_tuples_have_different_keys() {
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
            let mut request = TestRequest::default();
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
fn a_key_that_is_too_long_is_rejected() {
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
        let request = TestRequest::default().with("a", alloc::vec![b'a'; len]);
        let found = encoded(r#"[{"header": "a"}]"#, &request);
        assert_eq!(found.is_some(), fits, "{len}");
    }
}

#[test]
fn invalid_bytes_decode_to_the_parts_before_the_error() {
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
fn texts_are_the_same_only_if_all_bytes_are() {
    for len in 0..40 {
        let one: Vec<u8> = (0..len).collect();
        assert!(same(&one, &one.clone()), "{len}");
        assert!(!same(&one, &[&one[..], b"x"].concat()), "{len}");
        for at in 0..one.len() {
            let mut other = one.clone();
            other[at] ^= 1;
            assert!(!same(&one, &other), "{len}, {at}");
        }
    }
}
