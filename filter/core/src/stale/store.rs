//! Where stored responses are: a bounded number of bytes in records that all workers share.
//!
//! Hosts can neither list records nor delete them, so no name comes from a client: responses
//! are in numbered slots, so many to a shard, and each shard has an index record that says
//! what is in its slots. The index is the account: a worker enters what it is about to write,
//! by compare-and-swap, then writes it. To make room, it empties slots first, then subtracts
//! them from the index. So the slots of a shard never hold more bytes than its index says, nor
//! does that say more than the shard's share; a worker that dies in between leaves the index
//! too high, never too low. Slots themselves are written without comparing: what a reader
//! finds there is compared with its request as a whole, and with the index by who wrote it.
//!
//! All that is stored of a URI is in one shard, so that a change finds it whatever policies
//! and keys it was stored under. The index tells the variants of a resource apart, so that a
//! look-up reads two records, however many there are.
//!
//! The least recently used response is evicted first. Shards keep a write from having to read
//! the index of all: a byte more or less in each does not matter, and sixteen workers seldom
//! meet in one.

use alloc::vec::Vec;

use super::index::{Index, Item};
use super::pending::{Handle, Pending};
use super::recent::Recent;
use super::recorder::{self, Recorder};
use super::recording::Recording;
use super::{CacheRequest, CacheScope, Outline, Purpose, Resource, StoredResponse};
use crate::exchange::Request;
use crate::headers::{Headers, Map};
use crate::shared::records::{Name, Records, TRIES};
use crate::time::{Instant, Span};

/// Most shards.
pub const SHARDS_MAX: u32 = 16;

/// Least bytes of a shard, where there are several: responses of this size have room.
const SHARD_BYTES_MIN: u32 = 1_048_576;

/// How old the note of a response's last use may get, so that not every use is a write.
const USE_NOTED_EACH: Span = Span::from_secs(1);

/// The store as one worker knows it.
#[derive(Debug)]
pub struct StaleStore {
    shards: u32,
    shard_bytes: usize,
    seed: u64,
    pending: Pending,
    recent: Recent,
    /// What the request asks for that was looked at last.
    resource: Resource,
}

/// What bounds a store.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Bytes of stored responses, for the whole proxy.
    pub stale_bytes: u32,
    /// Bytes of what is recorded, and held of requests for that, in this VM.
    pub recording_bytes: u32,
    /// How soon the same response is stored again.
    pub interval: Span,
}

/// Why a response is not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotStored {
    /// There is no room for one of its size.
    TooLarge,
    /// Too much is being recorded.
    Full,
    /// Other workers came first in every try, or it is not wanted any more.
    GivenUp,
}

/// What a policy and the host say for a response that may be stored.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// Whether the policy's owner vouches that responses do not depend on who asks.
    pub vouched: bool,
    /// Seconds since 1970.
    pub unix_secs: u64,
    /// The time.
    pub now: Instant,
}

impl StaleStore {
    /// A store, before it knows by which seed all workers hash.
    pub fn new(bounds: Bounds) -> StaleStore {
        let shards = (bounds.stale_bytes / SHARD_BYTES_MIN).clamp(1, SHARDS_MAX);
        let size = |bytes: u32| usize::try_from(bytes).unwrap_or(usize::MAX);
        StaleStore {
            shards,
            shard_bytes: size(bounds.stale_bytes.checked_div(shards).unwrap_or(0)),
            seed: 0,
            pending: Pending::new(size(bounds.recording_bytes)),
            recent: Recent::new(bounds.interval),
            resource: Resource::default(),
        }
    }

    /// Sets the seed of all hashes.
    pub fn hash_by(&mut self, seed: u64) {
        self.seed = seed;
    }

    /// How many shards it has.
    pub fn shards(&self) -> u32 {
        self.shards
    }

    /// Looks at what a request asks for; false if that is too long. What is said of "the
    /// request" then is about this one, until the next.
    pub fn ask(
        &mut self,
        request: &impl Request,
        outline: &Outline<'_>,
        under: CacheScope<'_>,
    ) -> bool {
        self.resource.set(request, outline, under, self.seed)
    }

    /// Whether the response to the request may be stored, as far as is known by now.
    pub fn may_be_due(&self, request: &impl Request, now: Instant) -> bool {
        let hash = self.resource.hash;
        let vary = self.recent.vary(hash);
        let variant = match vary.is_empty() {
            true => 0,
            false => self.variant(&request.copy_headers(), vary),
        };
        self.recent.is_due(hash, variant, now)
    }

    /// Takes the request in, with its headers; `None` if there is no room for it.
    pub fn enter(
        &mut self,
        policy: usize,
        purpose: Purpose,
        headers: Map,
        now: Instant,
    ) -> Option<Handle> {
        let asked = CacheRequest::new(purpose, &self.resource, headers, now);
        self.pending.insert(policy, asked)
    }

