//! Routes: the cluster of a request, its timeouts and its retries.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::sim::span::Span;

/// A route. A request takes the first one that matches it.
///
/// The defaults are Envoy's.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Route {
    /// Its name in properties and log lines.
    pub name: String,
    #[serde(rename = "match")]
    pub matches: Match,
    /// The cluster of its requests. Exactly one of `cluster`, `cluster_header` and
    /// `direct_response` is required.
    pub cluster: Option<String>,
    /// The request header that names the cluster.
    pub cluster_header: Option<String>,
    /// The proxy responds itself.
    pub direct_response: Option<Direct>,
    /// Time from the end of the request to the end of the response, including retries. `0s` means
    /// no limit. As in Envoy, a route with `max_stream_duration` ignores it.
    pub timeout: Span,
    /// Longest time in which nothing is sent in either direction (the connection manager's
    /// `stream_idle_timeout`, or the route's `idle_timeout`). `0s` means no limit.
    pub idle_timeout: Span,
    /// Limits the duration of the whole stream, from its first byte.
    pub max_stream_duration: Option<MaxStreamDuration>,
    /// Longest timeout that a gRPC request may set with `grpc-timeout`, which replaces `timeout`.
    /// `0s` means no limit. If missing, the header is ignored.
    pub max_grpc_timeout: Option<Span>,
    /// Subtracted from a longer `grpc-timeout`.
    pub grpc_timeout_offset: Option<Span>,
    /// Retries of the proxy. If missing, only those that request headers ask for.
    pub retry: RetryPolicy,
}

/// Envoy's default for routes.
const TIMEOUT: Span = Span::from_ms(15_000);

/// Envoy's default for connection managers.
const IDLE_TIMEOUT: Span = Span::from_ms(300_000);

impl Default for Route {
    fn default() -> Route {
        Route {
            name: String::new(),
            matches: Match::default(),
            cluster: None,
            cluster_header: None,
            direct_response: None,
            timeout: TIMEOUT,
            idle_timeout: IDLE_TIMEOUT,
            max_stream_duration: None,
            max_grpc_timeout: None,
            grpc_timeout_offset: None,
            retry: RetryPolicy::default(),
        }
    }
}

/// Envoy's `max_stream_duration` of a route.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MaxStreamDuration {
    /// Longest duration of a stream. No limit if `0s` or missing.
    pub max_stream_duration: Option<Span>,
    /// Longest duration that a request of any content type may set with `grpc-timeout`, which
    /// replaces `max_stream_duration`. `0s` means no limit. If missing, the header is ignored.
    pub grpc_timeout_header_max: Option<Span>,
    /// Subtracted from a longer `grpc-timeout`.
    pub grpc_timeout_header_offset: Option<Span>,
}

/// Conditions on a request. All of them must hold.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Match {
    /// Prefix of the path.
    pub prefix: Option<String>,
    /// The whole path, without its query.
    pub path: Option<String>,
    pub headers: Vec<HeaderMatch>,
}

/// A condition on a header: it equals `exact`, or `present` says whether it exists.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HeaderMatch {
    pub name: String,
    #[serde(default)]
    pub exact: Option<String>,
    #[serde(default)]
    pub present: Option<bool>,
}

/// A response of the proxy itself.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Direct {
    pub status: u16,
    #[serde(default)]
    pub body: String,
}

/// Envoy's `retry_policy`. Request headers extend it.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RetryPolicy {
    /// Envoy's retry conditions, such as `5xx,reset`. Empty means no retries.
    pub retry_on: String,
    /// Number of retries after the first attempt.
    pub num_retries: u32,
    /// Timeout of each attempt. `0s` means that only the route's timeout applies.
    pub per_try_timeout: Span,
    /// Status codes for the condition `retriable-status-codes`.
    pub retriable_status_codes: Vec<u16>,
    /// Upper bound of the backoff before the first retry. The backoff is drawn between zero and
    /// this bound.
    pub base_interval: Span,
    /// Upper bound of any backoff. Defaults to ten times `base_interval`.
    pub max_interval: Option<Span>,
}

impl Default for RetryPolicy {
    fn default() -> RetryPolicy {
        RetryPolicy {
            retry_on: String::new(),
            num_retries: 1,
            per_try_timeout: Span::ZERO,
            retriable_status_codes: Vec::new(),
            base_interval: Span::from_ms(25),
            max_interval: None,
        }
    }
}
