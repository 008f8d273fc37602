//! Requests in flight whose response may be stored, or that may get a stored response.
//!
//! Their memory is bounded per VM, and no client can occupy all of it. If a request or a chunk
//! has no room, the requests that were inactive the longest are dropped, and continue without
//! the stale cache. So a slow or hanging download makes room first.

use alloc::vec::Vec;

use super::recording::{NotStored, Recording};
use super::request::CacheRequest;

/// Handle of a request in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Handle {
    at: u32,
    generation: u32,
}

/// A request and the recording of its response.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) policy: usize,
    pub(super) request: CacheRequest,
    pub(super) recording: Option<Recording>,
}

#[derive(Debug, Default)]
struct Entry {
    /// Rises with each reuse of the entry, so that old handles find nothing.
    generation: u32,
    exchange: Option<Exchange>,
    before: Option<u32>,
    after: Option<u32>,
}

/// All requests in flight.
#[derive(Debug)]
pub(super) struct Pending {
    entries: Vec<Entry>,
    free: Vec<u32>,
    /// The entry inactive the longest, and the one active last.
    first: Option<u32>,
    last: Option<u32>,
    /// Memory in use, and its limit.
    bytes: usize,
    bytes_max: usize,
    /// Policies of dropped requests that are not counted yet.
    dropped: Vec<usize>,
}

/// Size of an entry without what it points to: itself and its index among the free ones.
const ENTRY_BYTES: usize = size_of::<Entry>() + size_of::<u32>();

impl Exchange {
    fn capacity(&self) -> usize {
        let recorded = self.recording.as_ref().map_or(0, Recording::capacity);
        [self.request.capacity(), recorded]
            .into_iter()
            .fold(ENTRY_BYTES, usize::saturating_add)
    }
}

impl Pending {
    /// Creates an empty collection with a memory limit.
    pub(super) fn new(bytes_max: usize) -> Pending {
        Pending {
            entries: Vec::new(),
            free: Vec::new(),
            first: None,
            last: None,
            bytes: 0,
            bytes_max,
            dropped: Vec::new(),
        }
    }

    /// Memory in use.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Inserts a request; `None` if it is larger than the limit.
    #[inline]
    pub(super) fn insert(&mut self, policy: usize, request: CacheRequest) -> Option<Handle> {
        let exchange = Exchange {
            policy,
            request,
            recording: None,
        };
        let bytes = exchange.capacity();
        if !self.make_room(bytes, None) {
            self.dropped.push(policy);
            return None;
        }
        let at = match self.free.pop() {
            Some(at) => at,
            None => {
                self.entries.push(Entry::default());
                u32::try_from(self.entries.len().checked_sub(1)?).ok()?
            }
        };
        self.bytes = self.bytes.saturating_add(bytes);
        let entry = self.entry_mut(at)?;
        entry.generation = entry.generation.wrapping_add(1);
        entry.exchange = Some(exchange);
        let generation = entry.generation;
        self.link_last(at);
        Some(Handle { at, generation })
    }

    /// Returns a request, unless it was dropped.
    #[inline]
    pub(super) fn get(&self, handle: Handle) -> Option<&Exchange> {
        let entry = self.entries.get(usize::try_from(handle.at).ok()?)?;
        let exchange = entry.exchange.as_ref();
        exchange.filter(|_| entry.generation == handle.generation)
    }

    /// Removes a request.
    pub(super) fn remove(&mut self, handle: Handle) -> Option<Exchange> {
        self.get(handle)?;
        self.take(handle.at)
    }

    /// Begins to record the response of a request.
    ///
    /// # Errors
    ///
    /// If there is no room, or the request was dropped.
    pub(super) fn record(&mut self, handle: Handle, recording: Recording) -> Result<(), NotStored> {
        self.get(handle).ok_or(NotStored::GivenUp)?;
        self.take_recording(handle);
        let more = recording.capacity();
        self.touch(handle.at);
        if !self.make_room(more, Some(handle.at)) {
            return Err(NotStored::Full);
        }
        self.bytes = self.bytes.saturating_add(more);
        if let Some(exchange) = self.exchange_mut(handle.at) {
            exchange.recording = Some(recording);
        }
        Ok(())
    }

