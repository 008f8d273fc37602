//! Faults: how clusters change over time.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Latency, Percent};
use crate::sim::span::Span;

/// What is wrong with a cluster, and when.
///
/// Where several hold at a time, they are asked in the order of the file: the first that
/// decides how a request ends does; changes of latency and capacity add up.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// The cluster that it befalls.
    pub cluster: String,
    /// When it begins; at once if absent.
    #[serde(default)]
    pub from: Span,
    /// When it is over; never if absent.
    #[serde(default)]
    pub to: Option<Span>,
    /// The share of requests that it befalls. Means nothing to `unhealthy`,
    /// `unresolved` and `capacity`.
    #[serde(default = "all")]
    pub share: Percent,
    /// What happens.
    pub fault: FaultKind,
}

impl Fault {
    /// What reports call it: `checkout: 50 % answer 503`.
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
    fn name(&self) -> String {
        match self {
            FaultKind::Status(status) => format!("answer {status}"),
            FaultKind::GrpcStatus(status) | FaultKind::GrpcStatusInTrailers(status) => {
                format!("answer gRPC {status}")
            }
            FaultKind::Reset => "reset".into(),
            FaultKind::ResetAfterHeaders => "break off".into(),
            FaultKind::Hang => "hang".into(),
            FaultKind::Refused => "refused".into(),
            FaultKind::Unreachable => "unreachable".into(),
            FaultKind::Unresolved => "no address".into(),
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

/// What happens to a request.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum FaultKind {
    /// The upstream answers this status.
    Status(u16),
    /// The upstream answers this gRPC status, in the headers of an answer without more.
    GrpcStatus(u32),
    /// The same in trailers, after headers and body.
    GrpcStatusInTrailers(u32),
    /// The connection ends before the answer's headers.
    Reset,
    /// The connection ends after the answer's headers, within the body.
    ResetAfterHeaders,
    /// No answer ever; somebody's time-out has to end it.
    Hang,
    /// The connection is refused.
    Refused,
    /// No connection is made until the cluster's `connect_timeout`.
    Unreachable,
    /// The name of the host cannot be resolved, in a dynamic forward proxy. A cluster of another
    /// type then has no endpoint, which is `unhealthy`.
    Unresolved,
    /// The connection ends while the request's body is still on its way.
    CutUpload,
    /// The cluster has no healthy endpoint.
    Unhealthy,
    /// Requests take this long instead.
    Latency(Latency),
    /// Requests take so many times as long.
    Slower(f64),
    /// It works on so many requests at once.
    Capacity(u32),
}
