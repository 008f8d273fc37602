//! Traffic: who sends what, and how patiently.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Latency, Shape};
use crate::sim::span::Span;

/// A group of clients that are alike.
///
/// With `rate` they call at their own pace, however the answers are (an open loop: many
/// independent callers). With `clients`, each waits for its answer and thinks before it
/// calls again (a closed loop: a fixed pool of callers).
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Traffic {
    pub name: String,
    /// Calls per second. Exactly one of `rate` and `clients`.
    pub rate: Option<f64>,
    /// How the calls of a `rate` lie in time.
    pub arrivals: Arrivals,
    /// Changes of `rate`, in the order of their times.
    pub steps: Vec<Step>,
    /// Callers in a closed loop. Exactly one of `rate` and `clients`.
    pub clients: Option<u32>,
    /// What a closed loop's caller does between an answer and its next call.
    pub think: Latency,
    /// When they begin.
    pub from: Span,
    /// When they stop; with the scenario's `duration` if absent.
    pub to: Option<Span>,
    /// What they send, drawn by weight.
    pub requests: Vec<Request>,
    /// How long they wait for an answer before they give up; for ever if absent.
    pub timeout: Option<Span>,
    /// Whether they send again what failed.
    pub retry: Option<ClientRetry>,
}

impl Default for Traffic {
    fn default() -> Traffic {
        Traffic {
            name: "clients".into(),
            rate: None,
            arrivals: Arrivals::default(),
            steps: Vec::new(),
            clients: None,
            think: Latency(Shape::Constant(Span::from_ms(1_000))),
            from: Span::ZERO,
            to: None,
            requests: vec![Request::default()],
            timeout: None,
            retry: None,
        }
    }
}

/// How calls lie in time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Arrivals {
    /// Independent of each other, as those of many callers are.
    #[default]
    Poisson,
    /// Equally far apart.
    Constant,
}

/// A change of the rate.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// When it begins.
    pub at: Span,
    /// Calls per second from then on.
    pub rate: f64,
    /// How long the rate takes to get there, evenly; `0s`: it jumps.
    #[serde(default)]
    pub ramp: Span,
}

/// One kind of request.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Request {
    /// Its share of the traffic, relative to the others.
    pub weight: u32,
    pub method: String,
    /// `{n}` in a path or a header's value is the number of the request, `{random:1000}` a
    /// number below 1000, `{uuid}` a random id.
    pub path: String,
    pub authority: String,
    pub headers: BTreeMap<String, String>,
    pub body_bytes: u32,
    /// How the body is sent; all at once if missing.
    pub upload: Option<Upload>,
    /// Trailers behind the body.
    pub trailers: BTreeMap<String, String>,
    /// How long the client waits before it leaves; the group's `timeout` if missing.
    pub timeout: Option<Span>,
    /// A gRPC call: sets the content type, and is judged by its gRPC status.
    pub grpc: bool,
}

impl Default for Request {
    fn default() -> Request {
        Request {
            weight: 1,
            method: "GET".into(),
            path: "/".into(),
            authority: "example.com".into(),
            headers: BTreeMap::new(),
            body_bytes: 0,
            upload: None,
            trailers: BTreeMap::new(),
            timeout: None,
            grpc: false,
        }
    }
}

/// A body that is sent in chunks.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Upload {
    /// Number of equal chunks.
    pub chunks: u32,
    /// Time from the headers to the first chunk, and between chunks.
    pub interval: Span,
    /// Whether the client never ends the body after the last chunk.
    pub unfinished: bool,
}

impl Default for Upload {
    fn default() -> Upload {
        Upload {
            chunks: 1,
            interval: Span::ZERO,
            unfinished: false,
        }
    }
}

/// Retries of the clients themselves.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ClientRetry {
    /// So many after the first try.
    pub max: u32,
    pub backoff: Backoff,
    /// Whether `retry-after` in an answer is waited for.
    pub honour_retry_after: bool,
}

impl Default for ClientRetry {
    fn default() -> ClientRetry {
        ClientRetry {
            max: 3,
            backoff: Backoff::default(),
            honour_retry_after: false,
        }
    }
}

/// Waits that double, each drawn from zero to its limit.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Backoff {
    pub base: Span,
    pub max: Span,
}

impl Default for Backoff {
    fn default() -> Backoff {
        Backoff {
            base: Span::from_ms(100),
            max: Span::from_ms(2_000),
        }
    }
}
