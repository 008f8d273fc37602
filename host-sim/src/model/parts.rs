//! Builds the parts of responses that the host takes, for upstreams and for the router.
//!
//! Most responses of a run differ in nothing but their service time, so their header maps
//! are cached and shared.

use std::collections::BTreeMap;

use bytes::Bytes;
use hashbrown::HashMap;

use crate::grpc::status_of_http;
use crate::headers::HeaderMap;
use crate::model::response::{GrpcPlace, Response};
use crate::model::spec;
use crate::proxy::Part;

/// The responses of one cluster.
pub struct ResponseParts {
    spec: spec::Response,
    body: Bytes,
    maps: HashMap<Key, HeaderMap>,
    /// Headers of responses by the numbers of their faults.
    faults: BTreeMap<usize, BTreeMap<String, String>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    status: u16,
    grpc: Option<(u32, bool)>,
    healthy: bool,
    complete: bool,
    fault: Option<usize>,
    service_ms: Option<u64>,
}

/// Number of cached header maps. Service times scatter over thousands of milliseconds at most.
const CACHED_MAX: usize = 4_096;

impl ResponseParts {
    /// Creates the responses of the cluster `name`, which sends `spec` when it is healthy. `faults`
    /// are those of the scenario.
    pub fn new(name: &str, spec: &spec::Response, faults: &[spec::Fault]) -> ResponseParts {
        let own = faults
            .iter()
            .enumerate()
            .filter(|(_, it)| it.cluster == name);
        ResponseParts {
            body: vec![b'.'; spec.body_bytes as usize].into(),
            maps: HashMap::new(),
            faults: own
                .map(|(number, fault)| (number, fault.headers.clone()))
                .collect(),
            spec: spec.clone(),
        }
    }

    /// Returns whether the response has `x-envoy-ratelimited`.
    pub fn is_rate_limited(&self, response: &Response) -> bool {
        let mut names = self
            .given(response.healthy, response.fault)
            .map(|(name, _)| name);
        names.any(|name| name.eq_ignore_ascii_case("x-envoy-ratelimited"))
    }

    /// Returns the headers that the scenario gives a response.
    fn given(
        &self,
        healthy: bool,
        fault: Option<usize>,
    ) -> impl Iterator<Item = (&String, &String)> {
        let usual = healthy.then_some(&self.spec.headers);
        let fault = fault.and_then(|number| self.faults.get(&number));
        usual.into_iter().chain(fault).flatten()
    }

    /// Returns the headers. `service_ms` is the upstream's service time, if the router reports
    /// it. `bare` means that no body follows.
    pub fn headers(&mut self, response: &Response, service_ms: Option<u64>, bare: bool) -> Part {
        let only_headers = matches!(response.grpc, Some((_, GrpcPlace::Headers)));
        let grpc = response.grpc.map(|(status, _)| (status, only_headers));
        let (status, healthy, complete) = (response.status, response.healthy, response.complete);
        let key = Key {
            status,
            grpc,
            healthy,
            complete,
            fault: response.fault,
            service_ms,
        };
        if self.maps.len() >= CACHED_MAX {
            self.maps.clear();
        }
        let map = match self.maps.get(&key) {
            Some(map) => map.clone(),
            None => {
                let map = self.build(&key);
                self.maps.insert(key, map.clone());
                map
            }
        };
        let no_body = only_headers || response.grpc.is_none() && (bare || self.body.is_empty());
        Part::Headers { map, end: no_body }
    }

    /// Returns one of the equal chunks of the body. The last one includes the remainder.
    pub fn chunk(&self, number: u32) -> Bytes {
        let chunks = self.spec.body_chunks.max(1) as usize;
        let (len, number) = (self.body.len() / chunks, number as usize);
        let end = match number + 1 < chunks {
            true => len * (number + 1),
            false => self.body.len(),
        };
        self.body.slice((len * number).min(end)..end)
    }

    /// Returns the last of the equal chunks.
    pub fn last_chunk(&self) -> Bytes {
        self.chunk(self.spec.body_chunks.max(1) - 1)
    }

