//! The shared records of stored responses.
//!
//! The host can neither list nor delete records, so record names never come from clients:
//! responses are in numbered slots, and each shard has an index record that lists the content of
//! its slots. A worker reserves bytes in the index by compare-and-swap, then writes the slot. To
//! make room, it empties slots first, then subtracts them from the index. So the slots of a
//! shard never hold more bytes than its index says, and the index never exceeds the shard's
//! share. A worker that dies in between leaves the index too high, never too low. Slots are
//! written without compare-and-swap: a reader compares their whole content with its request,
//! and the writer checks that the index still lists its entry.
//!
//! All responses of a URI are in one shard, so that a change finds them under any policy and
//! key. The index tells the variants of a resource apart, so that a lookup reads two records for
//! any number of variants.
//!
//! With several shards a write reads only a part of the whole index, and workers rarely contend
//! for the same shard. The least recently used response of a shard is evicted first.

use alloc::vec::Vec;

use super::index::{Index, Item, slot_name};
use super::recording::NotStored;
use super::request::{CacheRequest, Hashes};
use super::stored::StoredResponse;
use super::vary;
use crate::shared::records::{Records, TRIES};
use crate::time::{Instant, Span};

/// Most shards.
pub(super) const SHARDS_MAX: u32 = 16;

/// Least bytes of a shard if there are several, so that responses of this size have room.
const SHARD_BYTES_MIN: u32 = 1_048_576;

/// How old the recorded time of a response's last use may get, so that not every use is a write.
const USE_INTERVAL: Span = Span::from_secs(1);

/// Number and size of the shards.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shards {
    pub(super) count: u32,
    /// Share of one shard.
    pub(super) shard_bytes: usize,
}

impl Shards {
    /// Divides the bytes of a proxy into shards.
    pub(super) fn new(bytes: u32) -> Shards {
        let count = (bytes / SHARD_BYTES_MIN).clamp(1, SHARDS_MAX);
        let share = bytes.checked_div(count).unwrap_or(0);
        Shards {
            count,
            shard_bytes: usize::try_from(share).unwrap_or(usize::MAX),
        }
    }

    fn shard_of(&self, uri: u64) -> u32 {
        let shard = uri.checked_rem(u64::from(self.count)).unwrap_or(0);
        u32::try_from(shard).unwrap_or(0)
    }

    /// Stores a record and returns how many others were evicted for it.
    ///
    /// # Errors
    ///
    /// If the record is too large, or every compare-and-swap is lost.
    pub(super) fn put(
        &self,
        records: &mut impl Records,
        record: &[u8],
        hashes: Hashes,
        vary: &[u8],
        now: Instant,
        buffer: &mut Vec<u8>,
    ) -> Result<u32, NotStored> {
        let shard = self.shard_of(hashes.uri);
        let bytes = u32::try_from(record.len()).map_err(|_| NotStored::TooLarge)?;
        if record.len() > self.shard_bytes {
            return Err(NotStored::TooLarge);
        }
        let mut item = Item {
            resource: hashes.resource,
            variant: hashes.variant,
            uri: upper_half(hashes.uri),
            bytes,
            vary: 0,
            stored_at: now,
            used_at: now,
        };
        let mut evicted: u32 = 0;
        for _ in 0..TRIES {
            let (mut index, version) = Index::read(records, shard);
            while let Some(oldest) = index.oldest_except(usize::MAX) {
                if let Some(list) = index.vary(vary) {
                    item.vary = list;
                    break;
                }
                index.vacate(records, shard, oldest);
                evicted = evicted.saturating_add(1);
            }
            item.vary = index.vary(vary).ok_or(NotStored::GivenUp)?;
            let slot = index.slot_for(&item);
            while index.bytes_without(slot).saturating_add(record.len()) > self.shard_bytes {
                let Some(oldest) = index.oldest_except(slot) else {
                    break;
                };
                index.vacate(records, shard, oldest);
                evicted = evicted.saturating_add(1);
            }
            if index.replaces_another(slot, &item) {
                index.vacate(records, shard, slot);
                evicted = evicted.saturating_add(1);
            }
            index.set(slot, item);
            if !index.write(records, shard, version, buffer) {
                continue;
            }
            let name = slot_name(shard, slot);
            records.put(name, record);
            // Another worker may have reassigned the slot before this one wrote it.
            let (after, _) = Index::read(records, shard);
            if after.items.get(slot) != Some(&item) {
                records.put(name, &[]);
            }
            return Ok(evicted);
        }
        Err(NotStored::GivenUp)
    }

    /// Returns the newest response to a request.
    pub(super) fn lookup(
        &self,
        records: &mut impl Records,
        request: &CacheRequest,
        seed: u64,
        now: Instant,
        buffer: &mut Vec<u8>,
    ) -> Option<StoredResponse> {
        let shard = self.shard_of(request.uri(seed));
        let (mut index, version) = Index::read(records, shard);
        let variant = |names: &[u8]| vary::hash(seed, &vary::variant(names, &request.headers));
        let slot = index.newest(request.hash, variant)?;
        let (record, _) = records.read(slot_name(shard, slot))?;
        let stored = StoredResponse::open(&record, request)?;
        if let Some(item) = index.items.get_mut(slot)
            && now.since(item.used_at) >= USE_INTERVAL
        {
            item.used_at = now;
            // The first writer wins: it has recorded another use in this shard, which is as good.
            index.write(records, shard, version, buffer);
        }
        Some(stored)
    }

    /// Removes all responses of a URI, under any policy and key.
    pub(super) fn invalidate(&self, records: &mut impl Records, uri: u64, buffer: &mut Vec<u8>) {
        let shard = self.shard_of(uri);
        if !Index::mentions(records, shard, upper_half(uri)) {
            return;
        }
        for _ in 0..TRIES {
            let (mut index, version) = Index::read(records, shard);
            let mut found = false;
            for slot in 0..index.items.len() {
                let item = index.items.get(slot);
                if item.is_some_and(|it| it.bytes > 0 && it.uri == upper_half(uri)) {
                    index.vacate(records, shard, slot);
                    found = true;
                }
            }
            if !found || index.write(records, shard, version, buffer) {
                return;
            }
        }
    }
}

/// Returns the part of a URI's hash that the index contains.
fn upper_half(uri: u64) -> u32 {
    u32::try_from(uri >> 32).unwrap_or(0)
}

/// Empties the shards from number `from` on, which the current configuration does not use.
pub(crate) fn clear(records: &mut impl Records, from: u32, buffer: &mut Vec<u8>) {
    for shard in from..SHARDS_MAX {
        for _ in 0..TRIES {
            let (mut index, version) = Index::read(records, shard);
            if index.items.iter().all(|item| item.bytes == 0) {
                break;
            }
            for slot in 0..index.items.len() {
                index.vacate(records, shard, slot);
            }
            if index.write(records, shard, version, buffer) {
                break;
            }
        }
    }
}
