//! Traffic policies: what a host, a subset or a port of a `DestinationRule` has of its own.

use super::super::context::Import;
use super::super::draft::Policy;
use super::super::kube::{self, budget, outlier};
use super::super::source::Node;

/// Settings of a traffic policy that stay in the mesh.
const LEFT: kube::Fields = &[
    ("loadBalancer", "the mesh selects hosts"),
    ("tls", "the mesh makes connections"),
    ("tunnel", "the mesh makes connections"),
    ("proxyProtocol", "the mesh makes connections"),
    ("connectionPool.tcp.maxConnections", kube::LIMIT),
    (
        "connectionPool.tcp.connectTimeout",
        "the mesh connects; one that fails is a failure",
    ),
    (
        "connectionPool.tcp.tcpKeepalive",
        "the mesh makes connections",
    ),
    (
        "connectionPool.tcp.maxConnectionDuration",
        "the mesh makes connections",
    ),
    (
        "connectionPool.tcp.idleTimeout",
        "the mesh makes connections",
    ),
    ("connectionPool.http.http1MaxPendingRequests", kube::LIMIT),
    ("connectionPool.http.http2MaxRequests", kube::LIMIT),
    ("connectionPool.http.maxConcurrentStreams", kube::LIMIT),
    (
        "connectionPool.http.maxRequestsPerConnection",
        "the mesh makes connections",
    ),
    (
        "connectionPool.http.maxRetries",
        "a limit on retries at one time, which stays beside a budget over time",
    ),
    (
        "connectionPool.http.idleTimeout",
        "the mesh makes connections",
    ),
    (
        "connectionPool.http.h2UpgradePolicy",
        "the mesh makes connections",
    ),
    (
        "connectionPool.http.useClientProtocol",
        "the mesh makes connections",
    ),
];

/// The parts of a traffic policy that a policy takes over.
#[derive(Clone, Default, PartialEq)]
pub(super) struct Traffic {
    /// `None` if the mesh ejects no host.
    pub breaker: Option<Policy>,
    pub budget: Option<Policy>,
    /// Whether the source has an outlier detection, of whatever effect.
    has_detection: bool,
}

impl Traffic {
    /// Reads and reports a traffic policy, except for the settings of its ports.
    pub(super) fn read(import: &mut Import, node: &Node) -> Traffic {
        kube::leave(import, node, LEFT);
        let detection = node.get("outlierDetection");
        let breaker = detection.and_then(|node| outlier::read(import, node, &outlier::ISTIO));
        let budget = node.get("retryBudget");
        Traffic {
            breaker,
            budget: budget.map(|node| budget::of_istio(import, node)),
            has_detection: detection.is_some(),
        }
    }

    /// Returns these settings with those of a subset over them, part by part.
    pub(super) fn with(&self, own: &Traffic) -> Traffic {
        let detection = if own.has_detection { own } else { self };
        Traffic {
            breaker: detection.breaker.clone(),
            budget: own.budget.clone().or_else(|| self.budget.clone()),
            has_detection: detection.has_detection,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.breaker.is_none() && self.budget.is_none()
    }

    /// Sets all of it in a policy that has retries of its own, or none.
    pub(super) fn apply(&self, policy: &mut Policy) {
        if let Some(breaker) = &self.breaker {
            policy.extend(breaker);
        }
        if let Some(budget) = &self.budget {
            if policy.get("retry.max_retries").is_none() {
                // What is retried stays with the routes of the mesh.
                policy.set("retry.retry_on", Vec::<String>::new());
            }
            policy.extend(budget);
        }
    }
}

/// Reads the settings of single ports, which replace all those of the host for that port.
pub(super) fn ports(import: &mut Import, whole: &Node, name: &str) -> Vec<(u64, Traffic)> {
    let mut ports = Vec::new();
    for settings in kube::list(import, whole.get("portLevelSettings")) {
        let Some(number) = settings.at(&["port", "number"]) else {
            import.problems.add(settings, "a mapping with port.number");
            continue;
        };
        let Some(port) = import.integer(number) else {
            continue;
        };
        let traffic = Traffic::read(import, settings);
        let to = format!("match.clusters, port {}", port.value);
        if traffic.is_empty() {
            import
                .report
                .no_equivalent(number, "nothing of this port is imported");
            import.report.remark(format!(
                "{name}: port {} has settings without outlierDetection, so the mesh ejects no \
                 host there; the policy of the host still holds for it",
                port.value
            ));
        } else {
            import.report.became(number, to, &port.differs);
        }
        ports.push((port.value, traffic));
    }
    ports
}
