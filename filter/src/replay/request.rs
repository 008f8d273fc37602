//! Copies of requests, to be sent once more: to their own cluster again, or to another.

use std::time::Duration;

use proxy_wasm::hostcalls;
use spillway_core::headers::{Hops, is_hop};
use spillway_core::policy::ClusterConfig;
use spillway_core::retry::Denial;
use spillway_core::time::Span;

use crate::replay::body::Body;
use crate::replay::copies::Share;

/// What an allocation takes besides its bytes.
const ALLOCATION_BYTES: usize = 8;
/// What a header takes besides its bytes.
const HEADER_BYTES: usize = size_of::<(String, String)>() + 2 * ALLOCATION_BYTES;

/// A copy of a request.
pub struct SavedRequest {
    /// Where the request goes by itself; empty where the host does not say.
    cluster: String,
    headers: Vec<(String, String)>,
    /// Its body, as far as it has come.
    pub body: Body,
    /// How often it was sent there, the first time included.
    attempts: u32,
    /// What it takes of the total, without its body.
    share: Share,
}

impl SavedRequest {
    /// The copy of a request without its body.
    ///
    /// # Errors
    ///
    /// If something of it is no text, or it asks for another protocol, which a call cannot,
    /// or `total` bytes are taken.
    pub fn new<'a>(
        cluster: &[u8],
        headers: impl Iterator<Item = (&'a [u8], &'a [u8])>,
        total: u32,
    ) -> Result<SavedRequest, Denial> {
        let text = |bytes: &[u8]| String::from_utf8(bytes.into()).map_err(|_| Denial::RequestShape);
        let mut bytes = size_of::<SavedRequest>().saturating_add(cluster.len());
        let mut copied = Vec::new();
        let mut hops = Hops::default();
        for (name, value) in headers {
            match name {
                b"upgrade" => return Err(Denial::RequestShape),
                b"connection" => hops.add(value),
                // About how the body is sent, or for the router of this proxy.
                b"content-length" | b"expect" => {}
                _ if is_hop(name) || name.starts_with(b"x-envoy-") => {}
                _ => {
                    let own = name.len().saturating_add(value.len());
                    bytes = bytes.saturating_add(own).saturating_add(HEADER_BYTES);
                    copied.push((text(name)?, text(value)?));
                }
            }
        }
        copied.retain(|(name, _)| !hops.have(name.as_bytes()));
        copied.shrink_to_fit();
        let mut share = Share::default();
        if !share.grow(bytes, total) {
            return Err(Denial::CopiesFull);
        }
        Ok(SavedRequest {
            cluster: text(cluster)?,
            headers: copied,
            body: Body::default(),
            attempts: 1,
            share,
        })
    }

    /// What it takes of the total.
    pub fn bytes(&self) -> usize {
        self.share.bytes().saturating_add(self.body.held_bytes())
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
        let body = Some(self.body.bytes()).filter(|body| !body.is_empty());
        // By the SDK, which hands on answers only to calls that it has made.
        hostcalls::dispatch_http_call(cluster, headers, body, Vec::new(), timeout).ok()
    }
}
