//! Good answers that are kept, for when the upstream has none.
//!
//! What may be kept, for whom, and for how long is HTTP's to say (RFC 9111 for a shared
//! cache, RFC 5861 for errors), and every doubt is a no: an answer that is not there costs
//! its caller an error, one that was somebody else's costs trust. So a request that carries
//! credentials neither leaves an answer nor gets one, and what an answer was kept under is
//! compared whole.
//!
//! This is no cache: nothing is answered from here while the upstream answers. Answers
//! lie on a [`Shelf`] that all workers share; a piece at a time is taken down from what
//! streams by, which never waits for it.

use alloc::vec::Vec;

use crate::headers::{Headers, Hops, is_hop, list};
use crate::hint;
use crate::keys;
use crate::select::Request;
use crate::snapshot::write_bytes;
use crate::time::{Instant, Span};

mod cache_control;
mod kept;
mod shelf;

use cache_control::CacheControl;
pub use kept::Kept;
pub use shelf::{SHARDS_MAX, Shelf, Unkept, clear};

/// Headers with which a request gets no kept answer, and leaves none: who asks is in them,
/// or they ask for something that only the upstream can tell.
const ALONE: [&str; 6] = [
    "authorization",
    "cookie",
    "if-match",
    "if-unmodified-since",
    "proxy-authorization",
    "range",
];

/// What a request has to do with kept answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// GET: its answer may be kept, and it may get one.
    Get,
    /// HEAD: it may get one.
    Head,
    /// It changes what it names, so that kept answers are not true any more.
    Change,
}

/// A request, as far as kept answers go.
#[derive(Clone, Debug)]
pub struct Asked {
    purpose: Purpose,
    /// What is asked for, and under which policy and key: all that kept answers must have in
    /// common with it but for what `vary` names.
    resource: Vec<u8>,
    hash: u64,
    headers: Headers,
    at: Instant,
}

/// The policy of a request, and its key.
#[derive(Clone, Copy, Debug)]
pub struct Under<'a> {
    /// The policy's name.
    pub policy: &'a str,
    /// What its keys are made of, as a hash.
    pub key_make: u64,
    /// The key tuple.
    pub key: &'a [u8],
}

impl Asked {
    /// A request that comes now; absent where kept answers have nothing to do with it.
    pub fn new(request: &impl Request, under: Under<'_>, seed: u64, now: Instant) -> Option<Asked> {
        let purpose = match request.header(":method")? {
            b"GET" => Purpose::Get,
            b"HEAD" => Purpose::Head,
            b"OPTIONS" | b"TRACE" | b"CONNECT" => return None,
            _ => Purpose::Change,
        };
        let changes = purpose == Purpose::Change;
        if !changes && ALONE.iter().any(|name| request.header(name).is_some()) {
            return None;
        }
        let mut resource = Vec::new();
        let named = [":scheme", ":authority", ":path"].map(|name| request.header(name));
        resource.extend_from_slice(&under.key_make.to_le_bytes());
        for part in [under.policy.as_bytes(), under.key] {
            write_bytes(part, &mut resource);
        }
        for part in [request.cluster()].into_iter().chain(named) {
            resource.push(u8::from(part.is_some()));
            write_bytes(part.unwrap_or_default(), &mut resource);
        }
        Some(Asked {
            purpose,
            hash: keys::hash(seed, &resource),
            resource,
            headers: if changes {
                Headers::default()
            } else {
                request.copy_headers()
            },
            at: now,
        })
    }

    /// What it has to do with kept answers.
    pub fn purpose(&self) -> Purpose {
        self.purpose
    }

    /// Whether a header, by its name in lower case, has the same values here.
    fn has_values<'v>(&self, name: &[u8], values: impl Iterator<Item = &'v [u8]>) -> bool {
        self.headers.values(name).eq(values)
    }
}

/// An answer that is being taken down.
#[derive(Debug)]
pub struct Collection {
    kept: Kept,
    /// The hashes of what it is kept under.
    place: (u64, u64),
    /// Most bytes of the body: what it says that it has, or what there is room for.
    most: usize,
    /// How many it says that it has.
    length: Option<usize>,
}

impl Collection {
    /// Begins with an answer's headers, if it may be kept.
    ///
    /// `vouched` says that the policy's owner vouches that answers do not depend on who
    /// asks; `unix_secs` is the time since 1970.
    pub fn new(
        asked: &Asked,
        headers: &Headers,
        vouched: bool,
        unix_secs: u64,
        seed: u64,
    ) -> Option<Collection> {
        if asked.purpose != Purpose::Get || headers.first(":status") != Some(b"200") {
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
        let variant = variant(asked, headers)?;
        let fresh_for = fresh_for(&said, headers, unix_secs);
        let length = headers.first("content-length").and_then(hint::number);
        Some(Collection {
            place: (asked.hash, keys::hash(seed, &variant)),
            most: usize::MAX,
            length: length.map(|length| usize::try_from(length).unwrap_or(usize::MAX)),
            kept: Kept {
                resource: asked.resource.clone(),
                variant,
                for_all,
                at: asked.at,
                age: age(headers, unix_secs),
                fresh_for,
                usable_for: usable_for(&said, fresh_for),
                headers: end_to_end(headers),
                body: Vec::new(),
            },
        })
    }
}

impl Collection {
    /// Whether the body has the length that the headers say.
    pub fn is_whole(&self) -> bool {
        self.length.is_none_or(|len| len == self.kept.body.len())
    }
}

/// What `vary` names, with the request's values; absent where no other request can have the
/// same.
fn variant(asked: &Asked, headers: &Headers) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut names_coding = false;
    for name in headers.values(b"vary").flat_map(list) {
        if name == b"*" {
            return None;
        }
        let name = name.to_ascii_lowercase();
        names_coding |= name == b"accept-encoding";
        kept::write_varying(&name, asked.headers.values(&name), &mut out);
    }
    // Servers forget to say so, and a caller who cannot read the coding gets noise.
    if headers.has("content-encoding") && !names_coding {
        let name = b"accept-encoding";
        kept::write_varying(name, asked.headers.values(name), &mut out);
    }
    Some(out)
}

/// How old an answer was when its request came, but for the time that this took (RFC 9111,
/// 4.2.3): that counts from the request on.
fn age(headers: &Headers, unix_secs: u64) -> Span {
    let told = headers.first("age").and_then(hint::number).unwrap_or(0);
    let date = headers.first("date").and_then(hint::date);
    let apparent = date.map_or(0, |date| unix_secs.saturating_sub(date));
    Span::from_secs(told.max(apparent))
}

/// How long an answer is fresh (RFC 9111, 4.2.1); nothing is guessed.
fn fresh_for(said: &CacheControl, headers: &Headers, unix_secs: u64) -> Span {
    let expires = || {
        let expires = headers.first("expires").and_then(hint::date)?;
        let date = headers.first("date").and_then(hint::date);
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

#[cfg(test)]
mod tests;
