//! Which responses may be stored, and with which headers.

use alloc::vec::Vec;

use super::cache_control::CacheControl;
use super::conditional::{confirms, describes_body};
use super::request::{CacheRequest, Hashes, Purpose, upper_half};
use super::stored::StoredResponse;
use super::vary;
use crate::headers::{Headers, Hops, is_hop};
use crate::http_value::{date, number};
use crate::shared::key;
use crate::time::Span;

/// A response to store, without its body.
#[derive(Debug)]
pub(super) struct Recorder {
    pub(super) stored: StoredResponse,
    /// Names that it varies by, separated by commas.
    pub(super) vary: Vec<u8>,
    pub(super) hashes: Hashes,
    /// Tells whether another response is the same, see [`validator`].
    pub(super) validator: u32,
    /// Length of the body, if the headers have it.
    pub(super) length: Option<usize>,
}

/// What a policy and the host add to a response's headers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts {
    /// Whether the policy's owner vouches that responses do not depend on the client.
    pub(super) vouched: bool,
    /// Seconds since 1970.
    pub(super) unix_secs: u64,
    /// Seed of all hashes.
    pub(super) seed: u64,
}

impl Recorder {
    /// Begins with the headers of a response; `None` if it must not be stored.
    pub(super) fn new(request: &CacheRequest, headers: &Headers, facts: Facts) -> Option<Recorder> {
        let complete = headers.first(":status") == Some(b"200");
        let age = age(headers, facts.unix_secs);
        let recorder = Recorder::with_age(request, headers, age, facts);
        recorder.filter(|_| complete)
    }

    /// Updates a stored response with the headers of a 304 (RFC 9111, 4.3.4); `None` if the 304
    /// is about another response, or forbids to store it.
    pub(super) fn refreshed(
        request: &CacheRequest,
        stored: &StoredResponse,
        headers: &Headers,
        facts: Facts,
    ) -> Option<Recorder> {
        if !confirms(&stored.headers, headers, &request.headers) {
            return None;
        }
        let newer = end_to_end(headers);
        let is_newer = |name: &[u8]| !describes_body(name) && newer.values(name).next().is_some();
        let mut merged = Headers::default();
        let old = stored.headers.iter().filter(|(name, _)| !is_newer(name));
        let new = newer.iter().filter(|(name, _)| !describes_body(name));
        old.chain(new)
            .for_each(|(name, value)| merged.push(name, value));
        let age = age(headers, facts.unix_secs);
        let recorder = Recorder::with_age(request, &merged, age, facts);
        recorder.filter(|it| it.stored.variant == stored.variant)
    }

    fn with_age(
        request: &CacheRequest,
        headers: &Headers,
        age: Span,
        facts: Facts,
    ) -> Option<Recorder> {
        if request.purpose != Purpose::Get {
            return None;
        }
        let requested = CacheControl::new(request.headers.values(b"cache-control"));
        let control = CacheControl::new(headers.values(b"cache-control"));
        let is_public = control.is_public || control.s_maxage.is_some();
        if requested.is_no_store || control.forbids() || headers.has("set-cookie") {
            return None;
        }
        if !is_public && !facts.vouched {
            return None;
        }
        let vary = vary::names(headers)?;
        let variant = vary::variant(&vary, &request.headers);
        let fresh_for = fresh_for(&control, headers, facts.unix_secs);
        let length = headers.first("content-length").and_then(number);
        Some(Recorder {
            vary,
            hashes: Hashes {
                variant: vary::hash(facts.seed, &variant),
                ..request.usual
            },
            validator: validator(headers, facts.seed),
            length: length.map(|length| usize::try_from(length).unwrap_or(usize::MAX)),
            stored: StoredResponse {
                resource: request.resource.clone(),
                variant,
                is_public,
                at: request.at,
                age,
                fresh_for,
                usable_for: usable_for(&control, fresh_for),
                headers: end_to_end(headers),
                body: Vec::new(),
            },
        })
    }
}

/// Returns a hash by which to tell whether two responses of a resource are the same, before their
/// bodies are there: that of the tag, else of the date (RFC 9110, 8.8), else of the length.
pub(super) fn validator(headers: &Headers, seed: u64) -> u32 {
    let tag = headers
        .first("etag")
        .or_else(|| headers.first("last-modified"));
    let value = tag.or_else(|| headers.first("content-length"));
    upper_half(key::hash(seed, value.unwrap_or_default()))
}

/// Returns the age of a response at the time of its request (RFC 9111, 4.2.3). The time that
/// the response took counts from the request on.
fn age(headers: &Headers, unix_secs: u64) -> Span {
    let age = headers.first("age").and_then(number).unwrap_or(0);
    let date = headers.first("date").and_then(date);
    let apparent = date.map_or(0, |date| unix_secs.saturating_sub(date));
    Span::from_secs(age.max(apparent))
}

/// Returns how long a response is fresh (RFC 9111, 4.2.1), without heuristics.
fn fresh_for(control: &CacheControl, headers: &Headers, unix_secs: u64) -> Span {
    let expires = || {
        let expires = headers.first("expires").and_then(date)?;
        let date = headers.first("date").and_then(date);
        Some(expires.saturating_sub(date.unwrap_or(unix_secs)))
    };
    let secs = control.s_maxage.or(control.max_age).or_else(expires);
    Span::from_secs(secs.unwrap_or(0))
}

/// Returns the age from which on a response's own headers forbid its use; `None` without such a
/// limit.
///
/// `stale-if-error` allows use for some time after the end of freshness (RFC 5861, 4). Without
/// it `s-maxage` implies `proxy-revalidate`, which allows none (RFC 9111, 5.2.2.10).
fn usable_for(control: &CacheControl, fresh_for: Span) -> Option<Span> {
    let extra = control.stale_if_error.or(control.s_maxage.map(|_| 0))?;
    let all = fresh_for
        .as_ns()
        .saturating_add(Span::from_secs(extra).as_ns());
    Some(Span::from_ns(all))
}

/// Returns the headers that a stored response keeps.
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
