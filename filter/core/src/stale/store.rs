//! The stale cache as one worker uses it.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::pending::{Handle, Pending};
use super::recent::Recent;
use super::recorder::{Facts, Recorder};
use super::recording::{NotStored, Recording};
use super::request::{CacheRequest, CacheScope, Hashes, Outline, Purpose, Resource};
use super::shards::Shards;
use super::stored::StoredResponse;
use super::vary;
use crate::exchange::Request;
use crate::headers::{Headers, Map};
use crate::shared::records::Records;
use crate::time::{Instant, Span};

/// Bounded store of stale responses, shared by all workers of the proxy.
///
/// The responses are in the shared records of [`Shards`]. What a worker keeps for itself are the
/// requests in flight, and what it has stored recently.
#[derive(Debug)]
pub(crate) struct StaleStore {
    shards: Shards,
    seed: u64,
    pending: Pending,
    recent: Recent,
    /// Resource of the request that was set last.
    resource: Resource,
    ignores_query: bool,
}

/// Limits of a store.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Bytes of stored responses in the whole proxy.
    pub(crate) stale_bytes: u32,
    /// Bytes of recordings and their requests in this VM.
    pub(crate) recording_bytes: u32,
    /// Time after which the same response is stored again.
    pub(crate) interval: Span,
    /// Whether some policy ignores parameters of the query.
    pub(crate) ignores_query: bool,
}

/// What a policy and the host add to a response that may be stored.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    /// Whether the policy's owner vouches that responses do not depend on the client.
    pub(crate) vouched: bool,
    /// Seconds since 1970.
    pub(crate) unix_secs: u64,
    pub(crate) now: Instant,
}

impl StaleStore {
    /// Creates a store. [`StaleStore::set_seed`] must follow once the seed is known.
    pub(crate) fn new(bounds: Bounds) -> StaleStore {
        let recording_bytes = usize::try_from(bounds.recording_bytes).unwrap_or(usize::MAX);
        StaleStore {
            shards: Shards::new(bounds.stale_bytes),
            seed: 0,
            pending: Pending::new(recording_bytes),
            recent: Recent::new(bounds.interval),
            resource: Resource::default(),
            ignores_query: bounds.ignores_query,
        }
    }

