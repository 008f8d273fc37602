//! Failure accrual, retries and timeouts in annotations.

use super::super::context::Import;
use super::super::draft::Policy;
use super::super::engine;
use super::super::kube::retries::{self, Conditions};
use super::super::kube::{self, Object};
use super::super::source::Node;
use super::super::values::SECOND;

const ACCRUAL: &str = "balancer.linkerd.io/failure-accrual";
const FAILURES: &str = "balancer.linkerd.io/failure-accrual-consecutive-max-failures";
const PENALTY_MIN: &str = "balancer.linkerd.io/failure-accrual-consecutive-min-penalty";
const PENALTY_MAX: &str = "balancer.linkerd.io/failure-accrual-consecutive-max-penalty";
const JITTER: &str = "balancer.linkerd.io/failure-accrual-consecutive-jitter-ratio";
const OURS: [&str; 3] = [
    "balancer.linkerd.io/",
    "retry.linkerd.io/",
    "timeout.linkerd.io/",
];

/// Retries of a request if `retry.linkerd.io/limit` is left out.
const LIMIT: u64 = 1;

/// An object with settings in its annotations.
pub(super) struct Annotated {
    /// Full names of services with their clusters.
    pub clusters: Vec<(String, String)>,
    pub policy: Policy,
}

/// Reads an object. One without any of the annotations is passed over.
pub(super) fn read(import: &mut Import, object: &Object) -> Option<Annotated> {
    let annotations = object.node.at(&["metadata", "annotations"]);
    let is_ours = |key: &str| OURS.iter().any(|prefix| key.starts_with(prefix));
    let Some(annotations) =
        annotations.filter(|node| node.entries().iter().any(|(key, _)| is_ours(key)))
    else {
        object.pass_over(import);
        return None;
    };
    object.identify(import)?;
    for (key, node) in annotations.entries() {
        if !is_ours(key) {
            import
                .report
                .unrelated(node, "an annotation for other tools");
        }
    }
    let mut policy = Policy::new(object.name);
    let clusters = clusters(import, object);
    let names = clusters.iter().map(|(_, cluster)| cluster.clone());
    policy.set("match.clusters", names.collect::<Vec<String>>());
    accrual(import, &mut policy, annotations);
    retry(import, &mut policy, annotations);
    timeouts(import, &mut policy, annotations);
    if policy.is_idle() {
        import.report.unused(object.node);
        return None;
    }
    Some(Annotated { clusters, policy })
}

/// Reads the limits on the time of a request. Linkerd's `response` is for one attempt, as
/// `retry.linkerd.io/timeout` is, so it is left to the route.
fn timeouts(import: &mut Import, policy: &mut Policy, annotations: &Node) {
    if let Some(node) = annotations.get("timeout.linkerd.io/request")
        && let Some(read) = import.duration(node, SECOND)
    {
        engine::timeout(import, policy, node, read);
    }
    for key in ["timeout.linkerd.io/response", "timeout.linkerd.io/idle"] {
        if let Some(node) = annotations.get(key)
            && import.duration(node, SECOND).is_some()
        {
            import.report.no_equivalent(node, kube::TIMEOUT);
        }
    }
}

/// Returns the clusters of a service, or of those that a route goes to.
fn clusters(import: &mut Import, object: &Object) -> Vec<(String, String)> {
    let own = || {
        let host = kube::full_name(object.name, object.namespace);
        let cluster = kube::cluster(&host, "", None);
        vec![(host, cluster)]
    };
    let Some(spec) = object.node.get("spec") else {
        return own();
    };
    if object.kind == "Service" {
        import.report.unrelated(spec, "the mesh selects hosts");
        return own();
    }
    let mut clusters = Vec::new();
    for (key, node) in spec.entries() {
        if key != "parentRefs" {
            let why = "the policy holds for every request to the services in parentRefs";
            import.report.no_equivalent(node, why);
            continue;
        }
        for parent in kube::list(import, Some(node)) {
            let text = |key| parent.get(key).and_then(Node::text);
            let Some(name) = text("name").filter(|_| text("kind") == Some("Service")) else {
                import
                    .report
                    .no_equivalent(parent, "Linkerd reads these only of a Service");
                continue;
            };
            let port = parent.get("port").and_then(|port| import.integer(port));
            let host = kube::full_name(name, text("namespace").unwrap_or(object.namespace));
            let cluster = kube::cluster(&host, "", port.map(|port| port.value));
            import
                .report
                .exact(parent, format!("match.clusters {cluster}"));
            clusters.push((host, cluster));
        }
    }
    if clusters.is_empty() {
        let place = &object.node.place;
        let text = format!(
            "the {} has no Service in spec.parentRefs, allowed one or more",
            object.kind
        );
        import.problems.add_line(place.file, place.first, text);
    }
    clusters
}

