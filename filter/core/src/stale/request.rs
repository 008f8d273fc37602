//! Requests as the stale cache sees them.
//!
//! Two requests may share a response only if everything is equal that the upstream's response
//! may depend on. A *resource* is the policy, its key, the route, and the full target of the
//! request, including the headers by which some frameworks override the target. The *URI* is the
//! part of it that a change invalidates: cluster, authority and path. It is independent of
//! policies, keys and routes, because a request that changes something may belong to another
//! policy than the one that stored it.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::exchange::Request;
use crate::headers::Map;
use crate::http_value::without_port;
use crate::shared::key;
use crate::time::Instant;

use super::query;

/// Role of a request in the stale cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// GET: its response may be stored, and it may get a stored one.
    Get,
    /// HEAD: it may get a stored response.
    Head,
    /// It changes its resource, so stored responses become invalid.
    Change,
}

/// A GET or HEAD that may get a stored response.
#[derive(Clone, Debug)]
pub(crate) struct CacheRequest {
    pub(super) purpose: Purpose,
    /// Everything that a stored response must have in common with it, except for the headers in
    /// `vary`.
    pub(super) resource: Vec<u8>,
    /// Hashes of its response, if that varies as the last one did.
    pub(super) usual: Hashes,
    /// All headers: only the response says which of them matter.
    pub(super) headers: Map,
    pub(super) at: Instant,
}

/// Policy and key of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CacheScope<'a> {
    /// Hash of the policy's name and key definition, which no client can choose.
    pub(crate) policy: u64,
    /// The key tuple.
    pub(crate) key: &'a [u8],
}

/// Hashes of a stored response.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Hashes {
    pub(super) resource: u64,
    /// 0 if the response does not vary.
    pub(super) variant: u64,
    pub(super) uri: u64,
}

/// What identifies a response in tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key {
    /// Hash of the resource and the variant.
    pub(super) response: u64,
    pub(super) uri: u64,
}

/// Over how many places the responses of a URI are spread, so that a set does not have to hold
/// all its variants and the responses under all keys. A change looks at all of these places.
pub(super) const SPREAD: u64 = 8;

impl Hashes {
    /// Returns the hashes of the resource without a variant.
    pub(super) fn plain(self) -> Hashes {
        Hashes { variant: 0, ..self }
    }

    pub(super) fn key(self) -> Key {
        Key {
            response: self.resource ^ self.variant.rotate_left(1),
            uri: self.uri,
        }
    }
}

impl Key {
    /// Returns the number of the place of a response in a table. Tables of different sizes take
    /// the remainder.
    pub(super) fn place(self) -> u64 {
        (self.uri & u64::from(u32::MAX)).wrapping_add(self.response % SPREAD)
    }
}

/// Returns the half of a hash that tells apart what is in the same place.
pub(super) fn upper_half(hash: u64) -> u32 {
    u32::try_from(hash >> 32).unwrap_or(0)
}

/// Number of headers by which some frameworks override the target.
const TARGETS: usize = 4;

/// The request headers that matter here, collected in a single pass: each lookup of a single
/// header would take another one.
#[derive(Debug, Default)]
pub(crate) struct Outline<'r> {
    method: Option<&'r [u8]>,
    scheme: Option<&'r [u8]>,
    authority: Option<&'r [u8]>,
    path: Option<&'r [u8]>,
    targets: [Option<&'r [u8]>; TARGETS],
    /// The path without ignored parameters, if `path` is without its query.
    selecting: Option<Vec<u8>>,
    /// Whether it cannot share a response: it has credentials, a body, a method override or a
    /// condition that only the upstream can check.
    is_private: bool,
}

