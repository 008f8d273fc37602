//! The circuits of one policy that this worker has to do with, by key.
//!
//! A cache over the shared slots, bounded as they are. When it is full, the key that
//! was idle the longest goes; nothing is lost with it, since what it held stands in
//! the slot. Keys that are in use stay, and where all are the new one shares the
//! overflow. Clients choose what stands in a key: the hash is seeded, so they cannot
//! aim at one chain.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::hash::Hasher;

use hashbrown::HashTable;
use siphasher::sip::SipHasher13;

use crate::policy::KeyPart;
use crate::replica::Replica;
use crate::select::Request;

mod list;

use list::{Links, List};

/// Longest key tuple: the names of clusters and tenants are far shorter, and
/// `limits.keys` of these bound the table's memory.
pub const KEY_BYTES_MAX: usize = 512;

/// The key of what keys without a place share: no request has it, since the parts of a
/// tuple have two bytes of length each.
pub const OVERFLOW_KEY: &[u8] = &[0];

/// The circuits of one policy.
#[derive(Debug)]
pub struct KeyTable {
    index: HashTable<u32>,
    entries: Vec<Entry>,
    /// Those that are not in use, longest idle first.
    idle: List,
    /// The entry that was found last: traffic mostly asks for the same key again, and a
    /// comparison costs a fraction of a hash.
    recent: u32,
    /// The entry that keys without a place share.
    overflow: Option<u32>,
    capacity: usize,
}

#[derive(Debug)]
struct Entry {
    hash: u64,
    key: Vec<u8>,
    replica: Replica,
    /// Requests under way, and outcomes that wait to be merged.
    uses: u32,
    links: Links,
}

impl KeyTable {
    /// An empty table for at most `capacity` keys.
    pub fn new(capacity: u32) -> KeyTable {
        KeyTable {
            index: HashTable::new(),
            entries: Vec::new(),
            idle: List::default(),
            recent: 0,
            overflow: None,
            capacity: usize::try_from(capacity).unwrap_or(usize::MAX),
        }
    }

    /// How many keys are held.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether no key is held.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Where a key stands, if it is the one that was found last.
    pub fn find_recent(&self, key: &[u8]) -> Option<u32> {
        let recent = entry_of(&self.entries, self.recent)?;
        (recent.key == key).then_some(self.recent)
    }

    /// Where a key of this hash stands.
    pub fn find(&mut self, hash: u64, key: &[u8]) -> Option<u32> {
        self.recent = self.place_of(hash, key)?;
        Some(self.recent)
    }

    fn place_of(&self, hash: u64, key: &[u8]) -> Option<u32> {
        let same = |at: &u32| entry_of(&self.entries, *at).is_some_and(|entry| entry.key == key);
        self.index.find(hash, same).copied()
    }

    /// Whether a key of this hash is in use.
    pub fn in_use(&self, hash: u64, key: &[u8]) -> bool {
        let place = self.place_of(hash, key);
        place
            .and_then(|at| entry_of(&self.entries, at))
            .is_some_and(|entry| entry.uses > 0)
    }

    /// Whether another key can be held.
    pub fn has_room(&self) -> bool {
        self.entries.len() < self.capacity || self.idle.first().is_some()
    }

    /// Holds a key that is not there yet; absent where all others are in use.
    pub fn insert(&mut self, hash: u64, key: &[u8], replica: Replica) -> Option<u32> {
        let at = if self.entries.len() < self.capacity {
            self.entries.push(Entry {
                hash,
                key: key.into(),
                replica,
                uses: 0,
                links: Links::default(),
            });
            u32::try_from(self.entries.len().saturating_sub(1)).ok()?
        } else {
            let at = self.idle.first()?;
            self.idle.remove(at, &mut self.entries);
            let entry = entry_of_mut(&mut self.entries, at)?;
            if let Ok(old) = self.index.find_entry(entry.hash, |other| *other == at) {
                old.remove();
            }
            entry.hash = hash;
            entry.key.clear();
            entry.key.extend_from_slice(key);
            entry.replica = replica;
            at
        };
        let entries = &self.entries;
        let rehash = |at: &u32| entry_of(entries, *at).map_or(0, |entry| entry.hash);
        self.index.insert_unique(hash, at, rehash);
        self.idle.push_back(at, &mut self.entries);
        Some(at)
    }

    /// The entry that keys without a place share, if there is one.
    pub fn overflow(&self) -> Option<u32> {
        self.overflow
    }

