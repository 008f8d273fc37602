//! Clusters: what stands behind the proxy.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

use super::{Calls, Percent};
use crate::sim::span::Span;

/// One upstream service.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Cluster {
    /// How long it works on a request, until the answer's headers.
    pub latency: Latency,
    /// How many requests it works on at once; more have to wait in its line. Absent: any
    /// number, so that load never makes it slower.
    pub capacity: Option<u32>,
    /// How many requests wait in its line; one more is answered 503 at once. As many as the
    /// usual backlog of a listening socket, unless told. Means nothing without `capacity`.
    pub line: u32,
    /// Whether it drops the work for callers that are gone. Most services do not notice, and
    /// finish what nobody waits for.
    pub notices_cancel: bool,
    /// Another service that it needs for its answers. Absent: none.
    pub calls: Option<Calls>,
    /// What it answers when all is well.
    pub answer: Answer,
    /// Whether it responds without waiting for the end of the request, as a service that refuses
    /// an upload does, or one that streams in both directions.
    pub answers_early: bool,
    /// Longest duration of one attempt (`max_stream_duration` in the cluster's HTTP options);
    /// `0s`: no limit.
    pub max_stream_duration: Span,
    /// How long the proxy waits for a connection.
    pub connect_timeout: Span,
    /// Its address, as log lines and properties show it.
    pub address: String,
    /// How the proxy talks to it. HTTP/1.1 takes a connection for each request, so that
    /// `limits.max_connections` binds.
    pub protocol: UpstreamProtocol,
    /// The proxy's own limits for it (Envoy's `circuit_breakers` of a cluster).
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
            answer: Answer::default(),
            answers_early: false,
            max_stream_duration: Span::ZERO,
            connect_timeout: CONNECT_TIMEOUT,
            address: "10.0.0.1:8080".into(),
            protocol: UpstreamProtocol::default(),
            limits: Limits::default(),
        }
    }
}

/// A protocol towards an upstream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum UpstreamProtocol {
    /// A connection for each request.
    #[default]
    Http1,
    /// All requests over one connection.
    Http2,
}

/// An answer of a healthy upstream.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Answer {
    pub status: u16,
    /// Sent in trailers, to requests that are gRPC.
    pub grpc_status: u32,
    pub headers: BTreeMap<String, String>,
    pub body_bytes: u32,
    /// From the answer's headers to its end.
    pub body_time: Span,
    /// Number of equal chunks of the body, spread evenly over `body_time`.
    pub body_chunks: u32,
}

impl Default for Answer {
    fn default() -> Answer {
        Answer {
            status: 200,
            grpc_status: 0,
            headers: BTreeMap::new(),
            body_bytes: 16,
            body_time: Span::ZERO,
            body_chunks: 1,
        }
    }
}

/// The proxy's own limits for a cluster, with Envoy's defaults.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Requests at once over HTTP/1.1; more wait for a connection.
    pub max_connections: u32,
    /// Requests that wait for a connection; one more is answered 503 (flag UO). Since a request
    /// also waits while its connection is made, 0 turns all away.
    pub max_pending_requests: u32,
    /// Requests at once.
    pub max_requests: u32,
    /// Retries at once, those that back off included.
    pub max_retries: u32,
    /// Allows retries in proportion to the load, instead of `max_retries`.
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
    /// Retries at once, as a share of the requests at once.
    pub budget_percent: Percent,
    /// So many retries at once are always allowed.
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

/// A duration such as `20ms`, or one that is drawn anew each time:
/// `{lognormal: {median: 20ms, p99: 200ms}}`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(transparent)]
#[schemars(with = "LatencySchema")]
pub struct Latency(pub Shape);

/// How durations are distributed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Shape {
    /// Always this one.
    Constant(Span),
    /// All between the two alike.
    Uniform { min: Span, max: Span },
    /// As between independent events: often short, sometimes very long.
    Exponential { mean: Span },
    /// As most services are: half below `median`, one in a hundred above `p99`.
    Lognormal { median: Span, p99: Span },
}

impl fmt::Display for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Shape::Constant(span) => span.fmt(f),
            Shape::Uniform { min, max } => write!(f, "{min} to {max}"),
            Shape::Exponential { mean } => write!(f, "{mean} on average"),
            Shape::Lognormal { median, p99 } => write!(f, "{median}, p99 {p99}"),
        }
    }
}

#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
enum LatencySchema {
    Constant(Span),
    Drawn(Shape),
}

impl<'de> Deserialize<'de> for Latency {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Latency, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Latency;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a duration such as 20ms, or uniform, exponential or lognormal")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Latency, E> {
                let span = text.parse::<Span>();
                let span = span.map_err(|error| E::custom(format!("{text:?} is {error}")))?;
                Ok(Latency(Shape::Constant(span)))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Latency, A::Error> {
                Shape::deserialize(MapAccessDeserializer::new(map)).map(Latency)
            }
        }
        deserializer.deserialize_any(Either)
    }
}
