//! The circuits that this worker has to do with, by policy and key.
//!
//! A cache over the shared slots, bounded per policy as they are, and in total over all
//! policies: what a client invents under many policies must not add up. When either is
//! full, the key that was idle the longest goes; nothing is lost with it, since what it
//! held stands in the slot. Keys that are in use stay, and where all are the new one shares
//! the overflow. But each policy has room for one key in any case, so that nobody who keeps
//! all others in use takes the breaker of a policy away. Clients choose what stands in a
//! key: the hash is seeded, so they cannot aim at one chain.

use alloc::boxed::Box;
use alloc::vec::Vec;

use hashbrown::HashTable;
use siphasher::sip::SipHasher13;

use crate::exchange::Request;
use crate::http_value::without_port;
use crate::policy::KeyPart;
use crate::shared::replica::Replica;

mod list;

use list::{Links, List};

/// Longest key tuple: the names of clusters and tenants are far shorter, and the limits of
/// these bound the memory of all.
pub const KEY_BYTES_MAX: usize = 512;

/// The key of what keys without a place share: no request has it, since the parts of a
/// tuple have two bytes of length each.
pub const OVERFLOW_KEY: &[u8] = &[0];

/// How many entries are looked at for one to evict. Beside this many in use the next key may
/// as well share the overflow.
const LOOKS_MAX: usize = 256;

/// The circuits of all policies.
#[derive(Debug)]
pub struct KeyTable {
    index: HashTable<u32>,
    /// Each in a box of its own: a vector of them would take twice and three times its size
    /// whenever it grows, and a virtual machine gives nothing back.
    #[expect(
        clippy::vec_box,
        reason = "a vector of boxes does not move entries as it grows"
    )]
    entries: Vec<Box<Entry>>,
    policies: Vec<OfPolicy>,
    /// Entries that hold a key, besides those of overflows.
    held: usize,
    capacity: usize,
    /// Entries that hold none any more.
    free: Vec<u32>,
    /// Where the search for an entry to evict goes on, once all policies together have too
    /// many. It goes round like a clock's hand and passes over what was found since it came
    /// by: nearly the order of last use (Corbato, "A Paging Experiment with the Multics
    /// System", 1969), without a second queue that every request would have to keep.
    hand: usize,
}

/// What belongs to one policy.
#[derive(Debug)]
struct OfPolicy {
    /// Its entries that are not in use, longest idle first.
    idle: List,
    held: u32,
    capacity: u32,
    /// The entry that was found last: traffic mostly asks for the same key again, and a
    /// comparison costs a fraction of a hash.
    recent: u32,
    /// The entry that keys without a place share.
    overflow: Option<u32>,
}

#[derive(Debug)]
struct Entry {
    policy: usize,
    hash: u64,
    key: Vec<u8>,
    replica: Replica,
    /// Requests under way, and outcomes that wait to be merged.
    uses: u32,
    /// Whether it was found since the hand came by. What was asked for once goes first:
    /// keys that a client invents are.
    found: bool,
    links: Links,
}

impl KeyTable {
    /// An empty table for at most `capacity` keys, and so many of each policy.
    pub fn new(capacity: u32, policies: impl Iterator<Item = u32>) -> KeyTable {
        let of_policy = |capacity| OfPolicy {
            idle: List::default(),
            held: 0,
            capacity,
            recent: u32::MAX,
            overflow: None,
        };
        KeyTable {
            index: HashTable::new(),
            entries: Vec::new(),
            policies: policies.map(of_policy).collect(),
            held: 0,
            capacity: usize::try_from(capacity).unwrap_or(usize::MAX),
            free: Vec::new(),
            hand: 0,
        }
    }

    /// How many keys are held.
    pub fn len(&self) -> usize {
        self.held
    }

    /// Whether no key is held.
    pub fn is_empty(&self) -> bool {
        self.held == 0
    }

    /// Where a key stands, if it is the one of its policy that was found last.
    #[inline]
    pub fn find_recent(&mut self, policy: usize, key: &[u8]) -> Option<u32> {
        let at = self.policies.get(policy)?.recent;
        let recent = entry_of_mut(&mut self.entries, at)?;
        if recent.policy != policy || recent.key != key {
            return None;
        }
        recent.found = true;
        Some(at)
    }