impl<'r> Outline<'r> {
    /// Collects the headers of a request.
    pub(crate) fn of(request: &'r impl Request) -> Outline<'r> {
        let mut outline = Outline::default();
        request.each_header(|name, value| outline.add(name, value));
        outline
    }

    /// Ignores query parameters with these names. The URI is then without any query: a request
    /// that changes something may be under a policy that ignores others.
    pub(crate) fn ignore_query(&mut self, names: &[Box<str>]) {
        if let Some(path) = self.path {
            self.selecting = Some(query::without(path, names));
            self.path = Some(query::split(path).0);
        }
    }

    /// Adds one header. The length of the name alone rules out most headers.
    #[inline]
    fn add(&mut self, name: &[u8], value: &'r [u8]) {
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
        // Upstreams may use either value of a repeated header.
        self.is_private |= part.replace(value).is_some();
    }

    /// Returns the role of the request; `None` if the stale cache does not apply. The IANA
    /// registry says which methods are safe; an unknown method may change anything.
    #[inline]
    pub(crate) fn purpose(&self) -> Option<Purpose> {
        match self.method? {
            b"GET" => (!self.is_private).then_some(Purpose::Get),
            b"HEAD" => (!self.is_private).then_some(Purpose::Head),
            b"OPTIONS" | b"TRACE" | b"CONNECT" | b"PROPFIND" | b"REPORT" | b"SEARCH" | b"QUERY" => {
                None
            }
            _ => Some(Purpose::Change),
        }
    }

    /// Appends the URI, with the authority normalised as in `match`. Returns false if a part is
    /// too long.
    #[inline(never)]
    fn write_uri(&self, cluster: Option<&[u8]>, out: &mut Vec<u8>) -> bool {
        // Most authorities are in lower case and have no port, so one pass is enough.
        let is_plain = |authority: &[u8]| {
            let mut bytes = authority.iter();
            bytes.all(|byte| *byte != b':' && !byte.is_ascii_uppercase())
        };
        if self.authority.is_none_or(is_plain) {
            return write_parts(&[cluster, self.authority, self.path], out);
        }
        let authority = self.authority.map(without_port);
        let whole = write_parts(&[cluster, authority, self.path], out);
        // The cluster comes before the authority, and the path after it.
        let path_len = self.path.map_or(0, <[u8]>::len);
        let end = out.len().saturating_sub(path_len);
        let start = end.saturating_sub(authority.map_or(0, <[u8]>::len));
        let authority = out.get_mut(start..end).unwrap_or_default();
        authority.make_ascii_lowercase();
        whole
    }

    /// Returns the hash of the URI, for a request that changes it.
    pub(crate) fn uri(&self, cluster: Option<&[u8]>, seed: u64) -> u64 {
        let mut uri = Vec::new();
        self.write_uri(cluster, &mut uri);
        key::hash(seed, &uri)
    }
}

/// Length that marks a missing part, which differs from an empty one.
const MISSING: u16 = u16::MAX;

/// Appends the lengths of up to four parts, then the parts. Returns false if one is too long.
#[inline(never)]
fn write_parts(parts: &[Option<&[u8]>], out: &mut Vec<u8>) -> bool {
    let mut lengths: u64 = u64::MAX;
    let mut whole = true;
    for part in parts.iter().rev() {
        let length = part.map_or(MISSING, |part| {
            let len = u16::try_from(part.len()).unwrap_or(MISSING);
            whole &= len != MISSING;
            len
        });
        lengths = (lengths << u16::BITS) | u64::from(length);
    }
    out.extend_from_slice(&lengths.to_le_bytes());
    for part in parts.iter().flatten() {
        out.extend_from_slice(part);
    }
    whole
}

/// The resource of a request. One buffer serves all requests, one after the other.
#[derive(Debug, Default)]
pub(super) struct Resource {
    bytes: Vec<u8>,
    /// Hashes of its response, if that varies as the last one did.
    pub(super) usual: Hashes,
}

impl Resource {
    /// Writes the resource of a request, without a variant. Returns false if it is too long.
    pub(super) fn set(
        &mut self,
        request: &impl Request,
        outline: &Outline<'_>,
        scope: CacheScope<'_>,
        seed: u64,
    ) -> bool {
        let bytes = &mut self.bytes;
        bytes.clear();
        // Few requests override their target. Their resources begin with another number, and so
        // do those with a part for the parameters that select.
        let has_targets = outline.targets.iter().any(Option::is_some);
        let selecting = outline.selecting.as_deref();
        let policy = scope.policy.wrapping_add(u64::from(selecting.is_some()))
            ^ if has_targets { u64::MAX } else { 0 };
        bytes.extend_from_slice(&policy.to_le_bytes());
        let parts = [
            Some(scope.key),
            request.route(),
            outline.scheme,
            outline.authority,
        ];
        let mut whole = write_parts(&parts, bytes);
        if has_targets {
            whole &= write_parts(&outline.targets, bytes);
        }
        if selecting.is_some() {
            whole &= write_parts(&[selecting], bytes);
        }
        let uri_at = bytes.len();
        whole &= outline.write_uri(request.cluster(), bytes);
        let (scope, uri) = bytes.split_at_checked(uri_at).unwrap_or_default();
        let uri = key::hash(seed, uri);
        self.usual = Hashes {
            resource: key::hash(seed ^ uri, scope),
            variant: 0,
            uri,
        };
        whole
    }
}

impl CacheRequest {
    /// Creates a request that arrives now.
    pub(super) fn new(
        purpose: Purpose,
        resource: &Resource,
        headers: Map,
        now: Instant,
    ) -> CacheRequest {
        CacheRequest {
            purpose,
            usual: resource.usual,
            resource: resource.bytes.clone(),
            headers,
            at: now,
        }
    }

    /// Size in memory.
    pub(super) fn capacity(&self) -> usize {
        let headers = self.headers.capacity();
        self.resource.capacity().saturating_add(headers)
    }
}
