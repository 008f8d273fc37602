//! Header maps as a proxy-wasm host encodes them: a count, the lengths of all names and
//! values, then the texts themselves, each with a NUL behind it; numbers are `u32`,
//! little-endian.
//!
//! Read in place: a request's headers cost one copy, made by the host, and holding them
//! for later costs one more. What does not fit the encoding ends the map there. What
//! each request does is inlined where it is used, which is compiled for speed.

use alloc::vec::Vec;

use super::Headers;

/// An encoded header map.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Map(Vec<u8>);

const WORD: usize = 4;
const WORD_PAIR: usize = 8;

impl Map {
    /// Takes over an encoded map.
    pub fn new(encoded: Vec<u8>) -> Map {
        Map(encoded)
    }

    /// The pairs in their order.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let (count, rest) = self.0.split_at_checked(WORD).unwrap_or_default();
        let lengths_len = word(count).saturating_mul(WORD_PAIR);
        let (lengths, mut texts) = rest.split_at_checked(lengths_len).unwrap_or_default();
        lengths.chunks_exact(WORD_PAIR).map_while(move |lengths| {
            let (name_len, value_len) = lengths.split_at_checked(WORD)?;
            let name = take(&mut texts, word(name_len))?;
            let value = take(&mut texts, word(value_len))?;
            Some((name, value))
        })
    }

    /// The values of a header, by its name in lower case.
    pub fn values<'a>(&'a self, name: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        let named = self.iter().filter(move |(other, _)| *other == name);
        named.map(|(_, value)| value)
    }

    /// The first value of a header.
    pub fn first(&self, name: &str) -> Option<&[u8]> {
        let mut all = self.iter();
        all.find(|(other, _)| *other == name.as_bytes())
            .map(|(_, value)| value)
    }

    /// The first value of each of these names. The lengths alone rule nearly all pairs out, so
    /// a request costs one look at each of them.
    pub fn firsts<const N: usize>(&self, names: &[&str; N]) -> [Option<&[u8]>; N] {
        let mut values = [None; N];
        // A bit for each length, of which there are 64: most names are none of these.
        let bit = |len: usize| 1_u64 << (len % 64);
        let lens = names.iter().fold(0, |lens, name| lens | bit(name.len()));
        let (count, rest) = self.0.split_at_checked(WORD).unwrap_or_default();
        let lengths_len = word(count).saturating_mul(WORD_PAIR);
        let (lengths, texts) = rest.split_at_checked(lengths_len).unwrap_or_default();
        let mut at: usize = 0;
        for lengths in lengths.chunks_exact(WORD_PAIR) {
            let Some((name_len, value_len)) = lengths.split_at_checked(WORD) else {
                break;
            };
            let (name_len, value_len) = (word(name_len), word(value_len));
            let name_end = at.saturating_add(name_len);
            let value_at = name_end.saturating_add(1);
            let value_end = value_at.saturating_add(value_len);
            if lens & bit(name_len) != 0 {
                let found = texts.get(at..name_end);
                for (name, value) in names.iter().zip(&mut values) {
                    if value.is_none() && found == Some(name.as_bytes()) {
                        *value = texts.get(value_at..value_end);
                    }
                }
            }
            at = value_end.saturating_add(1);
        }
        values
    }

    /// The pairs as [`Headers`].
    pub fn to_headers(&self) -> Headers {
        let mut headers = Headers::default();
        for (name, value) in self.iter() {
            headers.push(name, value);
        }
        headers
    }

    /// The bytes that it takes.
    pub fn capacity(&self) -> usize {
        self.0.capacity()
    }
}

#[inline]
fn word(bytes: &[u8]) -> usize {
    let number = bytes.try_into().map_or(0, u32::from_le_bytes);
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// Takes a text off the front, and the NUL behind it.
#[inline]
fn take<'a>(texts: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (text, rest) = texts.split_at_checked(len)?;
    *texts = rest.get(1..)?;
    Some(text)
}

/// Encodes a map.
pub fn encode<N: AsRef<[u8]>>(pairs: &[(N, Vec<u8>)]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut push_len = |len: usize| {
        let len = u32::try_from(len).unwrap_or(u32::MAX);
        out.extend_from_slice(&len.to_le_bytes());
    };
    push_len(pairs.len());
    for (name, value) in pairs {
        push_len(name.as_ref().len());
        push_len(value.len());
    }
    for (name, value) in pairs {
        for text in [name.as_ref(), value] {
            out.extend_from_slice(text);
            out.push(0);
        }
    }
    out
}
