//! Records as bytes: a fixed layout under a version and a checksum.
//!
//! Workers hand each other the state of circuits through memory that others can
//! write too, and that outlives the module which wrote it. So a record is read as
//! if it came from a stranger: an unknown version, another kind, a wrong checksum
//! or a value out of range makes it no record at all. Nothing of it is trusted,
//! and nothing of it can be half read.
//!
//! A record is `"spw"`, the version, its kind, the fields, and a checksum over all
//! before it. Numbers are little-endian and have their full width; an option is a
//! byte that says whether the value follows. Not a self-describing format: its
//! reader would be larger than all the layouts here, and every field would be paid
//! for at each merge.

use alloc::vec::Vec;
use core::hash::Hasher;

use siphasher::sip::SipHasher13;

use crate::time::{Instant, Span};

/// The version of all layouts. It stands in the names of records as well, so that a
/// module of another version keeps its own beside these.
pub const VERSION: u8 = 3;

const MAGIC: [u8; 3] = *b"spw";
/// Bytes in front of the fields of a record.
pub(crate) const HEAD_BYTES: usize = MAGIC.len() + 2;
/// Bytes behind the fields of a record.
pub const CHECKSUM_BYTES: usize = 8;

/// What a record is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The policies that there are.
    Directory = 1,
    /// Which slots of a policy are taken, and until when its circuits are open.
    Census = 2,
    /// One circuit.
    Circuit = 3,
    /// Which answers are kept in one shard.
    Shard = 4,
    /// One kept answer.
    Answer = 5,
    /// The last transitions of all circuits.
    History = 6,
}

/// A value with a fixed place for everything in it.
pub trait Encode: Sized {
    /// Appends the value.
    fn write(&self, out: &mut Vec<u8>);

    /// Takes a value off the front; absent where the bytes are none.
    fn read(from: &mut Reader<'_>) -> Option<Self>;
}

/// Bytes yet to be read.
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Fields without a frame around them.
    pub(crate) fn new(fields: &'a [u8]) -> Reader<'a> {
        Reader(fields)
    }

    /// Takes `len` bytes.
    pub fn bytes(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    /// Takes a text with its length in front.
    pub fn text(&mut self) -> Option<&'a [u8]> {
        let len = u16::read(self)?;
        self.bytes(usize::from(len))
    }

    /// Takes bytes of any number with their length in front.
    pub fn long_bytes(&mut self) -> Option<&'a [u8]> {
        let len = u32::read(self)?;
        self.bytes(usize::try_from(len).ok()?)
    }

    /// All that is left.
    pub(crate) fn rest(self) -> &'a [u8] {
        self.0
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value, if nothing is left behind it.
    pub fn end<T>(self, value: T) -> Option<T> {
        self.0.is_empty().then_some(value)
    }
}

/// Appends a text with its length in front; longer ones than 65,535 bytes are cut.
pub fn write_text(text: &[u8], out: &mut Vec<u8>) {
    let len = u16::try_from(text.len()).unwrap_or(u16::MAX);
    len.write(out);
    out.extend_from_slice(text.get(..usize::from(len)).unwrap_or(text));
}

/// Appends bytes with their length in front, which a host's memory keeps below 4 GiB.
pub fn write_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    len.write(out);
    out.extend_from_slice(bytes);
}

/// Writes a whole record into `out`, in place of what stood there.
pub fn seal(kind: Kind, out: &mut Vec<u8>, fields: impl FnOnce(&mut Vec<u8>)) {
    begin(kind, out);
    fields(out);
    finish(out);
}

/// Begins a record in `out`, in place of what stood there: its fields are appended, and
/// [`finish`] is called at their end.
pub fn begin(kind: Kind, out: &mut Vec<u8>) {
    out.clear();
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&[VERSION, kind as u8]);
}

/// Appends the checksum.
pub fn finish(out: &mut Vec<u8>) {
    let sum = checksum(out);
    sum.write(out);
}

/// The fields of a record of this kind; absent where the bytes are none.
pub fn open(kind: Kind, record: &[u8]) -> Option<Reader<'_>> {
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

/// Tells damage, not forgery: whoever can write here is in the same process.
fn checksum(bytes: &[u8]) -> u64 {
    let mut hasher = SipHasher13::new();
    hasher.write(bytes);
    hasher.finish()
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