    /// Returns `data`, the last of the body, and what follows it: trailers, or a bare end,
    /// since Envoy's codec sees the end of the stream only after the last byte.
    pub fn rest(&self, data: Bytes, grpc: Option<u32>) -> [Part; 2] {
        let body = Part::Body { data, end: false };
        let last = match grpc {
            None => Part::bare_end(),
            Some(status) => Part::Trailers {
                map: HeaderMap::from([("grpc-status", status.to_string())]),
            },
        };
        [body, last]
    }

    /// Returns the whole body.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    fn build(&self, key: &Key) -> HeaderMap {
        let mut map = HeaderMap::from([(":status", key.status.to_string())]);
        match key.grpc {
            Some(_) => map.add(b"content-type", b"application/grpc"),
            // A response that breaks off or streams has no length, so it is chunked.
            None if !key.complete || matches!(key.status, 204 | 304) => {}
            None => map.add(
                b"content-length",
                self.spec.body_bytes.to_string().as_bytes(),
            ),
        }
        if let Some((status, true)) = key.grpc {
            map.add(b"grpc-status", status.to_string().as_bytes());
        }
        for (name, value) in self.given(key.healthy, key.fault) {
            map.replace(name.to_ascii_lowercase().as_bytes(), value.as_bytes());
        }
        if let Some(service_ms) = key.service_ms {
            let text = service_ms.to_string();
            map.replace(b"x-envoy-upstream-service-time", text.as_bytes());
        }
        map
    }
}

/// A response that the router makes itself.
pub struct RouterReply<'a> {
    pub status: u16,
    pub body: &'a [u8],
    /// Whether it carries `x-envoy-overloaded`: the proxy sheds load.
    pub overloaded: bool,
}

impl RouterReply<'_> {
    /// Returns the headers, and the body if there is one. The response to HEAD has only the length
    /// of it.
    pub fn parts(&self, grpc: bool, head: bool) -> (Part, Option<Part>) {
        let overloaded = |map: &mut HeaderMap| {
            if self.overloaded {
                map.add(b"x-envoy-overloaded", b"true");
            }
        };
        if grpc {
            let status = status_of_http(self.status.into()).to_string();
            let mut map = HeaderMap::from([
                (":status", "200"),
                ("content-type", "application/grpc"),
                ("grpc-status", &status),
            ]);
            if !self.body.is_empty() {
                map.add(b"grpc-message", self.body);
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
        let body = (!self.body.is_empty() && !head).then(|| Part::Body {
            data: Bytes::copy_from_slice(self.body),
            end: true,
        });
        let end = body.is_none();
        (Part::Headers { map, end }, body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::spec::Fault;

    #[test]
    fn a_response_has_the_headers_of_its_own_fault_alone() {
        let fault = |cluster: &str, headers: serde_json::Value| -> Fault {
            let fault = serde_json::json!({
                "cluster": cluster, "fault": {"status": 429}, "headers": headers,
            });
            serde_json::from_value(fault).unwrap()
        };
        let faults = [
            fault("other", serde_json::json!({"x-other": "1"})),
            fault("up", serde_json::json!({"Retry-After": "5"})),
            fault("up", serde_json::json!({"x-envoy-ratelimited": "true"})),
        ];
        let spec: spec::Response =
            serde_json::from_value(serde_json::json!({"headers": {"x-usual": "1"}})).unwrap();
        let mut parts = ResponseParts::new("up", &spec, &faults);
        let rows = [
            (true, None, vec!["x-usual"], false),
            (false, None, vec![], false),
            (false, Some(0), vec![], false),
            (false, Some(1), vec!["retry-after"], false),
            (false, Some(2), vec!["x-envoy-ratelimited"], true),
        ];
        let names = ["x-usual", "x-other", "retry-after", "x-envoy-ratelimited"];
        for (healthy, fault, expected, is_rate_limited) in rows {
            let response = Response {
                status: 429,
                grpc: None,
                complete: true,
                healthy,
                fault,
            };
            let Part::Headers { map, .. } = parts.headers(&response, None, false) else {
                panic!("no headers");
            };
            let has = |name: &&str| map.value(name.as_bytes()).is_some();
            let found: Vec<&str> = names.into_iter().filter(has).collect();
            assert_eq!(found, expected, "{fault:?}");
            assert_eq!(parts.is_rate_limited(&response), is_rate_limited);
        }
    }
}
