//! The breakers of one policy, by key: a table that cannot grow past its limit.
//!
//! Clients choose what stands in a key, so the table defends itself. It holds a
//! fixed number of keys. When full, a new key takes the place of the one that was
//! idle the longest among those that can be forgotten without losing anything;
//! if there is none, the new key has no breaker and shares the overflow. A client
//! that invents keys can thus neither grow memory nor push out an open circuit,
//! nor a key that is in use. The hash is seeded, so it cannot aim at one chain.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::hash::Hasher;

use hashbrown::HashTable;
use siphasher::sip::SipHasher13;

use crate::breaker::{Breaker, StateName};
use crate::policy::{BreakerConfig, KeyPart};
use crate::select::Request;
use crate::time::Instant;

mod list;

use list::{Links, List};

/// Longest key tuple: the names of clusters and tenants are far shorter, and
/// `limits.keys` of these bound the table's memory.
pub const KEY_BYTES_MAX: usize = 512;

/// How many circuits that are not closed are looked at for one to forget. They
/// stand in the order of their last use, so the first ones are the likeliest; the
/// bound keeps a new key cheap while a whole table of circuits is open.
const HELD_LOOKS: usize = 64;

/// The breakers of one policy.
#[derive(Debug)]
pub struct KeyTable {
    index: HashTable<u32>,
    slots: Vec<Slot>,
    /// Closed and without requests, longest idle first.
    idle: List,
    /// Not closed and without requests, longest idle first.
    held: List,
    capacity: usize,
    seed: u64,
}

#[derive(Debug)]
struct Slot {
    hash: u64,
    key: Vec<u8>,
    breaker: Breaker,
    in_flight: u32,
    idle_since: Instant,
    queue: Queue,
    links: Links,
}

/// The queue that a slot stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Queue {
    /// None: a request of its key is under way.
    InUse,
    Idle,
    Held,
}

/// Where a key was put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// In this slot, where it was already.
    Old(u32),
    /// In this slot, which was free.
    New(u32),
    /// In this slot, in place of another key; true if that key's circuit was open.
    Replaced(u32, bool),
    /// Nowhere: every slot is in use.
    Overflow,
}

impl KeyTable {
    /// An empty table for at most `capacity` keys.
    pub fn new(capacity: u32, seed: u64) -> KeyTable {
        KeyTable {
            index: HashTable::new(),
            slots: Vec::new(),
            idle: List::default(),
            held: List::default(),
            capacity: usize::try_from(capacity).unwrap_or(usize::MAX),
            seed,
        }
    }

    /// How many keys are held.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether no key is held.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// How many circuits are open or half-open.
    pub fn open_circuits(&self) -> usize {
        let open = self.slots.iter().filter(|slot| slot.breaker.is_open());
        open.count()
    }

    /// Finds the slot of `key`, or makes one.
    pub fn find_or_insert(&mut self, key: &[u8], config: &BreakerConfig, now: Instant) -> Found {
        let hash = self.hash(key);
        let slots = &self.slots;
        let same = |at: &u32| slot_of(slots, *at).is_some_and(|slot| slot.key == key);
        if let Some(at) = self.index.find(hash, same) {
            return Found::Old(*at);
        }
        let found = if self.slots.len() < self.capacity {
            self.slots.push(Slot {
                hash,
                key: key.into(),
                breaker: Breaker::new(config, now),
                in_flight: 0,
                idle_since: now,
                queue: Queue::InUse,
                links: Links::default(),
            });
            Found::New(u32::try_from(self.slots.len().saturating_sub(1)).unwrap_or(0))
        } else {
            match self.forgettable(config, now) {
                None => return Found::Overflow,
                Some(at) => Found::Replaced(at, self.replace(at, hash, key, config, now)),
            }
        };
        let (Found::New(at) | Found::Replaced(at, _)) = found else {
            return found;
        };
        let slots = &self.slots;
        let rehash = |at: &u32| slot_of(slots, *at).map_or(0, |slot| slot.hash);
        self.index.insert_unique(hash, at, rehash);
        self.file(at, now);
        found
    }

