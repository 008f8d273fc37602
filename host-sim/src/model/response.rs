//! What comes back to the proxy for an attempt.

use crate::grpc::UNAVAILABLE;

/// One event of an attempt, in the order in which the proxy sees them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpstreamEvent {
    /// A whole response, or only its headers.
    Response(Response),
    /// A chunk of the body, numbered from 0. The headers came earlier.
    Chunk(u32),
    /// The rest of the response. The headers came earlier.
    Rest,
    /// The connection ended within the body. The headers came earlier.
    Break,
    /// The connection was refused.
    Refused,
    /// No connection was made before the connect timeout.
    Unreachable,
    /// The connection ended before the response headers.
    Reset,
    /// There is a connection, but the codec does not write the request.
    Unwritable,
    /// The proxy ended the attempt by itself. Only recordings have it: in a scenario, the router
    /// decides.
    ByProxy(ProxyEnding),
}

/// Why a recorded proxy ended an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyEnding {
    RouteTimeout,
    PerTryTimeout,
    /// `max_stream_duration` of the cluster.
    MaxDuration,
    /// `max_stream_duration` of the route, or `grpc-timeout`.
    Duration,
    /// The idle timeout of the stream.
    Idle,
    NoHealthyHost,
    Unresolved,
    /// A limit of the cluster.
    Overflow,
    ClientLeft,
}

impl UpstreamEvent {
    /// The client did not wait for the response.
    pub const CLIENT_LEFT: UpstreamEvent = UpstreamEvent::ByProxy(ProxyEnding::ClientLeft);
}

/// A response, or its headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Response {
    pub status: u16,
    /// The gRPC status and the block that carries it.
    pub grpc: Option<(u32, GrpcPlace)>,
    /// Whether body and trailers come at the same time. If not, [`UpstreamEvent::Rest`] or
    /// [`UpstreamEvent::Break`] follows.
    pub complete: bool,
    /// Whether a working service sent it.
    pub healthy: bool,
    /// Number of the scenario's fault that it is of, if that has headers.
    pub fault: Option<usize>,
}

impl Response {
    /// The response of a service that cannot serve: 503, or UNAVAILABLE for gRPC.
    pub fn unavailable(grpc: bool) -> Response {
        Response {
            status: if grpc { 200 } else { 503 },
            grpc: grpc.then_some((UNAVAILABLE, GrpcPlace::Headers)),
            complete: true,
            healthy: false,
            fault: None,
        }
    }
}

/// The block of a response that carries the gRPC status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GrpcPlace {
    /// The headers of a response that has nothing else ("trailers-only").
    Headers,
    /// The trailers, after headers and body.
    Trailers,
}
