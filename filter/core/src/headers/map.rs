//! Header maps as a proxy-wasm host encodes them: a count, the lengths of all names and
//! values, then the names and values themselves, each followed by a NUL. Numbers are `u32`,
//! little-endian.
//!
//! A map is read in place. A request's headers cost the one copy that the host makes, and
//! one more if they are saved for later. A malformed map ends at the first pair that does not
//! fit.

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
        let (pairs, mut texts) = self.parts();
        let mut lengths = pairs.iter();
        core::iter::from_fn(move || pair_of(&mut texts, u64::from_le_bytes(*lengths.next()?)))
    }

    /// Returns the lengths of the names and values, and the bytes that they divide.
    #[inline]
    fn parts(&self) -> (&[[u8; WORD_PAIR]], &[u8]) {
        let (count, rest) = self.0.split_at_checked(WORD).unwrap_or_default();
        let lengths_len = word(count).saturating_mul(WORD_PAIR);
        let (lengths, texts) = rest.split_at_checked(lengths_len).unwrap_or_default();
        (lengths.as_chunks().0, texts)
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
        let lens = names.iter().fold(0, |lens, name| {
            let len = u64::try_from(name.len()).unwrap_or_default();
            lens | 1_u64 << (len % 64)
        });
        let (pairs, texts) = self.parts();
        // Lengths have 32 bits and their number is bounded by memory, so the sum does not
        // overflow.
        let mut at: u64 = 0;
        for pair in pairs {
            let both = u64::from_le_bytes(*pair);
            let (name_len, value_len) = lengths(both);
            let next = at.wrapping_add(name_len).wrapping_add(value_len);
            if lens >> (both % 64) & 1 != 0 {
                let found = usize::try_from(at).ok().and_then(|at| texts.get(at..));
                let found = found.and_then(|mut texts| pair_of(&mut texts, both));
                find(found, names, &mut values);
            }
            at = next.wrapping_add(2);
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

/// Returns the lengths of a name and its value.
#[inline]
fn lengths(both: u64) -> (u64, u64) {
    (both & u64::from(u32::MAX), both >> u32::BITS)
}

/// Removes a name and its value from the front of `texts`, and returns them.
#[inline]
fn pair_of<'a>(texts: &mut &'a [u8], both: u64) -> Option<(&'a [u8], &'a [u8])> {
    let (name_len, value_len) = lengths(both);
    Some((take(texts, name_len)?, take(texts, value_len)?))
}

/// Removes a text and the NUL after it from the front of `texts`, and returns the text.
#[inline]
fn take<'a>(texts: &mut &'a [u8], len: u64) -> Option<&'a [u8]> {
    let (text, rest) = texts.split_at_checked(usize::try_from(len).ok()?)?;
    *texts = rest.get(1..)?;
    Some(text)
}

/// Notes the value of a pair if its name is one of `names` that has none yet.
#[inline(never)]
fn find<'a>(pair: Option<(&'a [u8], &'a [u8])>, names: &[&str], values: &mut [Option<&'a [u8]>]) {
    let Some((found, value)) = pair else {
        return;
    };
    for (name, first) in names.iter().zip(values) {
        let name = name.as_bytes();
        // Names of one length mostly differ in their first byte, and `x-request-id` comes with
        // every request.
        if name.len() == found.len() && name.first() == found.first() && name == found {
            first.get_or_insert(value);
        }
    }
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

#[cfg(test)]
mod tests;
