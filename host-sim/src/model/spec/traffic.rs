//! Traffic: groups of clients, their requests and their patience.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::spec::latency::{Latency, Shape};
use crate::sim::span::Span;

/// A group of clients with the same behaviour.
///
/// With `rate`, calls arrive independently of the responses (an open loop: many independent
/// callers). With `clients`, each client waits for its response and thinks before its next call
/// (a closed loop: a fixed pool of callers).
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Traffic {
    pub name: String,
    /// Calls per second. Exactly one of `rate` and `clients` is required.
    pub rate: Option<f64>,
    /// How the calls of a `rate` are distributed over time.
    pub arrivals: Arrivals,
    /// Changes of `rate`, sorted by time.
    pub steps: Vec<Step>,
    /// Number of clients in a closed loop. Exactly one of `rate` and `clients` is required.
    pub clients: Option<u32>,
    /// Time between a response and the next call of a client in a closed loop.
    pub think: Latency,
    /// When the traffic begins.
    pub from: Span,
    /// When the traffic stops. Defaults to the scenario's `duration`.
    pub to: Option<Span>,
    /// The kinds of requests, drawn by weight.
    pub requests: Vec<Request>,
    /// How long clients wait for a response before they give up. If missing, they wait forever.
    pub timeout: Option<Span>,
    /// Retries of failed calls by the clients. If missing, they do not retry.
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

/// How calls are distributed over time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Arrivals {
    /// Independent of each other, like the calls of many clients.
    #[default]
    Poisson,
    /// At equal intervals.
    Constant,
}

/// A change of the call rate.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// When the change begins.
    pub at: Span,
    /// The new rate, in calls per second.
    pub rate: f64,
    /// How long the rate takes to change linearly. `0s` means at once.
    #[serde(default)]
    pub ramp: Span,
}

/// One kind of request.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Request {
    /// Its share of the traffic, relative to the other kinds.
    pub weight: u32,
    pub method: String,
    /// In paths and header values, `{n}` is the number of the request, `{random:1000}` a random
    /// number below 1000, and `{uuid}` a random id.
    pub path: String,
    pub authority: String,
    pub headers: BTreeMap<String, String>,
    pub body_bytes: u32,
    /// How the body is sent. If missing, it is sent at once.
    pub upload: Option<Upload>,
    /// Trailers after the body.
    pub trailers: BTreeMap<String, String>,
    /// How long the client waits before it gives up. Defaults to the group's `timeout`.
    pub timeout: Option<Span>,
    /// Makes it a gRPC call: sets the content type, and classifies it by its gRPC status.
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

/// A body sent in chunks.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Upload {
    /// Number of equal chunks.
    pub chunks: u32,
    /// Time from the headers to the first chunk, and between chunks.
    pub interval: Span,
    /// Whether the body never ends after the last chunk.
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

/// Retries by the clients themselves.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ClientRetry {
    /// Number of retries after the first request.
    pub max: u32,
    pub backoff: Backoff,
    /// Whether the client waits as long as `retry-after` in a response says.
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

/// Exponential backoff. Each wait is drawn between zero and a bound that doubles up to `max`.
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
