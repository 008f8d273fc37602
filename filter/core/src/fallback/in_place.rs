//! How an answer takes the place of a failed response whose headers have come.
//!
//! A local reply at that point goes straight to the client: the filters in front, such as CORS
//! and compression, never see it. An answer that is written over the response instead passes
//! them like any other. What only the response has, such as headers that the route adds,
//! stays.
//!
//! No body can be added to a response without one, so whatever needs that stays a local
//! reply.

use super::{Answer, push};
use crate::headers::{Headers, Pairs, is_hop};

/// Headers that describe the failed response, and say nothing of its replacement.
const DESCRIBING: [&str; 17] = [
    "accept-ranges",
    "age",
    "allow",
    "cache-control",
    "cache-status",
    "etag",
    "expires",
    "last-modified",
    "link",
    "location",
    "pragma",
    "proxy-authenticate",
    "refresh",
    "retry-after",
    "set-cookie",
    "vary",
    "www-authenticate",
];

/// The beginnings of names of such headers.
const DESCRIBING_PREFIXES: [&str; 5] = [":", "content-", "grpc-", "x-circuit-", "x-envoy-"];

/// Begins with one of them, and is about the site and not about the response.
const SITE_POLICY: &str = "content-security-policy";

impl Answer {
    /// The headers to write over `old`, those of a response that is complete with them if it
    /// `ends` there. The answer's body then takes the place of the response's, unless the
    /// request is a HEAD. None if the answer has to be a local reply.
    pub fn in_place(&self, old: &Headers, ends: bool, is_head: bool) -> Option<Pairs> {
        let has_body = !matches!(self.status, 204 | 205 | 304) && self.grpc_status.is_none();
        let fits = if ends {
            is_head || !has_body || self.body.is_empty()
        } else {
            is_head || has_body
        };
        if !fits {
            return None;
        }
        let mut headers = Pairs::new();
        push(&mut headers, ":status", &alloc::format!("{}", self.status));
        for (name, value) in old.iter() {
            let name = core::str::from_utf8(name).ok()?;
            if !describes(name) && !self.headers.iter().any(|(own, _)| own == name) {
                headers.push((name.into(), value.into()));
            }
        }
        let own = self
            .headers
            .iter()
            .filter(|(name, _)| name != "content-length");
        headers.extend(own.cloned());
        if self.grpc_status.is_some() {
            push(&mut headers, "content-type", "application/grpc");
        } else if has_body {
            // So that a client has all of it although the failed response goes on.
            let length = alloc::format!("{}", self.body.len());
            push(&mut headers, "content-length", &length);
        }
        Some(headers)
    }
}

/// Whether a header describes a response, and not whoever sends it.
fn describes(name: &str) -> bool {
    let begins = DESCRIBING_PREFIXES.iter().any(|it| name.starts_with(it));
    begins && !name.starts_with(SITE_POLICY)
        || DESCRIBING.contains(&name)
        || is_hop(name.as_bytes())
}

#[cfg(test)]
mod tests;
