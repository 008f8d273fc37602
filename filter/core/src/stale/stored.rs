//! A stored response: who may get it, for how long, and in which form.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::conditional::{describes_body, is_unchanged};
use super::request::CacheRequest;
use super::vary;
use crate::codec::{self, Encode, write_bytes};
use crate::fallback::{FallbackResponse, Kind, Occasion};
use crate::headers::Headers;
use crate::policy::{On, StaleConfig};
use crate::time::{Instant, Span};

/// A stored response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoredResponse {
    pub(super) resource: Vec<u8>,
    /// The names that it varies by, with the values of its request.
    pub(super) variant: Vec<u8>,
    /// Whether its own headers allow to share it.
    pub(super) is_public: bool,
    /// Time of its request.
    pub(super) at: Instant,
    /// Its age at that time.
    pub(super) age: Span,
    pub(super) fresh_for: Span,
    /// Age from which on its own headers forbid its use.
    pub(super) usable_for: Option<Span>,
    pub(super) headers: Headers,
    pub(super) body: Vec<u8>,
}

impl StoredResponse {
    pub(crate) fn age(&self, now: Instant) -> Span {
        let since = now.since(self.at).as_ns();
        Span::from_ns(self.age.as_ns().saturating_add(since))
    }

    /// Whether it is a response to this request.
    pub(super) fn matches(&self, request: &CacheRequest) -> bool {
        self.resource == request.resource && vary::matches(&self.variant, &request.headers)
    }

    /// Whether a fallback of a policy may serve it now. After a step back of the clock the age
    /// is not known.
    pub(crate) fn is_usable(&self, config: &StaleConfig, now: Instant) -> bool {
        let age = self.age(now);
        (self.is_public || config.shared)
            && now >= self.at
            && age <= config.max_age
            && self.usable_for.is_none_or(|limit| age < limit)
    }

    /// Returns the response to a request: a 304 if the client already has it.
    pub(crate) fn into_response(
        self,
        request: &CacheRequest,
        occasion: &Occasion<'_>,
        now: Instant,
    ) -> FallbackResponse {
        let unchanged = is_unchanged(&self.headers, &request.headers);
        let mut headers = Vec::new();
        for (name, value) in self.headers.iter() {
            // A 304 has no headers that describe a body (RFC 9110, 15.4.5).
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
        FallbackResponse {
            status: if unchanged { 304 } else { 200 },
            headers,
            body: if unchanged { Vec::new() } else { self.body },
            grpc_status: None,
            details: occasion.details(),
            on: occasion.on,
            kind: Kind::Stale,
        }
    }

    /// Returns the `cache-status` (RFC 9211). `hit` means that the request was not forwarded. A
    /// forwarded one has `fwd=stale`, or `fwd=bypass` if the stored response is still fresh.
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

    /// Replaces `out` with the record of this response, up to the body.
    pub(super) fn write_frame(&self, out: &mut Vec<u8>) {
        codec::begin(codec::Kind::StoredResponse, out);
        for bytes in [&self.resource, &self.variant] {
            write_bytes(bytes, out);
        }
        self.is_public.write(out);
        self.at.write(out);
        self.age.write(out);
        self.fresh_for.write(out);
        self.usable_for.write(out);
        self.headers.write(out);
    }

    /// Reads a record; `None` if it is invalid or belongs to another request.
    pub(super) fn open(record: &[u8], request: &CacheRequest) -> Option<StoredResponse> {
        let mut from = codec::open(codec::Kind::StoredResponse, record)?;
        let resource = from.long_bytes()?;
        if resource != request.resource {
            return None;
        }
        let stored = StoredResponse {
            resource: resource.into(),
            variant: from.long_bytes()?.into(),
            is_public: bool::read(&mut from)?,
            at: Instant::read(&mut from)?,
            age: Span::read(&mut from)?,
            fresh_for: Span::read(&mut from)?,
            usable_for: Option::read(&mut from)?,
            headers: Headers::read(&mut from)?,
            body: from.long_bytes()?.into(),
        };
        from.end(stored).filter(|stored| stored.matches(request))
    }
}
