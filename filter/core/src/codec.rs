//! Binary records: a fixed layout under a version and a checksum.
//!
//! Workers exchange the state of circuits through memory that other code in the process can
//! write too, and that outlives the module which wrote it. So a record is read like input from
//! a stranger: an unknown version, another kind, a wrong checksum or a value out of range makes
//! the whole record invalid. A reader never gets half a record.
//!
//! A record is `"spw"`, the version, its kind, the fields, and a checksum over all of those.
//! Numbers are little-endian at full width; an option is a byte that says whether a value
//! follows. The format does not describe itself: such a reader would be larger than all
//! records here, and each merge would pay for every field.

use alloc::vec::Vec;

use siphasher::sip::SipHasher13;

use crate::time::{Instant, Span};

/// Version of all record layouts. It is part of each record's name as well, so modules of
/// different versions use separate records.
pub const VERSION: u8 = 4;

const MAGIC: [u8; 3] = *b"spw";
/// Bytes before the fields of a record.
pub(crate) const HEAD_BYTES: usize = MAGIC.len() + 2;
/// Bytes after the fields of a record.
pub(crate) const CHECKSUM_BYTES: usize = 8;

/// Content of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The list of policies.
    Directory = 1,
    /// The taken slots of a policy, and the ends of open times.
    Census = 2,
    /// One circuit in its slot.
    Circuit = 3,
    /// One stored response.
    StoredResponse = 5,
    /// The last transitions of all circuits.
    History = 6,
    /// The index of one set of the stale cache.
    StaleSet = 7,
    /// When all slots of a policy were last read for its gauges.
    Survey = 8,
    /// The circuits that have a series of their own.
    Shown = 9,
}

/// A value with a fixed binary layout.
pub(crate) trait Encode: Sized {
    /// Appends the value.
    fn write(&self, out: &mut Vec<u8>);

    /// Reads a value from the front; `None` if the bytes are invalid.
    fn read(from: &mut Reader<'_>) -> Option<Self>;
}

/// Unread bytes of a record.
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Reads fields that no frame encloses.
    pub(crate) fn new(fields: &'a [u8]) -> Reader<'a> {
        Reader(fields)
    }

    /// Reads `len` bytes.
    pub(crate) fn bytes(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    /// Reads a text that [`write_text`] wrote.
    pub(crate) fn text(&mut self) -> Option<&'a [u8]> {
        let len = u16::read(self)?;
        self.bytes(usize::from(len))
    }

    /// Reads bytes that [`write_bytes`] wrote.
    pub(crate) fn long_bytes(&mut self) -> Option<&'a [u8]> {
        let len = u32::read(self)?;
        self.bytes(usize::try_from(len).ok()?)
    }

    pub(crate) fn rest(self) -> &'a [u8] {
        self.0
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns `value` if all bytes are read.
    pub(crate) fn end<T>(self, value: T) -> Option<T> {
        self.0.is_empty().then_some(value)
    }
}

/// Appends a two-byte length and the text, cut to 65,535 bytes.
pub(crate) fn write_text(text: &[u8], out: &mut Vec<u8>) {
    let len = u16::try_from(text.len()).unwrap_or(u16::MAX);
    len.write(out);
    out.extend_from_slice(text.get(..usize::from(len)).unwrap_or(text));
}

/// Appends a four-byte length and the bytes; a guest's memory cannot hold 4 GiB of them.
pub(crate) fn write_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    len.write(out);
    out.extend_from_slice(bytes);
}

/// Replaces `out` with a whole record.
pub(crate) fn seal(kind: Kind, out: &mut Vec<u8>, fields: impl FnOnce(&mut Vec<u8>)) {
    begin(kind, out);
    fields(out);
    finish(out);
}

/// Replaces `out` with the head of a record. The caller appends the fields, then calls
/// [`finish`].
pub(crate) fn begin(kind: Kind, out: &mut Vec<u8>) {
    out.clear();
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&[VERSION, kind as u8]);
}

/// Appends the checksum to a record.
pub(crate) fn finish(out: &mut Vec<u8>) {
    let sum = checksum(out);
    sum.write(out);
}

/// Returns the fields of a record; `None` if it is invalid or of another kind.
pub(crate) fn open(kind: Kind, record: &[u8]) -> Option<Reader<'_>> {
    let body_len = record.len().checked_sub(CHECKSUM_BYTES)?;
    let (body, sum) = record.split_at_checked(body_len)?;
    if checksum(body).to_le_bytes() != sum {
        return None;
    }
    let mut reader = Reader(body);
    let head = reader.bytes(HEAD_BYTES)?;
    let [m0, m1, m2, version, tag] = *head else {
        return None;
    };
    ([m0, m1, m2] == MAGIC && version == VERSION && tag == kind as u8).then_some(reader)
}

/// Detects damage, not forgery: whoever can write records is in the same process.
fn checksum(bytes: &[u8]) -> u64 {
    hash((0, 0), bytes)
}

/// Returns the hash of bytes. The module has one copy of the hash function.
#[inline(never)]
pub(crate) fn hash((first, second): (u64, u64), bytes: &[u8]) -> u64 {
    SipHasher13::new_with_keys(first, second).hash(bytes)
}

/// Returns a hash of bytes that is the same in every proxy, for names.
pub fn fingerprint(bytes: &[u8]) -> u64 {
    hash((0, !0), bytes)
}

macro_rules! number {
    ($($type:ty),*) => {$(
        impl Encode for $type {
            fn write(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_le_bytes());
            }

            fn read(from: &mut Reader<'_>) -> Option<$type> {
                let bytes = from.bytes(size_of::<$type>())?;
                bytes.try_into().ok().map(<$type>::from_le_bytes)
            }
        }
    )*};
}

number!(u8, u16, u32, u64);

impl Encode for bool {
    fn write(&self, out: &mut Vec<u8>) {
        u8::from(*self).write(out);
    }

    fn read(from: &mut Reader<'_>) -> Option<bool> {
        match u8::read(from)? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }
}

impl Encode for Span {
    fn write(&self, out: &mut Vec<u8>) {
        self.as_ns().write(out);
    }

    fn read(from: &mut Reader<'_>) -> Option<Span> {
        u64::read(from).map(Span::from_ns)
    }
}

impl Encode for Instant {
    fn write(&self, out: &mut Vec<u8>) {
        self.as_ns().write(out);
    }

    fn read(from: &mut Reader<'_>) -> Option<Instant> {
        u64::read(from).map(Instant::from_ns)
    }
}

impl<T: Encode> Encode for Option<T> {
    fn write(&self, out: &mut Vec<u8>) {
        self.is_some().write(out);
        if let Some(value) = self {
            value.write(out);
        }
    }

    fn read(from: &mut Reader<'_>) -> Option<Option<T>> {
        match bool::read(from)? {
            true => T::read(from).map(Some),
            false => Some(None),
        }
    }
}

#[cfg(test)]
mod tests;