    /// The breaker in a slot.
    pub fn breaker_mut(&mut self, at: u32) -> Option<&mut Breaker> {
        self.slots
            .get_mut(usize::try_from(at).ok()?)
            .map(|slot| &mut slot.breaker)
    }

    /// Notes that a request of this slot is under way, and that the slot is in use.
    pub fn enter(&mut self, at: u32, now: Instant) {
        self.adjust(at, now, |count| count.saturating_add(1));
    }

    /// Notes that a request of this slot is over.
    pub fn leave(&mut self, at: u32, now: Instant) {
        self.adjust(at, now, |count| count.saturating_sub(1));
    }

    /// Notes that the slot was asked for.
    pub fn touch(&mut self, at: u32, now: Instant) {
        self.adjust(at, now, |count| count);
    }

    /// The parts of the key in a slot.
    pub fn parts(&self, at: u32) -> Vec<Option<Box<[u8]>>> {
        slot_of(&self.slots, at).map_or_else(Vec::new, |slot| decode(&slot.key))
    }

    fn hash(&self, key: &[u8]) -> u64 {
        let mut hasher = SipHasher13::new_with_keys(self.seed, !self.seed);
        hasher.write(key);
        hasher.finish()
    }

    fn adjust(&mut self, at: u32, now: Instant, change: impl FnOnce(u32) -> u32) {
        self.unfile(at);
        if let Some(slot) = slot_of_mut(&mut self.slots, at) {
            slot.in_flight = change(slot.in_flight);
        }
        self.file(at, now);
    }

    /// Puts a slot without requests at the end of its list.
    fn file(&mut self, at: u32, now: Instant) {
        let Some(slot) = slot_of_mut(&mut self.slots, at) else {
            return;
        };
        slot.idle_since = now;
        slot.queue = match (slot.in_flight, slot.breaker.state()) {
            (1.., _) => Queue::InUse,
            (0, StateName::Closed) => Queue::Idle,
            (0, _) => Queue::Held,
        };
        match slot.queue {
            Queue::InUse => {}
            Queue::Idle => self.idle.push_back(at, &mut self.slots),
            Queue::Held => self.held.push_back(at, &mut self.slots),
        }
    }

    fn unfile(&mut self, at: u32) {
        let Some(slot) = slot_of_mut(&mut self.slots, at) else {
            return;
        };
        match core::mem::replace(&mut slot.queue, Queue::InUse) {
            Queue::InUse => {}
            Queue::Idle => self.idle.remove(at, &mut self.slots),
            Queue::Held => self.held.remove(at, &mut self.slots),
        }
    }

    /// The slot that can be forgotten with the least loss.
    fn forgettable(&self, config: &BreakerConfig, now: Instant) -> Option<u32> {
        self.idle.first().or_else(|| {
            self.held.iter(&self.slots).take(HELD_LOOKS).find(|at| {
                slot_of(&self.slots, *at)
                    .is_some_and(|s| s.breaker.is_forgettable(config, s.idle_since, now))
            })
        })
    }

    /// Gives a slot to another key; true if the circuit that went was open.
    fn replace(
        &mut self,
        at: u32,
        hash: u64,
        key: &[u8],
        config: &BreakerConfig,
        now: Instant,
    ) -> bool {
        self.unfile(at);
        let Some(slot) = slot_of_mut(&mut self.slots, at) else {
            return false;
        };
        let was_open = slot.breaker.is_open();
        if let Ok(entry) = self.index.find_entry(slot.hash, |other| *other == at) {
            entry.remove();
        }
        slot.hash = hash;
        slot.key.clear();
        slot.key.extend_from_slice(key);
        slot.breaker = Breaker::new(config, now);
        was_open
    }
}

fn slot_of(slots: &[Slot], at: u32) -> Option<&Slot> {
    slots.get(usize::try_from(at).ok()?)
}

fn slot_of_mut(slots: &mut [Slot], at: u32) -> Option<&mut Slot> {
    slots.get_mut(usize::try_from(at).ok()?)
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

fn decode(mut key: &[u8]) -> Vec<Option<Box<[u8]>>> {
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
