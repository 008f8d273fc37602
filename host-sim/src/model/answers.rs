//! The answers of upstreams and of the router, as parts that the host takes.
//!
//! Most answers of a run are alike but for their service time, so their header maps are
//! kept and shared.

use bytes::Bytes;
use hashbrown::HashMap;

use crate::headers::HeaderMap;
use crate::model::spec;
use crate::model::upstream::{Answer, GrpcPlace};
use crate::proxy::Part;

/// The answers of one cluster.
pub struct Answers {
    spec: spec::Answer,
    body: Bytes,
    maps: HashMap<Key, HeaderMap>,
    /// Whether its healthy answers ask not to be retried.
    pub rate_limited: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    status: u16,
    grpc: Option<(u32, bool)>,
    healthy: bool,
    complete: bool,
    service_ms: Option<u64>,
}

/// Maps that are kept; service times scatter, and most differ by milliseconds.
const KEPT: usize = 4_096;

impl Answers {
    /// For a cluster that answers so when it is well.
    pub fn new(spec: &spec::Answer) -> Answers {
        Answers {
            body: vec![b'.'; spec.body_bytes as usize].into(),
            maps: HashMap::new(),
            rate_limited: spec.headers.contains_key("x-envoy-ratelimited"),
            spec: spec.clone(),
        }
    }

    /// The headers. `service_ms` is the time that the upstream took, if the router tells it;
    /// `bare`: no body will come.
    pub fn headers(&mut self, answer: &Answer, service_ms: Option<u64>, bare: bool) -> Part {
        let only_headers = matches!(answer.grpc, Some((_, GrpcPlace::Headers)));
        let grpc = answer.grpc.map(|(status, _)| (status, only_headers));
        let (status, healthy, complete) = (answer.status, answer.healthy, answer.complete);
        let key = Key {
            status,
            grpc,
            healthy,
            complete,
            service_ms,
        };
        if self.maps.len() >= KEPT {
            self.maps.clear();
        }
        let spec = &self.spec;
        let map = self.maps.entry(key).or_insert_with(|| build(spec, &key));
        let no_body = only_headers || answer.grpc.is_none() && (bare || self.body.is_empty());
        Part::Headers {
            map: map.clone(),
            end: no_body,
        }
    }

    /// One of the equal chunks of the body; the last of them takes the remainder.
    pub fn chunk(&self, number: u32) -> Bytes {
        let chunks = self.spec.body_chunks.max(1) as usize;
        let (len, number) = (self.body.len() / chunks, number as usize);
        let end = match number + 1 < chunks {
            true => len * (number + 1),
            false => self.body.len(),
        };
        self.body.slice((len * number).min(end)..end)
    }

    /// The last of the equal chunks.
    pub fn last_chunk(&self) -> Bytes {
        self.chunk(self.spec.body_chunks.max(1) - 1)
    }

    /// The body, or its last chunk, and what follows it: trailers, or the bare end, which Envoy's
    /// codec hears of only after the last byte.
    pub fn rest(&self, data: Bytes, answer_grpc: Option<u32>) -> [Part; 2] {
        let body = Part::Body { data, end: false };
        let last = match answer_grpc {
            None => Part::bare_end(),
            Some(status) => Part::Trailers {
                map: HeaderMap::from([("grpc-status", status.to_string())]),
            },
        };
        [body, last]
    }

    /// The whole body.
    pub fn body(&self) -> &Bytes {
        &self.body
    }
}

fn build(spec: &spec::Answer, key: &Key) -> HeaderMap {
    let mut map = HeaderMap::from([(":status", key.status.to_string())]);
    match key.grpc {
        Some(_) => map.add(b"content-type", b"application/grpc"),
        // Without a length the answer comes in chunks.
        None if !key.complete || matches!(key.status, 204 | 304) => {}
        None => map.add(b"content-length", spec.body_bytes.to_string().as_bytes()),
    }
    if let Some((status, true)) = key.grpc {
        map.add(b"grpc-status", status.to_string().as_bytes());
    }
    if key.healthy {
        for (name, value) in &spec.headers {
            map.replace(name.to_ascii_lowercase().as_bytes(), value.as_bytes());
        }
    }
    if let Some(service_ms) = key.service_ms {
        let text = service_ms.to_string();
        map.replace(b"x-envoy-upstream-service-time", text.as_bytes());
    }
    map
}

/// gRPC's UNAVAILABLE: what stands for a service that could not be reached, or cannot serve.
pub const UNAVAILABLE: u32 = 14;

/// An answer of the router itself.
pub struct Local<'a> {
    pub status: u16,
    pub body: &'a str,
    /// Whether it says that the proxy sheds load.
    pub overloaded: bool,
}

impl Local<'_> {
    /// The headers, and the body if there is one.
    pub fn parts(&self, grpc: bool) -> (Part, Option<Part>) {
        let overloaded = |map: &mut HeaderMap| {
            if self.overloaded {
                map.add(b"x-envoy-overloaded", b"true");
            }
        };
        if grpc {
            let status = grpc_status(self.status).to_string();
            let mut map = HeaderMap::from([
                (":status", "200"),
                ("content-type", "application/grpc"),
                ("grpc-status", &status),
            ]);
            if !self.body.is_empty() {
                map.add(b"grpc-message", self.body.as_bytes());
            }
            overloaded(&mut map);
            return (Part::Headers { map, end: true }, None);
        }
        let mut map = HeaderMap::from([(":status", self.status.to_string())]);
        if !self.body.is_empty() {
            map.add(b"content-length", self.body.len().to_string().as_bytes());
            map.add(b"content-type", b"text/plain");
        }
        overloaded(&mut map);
        let body = (!self.body.is_empty()).then(|| Part::Body {
            data: Bytes::copy_from_slice(self.body.as_bytes()),
            end: true,
        });
        let end = body.is_none();
        (Part::Headers { map, end }, body)
    }
}

/// The gRPC status that stands for an HTTP one, as gRPC defines it.
pub fn grpc_status(status: u16) -> u32 {
    match status {
        400 => 13,
        401 => 16,
        403 => 7,
        404 => 12,
        429 | 502..=504 => UNAVAILABLE,
        _ => 2,
    }
}