    /// Where a key of this hash stands.
    pub fn find(&mut self, policy: usize, hash: u64, key: &[u8]) -> Option<u32> {
        let at = self.place_of(policy, hash, key)?;
        self.policies.get_mut(policy)?.recent = at;
        entry_of_mut(&mut self.entries, at)?.found = true;
        Some(at)
    }

    #[inline]
    fn place_of(&self, policy: usize, hash: u64, key: &[u8]) -> Option<u32> {
        let same = |at: &u32| {
            let entry = entry_of(&self.entries, *at);
            entry.is_some_and(|entry| entry.policy == policy && entry.key == key)
        };
        self.index.find(spread(policy, hash), same).copied()
    }

    /// Whether a key of this hash is in use.
    pub fn in_use(&self, policy: usize, hash: u64, key: &[u8]) -> bool {
        let place = self.place_of(policy, hash, key);
        place
            .and_then(|at| entry_of(&self.entries, at))
            .is_some_and(|entry| entry.uses > 0)
    }

    /// Whether another key of a policy can be held: evicts one that is idle if need be.
    pub fn make_room(&mut self, policy: usize) -> bool {
        let Some(own) = self.policies.get(policy) else {
            return false;
        };
        let evicted = if own.held >= own.capacity {
            own.idle.first()
        } else if self.held < self.capacity {
            return true;
        } else if let Some(found) = self.turn_hand() {
            Some(found)
        } else {
            return self.policies.get(policy).is_some_and(|own| own.held == 0);
        };
        evicted.is_some_and(|at| self.evict(at))
    }

    /// An idle entry, if possible one that was not found for a round of the hand.
    fn turn_hand(&mut self) -> Option<u32> {
        let mut second_best = None;
        for _ in 0..self.entries.len().min(LOOKS_MAX) {
            let at = self.hand.checked_rem(self.entries.len()).unwrap_or(0);
            self.hand = at.saturating_add(1);
            let at = u32::try_from(at).ok()?;
            let entry = entry_of_mut(&mut self.entries, at)?;
            if entry.policy == NO_POLICY {
                continue;
            }
            if entry.uses == 0 && !core::mem::replace(&mut entry.found, false) {
                return Some(at);
            }
            if entry.uses == 0 {
                second_best = second_best.or(Some(at));
            }
        }
        second_best
    }

    /// Holds a key that is not there yet; `None` if all that it could replace are in use.
    pub fn insert(
        &mut self,
        policy: usize,
        hash: u64,
        key: &[u8],
        replica: Replica,
    ) -> Option<u32> {
        if !self.make_room(policy) {
            return None;
        }
        let entry = Entry {
            policy,
            hash,
            key: key.into(),
            replica,
            uses: 0,
            found: false,
            links: Links::default(),
        };
        let at = match self.free.pop() {
            Some(at) => {
                *entry_of_mut(&mut self.entries, at)? = entry;
                at
            }
            None => self.push(entry)?,
        };
        let entries = &self.entries;
        let rehash = |at: &u32| {
            let entry = entry_of(entries, *at);
            entry.map_or(0, |entry| spread(entry.policy, entry.hash))
        };
        self.index.insert_unique(spread(policy, hash), at, rehash);
        self.held = self.held.saturating_add(1);
        let own = self.policies.get_mut(policy)?;
        own.held = own.held.saturating_add(1);
        own.idle.push_back(at, &mut self.entries);
        Some(at)
    }

    fn push(&mut self, entry: Entry) -> Option<u32> {
        let at = u32::try_from(self.entries.len()).ok()?;
        self.entries.push(Box::new(entry));
        Some(at)
    }

    /// Frees an idle entry.
    fn evict(&mut self, at: u32) -> bool {
        let Some(entry) = entry_of_mut(&mut self.entries, at) else {
            return false;
        };
        // An entry of no policy is in nobody's way.
        let policy = core::mem::replace(&mut entry.policy, NO_POLICY);
        let hash = spread(policy, entry.hash);
        if let Some(own) = self.policies.get_mut(policy) {
            own.idle.remove(at, &mut self.entries);
            own.held = own.held.saturating_sub(1);
        }
        if let Ok(old) = self.index.find_entry(hash, |other| *other == at) {
            old.remove();
        }
        self.held = self.held.saturating_sub(1);
        self.free.push(at);
        true
    }

