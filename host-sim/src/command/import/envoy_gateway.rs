//! Envoy Gateway's `BackendTrafficPolicy`.
//!
//! A policy for routes matches the clusters of their rules, and one for a whole gateway matches
//! every request, so it is written behind those for routes.

mod admission;

use super::context::Import;
use super::draft::Policy;
use super::engine;
use super::kube::retries::{self, Conditions};
use super::kube::{self, Object, budget, outlier};
use super::source::Node;

/// Envoy Gateway's default conditions for a retry, and its default number of retries.
const RETRY_ON: [&str; 5] = [
    "connect-failure",
    "refused-stream",
    "unavailable",
    "cancelled",
    "503",
];
const RETRIES: u64 = 2;

const LEFT: kube::Fields = &[
    (
        "mergeType",
        "policies are not merged: a request has the first that matches",
    ),
    ("circuitBreaker.maxConnections", kube::LIMIT),
    ("circuitBreaker.maxPendingRequests", kube::LIMIT),
    ("circuitBreaker.maxParallelRequests", kube::LIMIT),
    (
        "circuitBreaker.maxParallelRetries",
        "a limit on retries at one time, which stays beside a budget over time",
    ),
    (
        "circuitBreaker.maxRequestsPerConnection",
        "the mesh makes connections",
    ),
    ("circuitBreaker.perEndpoint", kube::LIMIT),
    (
        "timeout.tcp",
        "the mesh connects; a connection that fails is a failure",
    ),
    ("timeout.http.requestTimeout", kube::TIMEOUT),
    (
        "timeout.http.connectionIdleTimeout",
        "the mesh makes connections",
    ),
    (
        "timeout.http.maxConnectionDuration",
        "the mesh makes connections",
    ),
    ("timeout.http.maxStreamDuration", kube::TIMEOUT),
    ("timeout.http.streamIdleTimeout", kube::TIMEOUT),
    (
        "retry.numAttemptsPerPriority",
        "the mesh selects the host of a retry",
    ),
    (
        "healthCheck.active",
        "probes of single hosts, which the mesh makes",
    ),
    (
        "healthCheck.panicThreshold",
        "a circuit has no hosts; the mesh keeps this limit",
    ),
    (
        "faultInjection",
        "the mesh injects faults; the circuit ignores its responses",
    ),
    (
        "rateLimit",
        "the mesh limits rates; the circuit ignores its responses",
    ),
    ("bandwidthLimit", "the mesh limits rates"),
    (
        "adaptiveConcurrency",
        "the mesh limits concurrency; the circuit ignores its responses",
    ),
    ("loadBalancer", "the mesh selects hosts"),
    ("proxyProtocol", "the mesh makes connections"),
    ("tcpKeepalive", "the mesh makes connections"),
    ("connection", "the mesh makes connections"),
    ("dns", "the mesh resolves names"),
    ("http2", "the mesh makes connections"),
    ("useClientProtocol", "the mesh makes connections"),
    ("compression", "the mesh compresses"),
    ("compressor", "the mesh compresses"),
    (
        "responseOverride",
        "the mesh replaces responses; fallback does it for open circuits",
    ),
    ("httpUpgrade", "the mesh upgrades connections"),
    ("requestBuffer", "the mesh buffers"),
    ("telemetry", "the mesh reports"),
    ("routingType", "the mesh selects hosts"),
    ("decompressor", "the mesh compresses"),
];

/// Imports all files.
pub(super) fn import(import: &mut Import) {
    let mut behind = Vec::new();
    for object in &kube::objects(import) {
        if object.group != "gateway.envoyproxy.io" || object.kind != "BackendTrafficPolicy" {
            object.pass_over(import);
            continue;
        }
        match read(import, object) {
            Some(policy) if policy.get("match.clusters").is_none() => {
                behind.push((object.name, policy));
            }
            Some(policy) => {
                import.draft.add(policy);
            }
            None => {}
        }
    }
    // Only the first could ever match.
    let mut behind = behind.into_iter();
    if let Some((_, policy)) = behind.next() {
        let name = import.draft.add(policy);
        import.report.remark(format!(
            "{name} is for a whole gateway, so it matches every request; load it there alone"
        ));
    }
    for (name, _) in behind {
        import.report.remark(format!(
            "{name} is left out: it matches every request too, so import it on its own"
        ));
    }
}

