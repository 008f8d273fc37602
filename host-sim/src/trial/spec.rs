//! A plugin test as plain data.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::headers::HeaderMap;
use crate::proxy::{LogLevel, Status};
use crate::scenario::PluginSpec;
use crate::sim::span::Span;
use crate::trial::file::Expect;
use crate::trial::mock::Mock;
use crate::trial::target::Refused;

/// A checked plugin test.
#[derive(Clone, Debug)]
pub struct Trial {
    /// From the client to the upstream.
    pub plugins: Vec<PluginSpec>,
    pub workers: usize,
    pub seed: u64,
    /// Wall clock at the start, in nanoseconds since 1970. `None` for the default.
    pub wall_start_ns: Option<u64>,
    pub log_level: LogLevel,
    /// Properties by their path, whose segments are separated by NUL.
    pub properties: BTreeMap<Vec<u8>, Vec<u8>>,
    pub stubs: BTreeMap<String, Result<(), Status>>,
    /// How much of a message a pause may buffer. 0 is no limit.
    pub per_connection_buffer_limit_bytes: u32,
    pub mocks: Vec<Mock>,
    pub steps: Vec<Step>,
}

/// A request, an update, or only time that passes.
#[derive(Clone, Debug)]
pub struct Step {
    pub name: Option<String>,
    pub wait: Span,
    /// Comes before the request.
    pub update: Option<Update>,
    pub request: Option<Request>,
    pub worker: usize,
    pub expect: Expect,
}

/// A new configuration of a plugin.
#[derive(Clone, Debug)]
pub struct Update {
    /// Index of the plugin.
    pub plugin: usize,
    pub configuration: Vec<u8>,
}

/// A request of a client.
#[derive(Clone, Debug)]
pub struct Request {
    pub headers: HeaderMap,
    /// Why no plugin sees it, if that is so.
    pub refused: Option<Refused>,
    pub chunks: Vec<Bytes>,
    pub trailers: HeaderMap,
}

/// The cluster to which the proxy routes requests.
pub const UPSTREAM: &str = "upstream";