    /// The entry that keys without a place share, if there is one.
    #[inline]
    pub fn overflow(&self, policy: usize) -> Option<u32> {
        self.policies.get(policy)?.overflow
    }

    /// Holds what keys without a place share, besides all others. It is always in use.
    pub fn insert_overflow(&mut self, policy: usize, replica: Replica) -> Option<u32> {
        let at = self.push(Entry {
            policy,
            hash: 0,
            key: OVERFLOW_KEY.into(),
            replica,
            uses: 1,
            found: false,
            links: Links::default(),
        })?;
        self.policies.get_mut(policy)?.overflow = Some(at);
        Some(at)
    }

    /// Requests under way with an entry.
    pub fn in_flight(&self, at: u32) -> u32 {
        entry_of(&self.entries, at).map_or(0, |entry| {
            let waits = u32::from(entry.replica.is_queued());
            let pinned = u32::from(self.overflow(entry.policy) == Some(at));
            entry.uses.saturating_sub(waits).saturating_sub(pinned)
        })
    }

    /// The hash, the key and the circuit of an entry.
    #[inline]
    pub fn entry(&mut self, at: u32) -> Option<(u64, &[u8], &mut Replica)> {
        let entry = entry_of_mut(&mut self.entries, at)?;
        Some((entry.hash, &entry.key, &mut entry.replica))
    }

    /// The policy of an entry; `None` if it holds no key any more.
    pub fn policy_of(&self, at: u32) -> Option<usize> {
        let policy = entry_of(&self.entries, at)?.policy;
        (policy != NO_POLICY).then_some(policy)
    }

    /// The entries that are held, and those that were.
    pub fn entries(&self) -> impl Iterator<Item = u32> + use<> {
        0..u32::try_from(self.entries.len()).unwrap_or(u32::MAX)
    }

    /// Notes that an entry is in use, once more.
    #[inline]
    pub fn enter(&mut self, at: u32) {
        self.adjust(at, |uses| uses.saturating_add(1));
    }

    /// Notes that one use of an entry is over.
    #[inline]
    pub fn leave(&mut self, at: u32) {
        self.adjust(at, |uses| uses.saturating_sub(1));
    }

    /// Notes that an entry was asked for.
    #[inline]
    pub fn touch(&mut self, at: u32) {
        self.adjust(at, |uses| uses);
    }

    /// The parts of an entry's key.
    pub fn parts(&self, at: u32) -> Vec<Option<Box<[u8]>>> {
        entry_of(&self.entries, at).map_or_else(Vec::new, |entry| decode(&entry.key))
    }

    /// What is not in use stands in its policy's queue, the last to be used at its end.
    #[inline]
    fn adjust(&mut self, at: u32, change: impl FnOnce(u32) -> u32) {
        let Some(entry) = entry_of_mut(&mut self.entries, at) else {
            return;
        };
        let before = entry.uses;
        entry.uses = change(before);
        let after = entry.uses;
        let Some(own) = self.policies.get_mut(entry.policy) else {
            return;
        };
        if before == 0 {
            own.idle.remove(at, &mut self.entries);
        }
        if after == 0 {
            own.idle.push_back(at, &mut self.entries);
        }
    }
}

/// The policy of an entry that holds no key.
const NO_POLICY: usize = usize::MAX;

/// The hash of a key under its policy: the same key under many policies must not be one
/// chain.
fn spread(policy: usize, hash: u64) -> u64 {
    let policy = u64::try_from(policy).unwrap_or(0);
    // 2^64 divided by the golden ratio (Knuth, TAOCP 6.4).
    hash ^ policy.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// The hash of a key, which all workers of a proxy seed alike.
pub fn hash(seed: u64, key: &[u8]) -> u64 {
    SipHasher13::new_with_keys(seed, !seed).hash(key)
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

#[inline]
fn entry_of(entries: &[Box<Entry>], at: u32) -> Option<&Entry> {
    entries.get(usize::try_from(at).ok()?).map(|entry| &**entry)
}

#[inline]
fn entry_of_mut(entries: &mut [Box<Entry>], at: u32) -> Option<&mut Entry> {
    let entry = entries.get_mut(usize::try_from(at).ok()?);
    entry.map(|entry| &mut **entry)
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
            KeyPart::Authority => request.header(":authority").map(without_port),
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