fn read(import: &mut Import, object: &Object) -> Option<Policy> {
    let spec = object.open(import)?;
    object.annotations(import);
    kube::leave(import, spec, LEFT);
    let mut policy = Policy::new(object.name);
    let clusters = clusters(import, object, spec)?;
    if !clusters.is_empty() {
        policy.set("match.clusters", clusters);
    }
    let breaker = spec.at(&["healthCheck", "passive"]);
    let breaker = breaker.and_then(|node| outlier::read(import, node, &outlier::ENVOY_GATEWAY));
    let admission = spec.get("admissionControl");
    match (&breaker, admission) {
        (Some(_), Some(node)) => import.report.no_equivalent(
            node,
            "the circuit has the settings of healthCheck.passive; the mesh keeps this beside it",
        ),
        (Some(breaker), None) => policy.extend(breaker),
        (None, Some(node)) => admission::read(import, &mut policy, node),
        (None, None) => {}
    }
    if let Some(retry) = spec.get("retry") {
        read_retry(import, &mut policy, retry);
    }
    if let Some(budget) = spec.at(&["circuitBreaker", "retryBudget"]) {
        let budget = budget::of_envoy_gateway(import, budget);
        if policy.get("retry.max_retries").is_none() {
            policy.set("retry.retry_on", Vec::<String>::new());
        }
        policy.extend(&budget);
    }
    if policy.is_idle() {
        import.report.unused(object.node);
        return None;
    }
    Some(policy)
}

/// Returns the clusters of all targets, or nothing for all requests. `None` if no target is HTTP.
fn clusters(import: &mut Import, object: &Object, spec: &Node) -> Option<Vec<String>> {
    if let Some(selectors) = spec.get("targetSelectors") {
        let why = "labels are not known here; name the targets in targetRefs, or edit match";
        import.report.no_equivalent(selectors, why);
    }
    let one = spec.get("targetRef");
    let targets: Vec<&Node> = one
        .into_iter()
        .chain(kube::list(import, spec.get("targetRefs")))
        .collect();
    if targets.is_empty() {
        if spec.get("targetSelectors").is_some() {
            return Some(Vec::new());
        }
        import
            .problems
            .add(spec, "a mapping with targetRefs or targetSelectors");
        return None;
    }
    let mut clusters = Vec::new();
    let mut is_whole = false;
    for target in targets {
        let text = |key| target.get(key).and_then(Node::text).unwrap_or_default();
        match text("kind") {
            _ if text("name").is_empty() => import.problems.add(target, "a mapping with name"),
            kind @ ("HTTPRoute" | "GRPCRoute") => {
                let cluster = kube::rule_cluster(kind, object.namespace, text("name"), "*");
                match target.get("sectionName") {
                    None => import
                        .report
                        .exact(target, format!("match.clusters {cluster}")),
                    Some(_) => {
                        let differs = "rules are numbered there, so it is for all of the route";
                        let to = format!("match.clusters {cluster}");
                        import.report.approximate(target, to, differs);
                    }
                }
                clusters.push(cluster);
            }
            "Gateway" => {
                is_whole = true;
                let differs = "load the policy only into the proxies of this gateway";
                import.report.approximate(target, "no match", differs);
            }
            _ => import.report.no_equivalent(target, "not HTTP"),
        }
    }
    if is_whole {
        clusters.clear();
    } else if clusters.is_empty() {
        return None;
    }
    Some(clusters)
}

fn read_retry(import: &mut Import, policy: &mut Policy, retry: &Node) {
    import.report.section(
        retry,
        "retry, with Envoy Gateway's defaults for what is left out",
    );
    retries::attempts(import, policy, retry.get("numRetries"), RETRIES);
    let mut conditions = Conditions::of(&RETRY_ON);
    if let Some(retry_on) = retry.get("retryOn") {
        conditions = Conditions::default();
        for key in ["triggers", "httpStatusCodes"] {
            for node in kube::list(import, retry_on.get(key)) {
                let Some(read) = import.text(node, "a condition or a status") else {
                    continue;
                };
                if read.value == "retriable-status-codes" {
                    import.report.exact(node, "the statuses of httpStatusCodes");
                    continue;
                }
                conditions.add(&read.value);
                conditions.report(import, node);
            }
        }
    }
    conditions.set(policy);
    retries::try_timeout(import, policy, retry.at(&["perRetry", "timeout"]));
    let interval = |key| retry.at(&["perRetry", "backOff", key]);
    let (base, longest) = (interval("baseInterval"), interval("maxInterval"));
    engine::backoff(import, policy, base, longest, &[]);
    retries::remark(
        import,
        policy,
        "remove `retry` from the BackendTrafficPolicy",
    );
}
