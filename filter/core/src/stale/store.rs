//! The stale cache as one worker uses it.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::pending::{Handle, Pending};
use super::recent::Recent;
use super::recorder::{Facts, Recorder, validator};
use super::recording::{NotStored, Recording};
use super::request::{CacheRequest, CacheScope, Outline, Purpose, Resource};
use super::sets::{Found, Sets};
use super::sketch::Sketch;
use super::stored::StoredResponse;
use super::vary;
use crate::exchange::Request;
use crate::headers::{Headers, Map};
use crate::shared::records::Records;
use crate::time::{Instant, Span};

/// Bounded store of stale responses, shared by all workers of the proxy.
///
/// The responses are in the shared records of [`Sets`]. What a worker keeps for itself are the
/// requests in flight, what it knows of the shared store, and how often responses were asked for.
#[derive(Debug)]
pub(crate) struct StaleStore {
    sets: Sets,
    seed: u64,
    pending: Pending,
    recent: Recent,
    sketch: Sketch,
    /// Whether the last response that was not stored yet found no vacant room.
    is_full: bool,
    /// Resource of the request that was set last.
    resource: Resource,
    ignores_query: bool,
    /// Lite modules store nothing: without a value of this type there is no store, and the
    /// compiler leaves out what needs one.
    #[cfg(feature = "lite")]
    absent: core::convert::Infallible,
}

/// Limits of a store.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Bytes of stored responses in the whole proxy.
    pub(crate) stale_bytes: u32,
    /// Bytes of recordings and their requests in this VM.
    pub(crate) recording_bytes: u32,
    /// Time after which a response is looked at again.
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
    /// How long a response may be used.
    pub(crate) lifetime: Span,
    /// Age from which on a response is stored again although it is unchanged.
    pub(crate) renewal: Span,
    pub(crate) now: Instant,
}

impl StaleStore {
    /// Opens the store. The lite module has none, since its policies store nothing.
    #[cfg(not(feature = "lite"))]
    pub(crate) fn open(bounds: Bounds) -> Option<StaleStore> {
        Some(StaleStore::new(bounds))
    }

    #[cfg(feature = "lite")]
    pub(crate) fn open(_: Bounds) -> Option<StaleStore> {
        None
    }

