//! Which responses may be stored, and with what.

use alloc::vec::Vec;

use super::cache_control::CacheControl;
use super::{CacheRequest, Purpose, StoredResponse, stored};
use crate::headers::{Headers, Hops, Map, is_hop, list};
use crate::http_value::{date, number};
use crate::keys;
use crate::time::Span;

/// Longest list of names in `vary`: longer ones are those of nobody, and the index of a
/// shard holds them.
const VARY_BYTES_MAX: usize = 256;

/// The headers of a response that may be stored.
#[derive(Debug)]
pub struct Recorder {
    pub(super) kept: StoredResponse,
    /// Names that it varies by, with a comma between them.
    pub(super) vary: Vec<u8>,
    /// The hash of what the request has under them.
    pub(super) variant: u64,
    /// Length of the body, if it says that.
    pub(super) length: Option<usize>,
}

impl Recorder {
    /// Begins with a response's headers, if it may be stored.
    ///
    /// `vouched` says that the policy's owner vouches that responses do not depend on who
    /// asks; `unix_secs` is the time since 1970.
    pub fn new(
        asked: &CacheRequest,
        headers: &Headers,
        vouched: bool,
        unix_secs: u64,
        seed: u64,
    ) -> Option<Recorder> {
        let whole = headers.first(":status") == Some(b"200");
        let age = age(headers, unix_secs);
        let collection = Recorder::of(asked, headers, age, (vouched, unix_secs, seed));
        collection.filter(|_| whole)
    }

    /// The stored response with the headers of a 304 to a request (RFC 9111, 4.3.4); `None`
    /// if that is about another one, or forbids to store it.
    pub(super) fn refreshed(
        asked: &CacheRequest,
        kept: &StoredResponse,
        headers: &Headers,
        vouched: bool,
        unix_secs: u64,
        seed: u64,
    ) -> Option<Recorder> {
        if !confirms(&kept.headers, headers, &asked.headers) {
            return None;
        }
        let newer = end_to_end(headers);
        let is_newer = |name: &[u8]| !describes_body(name) && newer.values(name).next().is_some();
        let mut merged = Headers::default();
        let old = kept.headers.iter().filter(|(name, _)| !is_newer(name));
        let new = newer.iter().filter(|(name, _)| !describes_body(name));
        old.chain(new)
            .for_each(|(name, value)| merged.push(name, value));
        let age = age(headers, unix_secs);
        let collection = Recorder::of(asked, &merged, age, (vouched, unix_secs, seed));
        collection.filter(|it| it.kept.variant == kept.variant)
    }

    fn of(
        asked: &CacheRequest,
        headers: &Headers,
        age: Span,
        (vouched, unix_secs, seed): (bool, u64, u64),
    ) -> Option<Recorder> {
        if asked.purpose != Purpose::Get {
            return None;
        }
        let asked_for = CacheControl::new(asked.headers.values(b"cache-control"));
        let said = CacheControl::new(headers.values(b"cache-control"));
        let for_all = said.is_public || said.s_maxage.is_some();
        if asked_for.is_no_store || said.forbids() || headers.has("set-cookie") {
            return None;
        }
        if !for_all && !vouched {
            return None;
        }
        let vary = vary(headers)?;
        let variant = variant(&vary, &asked.headers);
        let fresh_for = fresh_for(&said, headers, unix_secs);
        let length = headers.first("content-length").and_then(number);
        Some(Recorder {
            vary,
            variant: variant_hash(seed, &variant),
            length: length.map(|length| usize::try_from(length).unwrap_or(usize::MAX)),
            kept: StoredResponse {
                resource: asked.resource.clone(),
                variant,
                for_all,
                at: asked.at,
                age,
                fresh_for,
                usable_for: usable_for(&said, fresh_for),
                headers: end_to_end(headers),
                body: Vec::new(),
            },
        })
    }
}

/// The names that a response varies by, in lower case and with a comma between them; `None`
/// if no other request can share it.
fn vary(headers: &Headers) -> Option<Vec<u8>> {
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
    let mut names_coding = false;
    for name in headers.values(b"vary").flat_map(list) {
        names_coding |= name.eq_ignore_ascii_case(b"accept-encoding");
        if !add(name) {
            return None;
        }
    }
    // Servers forget to say so, and a caller who cannot read the coding gets noise.
    if headers.has("content-encoding") && !names_coding && !add(b"accept-encoding") {
        return None;
    }
    Some(out)
}

