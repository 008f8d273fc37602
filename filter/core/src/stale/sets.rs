//! The shared records of stored responses.
//!
//! The host can neither list nor delete records, so record names never come from clients:
//! responses are in numbered slots, as in a set-associative cache. The hash of a URI selects a
//! set. Each set has an index record of its own that lists the content of its slots, so that
//! a write reads and writes a small part of the whole index, and workers rarely contend for the
//! same one.
//!
//! A worker reserves bytes in an index by compare-and-swap, then writes the slot. To make room,
//! it empties slots first, then subtracts them from the index. So the slots of a set never hold
//! more bytes than its index says, and the index never exceeds the set's share. A worker that
//! dies in between leaves the index too high, never too low. Slots are written without
//! compare-and-swap: a reader compares their whole content with its request, and the writer
//! checks that the index still lists its entry.
//!
//! The responses of a URI are spread over [`SPREAD`] sets, in which a change finds them under
//! any policy and key. The index tells the variants of a resource apart, so that a lookup reads
//! these indexes and one response for any number of variants. A response larger than a share is
//! divided among sets that follow each other. Its checksum tells if its parts do not belong
//! together.

use alloc::vec::Vec;

use super::index::{Index, Item, SLOTS, slot_name};
use super::recording::NotStored;
use super::request::{CacheRequest, Hashes, Key, SPREAD, upper_half};
use super::sketch::Sketch;
use super::stored::StoredResponse;
use super::vary;
use crate::shared::records::{Name, Records, TRIES};
use crate::time::{Instant, Span};

/// Most sets. So the names of all slots take the host a few megabytes.
pub(super) const SETS_MAX: u32 = 256;

/// Least share of a set if there are several. Its index has one to three kilobytes then.
const SHARE_MIN: u32 = 32_768;

/// Part of all bytes that one response may have.
const LARGEST: usize = 8;

/// How old the recorded time of a response's last use may get, so that not every use is a write.
const USE_INTERVAL: Span = Span::from_secs(1);

/// Number and size of the sets.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sets {
    pub(super) count: u32,
    /// Bytes of one set.
    pub(super) share: usize,
}

/// What the index has on a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// It is there, with this validator since this time.
    Stored(u32, Instant),
    /// It is not there, and has room, in the place of others if not `vacant`.
    Room { vacant: bool },
    /// Others that are asked for as often have its room.
    NoRoom,
}

impl Sets {
    /// Divides the bytes of a proxy into sets.
    pub(super) fn new(bytes: u32) -> Sets {
        let count = (bytes / SHARE_MIN).clamp(1, SETS_MAX);
        let share = bytes.checked_div(count).unwrap_or(0);
        Sets {
            count,
            share: usize::try_from(share).unwrap_or(usize::MAX),
        }
    }

    /// Number of all slots.
    pub(super) fn slots(&self) -> usize {
        usize::try_from(self.count)
            .unwrap_or(1)
            .saturating_mul(SLOTS)
    }

    /// Length of the largest record that is stored.
    pub(super) fn bytes_max(&self) -> usize {
        let count = usize::try_from(self.count).unwrap_or(1);
        self.share.max(self.share.saturating_mul(count) / LARGEST)
    }

    /// Returns the set of a place in the table.
    fn set(&self, place: u64) -> u32 {
        let set = place.checked_rem(u64::from(self.count)).unwrap_or(0);
        u32::try_from(set).unwrap_or(0)
    }

    /// Returns the sets that may have responses of a URI.
    fn sets(&self, uri: u64) -> impl Iterator<Item = u32> {
        let places = 0..SPREAD.min(u64::from(self.count));
        places.map(move |response| self.set(Key { response, uri }.place()))
    }

    /// Looks for a response in the index, or for room for a record of `len` bytes.
    pub(super) fn find(
        &self,
        records: &mut impl Records,
        (key, item): (Key, &Item),
        len: usize,
        sketch: &Sketch,
        now: Instant,
    ) -> Found {
        let (index, _) = Index::read(records, self.set(key.place()));
        if let Some((_, item)) = index.find(key.response, 0) {
            return Found::Stored(item.validator, item.stored_at);
        }
        let item = item.part((0, 0), len.min(self.share), now);
        match index.room(&item, self.share, sketch) {
            Some(room) => Found::Room {
                vacant: room.is_vacant(),
            },
            None => Found::NoRoom,
        }
    }