    /// Creates a store. [`StaleStore::set_seed`] must follow once the seed is known.
    #[cfg(not(feature = "lite"))]
    pub(crate) fn new(bounds: Bounds) -> StaleStore {
        let recording_bytes = usize::try_from(bounds.recording_bytes).unwrap_or(usize::MAX);
        let sets = Sets::new(bounds.stale_bytes);
        let slots = sets.slots().next_power_of_two();
        StaleStore {
            sets,
            seed: 0,
            pending: Pending::new(recording_bytes),
            recent: Recent::new(slots, bounds.interval),
            sketch: Sketch::new(slots),
            is_full: false,
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

    /// Number of sets.
    pub(crate) fn sets(&self) -> u32 {
        self.sets.count
    }

    /// Sets the request that [`StaleStore::may_be_due`] and [`StaleStore::insert`] are about.
    /// Returns false if its resource is too long.
    pub(crate) fn set_request(
        &mut self,
        request: &impl Request,
        outline: &Outline<'_>,
        scope: CacheScope<'_>,
    ) -> bool {
        let whole = self.resource.set(request, outline, scope, self.seed);
        let vary = self.recent.vary(self.resource.usual.key());
        if !vary.is_empty() {
            let variant = vary::variant(vary, &request.copy_headers());
            self.resource.usual.variant = vary::hash(self.seed, &variant);
        }
        whole
    }

    /// Counts the request. Returns whether its response may be stored, as far as the request can
    /// tell: `false` if that was stored recently, or if there was no room for the last one and
    /// this one is asked for the first time.
    pub(crate) fn may_be_due(&mut self, now: Instant) -> bool {
        let key = self.resource.usual.key();
        self.sketch.add(key.response);
        let is_scan = self.is_full && self.sketch.estimate(key.response) < 2;
        !is_scan && self.recent.is_due(key, now)
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
        exchange.is_some_and(|it| self.recent.is_due(it.request.usual.key(), now))
    }

    fn facts(&self, terms: Terms) -> Facts {
        Facts {
            vouched: terms.vouched,
            unix_secs: terms.unix_secs,
            seed: self.seed,
        }
    }

    /// Begins to record a response with its headers. Returns false if the response must not be
    /// stored, is stored already, or is asked for less than those that it would replace.
    ///
    /// # Errors
    ///
    /// If there is no room.
    pub(crate) fn begin(
        &mut self,
        records: &mut impl Records,
        handle: Handle,
        headers: &Headers,
        terms: Terms,
    ) -> Result<bool, NotStored> {
        let Some(exchange) = self.pending.get(handle) else {
            return Ok(false);
        };
        let (request, now) = (&exchange.request, terms.now);
        let (usual, validator) = (request.usual, validator(headers, self.seed));
        let state = (validator, terms.renewal);
        if self.recent.is_fresh(usual.key(), state, now) {
            return Ok(false);
        }
        let Some(recorder) = Recorder::new(request, headers, self.facts(terms)) else {
            return Ok(false);
        };
        let key = recorder.hashes.key();
        if recorder.hashes != usual {
            self.sketch.add(key.response);
        }
        if !self.recent.is_due(key, now) || self.recent.is_fresh(key, state, now) {
            return Ok(false);
        }
        let recording = self.recording(recorder, terms);
        let (hashes, item, len) = (recording.hashes, &recording.item, recording.expected());
        if !recording.fits_all() {
            // The next response will not fit either.
            self.recent.pass(hashes, &item.vary, now);
            return Err(NotStored::TooLarge);
        }
        let entry = (key, item);
        match self.sets.find(records, entry, len, &self.sketch, now) {
            Found::Stored(known, at) => {
                let age = now.since(at);
                if age < self.recent.interval || known == validator && age < terms.renewal {
                    self.recent.add(hashes, &item.vary, (known, at), now);
                    return Ok(false);
                }
            }
            Found::Room { vacant } => self.is_full = !vacant,
            Found::NoRoom => {
                self.recent.pass(hashes, &item.vary, now);
                self.is_full = true;
                return Ok(false);
            }
        }
        self.pending.record(handle, recording)?;
        Ok(true)
    }

    fn recording(&self, recorder: Recorder, terms: Terms) -> Recording {
        Recording::new(recorder, terms.lifetime, self.sets.bytes_max())
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
        if let Some(recording) = recording {
            self.recent
                .pass(recording.hashes, &recording.item.vary, now);
        }
    }

    /// Drops a recording.
    pub(crate) fn discard(&mut self, handle: Handle) {
        self.pending.take_recording(handle);
    }

    /// Stores a response that has ended, and returns how many others were evicted for it. `None`
    /// if it is incomplete, the same response was stored in between, or those that it would
    /// replace are asked for as often.
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
        let Some(recording) = self.pending.take_recording(handle) else {
            return Ok(None);
        };
        let (hashes, item) = (recording.hashes, recording.item.clone());
        if !self.recent.is_due(hashes.key(), now) {
            return Ok(None);
        }
        let Some(record) = recording.end() else {
            return Ok(None);
        };
        let entry = (hashes.key(), &item);
        let stored = self
            .sets
            .put(records, &record, entry, &self.sketch, now, buffer);
        match stored {
            Ok(Some(_)) => self
                .recent
                .add(hashes, &item.vary, (item.validator, now), now),
            _ => self.recent.pass(hashes, &item.vary, now),
        }
        stored
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
        let stored = self.sets.lookup(records, request, self.seed, now, buffer)?;
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
        let key = exchange.request.usual.key();
        if !self.recent.begin_refresh(key, terms.renewal, terms.now) {
            return Ok(None);
        }
        let Some((stored, request)) = self.lookup(records, handle, terms.now, buffer) else {
            return Ok(None);
        };
        let recorder = Recorder::refreshed(request, &stored, headers, self.facts(terms));
        let Some(recorder) = recorder.filter(|_| terms.now.since(stored.at) >= terms.renewal)
        else {
            return Ok(None);
        };
        let recording = self.recording(recorder, terms);
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
        self.sets.invalidate(records, uri, buffer);
    }
}

#[cfg(test)]
mod tests;
