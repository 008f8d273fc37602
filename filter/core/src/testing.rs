//! Fixtures for the tests of several modules: policies from short JSON, and requests, responses
//! and records as plain data that log what was read.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::rc::Rc;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::cell::RefCell;

use crate::exchange::{Request, Response};
use crate::headers::{self, Map};
use crate::policy::{BreakerConfig, Config, Policy};
use crate::shared::records::{Name, Records, Version};
use crate::time::{Instant, Span};

/// Returns the time `ms` milliseconds after the clock's origin.
pub(crate) const fn at_ms(ms: u64) -> Instant {
    Instant::from_ns(0).after(Span::from_ms(ms))
}

/// Parses a configuration. Panics if it is invalid.
pub(crate) fn config(json: &str) -> Config {
    Config::parse(json.as_bytes()).unwrap_or_else(|errors| {
        let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
        panic!("{json}\n{}", lines.join("\n"))
    })
}

/// Returns a policy named `p` with these additional fields.
pub(crate) fn policy(fields: &str) -> Policy {
    let comma = if fields.trim().is_empty() { "" } else { "," };
    config(&format!(
        r#"{{"policies":[{{"name":"p"{comma}{fields}}}]}}"#
    ))
    .policies
    .remove(0)
}

/// Returns a breaker with these fields.
pub(crate) fn breaker(fields: &str) -> BreakerConfig {
    policy(&format!(r#""circuit_breaker": {{{fields}}}"#)).breaker
}

/// A request as plain data.
#[derive(Clone, Debug, Default)]
pub(crate) struct TestRequest {
    pub cluster: Option<Vec<u8>>,
    pub route: Option<Vec<u8>>,
    pub headers: Vec<(String, Vec<u8>)>,
    pub reads: RefCell<Vec<String>>,
}

impl TestRequest {
    pub(crate) fn cluster(name: impl AsRef<[u8]>) -> TestRequest {
        TestRequest {
            cluster: Some(name.as_ref().into()),
            ..TestRequest::default()
        }
    }

    pub(crate) fn with_route(mut self, name: impl AsRef<[u8]>) -> TestRequest {
        self.route = Some(name.as_ref().into());
        self
    }

    pub(crate) fn with(mut self, name: &str, value: impl AsRef<[u8]>) -> TestRequest {
        self.headers.push((name.into(), value.as_ref().into()));
        self
    }

    fn note(&self, what: &str) {
        self.reads.borrow_mut().push(what.into());
    }

    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        let named = self.headers.iter().filter(move |(n, _)| n == name);
        named.map(|(_, value)| value.as_slice())
    }
}

impl Request for TestRequest {
    fn cluster(&self) -> Option<&[u8]> {
        self.note("cluster");
        self.cluster.as_deref()
    }

    fn route(&self) -> Option<&[u8]> {
        self.note("route");
        self.route.as_deref()
    }

    fn header(&self, name: &str) -> Option<&[u8]> {
        self.note(name);
        let first = self.headers.iter().find(|(n, _)| n == name);
        first.map(|(_, value)| value.as_slice())
    }

    fn any_header(&self, name: &str, test: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        self.note(name);
        self.values(name).any(test)
    }

    fn each_header<'r>(&'r self, mut look: impl FnMut(&'r [u8], &'r [u8])) {
        for (name, value) in &self.headers {
            look(name.as_bytes(), value);
        }
    }

    fn copy_headers(&self) -> Map {
        Map::new(headers::encode(&self.headers).into())
    }
}

/// A response, or the end of a request without one, as plain data.
#[derive(Clone, Debug, Default)]
pub(crate) struct TestResponse {
    pub status: Option<u16>,
    pub details: Option<&'static str>,
    pub flags: u64,
    pub attempts: Option<u64>,
    pub grpc_status: Option<u32>,
    /// The value of the header or trailer, which is missing if the host derived `grpc_status`.
    pub grpc_status_sent: Option<u32>,
    pub content_type: Option<&'static str>,
    pub hints: Vec<(&'static str, &'static str)>,
    pub unix_secs: u64,
    pub reads: RefCell<Vec<&'static str>>,
}

impl TestResponse {
    /// Returns the upstream's own response with this status.
    pub(crate) fn status(status: u16) -> TestResponse {
        TestResponse {
            status: Some(status),
            details: Some("via_upstream"),
            attempts: Some(1),
            ..TestResponse::default()
        }
    }

    fn note(&self, what: &'static str) {
        self.reads.borrow_mut().push(what);
    }
}

impl Response for TestResponse {
    fn status(&self) -> Option<u16> {
        self.note("status");
        self.status
    }

    fn details(&self) -> Option<impl AsRef<[u8]>> {
        self.note("details");
        self.details
    }

    fn flags(&self) -> u64 {
        self.note("flags");
        self.flags
    }

