//! Copies of requests, to be sent once more: to their own cluster again, or to another.

use std::time::Duration;

use proxy_wasm::hostcalls;
use spillway_core::headers::{Hops, is_hop};
use spillway_core::policy::ClusterConfig;
use spillway_core::time::Span;

use crate::host::{self, Buffer};

/// A copy of a request.
pub struct Copy {
    /// Where the request goes by itself; empty where the host does not say.
    cluster: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    /// How often it was sent there, the first time included.
    attempts: u32,
}

impl Copy {
    /// The copy of a request without its body; absent where something of it is no text, or
    /// it asks for another protocol, which a call cannot.
    pub fn new<'a>(
        cluster: &[u8],
        headers: impl Iterator<Item = (&'a [u8], &'a [u8])>,
    ) -> Option<Copy> {
        let text = |bytes: &[u8]| String::from_utf8(bytes.into()).ok();
        let mut copied = Vec::new();
        let mut hops = Hops::default();
        for (name, value) in headers {
            match name {
                b"upgrade" => return None,
                b"connection" => hops.add(value),
                // About how the body is sent, or for the router of this proxy.
                b"content-length" | b"expect" => {}
                _ if is_hop(name) || name.starts_with(b"x-envoy-") => {}
                _ => copied.push((text(name)?, text(value)?)),
            }
        }
        copied.retain(|(name, _)| !hops.have(name.as_bytes()));
        Some(Copy {
            cluster: text(cluster)?,
            headers: copied,
            body: Vec::new(),
            attempts: 1,
        })
    }

    /// Keeps a piece of the body; false where the copy would be larger than `most`.
    fn push(&mut self, piece: &[u8], most: u32) -> bool {
        let len = self.body.len().saturating_add(piece.len());
        let fits = u32::try_from(len).is_ok_and(|len| len <= most);
        if fits {
            self.body.extend_from_slice(piece);
        }
        fits
    }

    /// Keeps a piece of the body, `size` bytes in the host's buffer; false as [`Copy::push`].
    /// What is too large is not even read.
    pub fn take_body(&mut self, from: Buffer, size: usize, most: u32) -> bool {
        let piece = match u32::try_from(size) {
            Ok(0) => Ok(Vec::new()),
            Ok(size) if size > most => return false,
            _ => host::buffer(from, size),
        };
        piece.is_ok_and(|piece| piece.len() == size && self.push(&piece, most))
    }

    /// Whether it is one to which no answer has a body.
    pub fn is_head(&self) -> bool {
        let mut headers = self.headers.iter();
        headers.any(|(name, value)| name == ":method" && value == "HEAD")
    }

    /// Sends it to its own cluster again, and returns the host's number for the call.
    pub fn send_again(&mut self, timeout: Span) -> Option<u32> {
        self.attempts = self.attempts.saturating_add(1);
        let number = self.attempts.to_string();
        let attempt = ("x-envoy-attempt-count", &*number);
        self.send(&self.cluster, None, Some(attempt), timeout)
    }

    /// Sends it to another cluster, and returns the host's number for the call.
    pub fn send_to(&self, other: &ClusterConfig) -> Option<u32> {
        let own = self.headers.iter().find(|(name, _)| name == ":path");
        let query = own.and_then(|(_, path)| path.find('?').and_then(|at| path.get(at..)));
        let path = other.path.as_ref().map(|path| match query {
            Some(query) if !path.contains('?') => format!("{path}{query}"),
            _ => path.to_string(),
        });
        self.send(&other.cluster, path.as_deref(), None, other.timeout)
    }

    fn send(
        &self,
        cluster: &str,
        path: Option<&str>,
        more: Option<(&str, &str)>,
        timeout: Span,
    ) -> Option<u32> {
        let mut headers: Vec<(&str, &str)> = Vec::with_capacity(self.headers.len());
        for (name, value) in &self.headers {
            let value = path.filter(|_| name == ":path").unwrap_or(value);
            headers.push((name, value));
        }
        headers.extend(more);
        let timeout = Duration::from_millis(timeout.as_ms());
        let body = Some(&*self.body).filter(|body| !body.is_empty());
        // By the SDK, which hands on answers only to calls that it has made.
        hostcalls::dispatch_http_call(cluster, headers, body, Vec::new(), timeout).ok()
    }
}
