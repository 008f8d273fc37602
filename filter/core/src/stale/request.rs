//! What a request asks for, as far as stored responses go.
//!
//! Two requests may share a response only if everything that the upstream may have gone by
//! is the same: a *resource* is the policy, its key, the route, and the request's target in
//! full, with the headers by which some frameworks take another target than the request
//! line's. The *URI* is the part of it that a change invalidates: cluster, authority and
//! path. It is independent of policies, keys and routes, since the request that changes
//! something need not come under the policy that stored it.

use alloc::vec::Vec;

use crate::exchange::Request;
use crate::headers::Map;
use crate::http_value::without_port;
use crate::keys;
use crate::time::Instant;

/// What a request has to do with stored responses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// GET: its response may be stored, and it may get a stored one.
    Get,
    /// HEAD: it may get one.
    Head,
    /// It changes what it names, so that stored responses are not true any more.
    Change,
}

/// A GET or HEAD that may get a stored response.
#[derive(Clone, Debug)]
pub struct CacheRequest {
    pub(super) purpose: Purpose,
    /// All that a stored response must have in common with it, except for the headers that
    /// `vary` names. The URI is its end.
    pub(super) resource: Vec<u8>,
    uri_at: usize,
    pub(super) hash: u64,
    /// All headers: those that matter are known with the response.
    pub(super) headers: Map,
    pub(super) at: Instant,
}

/// The policy of a request, and its key.
#[derive(Clone, Copy, Debug)]
pub struct CacheScope<'a> {
    /// Its name and what its keys are made of, as a hash: no client chooses those.
    pub policy: u64,
    /// The key tuple.
    pub key: &'a [u8],
}

/// Number of headers by which some frameworks take another target.
const TARGETS: usize = 4;

/// What a request's headers say about storing, found in one pass over them: each look-up of
/// a single header would be another pass.
#[derive(Debug, Default)]
pub struct Outline<'r> {
    method: Option<&'r [u8]>,
    scheme: Option<&'r [u8]>,
    authority: Option<&'r [u8]>,
    path: Option<&'r [u8]>,
    targets: [Option<&'r [u8]>; TARGETS],
    /// Whether it can share no response: who asks is in it, it has a body, it means another
    /// method, or it asks for something that only the upstream can tell.
    is_private: bool,
}

