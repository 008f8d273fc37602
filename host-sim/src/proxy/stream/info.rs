//! What a proxy knows about a stream, and plugins read as properties.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use crate::sim::clock::Time;

/// What is known about one stream.
///
/// The host fills in what the filter causes; whoever plays the router writes the
/// rest through [`Host::info_mut`](crate::proxy::Host::info_mut) before it hands in
/// the event that makes it known. Which of it a plugin sees in which phase is the
/// host's business.
#[derive(Clone, Debug, Default)]
pub struct StreamInfo {
    /// The worker thread, counted from 0.
    pub worker: usize,
    pub connection_id: u64,
    /// When the stream began.
    pub start: Time,
    pub protocol: Protocol,
    /// Whether the client showed a certificate.
    pub mtls: bool,
    /// The client's address, `ip:port`.
    pub downstream_address: Option<Rc<str>>,
    /// The address the client connected to, `ip:port`.
    pub downstream_local_address: Option<Rc<str>>,
    /// What the router picked last.
    pub route: Option<Rc<RouteInfo>>,
    /// How often the router tried; absent if it never did.
    pub attempts: Option<u64>,
    /// Response flags, as Envoy's legacy bit mask: see [`flag`].
    pub flags: u64,
    /// The code of the answer as the router or the host knows it.
    pub code: Option<u16>,
    /// How the answer came about, `%RESPONSE_CODE_DETAILS%`; empty while unknown.
    pub details: Rc<str>,
    /// The endpoint of the last attempt, `ip:port`.
    pub upstream_address: Option<Rc<str>>,
    /// The proxy's end of the connection to it.
    pub upstream_local_address: Option<Rc<str>>,
    /// Why the connection failed.
    pub transport_failure: Option<Rc<str>>,
    /// How long the last attempt waited for a connection.
    pub pool_ready: Option<Duration>,
    /// Time from the last byte sent to the upstream to the first one back.
    pub backend_latency: Option<Duration>,
    /// When the stream ended; absent while it lives.
    pub end: Option<Time>,
    /// Why the client's connection was closed by the proxy.
    pub termination: Option<Rc<str>>,
    /// Body bytes of the request so far.
    pub request_bytes: u64,
    /// Body bytes of the answer so far.
    pub response_bytes: u64,
    /// What plugins set; access logs read it as `wasm.<path>`.
    pub filter_state: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// What a route says about a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouteInfo {
    pub name: Rc<str>,
    pub cluster: Rc<str>,
    pub virtual_host: Rc<str>,
}

/// The client's protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    Http10,
    #[default]
    Http11,
    Http2,
    Http3,
}

impl Protocol {
    /// The name that Envoy has for it.
    pub fn name(self) -> &'static str {
        match self {
            Protocol::Http10 => "HTTP/1.0",
            Protocol::Http11 => "HTTP/1.1",
            Protocol::Http2 => "HTTP/2",
            Protocol::Http3 => "HTTP/3",
        }
    }
}

/// Response flags, as bits of [`StreamInfo::flags`].
pub mod flag {
    /// UH
    pub const NO_HEALTHY_UPSTREAM: u64 = 0x2;
    /// UT
    pub const UPSTREAM_TIMEOUT: u64 = 0x4;
    /// LR
    pub const LOCAL_RESET: u64 = 0x8;
    /// UR
    pub const UPSTREAM_REMOTE_RESET: u64 = 0x10;
    /// UF
    pub const UPSTREAM_CONNECTION_FAILURE: u64 = 0x20;
    /// UC
    pub const UPSTREAM_CONNECTION_TERMINATION: u64 = 0x40;
    /// UO
    pub const UPSTREAM_OVERFLOW: u64 = 0x80;
    /// NR
    pub const NO_ROUTE: u64 = 0x100;
    /// FI
    pub const FAULT_INJECTED: u64 = 0x400;
    /// DC
    pub const DOWNSTREAM_DISCONNECT: u64 = 0x4000;
    /// URX
    pub const RETRY_LIMIT_EXCEEDED: u64 = 0x8000;
    /// SI
    pub const STREAM_IDLE_TIMEOUT: u64 = 0x1_0000;
    /// DPE
    pub const DOWNSTREAM_PROTOCOL_ERROR: u64 = 0x4_0000;
    /// UMSDR
    pub const MAX_STREAM_DURATION: u64 = 0x8_0000;
    /// UPE
    pub const UPSTREAM_PROTOCOL_ERROR: u64 = 0x80_0000;
    /// NC
    pub const NO_CLUSTER: u64 = 0x100_0000;
    /// DF
    pub const DNS_FAILURE: u64 = 0x400_0000;
}
