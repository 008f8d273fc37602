//! What the proxy knows about a stream and plugins read as properties.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use crate::sim::clock::Time;

/// What the proxy knows about one stream.
///
/// The host fills in what the filter causes. The embedder, which plays the router, writes the
/// rest through [`Host::info_mut`](crate::proxy::Host::info_mut) before it passes in the event
/// that makes it known. The host decides what a plugin sees in which phase.
#[derive(Clone, Debug, Default)]
pub struct StreamInfo {
    /// The worker thread, counted from 0.
    pub worker: usize,
    pub connection_id: u64,
    /// Start of the stream.
    pub start: Time,
    pub protocol: Protocol,
    /// Whether the client presented a certificate.
    pub mtls: bool,
    /// The client's address, `ip:port`.
    pub downstream_address: Option<Rc<str>>,
    /// The address that the client connected to, `ip:port`.
    pub downstream_local_address: Option<Rc<str>>,
    /// The result of the last route lookup.
    pub route: Option<Rc<RouteInfo>>,
    /// Number of attempts of the router. `None` if it never tried.
    pub attempts: Option<u64>,
    /// Response flags in Envoy's legacy bit mask: see [`flag`].
    pub flags: u64,
    /// Response code, as far as the router or the host knows it.
    pub code: Option<u32>,
    /// Response code details, `%RESPONSE_CODE_DETAILS%`. Empty while unknown.
    pub details: Rc<str>,
    /// Endpoint of the last attempt, `ip:port`.
    pub upstream_address: Option<Rc<str>>,
    /// The proxy's address on the connection to that endpoint.
    pub upstream_local_address: Option<Rc<str>>,
    /// Reason of a failed connection.
    pub transport_failure: Option<Rc<str>>,
    /// Time that the last attempt waited for a connection.
    pub pool_ready: Option<Duration>,
    /// Time from the last byte sent to the upstream to the first byte received.
    pub backend_latency: Option<Duration>,
    /// End of the stream. `None` while it is open.
    pub end: Option<Time>,
    /// Reason for which the proxy closed the client's connection.
    pub termination: Option<Rc<str>>,
    /// Body bytes of the request so far.
    pub request_bytes: u64,
    /// Body bytes of the response so far.
    pub response_bytes: u64,
    /// Properties that plugins set. Access logs read them as `wasm.<path>`.
    pub filter_state: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// The route of a request.
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
    /// Returns Envoy's name of the protocol.
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
