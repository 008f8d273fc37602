//! The key of a circuit: a tuple of request parts, encoded as bytes.
//!
//! Clients choose what a key contains. The hash is seeded, so they cannot aim many keys at the
//! same slots or at one chain of a table.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::codec;
use crate::exchange::Request;
use crate::http_value::without_port;
use crate::policy::KeyPart;

/// Longest key tuple. Names of clusters and tenants are far shorter, and this bounds the memory
/// of all keys.
pub(crate) const KEY_BYTES_MAX: usize = 512;

/// Key of the circuit that keys without a slot share. No request has it, because the length of
/// each part of a tuple takes two bytes.
pub(crate) const OVERFLOW_KEY: &[u8] = &[0];

const LENGTH_BYTES: usize = 2;

/// Length that marks a missing part.
const MISSING: u16 = u16::MAX;

/// Replaces `key` with a request's key tuple: for each part a length and the bytes, or a mark
/// that the request has no such part, which differs from an empty one.
///
/// Returns false if the tuple is longer than [`KEY_BYTES_MAX`].
pub(crate) fn encode(
    parts: &[KeyPart],
    request: &impl Request,
    pattern: Option<&str>,
    key: &mut Vec<u8>,
) -> bool {
    key.clear();
    for part in parts {
        let Some(value) = value_of(part, request, pattern) else {
            key.extend_from_slice(&MISSING.to_le_bytes());
            continue;
        };
        let end = key
            .len()
            .saturating_add(LENGTH_BYTES)
            .saturating_add(value.len());
        let Some(len) = u16::try_from(value.len())
            .ok()
            .filter(|_| end <= KEY_BYTES_MAX)
        else {
            return false;
        };
        key.extend_from_slice(&len.to_le_bytes());
        let start = key.len();
        key.extend_from_slice(value);
        if *part == KeyPart::Authority {
            key.get_mut(start..)
                .unwrap_or_default()
                .make_ascii_lowercase();
        }
    }
    true
}

#[inline]
fn value_of<'a>(
    part: &KeyPart,
    request: &'a impl Request,
    pattern: Option<&'a str>,
) -> Option<&'a [u8]> {
    match part {
        KeyPart::Cluster => request.cluster(),
        KeyPart::Route => request.route(),
        KeyPart::Authority => request.header(":authority").map(without_port),
        KeyPart::Method => request.header(":method"),
        KeyPart::Path => pattern.map(str::as_bytes),
        KeyPart::Header(name) => request.header(name),
    }
}

/// Whether `key` is a request's key tuple, as [`encode`] would write it. The request's parts are
/// compared where they are.
pub(crate) fn is_of(
    parts: &[KeyPart],
    request: &impl Request,
    pattern: Option<&str>,
    mut key: &[u8],
) -> bool {
    for part in parts {
        let Some((len, rest)) = key.split_first_chunk::<LENGTH_BYTES>() else {
            return false;
        };
        let (len, value) = (u16::from_le_bytes(*len), value_of(part, request, pattern));
        let known_len = if len == MISSING { 0 } else { usize::from(len) };
        let Some((known, rest)) = rest.split_at_checked(known_len) else {
            return false;
        };
        let same = match value {
            None => len == MISSING,
            Some(_) if len == MISSING => false,
            Some(value) if *part == KeyPart::Authority => known.eq_ignore_ascii_case(value),
            Some(value) => same(known, value),
        };
        if !same {
            return false;
        }
        key = rest;
    }
    key.is_empty()
}

/// Whether two texts are equal. The `memcmp` of the module compares single bytes, with twenty
/// instructions for each, and names of clusters are long.
fn same(one: &[u8], other: &[u8]) -> bool {
    let (words, rest) = one.as_chunks::<8>();
    let (other_words, other_rest) = other.as_chunks::<8>();
    let mut words = words.iter().zip(other_words);
    let mut rest = rest.iter().zip(other_rest);
    one.len() == other.len()
        && words.all(|(one, other)| one == other)
        && rest.all(|(one, other)| one == other)
}

/// Returns the parts of a key tuple; `None` for a missing part.
pub(crate) fn decode(mut key: &[u8]) -> Vec<Option<Box<[u8]>>> {
    let mut parts = Vec::new();
    while let Some((len, rest)) = key.split_first_chunk::<LENGTH_BYTES>() {
        let len = u16::from_le_bytes(*len);
        let part_len = if len == MISSING { 0 } else { usize::from(len) };
        let Some((part, rest)) = rest.split_at_checked(part_len) else {
            break;
        };
        parts.push((len != MISSING).then(|| part.into()));
        key = rest;
    }
    parts
}

/// Returns the hash of a key. All workers of a proxy use the same seed.
pub(crate) fn hash(seed: u64, key: &[u8]) -> u64 {
    codec::hash((seed, !seed), key)
}

/// Returns the hash of a key definition: which parts a policy's keys consist of.
pub(crate) fn hash_parts(parts: &[KeyPart]) -> u64 {
    let mut text = Vec::new();
    for part in parts {
        let (tag, name) = match part {
            KeyPart::Cluster => (0, ""),
            KeyPart::Route => (1, ""),
            KeyPart::Authority => (2, ""),
            KeyPart::Method => (3, ""),
            KeyPart::Path => (4, ""),
            KeyPart::Header(name) => (5, &**name),
        };
        text.push(tag);
        text.extend_from_slice(name.as_bytes());
        text.push(0);
    }
    hash(0, &text)
}

#[cfg(test)]
mod tests;
