//! `DestinationRule`: a breaker for each part of a host that has an outlier detection.

use super::super::context::Import;
use super::super::draft::Policy;
use super::super::kube::outlier;
use super::super::kube::{self, Object};
use super::super::source::Node;

/// A breaker, and what it is for.
pub(super) struct Rule {
    pub host: String,
    pub breaker: Policy,
    name: String,
    /// Subsets with this breaker. The empty name stands for the host without a subset.
    subsets: Vec<String>,
    port: Option<u64>,
}

impl Rule {
    /// Returns whether the rule is for a destination, whose port may be unknown.
    pub(super) fn holds(&self, host: &str, subset: &str, port: Option<u64>) -> bool {
        let is_host = match self.host.strip_prefix('*') {
            Some(end) => host.ends_with(end),
            None => self.host == host,
        };
        is_host
            && self.subsets.iter().any(|name| name == subset)
            && (self.port.is_none() || self.port == port)
    }
}

/// Says where the object applies. Policies apply where the plugin is loaded.
pub(super) const SCOPE: kube::Fields = &[
    ("exportTo", "a policy holds in every proxy that loads it"),
    (
        "workloadSelector",
        "select the same workloads where you load the plugin",
    ),
    (
        "gateways",
        "load the plugin into these gateways; `mesh` stands for the sidecars",
    ),
];

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
    (
        "retryBudget",
        "a limit on retries at one time, which stays beside a budget over time: see retry.budget",
    ),
];

/// Reads a rule with its subsets and ports.
pub(super) fn read(import: &mut Import, object: &Object) -> Vec<Rule> {
    let mut rules = Vec::new();
    let Some(spec) = object.open(import) else {
        return rules;
    };
    object.annotations(import);
    kube::leave(import, spec, SCOPE);
    let Some(host) = host(import, object, spec) else {
        return rules;
    };
    let whole = spec.get("trafficPolicy");
    let common = whole.and_then(|node| traffic(import, node));
    let mut plain = vec![String::new()];
    for subset in kube::list(import, spec.get("subsets")) {
        let Some(name) = subset_name(import, subset) else {
            continue;
        };
        let own = subset.get("trafficPolicy");
        let parts = Parts {
            object,
            host: &host,
            subset: &name,
        };
        if let Some(own) = own {
            rules.extend(ports(import, own, &parts));
        }
        match own.filter(|own| own.get("outlierDetection").is_some()) {
            Some(own) => {
                let breaker = traffic(import, own);
                rules.extend(breaker.map(|breaker| parts.rule(breaker, None)));
            }
            None => {
                own.map(|own| traffic(import, own));
                plain.push(name);
            }
        }
    }
    let parts = Parts {
        object,
        host: &host,
        subset: "",
    };
    if let Some(whole) = whole {
        rules.extend(ports(import, whole, &parts));
    }
    rules.extend(common.map(|breaker| Rule {
        subsets: plain,
        ..parts.rule(breaker, None)
    }));
    rules
}

fn host(import: &mut Import, object: &Object, spec: &Node) -> Option<String> {
    match spec.get("host").map(|node| (node, node.text())) {
        Some((node, Some(text))) if !text.is_empty() => {
            let host = kube::full_name(text, object.namespace);
            import.report.exact(
                node,
                format!("match.clusters {}", kube::cluster(&host, "", None)),
            );
            Some(host)
        }
        Some((node, _)) => {
            import.problems.add(node, "a host name");
            None
        }
        None => {
            import.problems.add(spec, "a mapping with host");
            None
        }
    }
}

fn subset_name(import: &mut Import, subset: &Node) -> Option<String> {
    if let Some(labels) = subset.get("labels") {
        import.report.unrelated(labels, "the mesh selects hosts");
    }
    match subset.get("name").and_then(Node::text) {
        Some(name) if !name.is_empty() => {
            if let Some(node) = subset.get("name") {
                import
                    .report
                    .exact(node, "match.clusters, in the third part of a name");
            }
            Some(name.to_owned())
        }
        _ => {
            import.problems.add(subset, "a mapping with name");
            None
        }
    }
}

/// Reports a traffic policy, and returns its breaker.
fn traffic(import: &mut Import, node: &Node) -> Option<Policy> {
    kube::leave(import, node, LEFT);
    let detection = node.get("outlierDetection")?;
    outlier::read(import, detection, &outlier::ISTIO)
}

/// What a rule is for.
struct Parts<'a> {
    object: &'a Object<'a>,
    host: &'a str,
    subset: &'a str,
}

impl Parts<'_> {
    fn rule(&self, breaker: Policy, port: Option<u64>) -> Rule {
        let port_text = port.map(|port| port.to_string()).unwrap_or_default();
        let names = [self.object.name, self.subset, &port_text];
        let names: Vec<&str> = names.into_iter().filter(|name| !name.is_empty()).collect();
        Rule {
            host: self.host.to_owned(),
            breaker,
            name: names.join("-"),
            subsets: vec![self.subset.to_owned()],
            port,
        }
    }
}

/// Reads the settings of single ports, which replace all those of the host for that port.
fn ports(import: &mut Import, traffic_policy: &Node, parts: &Parts) -> Vec<Rule> {
    let mut rules = Vec::new();
    for settings in kube::list(import, traffic_policy.get("portLevelSettings")) {
        let Some(number) = settings.at(&["port", "number"]) else {
            import.problems.add(settings, "a mapping with port.number");
            continue;
        };
        let Some(port) = import.integer(number) else {
            continue;
        };
        import.report.became(
            number,
            format!("match.clusters, port {}", port.value),
            &port.differs,
        );
        match traffic(import, settings) {
            Some(breaker) => rules.push(parts.rule(breaker, Some(port.value))),
            None => import.report.remark(format!(
                "{}: port {} has settings without outlierDetection, so the mesh ejects no host \
                 there; the policy of the host still holds for it",
                parts.object.name, port.value
            )),
        }
    }
    rules
}

/// Writes the policies. Those of a port come first, and those of a wildcard last.
pub(super) fn write(import: &mut Import, mut rules: Vec<Rule>) {
    rules.sort_by_key(|rule| (rule.port.is_none(), rule.host.starts_with('*')));
    for rule in rules {
        let mut policy = Policy::new(&rule.name);
        let clusters = rule.subsets.iter();
        let clusters = clusters.map(|subset| kube::cluster(&rule.host, subset, rule.port));
        policy.set("match.clusters", clusters.collect::<Vec<String>>());
        policy.extend(&rule.breaker);
        import.draft.add(policy);
    }
}
