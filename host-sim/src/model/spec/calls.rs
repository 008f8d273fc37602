//! Services that call other services.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::spec::traffic::Request;
use crate::sim::span::Span;

/// A call that a service makes to another one for each request that it serves.
///
/// The call goes through the same proxy: routes, retries, limits and the filter apply to it as to
/// requests of clients. The service does its own work, makes the call, and then responds: with its
/// usual response if the call succeeded, with 503 (gRPC: UNAVAILABLE) if the call got a 5xx, a
/// reset or no response in time. It keeps its worker meanwhile. It makes no call for a request
/// that a fault makes fail.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Calls {
    /// The path, which decides the route. It may contain the placeholders of the traffic's
    /// requests.
    pub path: String,
    #[serde(default = "default_method")]
    pub method: String,
    #[serde(default = "default_authority")]
    pub authority: String,
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    #[serde(default)]
    pub body_bytes: u32,
    /// Makes it a gRPC call: sets the content type, and classifies it by its gRPC status.
    #[serde(default)]
    pub grpc: bool,
    /// How long the service waits for the response. If missing, only the route limits it. The
    /// service keeps waiting after its own caller has left, unless it has `notices_cancel`.
    #[serde(default)]
    pub timeout: Option<Span>,
    /// Request headers that the service forwards. Defaults to the headers that services in a mesh
    /// forward.
    #[serde(default = "default_forwards")]
    pub forwards: Vec<String>,
}

fn default_method() -> String {
    Request::default().method
}

fn default_authority() -> String {
    Request::default().authority
}

fn default_forwards() -> Vec<String> {
    ["x-request-id", ATTEMPT_COUNT].map(Into::into).into()
}

/// The header that carries the number of the attempt to the upstream.
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
