//! The ABI's encoding of a map: the number of pairs, the lengths of all names and values, then
//! the names and values themselves, each followed by a NUL. Numbers are `u32`, little-endian.

use crate::headers::HeaderMap;

/// Envoy's limits. Anything larger reads as an empty map.
const BYTES_MAX: usize = 1 << 20;
const PAIRS_MAX: usize = 1_024;

const WORD: usize = 4;

/// Names and values as the guest wrote them.
pub(crate) type Pairs<'a> = Vec<(&'a [u8], &'a [u8])>;

/// Decodes a map. Malformed or too large bytes decode to an empty map.
pub(crate) fn decode(encoded: &[u8]) -> Pairs<'_> {
    if encoded.len() > BYTES_MAX {
        return Pairs::new();
    }
    try_decode(encoded).unwrap_or_default()
}

fn try_decode(encoded: &[u8]) -> Option<Pairs<'_>> {
    let (count, rest) = encoded.split_at_checked(WORD)?;
    let count = word(count);
    if count > PAIRS_MAX {
        return None;
    }
    let (lengths, mut texts) = rest.split_at_checked(count.checked_mul(2 * WORD)?)?;
    let mut pairs = Pairs::with_capacity(count);
    for lengths in lengths.chunks_exact(2 * WORD) {
        let (name_len, value_len) = lengths.split_at_checked(WORD)?;
        let name = take(&mut texts, word(name_len))?;
        pairs.push((name, take(&mut texts, word(value_len))?));
    }
    texts.is_empty().then_some(pairs)
}

fn word(bytes: &[u8]) -> usize {
    bytes.try_into().map_or(0, u32::from_le_bytes) as usize
}

/// Takes a text off the front, and the NUL that follows it.
fn take<'a>(texts: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (text, rest) = texts.split_at_checked(len)?;
    let (nul, rest) = rest.split_first()?;
    *texts = rest;
    (*nul == 0).then_some(text)
}

/// Returns the length of a map's encoding, in bytes.
pub(crate) fn encoded_len(map: &HeaderMap) -> usize {
    WORD + map.len() * (2 * WORD + 2) + map.byte_size()
}

/// Encodes a map into `out`, whose length must be [`encoded_len`].
pub(crate) fn encode(map: &HeaderMap, out: &mut [u8]) {
    let mut rest = out;
    put_len(&mut rest, map.len());
    for (name, value) in map.iter() {
        put_len(&mut rest, name.len());
        put_len(&mut rest, value.len());
    }
    for (name, value) in map.iter() {
        put(&mut rest, name);
        put(&mut rest, &[0]);
        put(&mut rest, value);
        put(&mut rest, &[0]);
    }
}

fn put_len(out: &mut &mut [u8], len: usize) {
    put(out, &u32::try_from(len).unwrap_or(u32::MAX).to_le_bytes());
}

fn put(out: &mut &mut [u8], bytes: &[u8]) {
    if let Some((target, rest)) = std::mem::take(out).split_at_mut_checked(bytes.len()) {
        target.copy_from_slice(bytes);
        *out = rest;
    }
}

/// Builds a map from pairs of the guest. Names become lower case, as in Envoy.
pub(crate) fn to_map(pairs: &Pairs<'_>) -> HeaderMap {
    let mut map = HeaderMap::default();
    for (name, value) in pairs {
        map.add(&name.to_ascii_lowercase(), value);
    }
    map
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(map: &HeaderMap) -> Vec<u8> {
        let mut out = vec![0xff; encoded_len(map)];
        encode(map, &mut out);
        out
    }

    #[test]
    fn an_encoded_map_decodes_to_the_same_pairs() {
        for map in [
            HeaderMap::default(),
            HeaderMap::from([("a", "1"), (":path", ""), ("long-name", "a\0b")]),
        ] {
            let bytes = encoded(&map);
            assert_eq!(decode(&bytes), map.iter().collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_malformed_or_too_large_map_is_empty() {
        let good = encoded(&HeaderMap::from([("a", "1"), ("b", "2")]));
        for len in 0..good.len() {
            assert_eq!(decode(&good[..len]), [], "cut to {len}");
        }
        let trailing = [good.clone(), vec![0]].concat();
        assert_eq!(decode(&trailing), []);
        let no_nul = [&good[..good.len() - 1], &[1]].concat();
        assert_eq!(decode(&no_nul), []);
        let many = encoded(&(0..1_025).map(|i| (i.to_string(), "")).collect());
        assert_eq!(decode(&many), []);
        assert_eq!(decode(&[0xff; 64]), []);
    }
}
