//! A response that is being recorded while it streams by.

use alloc::vec::Vec;

use super::{NotStored, Recorder};
use crate::codec::{self, CHECKSUM_BYTES, Encode};

/// A response up to here. Its record is built in place, so that storing it takes no second
/// copy of the body.
#[derive(Debug)]
pub(super) struct Recording {
    /// The record so far.
    record: Vec<u8>,
    /// Where the body's length stands in it, which is known at the end.
    length_at: usize,
    /// Length of the body, if the response says that.
    length: Option<usize>,
    /// Most bytes of the record.
    most: usize,
    /// Names that the response varies by, and the hash of what the request has under them.
    pub(super) vary: Vec<u8>,
    pub(super) variant: u64,
    /// The hash of the URI.
    pub(super) uri: u64,
}

const LENGTH_BYTES: usize = size_of::<u32>();

impl Recording {
    /// Begins to record.
    ///
    /// # Errors
    ///
    /// If the response does not fit into a record of `most` bytes.
    pub(super) fn new(collection: Recorder, uri: u64, most: usize) -> Result<Recording, NotStored> {
        let mut record = Vec::new();
        collection.kept.write_frame(&mut record);
        let length_at = record.len();
        0_u32.write(&mut record);
        let mut recording = Recording {
            record,
            length_at,
            length: collection.length,
            most,
            vary: collection.vary,
            variant: collection.variant,
            uri,
        };
        if !recording.fits(recording.length.unwrap_or(0)) {
            return Err(NotStored::TooLarge);
        }
        if let Some(length) = recording.length {
            recording.most = recording.len_with(length);
        }
        Ok(recording)
    }

    /// Whether `len` bytes more have room in the record.
    pub(super) fn fits(&self, len: usize) -> bool {
        self.len_with(len) <= self.most
    }

    /// Length of the record if it ended `len` bytes from here.
    fn len_with(&self, len: usize) -> usize {
        let len = self.record.len().saturating_add(len);
        len.saturating_add(CHECKSUM_BYTES)
    }

    /// The bytes that it takes.
    pub(super) fn capacity(&self) -> usize {
        self.record.capacity().saturating_add(self.vary.capacity())
    }

    /// The capacity of the record that appending `len` bytes needs, if that is another one.
    /// It doubles, so that many small chunks are not copied once each.
    pub(super) fn grown(&self, len: usize) -> Option<usize> {
        let needed = self.len_with(len);
        let doubled = self.record.capacity().saturating_mul(2).min(self.most);
        (needed > self.record.capacity()).then(|| needed.max(doubled))
    }

    /// Grows the record to a capacity.
    pub(super) fn grow(&mut self, capacity: usize) {
        let more = capacity.saturating_sub(self.record.len());
        self.record.reserve_exact(more);
    }

    pub(super) fn push(&mut self, chunk: &[u8]) {
        self.record.extend_from_slice(chunk);
    }

    /// Ends the record; `None` if the body has not the length that the headers say.
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