/// What a request has under these names.
pub(super) fn variant(vary: &[u8], headers: &Map) -> Vec<u8> {
    let mut out = Vec::new();
    for name in list(vary) {
        stored::write_varying(name, headers.values(name), &mut out);
    }
    out
}

/// The hash of a variant; most responses do not vary.
pub(super) fn variant_hash(seed: u64, variant: &[u8]) -> u64 {
    if variant.is_empty() {
        0
    } else {
        keys::hash(seed, variant)
    }
}

/// Whether a 304 is about this stored response: by the tag that it has, or by the only one
/// that the request knew; else by the date.
fn confirms(stored: &Headers, not_modified: &Headers, request: &Map) -> bool {
    let mut tags = request.values(b"if-none-match").flat_map(list);
    let (first, second) = (tags.next(), tags.next());
    let known = first.filter(|_| second.is_none());
    let tag = not_modified.first("etag").or(known);
    match (tag, stored.first("etag")) {
        // A weak tag says that either is as good; a strong one means the very same bytes.
        (Some(tag), Some(stored)) => {
            tag == stored
                || (tag.starts_with(b"W/") && stored::opaque(tag) == stored::opaque(stored))
        }
        (None, _) => {
            let date = not_modified.first("last-modified");
            // Upstreams do not look at the request's where there are tags (RFC 9110, 13.1.3).
            let asked = || {
                request
                    .first("if-modified-since")
                    .filter(|_| first.is_none())
            };
            let date = date.or_else(asked);
            date.is_some() && date == stored.first("last-modified")
        }
        (Some(_), None) => false,
    }
}

/// Whether a header describes the body, which a 304 does not have.
pub(super) fn describes_body(name: &[u8]) -> bool {
    name.starts_with(b"content-") && name != b"content-location"
}

/// How old an answer was when its request came, but for the time that this took (RFC 9111,
/// 4.2.3): that counts from the request on.
fn age(headers: &Headers, unix_secs: u64) -> Span {
    let told = headers.first("age").and_then(number).unwrap_or(0);
    let date = headers.first("date").and_then(date);
    let apparent = date.map_or(0, |date| unix_secs.saturating_sub(date));
    Span::from_secs(told.max(apparent))
}

/// How long an answer is fresh (RFC 9111, 4.2.1); nothing is guessed.
fn fresh_for(said: &CacheControl, headers: &Headers, unix_secs: u64) -> Span {
    let expires = || {
        let expires = headers.first("expires").and_then(date)?;
        let date = headers.first("date").and_then(date);
        Some(expires.saturating_sub(date.unwrap_or(unix_secs)))
    };
    let secs = said.s_maxage.or(said.max_age).or_else(expires);
    Span::from_secs(secs.unwrap_or(0))
}

/// The age beyond which the answer itself forbids its use, if it has a word on that.
///
/// `stale-if-error` says how long it may be used past its freshness (RFC 5861, 4). Without,
/// `s-maxage` means what `proxy-revalidate` does: not at all (RFC 9111, 5.2.2.10).
fn usable_for(said: &CacheControl, fresh_for: Span) -> Option<Span> {
    let extra = said.stale_if_error.or(said.s_maxage.map(|_| 0))?;
    let all = fresh_for
        .as_ns()
        .saturating_add(Span::from_secs(extra).as_ns());
    Some(Span::from_ns(all))
}

/// The headers that go with the answer to whoever gets it.
fn end_to_end(headers: &Headers) -> Headers {
    let mut hops = Hops::default();
    for names in headers.values(b"connection") {
        hops.add(names);
    }
    let dropped: [&[u8]; 5] = [
        b"age",
        b"content-length",
        b"server",
        b"x-circuit-fallback",
        b"x-circuit-state",
    ];
    let mut kept = Headers::default();
    for (name, value) in headers.iter() {
        let own = name.starts_with(b":") || name.starts_with(b"x-envoy-");
        if !own && !is_hop(name) && !hops.have(name) && !dropped.contains(&name) {
            kept.push(name, value);
        }
    }
    kept
}