impl<'r> Outline<'r> {
    /// Looks at a request's headers.
    pub fn of(request: &'r impl Request) -> Outline<'r> {
        let mut outline = Outline::default();
        request.each_header(|name, value| outline.see(name, value));
        outline
    }

    /// Notes what one header says. Most headers are told by the length of their name.
    #[inline]
    fn see(&mut self, name: &[u8], value: &'r [u8]) {
        let [original, rewrite, host, prefix] = &mut self.targets;
        let part = match (name.len(), name) {
            (7, b":method") => &mut self.method,
            (7, b":scheme") => &mut self.scheme,
            (10, b":authority") => &mut self.authority,
            (5, b":path") => &mut self.path,
            (14, b"x-original-url") => original,
            (13, b"x-rewrite-url") => rewrite,
            (16, b"x-forwarded-host") => host,
            (18, b"x-forwarded-prefix") => prefix,
            (14, b"content-length") => {
                self.is_private |= value != b"0";
                return;
            }
            (5, b"range")
            | (6, b"cookie")
            | (8, b"if-match")
            | (13, b"authorization" | b"x-http-method")
            | (17, b"transfer-encoding" | b"x-method-override")
            | (19, b"if-unmodified-since" | b"proxy-authorization")
            | (22, b"x-http-method-override") => {
                self.is_private = true;
                return;
            }
            _ => return,
        };
        // Of a header that comes twice, upstreams may take either value.
        self.is_private |= part.replace(value).is_some();
    }

    /// What the request has to do with stored responses; `None` if nothing. Methods are safe
    /// by the IANA registry; one that is not in it may change anything.
    #[inline]
    pub fn purpose(&self) -> Option<Purpose> {
        match self.method? {
            b"GET" => (!self.is_private).then_some(Purpose::Get),
            b"HEAD" => (!self.is_private).then_some(Purpose::Head),
            b"OPTIONS" | b"TRACE" | b"CONNECT" | b"PROPFIND" | b"REPORT" | b"SEARCH" | b"QUERY" => {
                None
            }
            _ => Some(Purpose::Change),
        }
    }

    /// Writes the URI. Its authority is compared as in `match`.
    #[inline]
    fn write_uri(&self, cluster: Option<&[u8]>, out: &mut Vec<u8>) -> bool {
        // Most authorities are in lower case and have no port: one look tells.
        let is_plain = |authority: &[u8]| {
            let mut bytes = authority.iter();
            bytes.all(|byte| *byte != b':' && !byte.is_ascii_uppercase())
        };
        if self.authority.is_none_or(is_plain) {
            return write_parts([cluster, self.authority, self.path], out);
        }
        let authority = self.authority.map(without_port);
        let whole = write_parts([cluster, authority, self.path], out);
        // The path stands behind it, and in front of that the cluster.
        let path_len = self.path.map_or(0, <[u8]>::len);
        let end = out.len().saturating_sub(path_len);
        let start = end.saturating_sub(authority.map_or(0, <[u8]>::len));
        let authority = out.get_mut(start..end).unwrap_or_default();
        authority.make_ascii_lowercase();
        whole
    }

    /// The hash of the URI, for requests that change what it names.
    pub fn uri(&self, cluster: Option<&[u8]>, seed: u64) -> u64 {
        let mut uri = Vec::new();
        self.write_uri(cluster, &mut uri);
        keys::hash(seed, &uri)
    }
}

/// A length that stands for a part that is not there, which differs from an empty one.
const ABSENT: u16 = u16::MAX;

/// Writes the lengths of all parts, then the parts; false if one is too long.
#[inline]
fn write_parts<const N: usize>(parts: [Option<&[u8]>; N], out: &mut Vec<u8>) -> bool {
    let mut lengths = [ABSENT.to_le_bytes(); N];
    let mut whole = true;
    for (length, part) in lengths.iter_mut().zip(parts) {
        if let Some(part) = part {
            let len = u16::try_from(part.len()).unwrap_or(ABSENT);
            whole &= len != ABSENT;
            *length = len.to_le_bytes();
        }
    }
    out.extend_from_slice(lengths.as_flattened());
    for part in parts.into_iter().flatten() {
        out.extend_from_slice(part);
    }
    whole
}

/// What a request asks for, written for one request after the other in the same place.
#[derive(Debug, Default)]
pub struct Resource {
    bytes: Vec<u8>,
    uri_at: usize,
    pub(super) hash: u64,
}

impl Resource {
    /// Writes what a request asks for; false if it is too long.
    pub fn set(
        &mut self,
        request: &impl Request,
        outline: &Outline<'_>,
        under: CacheScope<'_>,
        seed: u64,
    ) -> bool {
        let bytes = &mut self.bytes;
        bytes.clear();
        // Hardly any request has another target. Those that do begin with another number.
        let has_targets = outline.targets.iter().any(Option::is_some);
        let policy = if has_targets {
            !under.policy
        } else {
            under.policy
        };
        bytes.extend_from_slice(&policy.to_le_bytes());
        let parts = [
            Some(under.key),
            request.route(),
            outline.scheme,
            outline.authority,
        ];
        let mut whole = write_parts(parts, bytes);
        if has_targets {
            whole &= write_parts(outline.targets, bytes);
        }
        self.uri_at = bytes.len();
        whole &= outline.write_uri(request.cluster(), bytes);
        self.hash = keys::hash(seed, bytes);
        whole
    }
}

impl CacheRequest {
    /// A request that comes now, for this resource.
    pub fn new(purpose: Purpose, resource: &Resource, headers: Map, now: Instant) -> CacheRequest {
        CacheRequest {
            purpose,
            hash: resource.hash,
            uri_at: resource.uri_at,
            resource: resource.bytes.clone(),
            headers,
            at: now,
        }
    }

    /// The hash of its URI.
    pub(super) fn uri(&self, seed: u64) -> u64 {
        keys::hash(seed, self.resource.get(self.uri_at..).unwrap_or_default())
    }

    /// Its part in the stale cache.
    pub fn purpose(&self) -> Purpose {
        self.purpose
    }

    /// The bytes that it takes.
    pub(super) fn capacity(&self) -> usize {
        let headers = self.headers.capacity();
        self.resource.capacity().saturating_add(headers)
    }
}