fn accrual(import: &mut Import, policy: &mut Policy, annotations: &Node) {
    let Some(mode) = annotations.get(ACCRUAL) else {
        for key in [FAILURES, PENALTY_MIN, PENALTY_MAX, JITTER] {
            if let Some(node) = annotations.get(key) {
                import
                    .report
                    .exact(node, format!("nothing, as in Linkerd without {ACCRUAL}"));
            }
        }
        return;
    };
    if mode.text() != Some("consecutive") {
        import.problems.add(mode, "consecutive");
        return;
    }
    let hosts = "of the whole cluster, where Linkerd has one for each host";
    import.report.approximate(mode, "circuit_breaker", hosts);
    policy.set("circuit_breaker.failure_rate_threshold", 0);
    policy.set("circuit_breaker.consecutive_failures", 7);
    policy.set("circuit_breaker.open.duration", "1s");
    policy.set("circuit_breaker.open.multiplier", 2);
    policy.set("circuit_breaker.open.max_duration", "60s");
    policy.set("circuit_breaker.open.jitter", 50);
    policy.set("circuit_breaker.open.retry_after_max", "0s");
    policy.set("circuit_breaker.half_open.permits", 1);
    if let Some(node) = annotations.get(FAILURES)
        && let Some(mut read) = import.integer(node)
    {
        read.differs
            .push("counted over all hosts of the cluster".to_owned());
        let path = "circuit_breaker.consecutive_failures";
        import.set_integer(policy, path, node, read, &engine::CONSECUTIVE_FAILURES);
    }
    penalties(import, policy, annotations);
    if let Some(node) = annotations.get(JITTER)
        && let Some(mut read) = import.number(node)
    {
        read.value *= 100.0;
        read.differs
            .push("spread to either side, where Linkerd only adds to it".to_owned());
        import.set_percent(
            policy,
            "circuit_breaker.open.jitter",
            node,
            read,
            &(0.0..=100.0),
        );
    }
}

/// Reads the shortest and the longest open time. The shortest must not exceed the longest.
fn penalties(import: &mut Import, policy: &mut Policy, annotations: &Node) {
    let shortest = annotations.get(PENALTY_MIN);
    let shortest = shortest.and_then(|node| Some((node, import.duration(node, SECOND)?)));
    let longest = annotations.get(PENALTY_MAX);
    let longest = longest.and_then(|node| Some((node, import.duration(node, SECOND)?)));
    let low = shortest.as_ref().map_or(SECOND, |(_, read)| read.value);
    let high = longest.as_ref().map_or(60 * SECOND, |(_, read)| read.value);
    if low > high {
        let node = longest
            .as_ref()
            .or(shortest.as_ref())
            .map(|(node, _)| *node);
        if let Some(node) = node {
            import
                .problems
                .add(node, "a longest penalty that is not below the shortest");
        }
        return;
    }
    if let Some((node, read)) = shortest {
        import.set_duration(
            policy,
            "circuit_breaker.open.duration",
            node,
            read,
            &engine::OPEN,
        );
    }
    if let Some((node, read)) = longest {
        import.set_duration(
            policy,
            "circuit_breaker.open.max_duration",
            node,
            read,
            &engine::OPEN,
        );
    }
}

fn retry(import: &mut Import, policy: &mut Policy, annotations: &Node) {
    let http = annotations.get("retry.linkerd.io/http");
    let grpc = annotations.get("retry.linkerd.io/grpc");
    let mut conditions = Conditions::default();
    for node in [http, grpc].into_iter().flatten() {
        let Some(read) = import.text(node, "conditions with commas between them") else {
            continue;
        };
        let names = read.value.split(',').map(str::trim);
        names
            .filter(|name| !name.is_empty())
            .for_each(|name| add(&mut conditions, name));
        conditions.report(import, node);
    }
    let limit = annotations.get("retry.linkerd.io/limit");
    let timeout = annotations.get("retry.linkerd.io/timeout");
    if conditions.is_empty() {
        for node in [limit, timeout].into_iter().flatten() {
            import
                .report
                .no_equivalent(node, "nothing that is retried is known here");
        }
        return;
    }
    conditions.set(policy);
    retries::attempts(import, policy, limit, LIMIT);
    retries::try_timeout(import, policy, timeout);
    retries::remark(import, policy, "remove the annotations");
}

/// Adds a condition, a status, or a range of statuses such as `502-504`.
fn add(conditions: &mut Conditions, name: &str) {
    match name
        .split_once('-')
        .map(|(low, high)| (low.parse::<u16>(), high.parse::<u16>()))
    {
        Some((Ok(low), Ok(high))) if (502..=504).contains(&low) && (502..=504).contains(&high) => {
            conditions.add("gateway-error");
        }
        Some((Ok(500), Ok(599))) => conditions.add("5xx"),
        Some((Ok(low), Ok(high))) => (low..=high.min(599)).for_each(|status| {
            conditions.add(&status.to_string());
        }),
        _ => conditions.add(name),
    }
}
