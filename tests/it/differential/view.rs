//! The observations of one row.

use std::collections::BTreeMap;
use std::fmt;

/// The witness's log, what upstreams got, and the client's response.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct View {
    pub row: String,
    pub log: Vec<String>,
    /// The requests that reached upstreams, as lines of text.
    pub upstream: Vec<String>,
    /// The body that the upstream got. `None` if there was none or if it is not compared.
    pub upstream_body: Option<String>,
    pub client: Option<Got>,
}

/// A response, as the client saw it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Got {
    pub status: u64,
    pub headers: BTreeMap<String, String>,
    pub body: String,
    pub complete: bool,
}

/// Headers whose values differ between runs, and those that Envoy's connection manager and codec
/// add on the way to the client, which the simulator does not model.
const VOLATILE: [&str; 6] = [
    "connection",
    "date",
    "location",
    "server",
    "transfer-encoding",
    "x-envoy-upstream-service-time",
];

/// Headers of calls that are compared.
const OF_CALLS: [&str; 7] = [
    "content-length",
    "content-type",
    "grpc-timeout",
    "te",
    "x-envoy-expected-rq-timeout-ms",
    "x-envoy-internal",
    "x-meta",
];

impl View {
    /// The view without what only plugin tests know.
    pub(super) fn without_upstream(&self) -> View {
        View {
            upstream: Vec::new(),
            ..self.clone()
        }
    }
}

/// Returns a request as text: method, authority and path, and the headers of a plugin's call.
pub(super) fn request_line<'a>(
    [method, authority, path]: [&str; 3],
    headers: impl Iterator<Item = (&'a str, &'a [u8])>,
) -> String {
    let mut pairs: Vec<_> = headers
        .filter(|(name, _)| OF_CALLS.contains(name))
        .map(|(name, value)| format!("{name}={}", value.escape_ascii()))
        .collect();
    pairs.sort();
    let is_call = pairs
        .iter()
        .any(|pair| pair.starts_with("x-envoy-internal"));
    // The upstream of the tests drops fragments.
    let path = path.split('#').next().unwrap_or_default();
    let of_call = if is_call {
        pairs.join(" ")
    } else {
        String::new()
    };
    format!("{method} {authority} {path} {of_call}")
        .trim_end()
        .to_owned()
}

impl Got {
    /// The response without values that differ between runs.
    pub(super) fn new<'a>(
        status: u64,
        headers: impl Iterator<Item = (&'a str, &'a [u8])>,
        body: &[u8],
        complete: bool,
    ) -> Got {
        let readable = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        Got {
            status,
            headers: headers
                .filter(|(name, _)| !VOLATILE.contains(name))
                .filter(|pair| *pair != ("content-length", b"0"))
                .map(|(name, value)| (name.to_owned(), readable(value)))
                .collect(),
            body: readable(body),
            complete,
        }
    }
}

impl fmt::Display for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "== {}", self.row)?;
        for line in &self.log {
            writeln!(f, "{line}")?;
        }
        if let Some(body) = &self.upstream_body {
            writeln!(f, "upstream's body: {body:?}")?;
        }
        for line in &self.upstream {
            writeln!(f, "upstream: {line}")?;
        }
        match &self.client {
            None => writeln!(f, "client: gone"),
            Some(got) => writeln!(
                f,
                "client: {} {:?} {:?}{}",
                got.status,
                got.headers,
                got.body,
                if got.complete { "" } else { " (broken off)" }
            ),
        }
    }
}