    /// Collects the headers of a request. Query parameters with the names in `ignored` do not
    /// select its response.
    pub(crate) fn outline<'r>(
        &self,
        request: &'r impl Request,
        ignored: &[Box<str>],
    ) -> Outline<'r> {
        let mut outline = Outline::of(request);
        if self.ignores_query {
            outline.ignore_query(ignored);
        }
        outline
    }

    /// Sets the seed by which all workers hash.
    pub(crate) fn set_seed(&mut self, seed: u64) {
        self.seed = seed;
    }

    /// Number of shards.
    pub(crate) fn shards(&self) -> u32 {
        self.shards.count
    }

    /// Sets the request that [`StaleStore::may_be_due`] and [`StaleStore::insert`] are about.
    /// Returns false if its resource is too long.
    pub(crate) fn set_request(
        &mut self,
        request: &impl Request,
        outline: &Outline<'_>,
        scope: CacheScope<'_>,
    ) -> bool {
        self.resource.set(request, outline, scope, self.seed)
    }

    /// Whether the response to the request may be stored, as far as the request can tell.
    pub(crate) fn may_be_due(&self, request: &impl Request, now: Instant) -> bool {
        let hash = self.resource.hash;
        let vary = self.recent.vary(hash);
        let variant = match vary.is_empty() {
            true => 0,
            false => self.variant(&request.copy_headers(), vary),
        };
        self.recent.is_due(hash, variant, now)
    }

    /// Inserts the request with its headers; `None` if there is no room for it.
    pub(crate) fn insert(
        &mut self,
        policy: usize,
        purpose: Purpose,
        headers: Map,
        now: Instant,
    ) -> Option<Handle> {
        let request = CacheRequest::new(purpose, &self.resource, headers, now);
        self.pending.insert(policy, request)
    }

    /// Removes a request.
    pub(crate) fn remove(&mut self, handle: Handle) {
        self.pending.remove(handle);
    }

    /// Returns the policy of a request that was dropped to make room and is not counted yet.
    pub(crate) fn next_dropped(&mut self) -> Option<usize> {
        self.pending.next_dropped()
    }

    /// Whether the response to a request may be stored: `false` if that was done recently. This
    /// is known before the response headers are read.
    pub(crate) fn is_due(&self, handle: Handle, now: Instant) -> bool {
        let exchange = self.pending.get(handle);
        exchange.is_some_and(|it| {
            let variant = self.usual_variant(&it.request);
            self.recent.is_due(it.request.hash, variant, now)
        })
    }

    /// Returns the variant of a request under the names that the last response varied by.
    fn usual_variant(&self, request: &CacheRequest) -> u64 {
        self.variant(&request.headers, self.recent.vary(request.hash))
    }

    fn variant(&self, headers: &Map, names: &[u8]) -> u64 {
        vary::hash(self.seed, &vary::variant(names, headers))
    }

    fn facts(&self, terms: Terms) -> Facts {
        Facts {
            vouched: terms.vouched,
            unix_secs: terms.unix_secs,
            seed: self.seed,
        }
    }

    /// Begins to record a response with its headers. Returns false if the response must not be
    /// stored, or was stored recently.
    ///
    /// # Errors
    ///
    /// If there is no room.
    pub(crate) fn begin(
        &mut self,
        handle: Handle,
        headers: &Headers,
        terms: Terms,
    ) -> Result<bool, NotStored> {
        let Some(exchange) = self.pending.get(handle) else {
            return Ok(false);
        };
        let (request, Terms { now, .. }) = (&exchange.request, terms);
        match Recorder::new(request, headers, self.facts(terms)) {
            Some(recorder) if self.recent.is_due(request.hash, recorder.variant, now) => {
                let hashes = Hashes {
                    resource: request.hash,
                    variant: recorder.variant,
                    uri: request.uri(self.seed),
                };
                let recording = Recording::new(recorder, hashes.uri, self.shards.shard_bytes);
                if let Err(NotStored::TooLarge) = recording {
                    // The next response will not fit either.
                    self.recent.add(hashes, &[], now);
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
    /// If there is no room. The recording is dropped then.
    pub(crate) fn push(&mut self, handle: Handle, chunk: &[u8]) -> Result<(), NotStored> {
        let pushed = self.pending.push(handle, chunk);
        if pushed.is_err() {
            self.discard(handle);
        }
        pushed
    }

    /// Whether the recording has room for a chunk of this size; `None` if there is no recording.
    pub(crate) fn fits(&self, handle: Handle, len: usize) -> Option<bool> {
        let recording = self.pending.get(handle)?.recording.as_ref()?;
        Some(recording.fits(len))
    }

    /// Drops a recording that has become too large. The next response would too, so it is not
    /// recorded at once.
    pub(crate) fn discard_too_large(&mut self, handle: Handle, now: Instant) {
        let recording = self.pending.take_recording(handle);
        if let (Some(recording), Some(exchange)) = (recording, self.pending.get(handle)) {
            let hashes = recording.hashes(exchange.request.hash);
            self.recent.add(hashes, &recording.vary, now);
        }
    }

    /// Drops a recording.
    pub(crate) fn discard(&mut self, handle: Handle) {
        self.pending.take_recording(handle);
    }

    /// Stores a response that has ended, and returns how many others were evicted for it. `None`
    /// if it is incomplete, or the same response was stored in between.
    ///
    /// # Errors
    ///
    /// If the response is not stored.
    pub(crate) fn finish(
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
        let hashes = recording.hashes(exchange.request.hash);
        let vary = recording.vary.clone();
        if !self.recent.is_due(hashes.resource, hashes.variant, now) {
            return Ok(None);
        }
        let Some(record) = recording.end() else {
            return Ok(None);
        };
        self.recent.add(hashes, &vary, now);
        let stored = self
            .shards
            .put(records, &record, hashes, &vary, now, buffer);
        stored.map(Some)
    }

    /// Returns the newest response to a request.
    pub(crate) fn lookup(
        &self,
        records: &mut impl Records,
        handle: Handle,
        now: Instant,
        buffer: &mut Vec<u8>,
    ) -> Option<(StoredResponse, &CacheRequest)> {
        let request = &self.pending.get(handle)?.request;
        let stored = self
            .shards
            .lookup(records, request, self.seed, now, buffer)?;
        Some((stored, request))
    }

    /// Stores the response that a 304 has confirmed again, with the headers of the 304. `None` if
    /// there is no such response, or it was refreshed recently.
    ///
    /// # Errors
    ///
    /// If the response is not stored.
    pub(crate) fn refresh(
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
        let request = &exchange.request;
        let (resource, variant) = (request.hash, self.usual_variant(request));
        if !self.recent.begin_refresh(resource, variant, terms.now) {
            return Ok(None);
        }
        let Some((stored, request)) = self.lookup(records, handle, terms.now, buffer) else {
            return Ok(None);
        };
        let recorder = Recorder::refreshed(request, &stored, headers, self.facts(terms));
        let Some(recorder) = recorder else {
            return Ok(None);
        };
        let uri = request.uri(self.seed);
        let recording = Recording::new(recorder, uri, self.shards.shard_bytes)?;
        self.pending.record(handle, recording)?;
        self.push(handle, &stored.body)?;
        self.finish(records, handle, terms.now, buffer)
    }

    /// Removes all responses of a URI that has changed.
    pub(crate) fn invalidate(
        &mut self,
        records: &mut impl Records,
        uri: u64,
        buffer: &mut Vec<u8>,
    ) {
        self.recent.invalidate(uri);
        self.pending.invalidate(uri);
        self.shards.invalidate(records, uri, buffer);
    }
}

#[cfg(test)]
mod tests;
