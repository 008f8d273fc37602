//! The ABI's encoding of a map: a count, the lengths of all names and values, then
//! the texts themselves, each with a NUL behind it; numbers are `u32`, little-endian.
//!
//! Read in place: a request's headers cost one copy, made by the host. What does
//! not fit the encoding ends the map there.

use spillway_core::headers::Headers;

/// A map as the host encodes it.
#[derive(Default)]
pub struct Pairs(Vec<u8>);

const WORD: usize = 4;
const WORD_PAIR: usize = 8;

impl Pairs {
    /// Takes over an encoded map.
    pub fn new(encoded: Vec<u8>) -> Pairs {
        Pairs(encoded)
    }

    /// The pairs in their order.
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

    /// The pairs, to be kept.
    pub fn to_headers(&self) -> Headers {
        let mut headers = Headers::default();
        for (name, value) in self.iter() {
            headers.push(name, value);
        }
        headers
    }
}

fn word(bytes: &[u8]) -> usize {
    let number = bytes.try_into().map_or(0, u32::from_le_bytes);
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// Takes a text off the front, and the NUL behind it.
fn take<'a>(texts: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (text, rest) = texts.split_at_checked(len)?;
    *texts = rest.get(1..)?;
    Some(text)
}

/// Encodes a map.
pub fn encode(pairs: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut push_len = |len: usize| {
        let len = u32::try_from(len).unwrap_or(u32::MAX);
        out.extend_from_slice(&len.to_le_bytes());
    };
    push_len(pairs.len());
    for (name, value) in pairs {
        push_len(name.len());
        push_len(value.len());
    }
    for (name, value) in pairs {
        for text in [name.as_bytes(), value] {
            out.extend_from_slice(text);
            out.push(0);
        }
    }
    out
}