    /// Appends a chunk to a recording.
    ///
    /// # Errors
    ///
    /// If there is no room, or the recording was dropped.
    pub(super) fn push(&mut self, handle: Handle, chunk: &[u8]) -> Result<(), NotStored> {
        let exchange = self.get(handle).ok_or(NotStored::GivenUp)?;
        let recording = exchange.recording.as_ref().ok_or(NotStored::GivenUp)?;
        if !recording.fits(chunk.len()) {
            return Err(NotStored::TooLarge);
        }
        let (before, grown) = (recording.capacity(), recording.grown(chunk.len()));
        self.touch(handle.at);
        // While the record is copied, both the old and the new one exist.
        if grown.is_some_and(|grown| !self.make_room(grown, Some(handle.at))) {
            return Err(NotStored::Full);
        }
        let Some(recording) = self
            .exchange_mut(handle.at)
            .and_then(|exchange| exchange.recording.as_mut())
        else {
            return Err(NotStored::GivenUp);
        };
        if let Some(grown) = grown {
            recording.grow(grown);
        }
        recording.push(chunk);
        let after = recording.capacity();
        self.bytes = self.bytes.saturating_sub(before).saturating_add(after);
        Ok(())
    }

    /// Removes the recording of a response.
    pub(super) fn take_recording(&mut self, handle: Handle) -> Option<Recording> {
        self.get(handle)?;
        let recording = self.exchange_mut(handle.at)?.recording.take()?;
        self.bytes = self.bytes.saturating_sub(recording.capacity());
        Some(recording)
    }

    /// Drops the recordings of a URI that has changed: they may be from before that.
    pub(super) fn invalidate(&mut self, uri: u64) {
        for exchange in self
            .entries
            .iter_mut()
            .filter_map(|it| it.exchange.as_mut())
        {
            let matches = exchange
                .recording
                .as_ref()
                .is_some_and(|it| it.hashes.uri == uri);
            if matches && let Some(recording) = exchange.recording.take() {
                self.bytes = self.bytes.saturating_sub(recording.capacity());
            }
        }
    }

    /// Returns the policy of a dropped request that is not counted yet.
    pub(super) fn next_dropped(&mut self) -> Option<usize> {
        self.dropped.pop()
    }

    /// Drops inactive requests, but never `keep`, until there is room for `more` bytes. Returns
    /// false, and drops none, if that cannot be enough.
    fn make_room(&mut self, more: usize, keep: Option<u32>) -> bool {
        let kept = keep
            .and_then(|at| self.exchange_mut(at))
            .map_or(0, |it| it.capacity());
        if kept.saturating_add(more) > self.bytes_max {
            return false;
        }
        while self.bytes.saturating_add(more) > self.bytes_max {
            let Some(first) = self.first.filter(|first| Some(*first) != keep) else {
                return false;
            };
            let Some(exchange) = self.take(first) else {
                return false;
            };
            self.dropped.push(exchange.policy);
        }
        true
    }

    #[inline]
    fn take(&mut self, at: u32) -> Option<Exchange> {
        let exchange = self.entry_mut(at)?.exchange.take()?;
        self.unlink(at);
        self.free.push(at);
        self.bytes = self.bytes.saturating_sub(exchange.capacity());
        Some(exchange)
    }

    fn touch(&mut self, at: u32) {
        if self.last != Some(at) {
            self.unlink(at);
            self.link_last(at);
        }
    }

    #[inline]
    fn link_last(&mut self, at: u32) {
        let before = self.last.replace(at);
        match before.and_then(|before| self.entry_mut(before)) {
            None => self.first = Some(at),
            Some(entry) => entry.after = Some(at),
        }
        if let Some(entry) = self.entry_mut(at) {
            (entry.before, entry.after) = (before, None);
        }
    }

    #[inline]
    fn unlink(&mut self, at: u32) {
        let Some(Entry { before, after, .. }) = self.entry_mut(at) else {
            return;
        };
        let (before, after) = (*before, *after);
        match before.and_then(|before| self.entry_mut(before)) {
            None => self.first = after,
            Some(entry) => entry.after = after,
        }
        match after.and_then(|after| self.entry_mut(after)) {
            None => self.last = before,
            Some(entry) => entry.before = before,
        }
    }

    #[inline]
    fn entry_mut(&mut self, at: u32) -> Option<&mut Entry> {
        self.entries.get_mut(usize::try_from(at).ok()?)
    }

    fn exchange_mut(&mut self, at: u32) -> Option<&mut Exchange> {
        self.entry_mut(at)?.exchange.as_mut()
    }
}
