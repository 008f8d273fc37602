//! Header maps as a proxy-wasm host encodes them: a count, the lengths of all names and
//! values, then the names and values themselves, each followed by a NUL. Numbers are `u32`,
//! little-endian.
//!
//! A map is read in place. A request's headers cost the one copy that the host makes, and
//! one more if they are saved for later. A malformed map ends at the first pair that does not
//! fit. The functions that every request calls are inlined into the adapter, which is compiled
//! for speed.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::Headers;

/// An encoded header map.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Map(Box<[u8]>);

const WORD: usize = 4;
const WORD_PAIR: usize = 8;

impl Map {
    /// Wraps an encoded map.
    pub fn new(encoded: Box<[u8]>) -> Map {
        Map(encoded)
    }

    /// Returns the pairs in order.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let (lengths, mut texts) = self.parts();
        lengths.map_while(move |(name_len, value_len)| {
            let name = take(&mut texts, name_len)?;
            let value = take(&mut texts, value_len)?;
            Some((name, value))
        })
    }

    /// Returns the lengths of the names and values, and the bytes that they divide.
    #[inline]
    fn parts(&self) -> (impl Iterator<Item = (u64, u64)>, &[u8]) {
        let (count, rest) = self.0.split_at_checked(WORD).unwrap_or_default();
        let lengths_len = word(count).saturating_mul(WORD_PAIR);
        let (lengths, texts) = rest.split_at_checked(lengths_len).unwrap_or_default();
        let (pairs, _) = lengths.as_chunks::<WORD_PAIR>();
        let lengths = pairs.iter().map(|pair| {
            let both = u64::from_le_bytes(*pair);
            (both & u64::from(u32::MAX), both >> u32::BITS)
        });
        (lengths, texts)
    }

    /// Returns the values of a header. `name` is in lower case.
    pub fn values<'a>(&'a self, name: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        let named = self.iter().filter(move |(other, _)| *other == name);
        named.map(|(_, value)| value)
    }

    /// Returns the first value of a header.
    pub fn first(&self, name: &str) -> Option<&[u8]> {
        let mut all = self.iter();
        all.find(|(other, _)| *other == name.as_bytes())
            .map(|(_, value)| value)
    }

    /// Returns the first value of each of these names, in one pass. The lengths alone rule out
    /// nearly all pairs.
    pub fn firsts<const N: usize>(&self, names: &[&str; N]) -> [Option<&[u8]>; N] {
        let mut values = [None; N];
        // A set of lengths modulo 64. Most headers of a request are not in it.
        let bit = |len: u64| 1_u64 << (len % 64);
        let len = |name: &&str| u64::try_from(name.len()).unwrap_or_default();
        let lens = names.iter().fold(0, |lens, name| lens | bit(len(name)));
        let (lengths, texts) = self.parts();
        let mut at = 0;
        for (name_len, value_len) in lengths {
            let value_at = behind(at, name_len);
            if lens & bit(name_len) != 0 {
                let found = text(texts, at, name_len);
                for (name, value) in names.iter().zip(&mut values) {
                    if value.is_none() && found == Some(name.as_bytes()) {
                        *value = text(texts, value_at, value_len);
                    }
                }
            }
            at = behind(value_at, value_len);
        }
        values
    }

    /// Converts the pairs to [`Headers`].
    pub fn to_headers(&self) -> Headers {
        let mut headers = Headers::default();
        for (name, value) in self.iter() {
            headers.push(name, value);
        }
        headers
    }

    /// Returns the number of bytes allocated.
    pub fn capacity(&self) -> usize {
        self.0.len()
    }
}

#[inline]
fn word(bytes: &[u8]) -> usize {
    let number = bytes.try_into().map_or(0, u32::from_le_bytes);
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// Returns the text of this length at `at`.
#[inline]
fn text(texts: &[u8], at: u64, len: u64) -> Option<&[u8]> {
    let start = usize::try_from(at).ok()?;
    texts.get(start..)?.get(..usize::try_from(len).ok()?)
}

/// Removes a text and the NUL after it from the front of `texts`, and returns the text.
#[inline]
fn take<'a>(texts: &mut &'a [u8], len: u64) -> Option<&'a [u8]> {
    let (text, rest) = texts.split_at_checked(usize::try_from(len).ok()?)?;
    *texts = rest.get(1..)?;
    Some(text)
}

/// Returns where the text after this one begins, with a NUL between them. Lengths have 32 bits
/// and their number is bounded by memory, so the sum does not overflow.
#[inline]
fn behind(at: u64, len: u64) -> u64 {
    at.wrapping_add(len).wrapping_add(1)
}

/// Encodes a map.
pub fn encode<N: AsRef<[u8]>, V: AsRef<[u8]>>(pairs: &[(N, V)]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut push_len = |len: usize| {
        let len = u32::try_from(len).unwrap_or(u32::MAX);
        out.extend_from_slice(&len.to_le_bytes());
    };
    push_len(pairs.len());
    for (name, value) in pairs {
        push_len(name.as_ref().len());
        push_len(value.as_ref().len());
    }
    for (name, value) in pairs {
        for text in [name.as_ref(), value.as_ref()] {
            out.extend_from_slice(text);
            out.push(0);
        }
    }
    out
}
