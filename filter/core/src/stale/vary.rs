//! Variants: responses to one resource that depend on request headers (RFC 9111, 4.1).

use alloc::vec::Vec;

use crate::codec::{Encode, Reader, write_bytes};
use crate::headers::{Headers, Map, list};
use crate::shared::key;

/// Longest list of `vary` names. Real lists are far shorter, and the index of a shard has to
/// hold them.
const VARY_BYTES_MAX: usize = 256;

/// Returns the names that a response varies by, in lower case and separated by commas; `None`
/// if no other request can share the response.
pub(super) fn names(headers: &Headers) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut add = |name: &[u8]| {
        if !out.is_empty() {
            out.push(b',');
        }
        out.extend_from_slice(name);
        let start = out.len().saturating_sub(name.len());
        out.get_mut(start..)
            .unwrap_or_default()
            .make_ascii_lowercase();
        out.len() <= VARY_BYTES_MAX && name != b"*"
    };
    let mut has_encoding = false;
    for name in headers.values(b"vary").flat_map(list) {
        has_encoding |= name.eq_ignore_ascii_case(b"accept-encoding");
        if !add(name) {
            return None;
        }
    }
    // Many servers omit it, and a client without support for the coding could not read the body.
    if headers.has("content-encoding") && !has_encoding && !add(b"accept-encoding") {
        return None;
    }
    Some(out)
}

/// Returns the variant of a request: the names of the list, each with the request's values.
pub(super) fn variant(names: &[u8], request: &Map) -> Vec<u8> {
    let mut out = Vec::new();
    for name in list(names) {
        let mut values = Headers::default();
        request
            .values(name)
            .for_each(|value| values.push(b"", value));
        write_bytes(name, &mut out);
        values.write(&mut out);
    }
    out
}

/// Returns the hash of a variant. It is 0 for the most common one, which has no names.
pub(super) fn hash(seed: u64, variant: &[u8]) -> u64 {
    if variant.is_empty() {
        0
    } else {
        key::hash(seed, variant)
    }
}

/// Whether a request has the values of a variant.
pub(super) fn matches(variant: &[u8], request: &Map) -> bool {
    let mut from = Reader::new(variant);
    while !from.is_empty() {
        let name = from.long_bytes();
        let values = name.and_then(|_| Headers::read(&mut from));
        let (Some(name), Some(values)) = (name, values) else {
            return false;
        };
        if !request.values(name).eq(values.values(b"")) {
            return false;
        }
    }
    true
}
