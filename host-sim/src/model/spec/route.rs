//! Routes: which cluster a request goes to, and how often it is tried.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::sim::span::Span;

/// A route; the first whose `match` holds is a request's.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// What properties and log lines call it.
    #[serde(default)]
    pub name: String,
    #[serde(default, rename = "match")]
    pub matches: Match,
    /// Where its requests go. Exactly one of `cluster`, `cluster_header` and `direct_response`.
    #[serde(default)]
    pub cluster: Option<String>,
    /// The request header that names the cluster.
    #[serde(default)]
    pub cluster_header: Option<String>,
    /// The proxy answers itself.
    #[serde(default)]
    pub direct_response: Option<Direct>,
    /// From the end of the request to the end of the answer, retries included; `0s`: no limit.
    #[serde(default = "fifteen_seconds")]
    pub timeout: Span,
    /// Absent: none but what request headers ask for.
    #[serde(default)]
    pub retry: RetryPolicy,
}

fn fifteen_seconds() -> Span {
    Span::from_ms(15_000)
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
