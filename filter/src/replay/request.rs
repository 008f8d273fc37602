//! Copies of requests, which are sent to their own cluster again or to another.

use spillway_core::Denial;
use spillway_core::Request;
use spillway_core::engine::Call;
use spillway_core::time::Span;
use spillway_core::{Hops, is_hop};

use crate::facts::LiveRequest;
use crate::host;
use crate::replay::body::Body;
use crate::replay::share::{Room, Share};

/// Bytes that an allocation takes besides its contents.
const ALLOCATION_BYTES: usize = 8;
/// Bytes that a header takes besides its text.
const HEADER_BYTES: usize = size_of::<(String, String)>() + 2 * ALLOCATION_BYTES;

/// A copy of a request.
pub(crate) struct SavedRequest {
    /// The cluster of its route. Empty if the host does not say.
    cluster: String,
    headers: Vec<(String, String)>,
    /// Its body, as far as it has come.
    pub body: Body,
    /// How often it was sent to its own cluster, the first time included.
    attempts: u32,
    /// Bytes of the total that it takes without its body.
    share: Share,
}

impl SavedRequest {
    /// The copy of a request without its body.
    ///
    /// # Errors
    ///
    /// [`Denial::RequestShape`] if something of it is not UTF-8, or if it asks for another
    /// protocol, which a call cannot; [`Denial::CopiesFull`] if there is no room.
    pub(crate) fn of(request: &LiveRequest<'_>, room: Room) -> Result<SavedRequest, Denial> {
        let cluster = request.cluster().unwrap_or_default();
        let text = |bytes: &[u8]| String::from_utf8(bytes.into()).map_err(|_| Denial::RequestShape);
        let mut bytes = size_of::<SavedRequest>().saturating_add(cluster.len());
        let mut copied = Vec::new();
        let mut hops = Hops::default();
        for (name, value) in request.pairs() {
            match name {
                b"upgrade" => return Err(Denial::RequestShape),
                b"connection" => hops.add(value),
                // They describe how the body is sent, or are for this proxy's router.
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
        if !share.grow(bytes, room) {
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

    /// Bytes of the total that it takes.
    pub(crate) fn bytes(&self) -> usize {
        self.share.bytes().saturating_add(self.body.share_bytes())
    }

    /// Whether the method is HEAD, so that no response has a body.
    pub(crate) fn is_head(&self) -> bool {
        let mut headers = self.headers.iter();
        headers.any(|(name, value)| name == ":method" && value == "HEAD")
    }

    /// Sends it, and returns the host's number of the call, or `None` if the host refuses.
    pub(crate) fn send(&mut self, call: &Call) -> Option<u32> {
        match call {
            Call::Again { timeout } => {
                self.attempts = self.attempts.saturating_add(1);
                let number = self.attempts.to_string();
                let mut headers = self.headers(None, None);
                headers.push(("x-envoy-attempt-count", &number));
                self.dispatch(&self.cluster, headers, *timeout)
            }
            Call::Other(to) => {
                let path = to.path.as_deref().map(|path| self.with_query(path));
                let headers = self.headers(path.as_deref(), to.authority.as_deref());
                self.dispatch(&to.cluster, headers, to.timeout)
            }
        }
    }

    /// A path with the request's query, unless it has its own.
    fn with_query(&self, path: &str) -> String {
        let own = self.headers.iter().find(|(name, _)| name == ":path");
        let query = own.and_then(|(_, path)| path.find('?').and_then(|at| path.get(at..)));
        match query {
            Some(query) if !path.contains('?') => format!("{path}{query}"),
            _ => path.into(),
        }
    }

    /// Returns the headers, with this path and this authority in place of their own.
    fn headers<'h>(
        &'h self,
        path: Option<&'h str>,
        authority: Option<&'h str>,
    ) -> Vec<(&'h str, &'h str)> {
        let replaced = |(name, value): &'h (String, String)| {
            let other = match &**name {
                ":path" => path,
                ":authority" => authority,
                _ => None,
            };
            (&**name, other.unwrap_or(value))
        };
        self.headers.iter().map(replaced).collect()
    }

    fn dispatch(&self, cluster: &str, headers: Vec<(&str, &str)>, timeout: Span) -> Option<u32> {
        host::http_call(cluster, &headers, self.body.bytes(), timeout).ok()
    }
}