    /// Lets go of a request.
    pub fn leave(&mut self, handle: Handle) {
        self.pending.remove(handle);
    }

    /// The policy of a request that was dropped to make room, and is not counted yet.
    pub fn next_dropped(&mut self) -> Option<usize> {
        self.pending.next_dropped()
    }

    /// Whether the response to a request may be stored now: not if that was just done. So it
    /// is known before its headers are read.
    pub fn is_due(&self, handle: Handle, now: Instant) -> bool {
        let exchange = self.pending.get(handle);
        exchange.is_some_and(|it| {
            let variant = self.usual_variant(&it.asked);
            self.recent.is_due(it.asked.hash, variant, now)
        })
    }

    /// The variant of a request under the names that the last response varied by.
    fn usual_variant(&self, asked: &CacheRequest) -> u64 {
        self.variant(&asked.headers, self.recent.vary(asked.hash))
    }

    fn variant(&self, headers: &Map, vary: &[u8]) -> u64 {
        let variant = recorder::variant(vary, headers);
        recorder::variant_hash(self.seed, &variant)
    }

    /// Begins to record a response, by its headers. False if it may not be stored, or was just
    /// now.
    ///
    /// # Errors
    ///
    /// If it has no room.
    pub fn begin(
        &mut self,
        handle: Handle,
        headers: &Headers,
        terms: Terms,
    ) -> Result<bool, NotStored> {
        let Some(exchange) = self.pending.get(handle) else {
            return Ok(false);
        };
        let (asked, Terms { now, .. }) = (&exchange.asked, terms);
        let collection = Recorder::new(asked, headers, terms.vouched, terms.unix_secs, self.seed);
        match collection {
            Some(it) if self.recent.is_due(asked.hash, it.variant, now) => {
                let place = (asked.hash, it.variant, asked.uri(self.seed));
                let recording = Recording::new(it, place.2, self.shard_bytes);
                if let Err(NotStored::TooLarge) = recording {
                    // Nor will the next one fit.
                    self.recent.note(place, &[], now);
                }
                self.pending.record(handle, recording?)?;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    /// Records a chunk of a response's body.
    ///
    /// # Errors
    ///
    /// If it has no room; what was recorded is dropped then.
    pub fn push(&mut self, handle: Handle, chunk: &[u8]) -> Result<(), NotStored> {
        let pushed = self.pending.push(handle, chunk);
        if pushed.is_err() {
            self.stop(handle);
        }
        pushed
    }

    /// Whether a chunk of this size would fit into its record; `None` if nothing is recorded
    /// any more.
    pub fn fits(&self, handle: Handle, len: usize) -> Option<bool> {
        let recording = self.pending.get(handle)?.recording.as_ref()?;
        Some(recording.fits(len))
    }

    /// Lets go of what is recorded of a response that has outgrown its record: the next one
    /// would too, and is not recorded at once.
    pub fn outgrown(&mut self, handle: Handle, now: Instant) {
        let recording = self.pending.take_recording(handle);
        if let (Some(it), Some(exchange)) = (recording, self.pending.get(handle)) {
            let place = (exchange.asked.hash, it.variant, it.uri);
            self.recent.note(place, &it.vary, now);
        }
    }

    /// Lets go of what is recorded of a response.
    pub fn stop(&mut self, handle: Handle) {
        self.pending.take_recording(handle);
    }

    /// Stores a response that has come to its end, and returns how many others were evicted
    /// for it; `None` if it is not whole, or the same was stored meanwhile.
    ///
    /// # Errors
    ///
    /// If it is not stored.
    pub fn put(
        &mut self,
        records: &mut impl Records,
        handle: Handle,
        now: Instant,
        buffer: &mut Vec<u8>,
    ) -> Result<Option<u32>, NotStored> {
        let recording = self.pending.take_recording(handle);
        let (Some(recording), Some(exchange)) = (recording, self.pending.get(handle)) else {
            return Ok(None);
        };
        let place = (exchange.asked.hash, recording.variant, recording.uri);
        let vary = recording.vary.clone();
        if !self.recent.is_due(place.0, place.1, now) {
            return Ok(None);
        }
        let Some(record) = recording.end() else {
            return Ok(None);
        };
        self.recent.note(place, &vary, now);
        let stored = self.store(records, &record, place, &vary, now, buffer);
        stored.map(Some)
    }

    fn store(
        &self,
        records: &mut impl Records,
        record: &[u8],
        (resource, variant, uri): (u64, u64, u64),
        vary: &[u8],
        now: Instant,
        buffer: &mut Vec<u8>,
    ) -> Result<u32, NotStored> {
        let shard = self.shard(uri);
        let bytes = u32::try_from(record.len()).map_err(|_| NotStored::TooLarge)?;
        if record.len() > self.shard_bytes {
            return Err(NotStored::TooLarge);
        }
        let mut item = Item {
            resource,
            variant,
            uri: short(uri),
            bytes,
            vary: 0,
            stored_at: now,
            used_at: now,
        };
        let mut evicted: u32 = 0;
        for _ in 0..TRIES {
            let (mut index, version) = Index::read(records, shard);
            while let Some(oldest) = index.oldest_but(usize::MAX) {
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
                let Some(oldest) = index.oldest_but(slot) else {
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
            // Another worker may have given the slot away before this one wrote there.
            let (after, _) = Index::read(records, shard);
            if after.items.get(slot) != Some(&item) {
                records.put(name, &[]);
            }
            return Ok(evicted);
        }
        Err(NotStored::GivenUp)
    }

    /// The newest response to a request.
    pub fn find(
        &self,
        records: &mut impl Records,
        handle: Handle,
        now: Instant,
        buffer: &mut Vec<u8>,
    ) -> Option<(StoredResponse, &CacheRequest)> {
        let asked = &self.pending.get(handle)?.asked;
        let shard = self.shard(asked.uri(self.seed));
        let (mut index, version) = Index::read(records, shard);
        let slot = index.newest(asked.hash, |vary| self.variant(&asked.headers, vary))?;
        let (record, _) = records.read(slot_name(shard, slot))?;
        let kept = StoredResponse::open(&record, asked)?;
        if let Some(item) = index.items.get_mut(slot)
            && now.since(item.used_at) >= USE_NOTED_EACH
        {
            item.used_at = now;
            // The first writer wins: it has noted another use of this shard, which is as good.
            index.write(records, shard, version, buffer);
        }
        Some((kept, asked))
    }

    /// Stores the response that a 304 has confirmed, with the headers of that; `None` if there
    /// is none, or it was stored just now.
    ///
    /// # Errors
    ///
    /// If it is not stored.
    pub fn refresh(
        &mut self,
        records: &mut impl Records,
        handle: Handle,
        headers: &Headers,
        terms: Terms,
        buffer: &mut Vec<u8>,
    ) -> Result<Option<u32>, NotStored> {
        let Some(exchange) = self.pending.get(handle) else {
            return Ok(None);
        };
        let (resource, variant) = (exchange.asked.hash, self.usual_variant(&exchange.asked));
        if !self.recent.looks(resource, variant, terms.now) {
            return Ok(None);
        }
        let Some((kept, asked)) = self.find(records, handle, terms.now, buffer) else {
            return Ok(None);
        };
        let (vouched, unix_secs) = (terms.vouched, terms.unix_secs);
        let newer = Recorder::refreshed(asked, &kept, headers, vouched, unix_secs, self.seed);
        let Some(newer) = newer else {
            return Ok(None);
        };
        let recording = Recording::new(newer, asked.uri(self.seed), self.shard_bytes)?;
        self.pending.record(handle, recording)?;
        self.push(handle, &kept.body)?;
        self.put(records, handle, terms.now, buffer)
    }

    /// Forgets what is stored of a URI, whatever it was stored under.
    pub fn forget(&mut self, records: &mut impl Records, uri: u64, buffer: &mut Vec<u8>) {
        let shard = self.shard(uri);
        self.recent.forget(uri);
        self.pending.forget(uri);
        if !Index::mentions(records, shard, short(uri)) {
            return;
        }
        for _ in 0..TRIES {
            let (mut index, version) = Index::read(records, shard);
            let mut found = false;
            for slot in 0..index.items.len() {
                let item = index.items.get(slot);
                if item.is_some_and(|it| it.bytes > 0 && it.uri == short(uri)) {
                    index.vacate(records, shard, slot);
                    found = true;
                }
            }
            if !found || index.write(records, shard, version, buffer) {
                return;
            }
        }
    }

    fn shard(&self, uri: u64) -> u32 {
        let shard = uri.checked_rem(u64::from(self.shards)).unwrap_or(0);
        u32::try_from(shard).unwrap_or(0)
    }
}

/// The part of a URI's hash that the index has.
fn short(uri: u64) -> u32 {
    u32::try_from(uri >> 32).unwrap_or(0)
}

/// Empties all shards from this one on, which no configuration looks into any more.
pub fn clear(records: &mut impl Records, from: u32, buffer: &mut Vec<u8>) {
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

pub(super) fn slot_name(shard: u32, slot: usize) -> Name<'static> {
    Name::Answer(shard, u32::try_from(slot).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests;