    /// Holds what keys without a place share, besides all others. It is always in use.
    pub fn insert_overflow(&mut self, replica: Replica) -> Option<u32> {
        let at = u32::try_from(self.entries.len()).ok()?;
        self.entries.push(Entry {
            hash: 0,
            key: OVERFLOW_KEY.into(),
            replica,
            uses: 1,
            links: Links::default(),
        });
        self.capacity = self.capacity.saturating_add(1);
        self.overflow = Some(at);
        self.overflow
    }

    /// Requests under way with an entry.
    pub fn in_flight(&self, at: u32) -> u32 {
        entry_of(&self.entries, at).map_or(0, |entry| {
            let waits = u32::from(entry.replica.is_queued());
            let pinned = u32::from(self.overflow == Some(at));
            entry.uses.saturating_sub(waits).saturating_sub(pinned)
        })
    }

    /// The hash, the key and the circuit of an entry.
    pub fn entry(&mut self, at: u32) -> Option<(u64, &[u8], &mut Replica)> {
        let entry = entry_of_mut(&mut self.entries, at)?;
        Some((entry.hash, &entry.key, &mut entry.replica))
    }

    /// The entries that are held.
    pub fn entries(&self) -> impl Iterator<Item = u32> + use<> {
        0..u32::try_from(self.entries.len()).unwrap_or(u32::MAX)
    }

    /// Notes that an entry is in use, once more.
    pub fn enter(&mut self, at: u32) {
        self.adjust(at, |uses| uses.saturating_add(1));
    }

    /// Notes that one use of an entry is over.
    pub fn leave(&mut self, at: u32) {
        self.adjust(at, |uses| uses.saturating_sub(1));
    }

    /// Notes that an entry was asked for.
    pub fn touch(&mut self, at: u32) {
        self.adjust(at, |uses| uses);
    }

    /// The parts of an entry's key.
    pub fn parts(&self, at: u32) -> Vec<Option<Box<[u8]>>> {
        entry_of(&self.entries, at).map_or_else(Vec::new, |entry| decode(&entry.key))
    }

    /// What is not in use stands in the queue, the last to be used at its end.
    fn adjust(&mut self, at: u32, change: impl FnOnce(u32) -> u32) {
        let Some(entry) = entry_of_mut(&mut self.entries, at) else {
            return;
        };
        let before = entry.uses;
        entry.uses = change(before);
        let after = entry.uses;
        if before == 0 {
            self.idle.remove(at, &mut self.entries);
        }
        if after == 0 {
            self.idle.push_back(at, &mut self.entries);
        }
    }
}

/// The hash of a key, which all workers of a proxy seed alike.
pub fn hash(seed: u64, key: &[u8]) -> u64 {
    let mut hasher = SipHasher13::new_with_keys(seed, !seed);
    hasher.write(key);
    hasher.finish()
}

/// What keys are made of, as a hash.
pub fn make_of(parts: &[KeyPart]) -> u64 {
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

fn entry_of(entries: &[Entry], at: u32) -> Option<&Entry> {
    entries.get(usize::try_from(at).ok()?)
}

fn entry_of_mut(entries: &mut [Entry], at: u32) -> Option<&mut Entry> {
    entries.get_mut(usize::try_from(at).ok()?)
}

/// Writes a request's key tuple into `key`: per part a length and the bytes, or a
/// mark that the request has no such part, which differs from an empty one.
///
/// False where the tuple is longer than [`KEY_BYTES_MAX`].
pub fn encode(
    parts: &[KeyPart],
    request: &impl Request,
    pattern: Option<&str>,
    key: &mut Vec<u8>,
) -> bool {
    key.clear();
    for part in parts {
        let value = match part {
            KeyPart::Cluster => request.cluster(),
            KeyPart::Route => request.route(),
            KeyPart::Authority => request.header(":authority"),
            KeyPart::Method => request.header(":method"),
            KeyPart::Path => pattern.map(str::as_bytes),
            KeyPart::Header(name) => request.header(name),
        };
        let Some(value) = value else {
            key.extend_from_slice(&ABSENT.to_le_bytes());
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

const LENGTH_BYTES: usize = 2;
/// The length that stands for a part that is not there.
const ABSENT: u16 = u16::MAX;

/// The parts of a key tuple.
pub fn decode(mut key: &[u8]) -> Vec<Option<Box<[u8]>>> {
    let mut parts = Vec::new();
    while let Some((len, rest)) = key.split_first_chunk::<LENGTH_BYTES>() {
        let len = u16::from_le_bytes(*len);
        let part_len = if len == ABSENT { 0 } else { usize::from(len) };
        let Some((part, rest)) = rest.split_at_checked(part_len) else {
            break;
        };
        parts.push((len != ABSENT).then(|| part.into()));
        key = rest;
    }
    parts
}

#[cfg(test)]
mod tests;
