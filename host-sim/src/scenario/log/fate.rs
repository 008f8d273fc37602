//! What the upstream did with a logged request.
//!
//! A log says how a request ended for the client. Where the proxy or a filter answered itself, it
//! does not say what the upstream would have done, and an assumption takes its place. Each of them
//! has a name here, is counted, and is stated in the report.

use crate::model::recorded::{Ending, Fate};
use crate::model::response::{GrpcPlace, ProxyEnding, Response, UpstreamEvent};
use crate::record::Outcome;
use crate::scenario::log::entry::Entry;

/// What a logged request means for a replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// The upstream, or the proxy on behalf of it, ended the request.
    Upstream(UpstreamEvent),
    /// Spillway kept it from the upstream.
    KeptAway,
    /// Spillway wrote its own response over a failure whose status is lost: it counts as a 503.
    Replaced(UpstreamEvent),
    /// It neither reached Spillway nor an upstream: it is left out.
    Elsewhere,
}

/// The beginnings of Spillway's own response details, and what they mean.
const REJECTED: [&str; 4] = [
    "spillway_open",
    "spillway_half_open",
    "spillway_recovering",
    "spillway_forced_open",
];

/// Flags of requests that other filters or the proxy ended before Spillway, or without a cluster.
const ELSEWHERE: [&str; 13] = [
    "NR", "NC", "RL", "UAEX", "RLSE", "FI", "IH", "DPE", "RFCF", "NFCF", "OM", "DO", "LH",
];

/// Flags with which the proxy ended an attempt, the strongest first.
const BY_PROXY: [(&str, ProxyEnding); 8] = [
    ("DC", ProxyEnding::ClientLeft),
    ("UH", ProxyEnding::NoHealthyHost),
    ("UO", ProxyEnding::Overflow),
    ("DF", ProxyEnding::Unresolved),
    ("UMSDR", ProxyEnding::MaxDuration),
    ("SI", ProxyEnding::Idle),
    ("DT", ProxyEnding::Duration),
    ("UT", ProxyEnding::RouteTimeout),
];

impl Meaning {
    /// Returns the meaning of a request.
    pub fn of(entry: &Entry) -> Meaning {
        if let Some(meaning) = of_spillway(entry) {
            return meaning;
        }
        let flag = |wanted: &str| entry.flags.split(',').any(|it| it.trim() == wanted);
        if entry.cluster.is_empty() || ELSEWHERE.iter().any(|it| flag(it)) {
            return Meaning::Elsewhere;
        }
        let details = entry.details.as_str();
        if let Some((_, ending)) = BY_PROXY.iter().find(|(it, _)| flag(it)) {
            let per_try = details.starts_with("upstream_per_try_timeout");
            let ending = match ending {
                ProxyEnding::RouteTimeout if per_try => ProxyEnding::PerTryTimeout,
                ending => *ending,
            };
            return Meaning::Upstream(UpstreamEvent::ByProxy(ending));
        }
        if details.starts_with("upstream_reset_after_response_started") {
            return Meaning::Upstream(broken(entry.status));
        }
        if flag("UF") {
            return Meaning::Upstream(match details.contains("connection_timeout") {
                true => UpstreamEvent::Unreachable,
                false => UpstreamEvent::Refused,
            });
        }
        let reset = details.starts_with("upstream_reset_before_response_started");
        if reset || ["UC", "UR", "LR", "UPE"].iter().any(|it| flag(it)) {
            return Meaning::Upstream(UpstreamEvent::Reset);
        }
        match (details, entry.status) {
            ("max_duration_timeout", _) => {
                Meaning::Upstream(UpstreamEvent::ByProxy(ProxyEnding::Duration))
            }
            (_, 0) => Meaning::Elsewhere,
            ("" | "via_upstream" | "spillway_retry", _) => Meaning::Upstream(response(entry)),
            _ => Meaning::Elsewhere,
        }
    }

    /// Returns what it says about the upstream. `None` if the request is left out.
    pub fn fate(self, entry: &Entry) -> Option<Fate> {
        match self {
            Meaning::Upstream(event) | Meaning::Replaced(event) => {
                let took = entry.duration;
                Some(Fate::Known(Ending { took, event }))
            }
            Meaning::KeptAway => Some(Fate::Unknown),
            Meaning::Elsewhere => None,
        }
    }

    /// Returns how the request ended for its client.
    pub fn outcome(self, entry: &Entry) -> Outcome {
        let good = entry.is_good();
        match self {
            Meaning::KeptAway | Meaning::Replaced(_) if good => Outcome::Fallback,
            Meaning::KeptAway | Meaning::Replaced(_) => Outcome::Rejected,
            Meaning::Upstream(UpstreamEvent::CLIENT_LEFT) => Outcome::GaveUp,
            Meaning::Upstream(UpstreamEvent::Response(it)) if !it.complete => Outcome::Broken,
            _ if good => Outcome::Success,
            _ => Outcome::Error,
        }
    }
}

/// Returns the meaning of what Spillway did. `None` if it let the request and the response pass.
fn of_spillway(entry: &Entry) -> Option<Meaning> {
    let details = entry.details.as_str();
    let unavailable = UpstreamEvent::Response(Response::unavailable(entry.grpc_status.is_some()));
    match details {
        _ if REJECTED.contains(&details) => Some(Meaning::KeptAway),
        _ if entry.decision.ends_with("decision=reject") => Some(Meaning::KeptAway),
        "spillway_failure" => Some(Meaning::Replaced(unavailable)),
        "spillway_timeout" => Some(Meaning::Replaced(UpstreamEvent::ByProxy(
            ProxyEnding::RouteTimeout,
        ))),
        "via_upstream" if entry.decision.ends_with("decision=fallback") => {
            Some(Meaning::Replaced(unavailable))
        }
        _ => None,
    }
}

fn response(entry: &Entry) -> UpstreamEvent {
    UpstreamEvent::Response(Response {
        status: entry.status,
        grpc: entry
            .grpc_status
            .map(|status| (status, GrpcPlace::Trailers)),
        complete: true,
        healthy: entry.is_good(),
        fault: None,
    })
}

/// Returns a response that breaks off.
fn broken(status: u16) -> UpstreamEvent {
    UpstreamEvent::Response(Response {
        status: if status == 0 { 200 } else { status },
        grpc: None,
        complete: false,
        healthy: false,
        fault: None,
    })
}
