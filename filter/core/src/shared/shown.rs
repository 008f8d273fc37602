//! The circuits that have a series of their own.
//!
//! Keys come from clients, and a host keeps the name of a series forever. So one record lists
//! the first circuits of the proxy that have left closed, up to a bound, and no entry is ever
//! removed or replaced. A record that is damaged stays as it is: a new list would have new names.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::codec::{self, Encode, Kind, Reader};
use crate::shared::key;
use crate::shared::records::{Name, Records, TRIES, Version};

/// Bytes of a name before its hash.
const TEXT_BYTES_MAX: usize = 47;

/// A circuit that has a series.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) policy: Box<str>,
    /// The name of the circuit, see [`name_of`].
    pub(crate) circuit: Box<str>,
    /// The slot that the circuit was last in.
    pub(crate) slot: u32,
}

/// Returns the name of the circuit of a key: letters, digits, `-` and `_` of its parts, `_` for
/// all other bytes, and a hash that tells keys apart. It is the same in every proxy. The overflow
/// needs no name, since it never leaves closed.
pub(crate) fn name_of(key: &[u8]) -> Box<str> {
    let mut name = String::new();
    for part in key::decode(key) {
        for byte in part.iter().flatten() {
            if name.len() < TEXT_BYTES_MAX {
                let is_safe = byte.is_ascii_alphanumeric() || *byte == b'-';
                name.push(if is_safe { char::from(*byte) } else { '_' });
            }
        }
        if name.len() < TEXT_BYTES_MAX {
            name.push('_');
        }
    }
    let name = name.trim_end_matches('_');
    // All 64 bits, so that no client finds a key with the name of another.
    format!("{name}-{:016x}", codec::fingerprint(key)).into()
}

/// Reads the list. It is empty if the record is missing or damaged.
pub(crate) fn read<R: Records>(records: &mut R) -> Vec<Shown> {
    with_version(records).0.unwrap_or_default()
}

/// Enters a circuit, or notes its new slot, unless `most` others are listed.
pub(crate) fn enter<R: Records>(
    records: &mut R,
    (policy, key): (&str, &[u8]),
    slot: u32,
    most: u32,
    buffer: &mut Vec<u8>,
) {
    let circuit = name_of(key);
    for _ in 0..TRIES {
        let (Some(mut list), version) = with_version(records) else {
            return;
        };
        let is_full = list.len() >= most as usize;
        let mut same = list.iter_mut();
        match same.find(|it| *it.policy == *policy && it.circuit == circuit) {
            Some(it) if it.slot == slot => return,
            Some(it) => it.slot = slot,
            None if is_full => return,
            None => list.push(Shown {
                policy: policy.into(),
                circuit: circuit.clone(),
                slot,
            }),
        }
        codec::seal(Kind::Shown, buffer, |out| {
            for it in &list {
                codec::write_text(it.policy.as_bytes(), out);
                codec::write_text(it.circuit.as_bytes(), out);
                it.slot.write(out);
            }
        });
        if records.write(Name::Shown, buffer, version) {
            return;
        }
    }
}

fn with_version<R: Records>(records: &mut R) -> (Option<Vec<Shown>>, Option<Version>) {
    let Some((record, version)) = records.read(Name::Shown) else {
        return (Some(Vec::new()), None);
    };
    let list = codec::open(Kind::Shown, &record).and_then(|mut from| {
        let mut list = Vec::new();
        while !from.is_empty() {
            list.push(Shown {
                policy: text(&mut from)?,
                circuit: text(&mut from)?,
                slot: u32::read(&mut from)?,
            });
        }
        Some(list)
    });
    (list, Some(version))
}

fn text(from: &mut Reader<'_>) -> Option<Box<str>> {
    core::str::from_utf8(from.text()?).ok().map(Box::from)
}

#[cfg(test)]
mod tests;
