//! Clusters: the upstream services, and the proxy's limits for them.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::spec::calls::Calls;
use crate::model::spec::latency::{Latency, Shape};
use crate::model::spec::number::Percent;
use crate::sim::span::Span;

/// One upstream service.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Cluster {
    /// How long it works on a request until it sends the response headers.
    pub latency: Latency,
    /// Number of requests that it works on at once. Further requests wait in its line. If missing,
    /// there is no limit, and load never makes it slower.
    pub capacity: Option<u32>,
    /// Number of requests that may wait in its line. Further requests get a 503 at once. Defaults
    /// to the usual backlog of a listening socket. Has no effect without `capacity`.
    pub line: u32,
    /// Whether it cancels the work for callers that have left. Most services do not notice, and
    /// finish the work.
    pub notices_cancel: bool,
    /// A call that it makes to another service for each request. If missing, it makes none.
    pub calls: Option<Calls>,
    /// Its response when it is healthy.
    pub answer: Response,
    /// Whether it responds before the end of the request, like a service that refuses an upload or
    /// streams in both directions.
    pub answers_early: bool,
    /// Longest duration of one attempt (`max_stream_duration` in the cluster's HTTP options).
    /// `0s` means no limit.
    pub max_stream_duration: Span,
    /// How long the proxy waits for a new connection.
    pub connect_timeout: Span,
    /// Its address in log lines and properties.
    pub address: String,
    /// The protocol of the proxy's connections to it. HTTP/1.1 takes one connection per request,
    /// so `limits.max_connections` applies.
    pub protocol: UpstreamProtocol,
    /// The proxy's limits for it (Envoy's `circuit_breakers` of a cluster).
    pub limits: Limits,
}

/// Envoy's default for clusters.
const CONNECT_TIMEOUT: Span = Span::from_ms(5_000);

/// The usual backlog of a listening socket.
const LINE: u32 = 4_096;

impl Default for Cluster {
    fn default() -> Cluster {
        Cluster {
            latency: Latency(Shape::Constant(Span::from_ms(10))),
            capacity: None,
            line: LINE,
            notices_cancel: false,
            calls: None,
            answer: Response::default(),
            answers_early: false,
            max_stream_duration: Span::ZERO,
            connect_timeout: CONNECT_TIMEOUT,
            address: "10.0.0.1:8080".into(),
            protocol: UpstreamProtocol::default(),
            limits: Limits::default(),
        }
    }
}

/// The protocol of connections to an upstream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum UpstreamProtocol {
    /// One connection per request.
    #[default]
    Http1,
    /// All requests share one connection.
    Http2,
}

/// The response of a healthy upstream.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Response {
    pub status: u16,
    /// Sent in the trailers of gRPC responses.
    pub grpc_status: u32,
    pub headers: BTreeMap<String, String>,
    pub body_bytes: u32,
    /// Time from the headers of the response to its end.
    pub body_time: Span,
    /// Number of equal body chunks, spread evenly over `body_time`.
    pub body_chunks: u32,
}

impl Default for Response {
    fn default() -> Response {
        Response {
            status: 200,
            grpc_status: 0,
            headers: BTreeMap::new(),
            body_bytes: 16,
            body_time: Span::ZERO,
            body_chunks: 1,
        }
    }
}

/// The proxy's limits for a cluster. The defaults are Envoy's.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Connections at once, and so requests at once over HTTP/1.1. Further requests wait for a
    /// connection.
    pub max_connections: u32,
    /// Requests that may wait for a connection. Further requests get a 503 (flag UO). A request
    /// also waits while its connection is made, so 0 rejects all requests.
    pub max_pending_requests: u32,
    /// Requests at once.
    pub max_requests: u32,
    /// Retries at once, including those in their backoff.
    pub max_retries: u32,
    /// Allows retries in proportion to the load, in place of `max_retries`.
    pub retry_budget: Option<RetryBudget>,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            max_connections: 1024,
            max_pending_requests: 1024,
            max_requests: 1024,
            max_retries: 3,
            retry_budget: None,
        }
    }
}

/// Envoy's `retry_budget`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RetryBudget {
    /// Retries at once, as a share of the active requests.
    pub budget_percent: Percent,
    /// Number of retries at once that are always allowed.
    pub min_retry_concurrency: u32,
}

impl Default for RetryBudget {
    fn default() -> RetryBudget {
        RetryBudget {
            budget_percent: Percent::from_bp(2_000),
            min_retry_concurrency: 3,
        }
    }
}
