//! One kept answer: who may get it, for how long, and as what.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::CacheRequest;
use super::recorder::describes_body;
use crate::codec::{self, Encode, Reader, write_bytes};
use crate::fallback::{Answer, Kind, Occasion};
use crate::headers::{Headers, Map, list};
use crate::http_value::date;
use crate::policy::{On, StaleConfig};
use crate::time::{Instant, Span};

/// A kept answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredResponse {
    pub(super) resource: Vec<u8>,
    /// What it varies by, with the values of the request that it answered.
    pub(super) variant: Vec<u8>,
    /// Whether it says of itself that it is for everybody.
    pub(super) for_all: bool,
    /// When its request came.
    pub(super) at: Instant,
    /// How old it was then.
    pub(super) age: Span,
    pub(super) fresh_for: Span,
    /// The age beyond which it forbids its own use.
    pub(super) usable_for: Option<Span>,
    pub(super) headers: Headers,
    pub(super) body: Vec<u8>,
}

/// Notes a header that an answer varies by, with the values of its request.
pub(super) fn write_varying<'a>(
    name: &[u8],
    values: impl Iterator<Item = &'a [u8]>,
    out: &mut Vec<u8>,
) {
    let mut all = Headers::default();
    values.for_each(|value| all.push(b"", value));
    write_bytes(name, out);
    all.write(out);
}

impl StoredResponse {
    /// How old it is.
    pub fn age(&self, now: Instant) -> Span {
        let since = now.since(self.at).as_ns();
        Span::from_ns(self.age.as_ns().saturating_add(since))
    }

    /// When its request came.
    pub fn at(&self) -> Instant {
        self.at
    }

    /// Whether it answers this request.
    pub fn is_for(&self, asked: &CacheRequest) -> bool {
        self.resource == asked.resource && self.varies_alike(asked).is_some()
    }

    fn varies_alike(&self, asked: &CacheRequest) -> Option<()> {
        let mut varying = Reader::new(&self.variant);
        while !varying.is_empty() {
            let name = varying.long_bytes()?;
            let values = Headers::read(&mut varying)?;
            if !asked.headers.values(name).eq(values.values(b"")) {
                return None;
            }
        }
        Some(())
    }

    /// Whether an entry of a policy may give it now. A clock that stepped back tells no
    /// age.
    pub fn may_be_given(&self, config: &StaleConfig, now: Instant) -> bool {
        let age = self.age(now);
        (self.for_all || config.shared)
            && now >= self.at
            && age <= config.max_age
            && self.usable_for.is_none_or(|most| age < most)
    }

    /// The answer for a request, which may have asked whether there is a newer one.
    pub fn answer(self, asked: &CacheRequest, occasion: &Occasion<'_>, now: Instant) -> Answer {
        let unchanged = is_unchanged(&self.headers, &asked.headers);
        let mut headers = Vec::new();
        for (name, value) in self.headers.iter() {
            // What describes a body goes with it (RFC 9110, 15.4.5).
            if !(unchanged && describes_body(name))
                && let Ok(name) = core::str::from_utf8(name)
            {
                headers.push((String::from(name), value.into()));
            }
        }
        let age = self.age(now);
        let mut push = |name: &str, value: String| headers.push((name.into(), value.into_bytes()));
        push("age", format!("{}", age.as_secs_ceil()));
        push("cache-status", self.cache_status(occasion.on, age));
        Answer {
            status: if unchanged { 304 } else { 200 },
            headers,
            body: if unchanged { Vec::new() } else { self.body },
            grpc_status: None,
            details: occasion.details(),
            on: occasion.on,
            kind: Kind::Stale,
        }
    }

    /// How the answer came about (RFC 9211). `hit` is for what went no further; what did go
    /// on was asked for as always, which is `bypass` for an answer that is still fresh.
    fn cache_status(&self, on: On, age: Span) -> String {
        let (fresh, age) = (self.fresh_for.as_secs_ceil(), age.as_secs_ceil());
        let (sign, ttl) = if age > fresh {
            ("-", age.saturating_sub(fresh))
        } else {
            ("", fresh.saturating_sub(age))
        };
        let way = match (on, sign) {
            (On::Open, _) => "hit",
            (On::Failure | On::Timeout, "-") => "fwd=stale",
            (On::Failure | On::Timeout, _) => "fwd=bypass",
        };
        format!("spillway; {way}; ttl={sign}{ttl}")
    }
}

/// Whether a request's caller has this very answer already (RFC 9110, 13.1; RFC 9111, 4.3.2).
fn is_unchanged(answer: &Headers, request: &Map) -> bool {
    let mut wanted = request.values(b"if-none-match").peekable();
    if wanted.peek().is_some() {
        let tag = answer.first("etag").map(opaque);
        let is_it = |other: &[u8]| other == b"*" || tag == Some(opaque(other));
        // No tag has a comma in it but for those that nobody writes, which then differ.
        return tag.is_some() && wanted.flat_map(list).any(is_it);
    }
    let since = request.first("if-modified-since").and_then(date);
    let modified = answer.first("last-modified").and_then(date);
    since
        .zip(modified)
        .is_some_and(|(since, modified)| modified <= since)
}

/// An entity tag without the mark of a weak one: for reading both are as good.
pub(super) fn opaque(tag: &[u8]) -> &[u8] {
    tag.strip_prefix(b"W/").unwrap_or(tag)
}

/// A record of a kept answer.
impl StoredResponse {
    /// Writes its record into `out`, except for the body and what follows that.
    pub(super) fn write_frame(&self, out: &mut Vec<u8>) {
        codec::begin(codec::Kind::Answer, out);
        for bytes in [&self.resource, &self.variant] {
            write_bytes(bytes, out);
        }
        self.for_all.write(out);
        self.at.write(out);
        self.age.write(out);
        self.fresh_for.write(out);
        self.usable_for.write(out);
        self.headers.write(out);
    }

    /// Out of its bytes; `None` if they are no record, or one for another request.
    pub(super) fn open(record: &[u8], asked: &CacheRequest) -> Option<StoredResponse> {
        let mut from = codec::open(codec::Kind::Answer, record)?;
        let resource = from.long_bytes()?;
        if resource != asked.resource {
            return None;
        }
        let kept = StoredResponse {
            resource: resource.into(),
            variant: from.long_bytes()?.into(),
            for_all: bool::read(&mut from)?,
            at: Instant::read(&mut from)?,
            age: Span::read(&mut from)?,
            fresh_for: Span::read(&mut from)?,
            usable_for: Option::read(&mut from)?,
            headers: Headers::read(&mut from)?,
            body: from.long_bytes()?.into(),
        };
        from.end(kept).filter(|kept| kept.is_for(asked))
    }
}