    fn attempts(&self) -> Option<u64> {
        self.note("attempts");
        self.attempts
    }

    fn grpc_status(&self) -> Option<u32> {
        self.note("grpc_status");
        self.grpc_status
    }

    fn header(&self, name: &str) -> Option<impl AsRef<[u8]>> {
        let own = ["content-type", "grpc-status"]
            .into_iter()
            .find(|own| *own == name);
        self.note(own.unwrap_or("hint"));
        match own {
            Some("content-type") => self.content_type.map(String::from),
            Some(_) => self.grpc_status_sent.map(|code| code.to_string()),
            None => {
                let found = self.hints.iter().find(|(n, _)| *n == name);
                found.map(|(_, value)| (*value).into())
            }
        }
    }

    fn unix_secs(&self) -> u64 {
        self.note("unix_secs");
        self.unix_secs
    }
}

/// Shared data of a host. Clones share the same memory, as workers do.
#[derive(Clone, Debug, Default)]
pub(crate) struct Memory(Rc<RefCell<Inside>>);

#[derive(Debug, Default)]
struct Inside {
    records: BTreeMap<String, (Vec<u8>, Version)>,
    writes: Version,
    reads: usize,
    bytes: usize,
    losses: usize,
    losses_later: usize,
    before_writes: Vec<Box<dyn BeforeWrite>>,
}

/// What another worker does just before a write.
pub(crate) trait BeforeWrite: core::fmt::Debug {
    fn act(self: Box<Self>);
}

impl Memory {
    /// Makes this many next writes lose, as if another worker had written first.
    pub(crate) fn lose(&self, writes: usize) {
        self.0.borrow_mut().losses = writes;
    }

    /// Lets the next write succeed, and makes this many writes after it lose.
    pub(crate) fn lose_later(&self, writes: usize) {
        self.0.borrow_mut().losses_later = writes;
    }

    /// Runs `act` just before the next write.
    pub(crate) fn before_write(&self, act: Box<dyn BeforeWrite>) {
        self.0.borrow_mut().before_writes.push(act);
    }

    /// Returns the names of all records.
    pub(crate) fn names(&self) -> Vec<String> {
        self.0.borrow().records.keys().cloned().collect()
    }

    /// Returns the bytes of a record.
    pub(crate) fn bytes(&self, name: &str) -> Option<Vec<u8>> {
        let inside = self.0.borrow();
        inside.records.get(name).map(|(bytes, _)| bytes.clone())
    }

    /// Overwrites a record, or creates it.
    pub(crate) fn overwrite(&self, name: &str, bytes: &[u8]) {
        let mut inside = self.0.borrow_mut();
        inside.writes += 1;
        let version = inside.writes;
        inside.records.insert(name.into(), (bytes.into(), version));
    }

    /// Returns the number of bytes read and written so far.
    pub(crate) fn bytes_moved(&self) -> usize {
        self.0.borrow().bytes
    }

    /// Returns the number of reads and of writes so far.
    pub(crate) fn calls(&self) -> (usize, u32) {
        let inside = self.0.borrow();
        (inside.reads, inside.writes)
    }
}

fn text(name: Name<'_>) -> String {
    match name {
        Name::Directory => "directory".into(),
        Name::Census(policy) => format!("{policy}/census"),
        Name::Slot(policy, place) => format!("{policy}/{place}"),
        Name::Survey(policy) => format!("{policy}/survey"),
        Name::History => "history".into(),
        Name::Shown => "shown".into(),
        Name::StaleSet(set) => format!("stale/{set}"),
        Name::StoredResponse(set, slot) => format!("stale/{set}/{slot}"),
    }
}

impl Records for Memory {
    fn read(&mut self, name: Name<'_>) -> Option<(Vec<u8>, Version)> {
        let mut inside = self.0.borrow_mut();
        inside.reads += 1;
        let record = inside.records.get(&text(name)).cloned();
        inside.bytes += record.as_ref().map_or(0, |(bytes, _)| bytes.len());
        record
    }

    fn write(&mut self, name: Name<'_>, record: &[u8], version: Option<Version>) -> bool {
        let before = self.0.borrow_mut().before_writes.pop();
        if let Some(before) = before {
            before.act();
        }
        let mut inside = self.0.borrow_mut();
        if inside.losses > 0 {
            inside.losses -= 1;
            return false;
        }
        inside.losses = core::mem::take(&mut inside.losses_later);
        // Hosts accept any number but 0 for an unknown name.
        let known = inside.records.get(&text(name)).map(|(_, last)| *last);
        if known.is_some() && known != version {
            return false;
        }
        inside.writes += 1;
        inside.bytes += record.len();
        let version = inside.writes;
        inside.records.insert(text(name), (record.into(), version));
        true
    }

    fn put(&mut self, name: Name<'_>, record: &[u8]) {
        self.overwrite(&text(name), record);
    }
}
