//! Faults of clusters, and when they are in effect.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::spec::latency::Latency;
use crate::model::spec::number::Percent;
use crate::sim::span::Span;

/// A fault of a cluster, and when it is in effect.
///
/// If several are in effect, they apply in the order of the file. The first one that ends the
/// request decides how; changes of latency and capacity combine.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// The affected cluster.
    pub cluster: String,
    /// When it begins. Defaults to the start of the run.
    #[serde(default)]
    pub from: Span,
    /// When it ends. If missing, it lasts until the end of the run.
    #[serde(default)]
    pub to: Option<Span>,
    /// The share of affected requests. Has no effect on `unhealthy`, `unresolved` and
    /// `capacity`.
    #[serde(default = "all")]
    pub share: Percent,
    /// What goes wrong.
    pub fault: FaultKind,
    /// Headers of the response, such as `retry-after`. Only for `status`, `grpc_status` and
    /// `grpc_status_in_trailers`.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
}

impl Fault {
    /// Returns its name in reports, such as `checkout: 50 % answer 503`.
    pub fn name(&self) -> String {
        let share = match (&self.fault, self.share) {
            (FaultKind::Unhealthy | FaultKind::Unresolved | FaultKind::Capacity(_), _)
            | (_, Percent::ALL) => String::new(),
            (_, share) => format!("{share} "),
        };
        format!("{}: {share}{}", self.cluster, self.fault.name())
    }
}

impl FaultKind {
    /// Returns whether the upstream responds, so that the response may have headers.
    pub fn responds(&self) -> bool {
        matches!(
            self,
            FaultKind::Status(_) | FaultKind::GrpcStatus(_) | FaultKind::GrpcStatusInTrailers(_)
        )
    }

    fn name(&self) -> String {
        match self {
            FaultKind::Status(status) => format!("answer {status}"),
            FaultKind::GrpcStatus(status) | FaultKind::GrpcStatusInTrailers(status) => {
                format!("answer gRPC {status}")
            }
            FaultKind::Reset => "reset".into(),
            FaultKind::ResetAfterHeaders => "reset after headers".into(),
            FaultKind::Hang => "hang".into(),
            FaultKind::Refused => "refused".into(),
            FaultKind::Unreachable => "unreachable".into(),
            FaultKind::Unresolved => "unresolved".into(),
            FaultKind::CutUpload => "cut uploads".into(),
            FaultKind::Unhealthy => "no healthy endpoint".into(),
            FaultKind::Latency(latency) => format!("take {latency}"),
            FaultKind::Slower(times) => format!("{times} x slower"),
            FaultKind::Capacity(limit) => format!("capacity {limit}"),
        }
    }
}

fn all() -> Percent {
    Percent::ALL
}

/// What goes wrong for a request.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum FaultKind {
    /// The upstream responds with this status.
    Status(u16),
    /// The upstream responds with this gRPC status in the headers, without body and trailers.
    GrpcStatus(u32),
    /// The upstream responds with this gRPC status in the trailers, after headers and body.
    GrpcStatusInTrailers(u32),
    /// The connection ends before the response headers.
    Reset,
    /// The connection ends after the response headers, within the body.
    ResetAfterHeaders,
    /// The upstream never responds. Only a timeout ends the request.
    Hang,
    /// The connection is refused.
    Refused,
    /// No connection is made until the cluster's `connect_timeout`.
    Unreachable,
    /// The host name cannot be resolved, in a dynamic forward proxy. A cluster of another type has
    /// no endpoint then: use `unhealthy`.
    Unresolved,
    /// The connection ends while the request body is still being sent.
    CutUpload,
    /// The cluster has no healthy endpoint.
    Unhealthy,
    /// Requests take this long.
    Latency(Latency),
    /// Requests take this many times as long.
    Slower(f64),
    /// The upstream works on this many requests at once.
    Capacity(u32),
}