    /// Stores a record, and returns how many others were evicted for it. `None` if they are
    /// asked for as often.
    ///
    /// # Errors
    ///
    /// If the record is too large, or every compare-and-swap is lost.
    pub(super) fn put(
        &self,
        records: &mut impl Records,
        record: &[u8],
        (key, item): (Key, &Item),
        sketch: &Sketch,
        now: Instant,
        buffer: &mut Vec<u8>,
    ) -> Result<Option<u32>, NotStored> {
        if record.len() > self.bytes_max() {
            return Err(NotStored::TooLarge);
        }
        let len_max = match record.len() > self.share {
            // So that a set has room for other responses beside a part.
            true => (self.share / 2).max(1),
            false => self.share,
        };
        let chunks = record.chunks(len_max);
        let parts = u8::try_from(chunks.len().saturating_sub(1)).unwrap_or(u8::MAX);
        let mut evicted: u32 = 0;
        // The first part, which shows that the response is there, comes last.
        for (part, chunk) in (0..=parts).zip(chunks).rev() {
            let item = item.part((part, parts), chunk.len(), now);
            let set = self.set(key.place().wrapping_add(u64::from(part)));
            match self.put_part(records, chunk, (set, item), sketch, buffer)? {
                Some(more) => evicted = evicted.saturating_add(more),
                None => return Ok(None),
            }
        }
        Ok(Some(evicted))
    }

    fn put_part(
        &self,
        records: &mut impl Records,
        part: &[u8],
        (set, item): (u32, Item),
        sketch: &Sketch,
        buffer: &mut Vec<u8>,
    ) -> Result<Option<u32>, NotStored> {
        for _ in 0..TRIES {
            let (mut index, version) = Index::read(records, set);
            let Some(room) = index.room(&item, self.share, sketch) else {
                return Ok(None);
            };
            let evicted = index.vacate(records, set, |slot, _| room.has(slot));
            index.set(room.slot, item.clone());
            if !index.write(records, set, version, buffer) {
                continue;
            }
            let name = slot_name(set, room.slot);
            records.put(name, part);
            // Another worker may have reassigned the slot before this one wrote it.
            let is_same = |(record, _): &(Vec<u8>, _)| record == buffer;
            let unchanged = records
                .read(Name::StaleSet(set))
                .as_ref()
                .is_some_and(is_same);
            if !(unchanged || Index::read(records, set).0.has(room.slot, &item)) {
                records.put(name, &[]);
            }
            return Ok(Some(evicted));
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
        let key = |names: &[u8]| {
            let variant = vary::hash(seed, &vary::variant(names, &request.headers));
            let hashes = Hashes {
                variant,
                ..request.usual
            };
            hashes.key()
        };
        let newest = self.sets(request.usual.uri).filter_map(|set| {
            let (index, version) = Index::read(records, set);
            let (slot, item) = index.newest(key)?;
            let known = (item.stored_at, item.response, item.parts);
            Some((set, slot, known, index, version))
        });
        let (set, slot, (_, response, parts), mut index, version) =
            newest.max_by_key(|(_, _, (stored_at, ..), ..)| *stored_at)?;
        let (mut record, _) = records.read(slot_name(set, slot))?;
        for part in 1..=parts {
            let set = self.set(u64::from(set).wrapping_add(u64::from(part)));
            let (index, _) = Index::read(records, set);
            let (slot, _) = index.find(response, part)?;
            record.extend_from_slice(&records.read(slot_name(set, slot))?.0);
        }
        let stored = StoredResponse::open(&record, request)?;
        if index.note_use(slot, USE_INTERVAL, now) {
            // The first writer wins: it has recorded another use in this set, which is as good.
            index.write(records, set, version, buffer);
        }
        Some(stored)
    }

    /// Removes all responses of a URI, under any policy and key.
    pub(super) fn invalidate(&self, records: &mut impl Records, uri: u64, buffer: &mut Vec<u8>) {
        for set in self.sets(uri) {
            if Index::mentions(records, set, upper_half(uri)) {
                vacate(records, set, |item| item.uri == upper_half(uri), buffer);
            }
        }
    }
}

/// Empties slots of a set.
fn vacate(
    records: &mut impl Records,
    set: u32,
    is_emptied: impl Fn(&Item) -> bool,
    buffer: &mut Vec<u8>,
) {
    for _ in 0..TRIES {
        let (mut index, version) = Index::read(records, set);
        let emptied = index.vacate(records, set, |_, item| is_emptied(item));
        if emptied == 0 || index.write(records, set, version, buffer) {
            return;
        }
    }
}

/// Empties the sets from number `from` on, which the current configuration does not use.
pub(crate) fn clear(records: &mut impl Records, from: u32, buffer: &mut Vec<u8>) {
    for set in from..SETS_MAX {
        vacate(records, set, |_| true, buffer);
    }
}
