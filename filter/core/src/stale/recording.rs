//! A response that is recorded while it streams by.

use alloc::vec::Vec;

use super::index::Item;
use super::recorder::Recorder;
use super::request::Hashes;
use crate::codec::{self, CHECKSUM_BYTES, Encode};
use crate::time::Span;

/// Reason why a response is not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotStored {
    /// It is larger than the store allows.
    TooLarge,
    /// Too much is being recorded.
    Full,
    /// The write lost every compare-and-swap, or the recording was dropped.
    GivenUp,
}

/// The beginning of a response. Its record is built in place, so that storing it needs no
/// second copy of the body.
#[derive(Debug)]
pub(super) struct Recording {
    record: Vec<u8>,
    /// Offset of the body's length in the record, which is known at the end only.
    length_at: usize,
    /// Length of the body, if the headers have it.
    length: Option<usize>,
    /// Limit of the record's length.
    bytes_max: usize,
    pub(super) hashes: Hashes,
    /// What the index will have on it.
    pub(super) item: Item,
}

const LENGTH_BYTES: usize = size_of::<u32>();

impl Recording {
    /// Begins to record. The record may have `bytes_max` bytes.
    pub(super) fn new(recorder: Recorder, lifetime: Span, bytes_max: usize) -> Recording {
        let mut record = Vec::new();
        recorder.stored.write_frame(&mut record);
        let length_at = record.len();
        0_u32.write(&mut record);
        let (hashes, validator) = (recorder.hashes, recorder.validator);
        let mut recording = Recording {
            record,
            length_at,
            length: recorder.length,
            bytes_max,
            hashes,
            item: Item::new(hashes, &recorder.vary, validator, lifetime),
        };
        if recording.length.is_some() {
            recording.bytes_max = recording.expected().min(bytes_max);
        }
        recording
    }

    /// Whether the whole record fits, as far as its headers tell.
    pub(super) fn fits_all(&self) -> bool {
        self.expected() <= self.bytes_max
    }

    /// Whether the record has room for `len` more bytes of the body.
    pub(super) fn fits(&self, len: usize) -> bool {
        self.len_with(len) <= self.bytes_max
    }

    /// Length of the record if the body ended after `len` more bytes.
    fn len_with(&self, len: usize) -> usize {
        let len = self.record.len().saturating_add(len);
        len.saturating_add(CHECKSUM_BYTES)
    }

    /// Length of the whole record, at least.
    pub(super) fn expected(&self) -> usize {
        self.len_with(self.length.unwrap_or(0))
    }

    /// Size in memory.
    pub(super) fn capacity(&self) -> usize {
        self.record.capacity().saturating_add(self.item.vary.len())
    }

    /// Returns the capacity to grow to before appending `len` bytes; `None` if they fit already.
    /// It doubles, so that the record is not copied for each of many small chunks.
    pub(super) fn grown(&self, len: usize) -> Option<usize> {
        let needed = self.len_with(len);
        let doubled = self.record.capacity().saturating_mul(2).min(self.bytes_max);
        (needed > self.record.capacity()).then(|| needed.max(doubled))
    }

    /// Grows the record to this capacity.
    pub(super) fn grow(&mut self, capacity: usize) {
        let more = capacity.saturating_sub(self.record.len());
        self.record.reserve_exact(more);
    }

    pub(super) fn push(&mut self, chunk: &[u8]) {
        self.record.extend_from_slice(chunk);
    }

    /// Ends the record; `None` if the body does not have the length that the headers declare.
    pub(super) fn end(mut self) -> Option<Vec<u8>> {
        let body_at = self.length_at.saturating_add(LENGTH_BYTES);
        let body_len = self.record.len().saturating_sub(body_at);
        if self.length.is_some_and(|length| length != body_len) {
            return None;
        }
        let length = u32::try_from(body_len).ok()?.to_le_bytes();
        self.record
            .get_mut(self.length_at..body_at)?
            .copy_from_slice(&length);
        codec::finish(&mut self.record);
        Some(self.record)
    }
}
