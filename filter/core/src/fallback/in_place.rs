//! Replaces a failed response whose headers have arrived by overwriting it.
//!
//! A local reply at that point goes straight to the client, past the filters in front, such as
//! CORS and compression. An overwritten response passes through them like any other. Headers
//! that only the failed response has, such as those that the route adds, stay.
//!
//! A body cannot be added to a response without one. Such a replacement is sent as a local
//! reply.

use super::response::{FallbackResponse, push};
use crate::headers::{Headers, Pairs, is_hop};

/// Headers that describe the failed response and not its replacement.
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

/// Prefixes of such headers.
const DESCRIBING_PREFIXES: [&str; 5] = [":", "content-", "grpc-", "x-circuit-", "x-envoy-"];

/// Starts with one of them, but describes the site and not the response.
const SITE_POLICY: &str = "content-security-policy";

impl FallbackResponse {
    /// Returns the headers that overwrite `old`. `ends` says that the response consists of
    /// those headers only. The body overwrites the response's body, unless the request is a
    /// HEAD. `None` if this has to be a local reply.
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
            // The client has the whole body then, even if the failed response continues.
            let length = alloc::format!("{}", self.body.len());
            push(&mut headers, "content-length", &length);
        }
        Some(headers)
    }
}

/// Whether a header describes a response, and not its sender.
fn describes(name: &str) -> bool {
    let begins = DESCRIBING_PREFIXES.iter().any(|it| name.starts_with(it));
    begins && !name.starts_with(SITE_POLICY)
        || DESCRIBING.contains(&name)
        || is_hop(name.as_bytes())
}

#[cfg(test)]
mod tests;
