//! A response that is recorded while it streams by.

use alloc::vec::Vec;

use super::recorder::Recorder;
use super::request::Hashes;
use crate::codec::{self, CHECKSUM_BYTES, Encode};

/// Reason why a response is not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotStored {
    /// No record or shard has room for its size.
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
    /// Names that the response varies by.
    pub(super) vary: Vec<u8>,
    /// Hash of the variant.
    variant: u64,
    /// Hash of the URI.
    pub(super) uri: u64,
}

const LENGTH_BYTES: usize = size_of::<u32>();

impl Recording {
    /// Begins to record.
    ///
    /// # Errors
    ///
    /// If the response does not fit into a record of `bytes_max` bytes.
    pub(super) fn new(
        recorder: Recorder,
        uri: u64,
        bytes_max: usize,
    ) -> Result<Recording, NotStored> {
        let mut record = Vec::new();
        recorder.stored.write_frame(&mut record);
        let length_at = record.len();
        0_u32.write(&mut record);
        let mut recording = Recording {
            record,
            length_at,
            length: recorder.length,
            bytes_max,
            vary: recorder.vary,
            variant: recorder.variant,
            uri,
        };
        if !recording.fits(recording.length.unwrap_or(0)) {
            return Err(NotStored::TooLarge);
        }
        if let Some(length) = recording.length {
            recording.bytes_max = recording.len_with(length);
        }
        Ok(recording)
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

    /// Hashes of the response, under the resource of its request.
    pub(super) fn hashes(&self, resource: u64) -> Hashes {
        Hashes {
            resource,
            variant: self.variant,
            uri: self.uri,
        }
    }

    /// Size in memory.
    pub(super) fn capacity(&self) -> usize {
        self.record.capacity().saturating_add(self.vary.capacity())
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
