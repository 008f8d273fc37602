use super::*;
use crate::testing::Memory;

/// The key tuple with these parts.
fn tuple(parts: &[&[u8]]) -> Vec<u8> {
    let mut key = Vec::new();
    for part in parts {
        key.extend((part.len() as u16).to_le_bytes());
        key.extend_from_slice(part);
    }
    key
}

#[test]
fn a_name_has_only_safe_bytes_and_a_bounded_length() {
    let long = [b'x'; 500];
    let all: Vec<u8> = (0..=255).collect();
    let rows: [(&[&[u8]], &str); 7] = [
        (&[b"checkout"], "checkout-"),
        (&[b"outbound|80||a.b"], "outbound_80__a_b-"),
        (&[b"a", b"b"], "a_b-"),
        (&[b""], "-"),
        (&[b"..\0\n%2e"], "_____2e-"),
        (&[&long], "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx-"),
        (&[&all], "_____________________________________________--"),
    ];
    for (parts, text) in rows {
        let name = name_of(&tuple(parts));
        let hash = name.strip_prefix(text).unwrap_or_else(|| panic!("{name}"));
        assert_eq!(hash.len(), 16, "{name}");
        let is_safe = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        assert!(name.bytes().all(is_safe), "{name}");
    }
}

#[test]
fn keys_that_look_alike_have_different_names() {
    let keys: [&[&[u8]]; 6] = [
        &[b"a.b"],
        &[b"a_b"],
        &[b"a", b"b"],
        &[b"overflow"],
        &[b""],
        &[b"", b""],
    ];
    let mut names: Vec<Box<str>> = keys.iter().map(|parts| name_of(&tuple(parts))).collect();
    names.sort();
    let count = names.len();
    names.dedup();
    assert_eq!(names.len(), count, "{names:?}");
}

#[test]
fn only_the_first_circuits_are_entered_and_none_leaves() {
    let mut memory = Memory::default();
    let mut buffer = Vec::new();
    for (n, slot) in [(0_u8, 5), (1, 6), (0, 7), (2, 8), (3, 9), (1, 6)] {
        enter(&mut memory, ("p", &tuple(&[&[n]])), slot, 3, &mut buffer);
    }
    enter(&mut memory, ("other", &tuple(&[&[0]])), 1, 3, &mut buffer);
    let list = read(&mut memory);
    let slots: Vec<u32> = list.iter().map(|it| it.slot).collect();
    assert_eq!(slots, [7, 6, 8]);
    assert!(list.iter().all(|it| &*it.policy == "p"));
}

#[test]
fn a_damaged_list_stays_as_it_is() {
    let mut memory = Memory::default();
    memory.put(Name::Shown, b"damaged");
    enter(&mut memory, ("p", &tuple(&[b"a"])), 0, 3, &mut Vec::new());
    assert_eq!(read(&mut memory), []);
    let (record, _) = memory.read(Name::Shown).unwrap();
    assert_eq!(record, b"damaged");
}
