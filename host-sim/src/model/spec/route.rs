//! Routes: which cluster a request goes to, and how often it is tried.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::sim::span::Span;

/// A route; the first whose `match` holds is a request's.
///
/// The defaults are Envoy's.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Route {
    /// What properties and log lines call it.
    pub name: String,
    #[serde(rename = "match")]
    pub matches: Match,
    /// Where its requests go. Exactly one of `cluster`, `cluster_header` and `direct_response`.
    pub cluster: Option<String>,
    /// The request header that names the cluster.
    pub cluster_header: Option<String>,
    /// The proxy answers itself.
    pub direct_response: Option<Direct>,
    /// From the end of the request to the end of the answer, retries included; `0s`: no limit.
    /// Like Envoy, a route with `max_stream_duration` ignores it.
    pub timeout: Span,
    /// Longest time in which nothing is sent in either direction (the connection manager's
    /// `stream_idle_timeout`, or the route's `idle_timeout`); `0s`: no limit.
    pub idle_timeout: Span,
    /// Limits the whole stream, from its first byte on.
    pub max_stream_duration: Option<MaxStreamDuration>,
    /// Longest timeout that a gRPC request may ask for by `grpc-timeout`; `0s`: any. If missing,
    /// the header is not read. The header takes the place of `timeout`.
    pub max_grpc_timeout: Option<Span>,
    /// Subtracted from a longer `grpc-timeout`.
    pub grpc_timeout_offset: Option<Span>,
    /// Absent: none but what request headers ask for.
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
    /// Longest duration of a stream; `0s` or missing: no limit.
    pub max_stream_duration: Option<Span>,
    /// Longest duration that a request may ask for by `grpc-timeout`, whatever its content type;
    /// `0s`: any. If missing, the header is not read. The header takes the place of
    /// `max_stream_duration`.
    pub grpc_timeout_header_max: Option<Span>,
    /// Subtracted from a longer `grpc-timeout`.
    pub grpc_timeout_header_offset: Option<Span>,
}

/// What a request has to be like; all of it must hold.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Match {
    /// How the path begins.
    pub prefix: Option<String>,
    /// The whole path, without its query.
    pub path: Option<String>,
    pub headers: Vec<HeaderMatch>,
}

/// What a header has to be like: equal to `exact`, or there (or not) by `present`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HeaderMatch {
    pub name: String,
    #[serde(default)]
    pub exact: Option<String>,
    #[serde(default)]
    pub present: Option<bool>,
}

/// An answer of the proxy itself.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Direct {
    pub status: u16,
    #[serde(default)]
    pub body: String,
}

/// Envoy's `retry_policy`; request headers add to it.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RetryPolicy {
    /// Conditions in Envoy's words, such as `5xx,reset`; empty: no retries.
    pub retry_on: String,
    /// So many retries after the first try.
    pub num_retries: u32,
    /// `0s`: no limit but the route's.
    pub per_try_timeout: Span,
    /// For the condition `retriable-status-codes`.
    pub retriable_status_codes: Vec<u16>,
    /// The longest wait before the first retry; the wait is drawn from zero to that.
    pub base_interval: Span,
    /// The longest wait before any; ten times `base_interval` if absent.
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
