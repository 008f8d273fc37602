//! Services that call other services.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Request;
use crate::sim::span::Span;

/// What a service asks of another for each request that it serves, through the same proxy:
/// routes, their retries, limits and the filter apply to it as to requests of clients.
///
/// The service does its own work, calls, and then answers: as it always does if that went
/// well, 503 (gRPC: UNAVAILABLE) if there came a 5xx, a broken answer or none in time. It is
/// busy meanwhile. Nothing is asked for a request that a fault makes fail.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Calls {
    /// Whom it reaches is for the routes to say. Placeholders are those of the traffic's
    /// requests.
    pub path: String,
    #[serde(default = "usual_method")]
    pub method: String,
    #[serde(default = "usual_authority")]
    pub authority: String,
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    #[serde(default)]
    pub body_bytes: u32,
    /// A gRPC call: sets the content type, and is judged by its gRPC status.
    #[serde(default)]
    pub grpc: bool,
    /// How long it waits for the answer; as long as the route lets it if absent. Its own caller
    /// may be gone by then: only a service that notices (`notices_cancel`) gives up with it.
    #[serde(default)]
    pub timeout: Option<Span>,
    /// Headers that it hands on, as it got them with the request that it serves. Those of a
    /// service in a mesh, unless told.
    #[serde(default = "usual_forwards")]
    pub forwards: Vec<String>,
}

fn usual_method() -> String {
    Request::default().method
}

fn usual_authority() -> String {
    Request::default().authority
}

fn usual_forwards() -> Vec<String> {
    ["x-request-id", ATTEMPT_COUNT].map(Into::into).into()
}

/// Says to a service which attempt of the proxy it got.
pub const ATTEMPT_COUNT: &str = "x-envoy-attempt-count";

impl From<&Calls> for Request {
    fn from(calls: &Calls) -> Request {
        Request {
            weight: 1,
            method: calls.method.clone(),
            path: calls.path.clone(),
            authority: calls.authority.clone(),
            headers: calls.headers.clone(),
            body_bytes: calls.body_bytes,
            grpc: calls.grpc,
            ..Request::default()
        }
    }
}
