//! The observations of one row.

use std::collections::BTreeMap;
use std::fmt;

/// The witness's log, what the upstream got, and the client's response.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct View {
    pub row: String,
    pub log: Vec<String>,
    /// The body that the upstream got. `None` if there was none or if it is not compared.
    pub upstream: Option<String>,
    pub client: Option<Got>,
}

/// A response, as the client saw it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Got {
    pub status: u16,
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

impl Got {
    /// The response without values that differ between runs.
    pub(super) fn new<'a>(
        status: u16,
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
        if let Some(body) = &self.upstream {
            writeln!(f, "upstream: {body:?}")?;
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
