//! Admission control: the proxy rejects a share of requests that grows with the failures.
//!
//! The nearest thing of a policy is a circuit that opens at the same rate of failures, and whose
//! ramp then admits a growing share.

use std::time::Duration;

use super::super::context::Import;
use super::super::draft::Policy;
use super::super::engine;
use super::super::kube;
use super::super::source::Node;
use super::super::values::{Read, SECOND};

/// Envoy's settings unless others are given: percent, time and requests in each second.
const SUCCESS_RATE: f64 = 95.0;
const WINDOW: Duration = Duration::from_secs(30);
const RATE: f64 = 0.0;
const REJECTION_MAX: f64 = 80.0;

const STATUSES: &str = "outcome.failure_status";
/// Statuses of gRPC that can be failures, by Envoy Gateway's names and in a policy.
const GRPC: [(&str, &str); 15] = [
    ("unknown", "UNKNOWN"),
    ("invalidargument", "INVALID_ARGUMENT"),
    ("deadlineexceeded", "DEADLINE_EXCEEDED"),
    ("notfound", "NOT_FOUND"),
    ("alreadyexists", "ALREADY_EXISTS"),
    ("permissiondenied", "PERMISSION_DENIED"),
    ("resourceexhausted", "RESOURCE_EXHAUSTED"),
    ("failedprecondition", "FAILED_PRECONDITION"),
    ("aborted", "ABORTED"),
    ("outofrange", "OUT_OF_RANGE"),
    ("unimplemented", "UNIMPLEMENTED"),
    ("internal", "INTERNAL"),
    ("unavailable", "UNAVAILABLE"),
    ("dataloss", "DATA_LOSS"),
    ("unauthenticated", "UNAUTHENTICATED"),
];

/// Reads a setting under one of its names, of which it has had several.
fn one_of<'a>(node: &'a Node, names: &[&str]) -> Option<&'a Node> {
    names.iter().find_map(|name| node.get(name))
}

/// Reads all settings into a policy.
pub(super) fn read(import: &mut Import, policy: &mut Policy, node: &Node) {
    if let Some(enabled) = node.get("enabled")
        && let Some(read) = import.boolean(enabled)
    {
        if !read.value {
            import.report.exact(node, "no circuit_breaker");
            return;
        }
        import.report.exact(enabled, "circuit_breaker");
    }
    import.report.section(
        node,
        "approximated by a circuit: the proxy rejects a share of requests as soon as the rate is \
         below the threshold, and a circuit all of them, then a falling share in its ramp",
    );
    criteria(import, policy, node);
    let window = window(import, policy, node);
    threshold(import, policy, node);
    minimum(import, policy, node, window);
    let ramp = super::super::values::write(window.min(*engine::LEASE.end()));
    policy.set("circuit_breaker.recovery.duration", ramp);
    rejection(import, policy, node);
    kube::leave(
        import,
        node,
        &[
            ("aggression", AGGRESSION),
            ("rejectionAggression", AGGRESSION),
        ],
    );
}

const AGGRESSION: &str = "an open circuit rejects everything, and its ramp is even";

fn window(import: &mut Import, policy: &mut Policy, node: &Node) -> Duration {
    const PATH: &str = "circuit_breaker.window.duration";
    let given = node.get("samplingWindow");
    let given = given.and_then(|node| Some((node, import.duration(node, SECOND)?)));
    let Some((node, mut read)) = given else {
        policy.set(PATH, super::super::values::write(WINDOW));
        return WINDOW;
    };
    let window = read
        .value
        .clamp(*engine::WINDOW.start(), *engine::WINDOW.end());
    read.differs
        .push("also circuit_breaker.recovery.duration".to_owned());
    import.set_duration(policy, PATH, node, read, &engine::WINDOW);
    window
}

/// Reads the share of successes below which requests are rejected.
fn threshold(import: &mut Import, policy: &mut Policy, node: &Node) {
    const PATH: &str = "circuit_breaker.failure_rate_threshold";
    let given = one_of(node, &["minSuccessRate", "successRateThreshold"]);
    let given = given.and_then(|node| Some((node, import.number(node)?)));
    let Some((node, mut read)) = given else {
        policy.set(PATH, super::super::values::percent(100.0 - SUCCESS_RATE));
        return;
    };
    if read.value > 100.0 {
        import.problems.add(node, "0 to 100");
        return;
    }
    read.differs
        .push(format!("a success rate of {} %", read.value));
    read.value = 100.0 - read.value;
    import.set_percent(policy, PATH, node, read, &engine::RATE);
}

/// Reads the requests in each second from which on anything is rejected.
fn minimum(import: &mut Import, policy: &mut Policy, node: &Node, window: Duration) {
    const PATH: &str = "circuit_breaker.minimum_requests";
    let in_window = |rate: f64| (rate * window.as_secs_f64()).ceil() as u64;
    let given = one_of(node, &["minRequestRate", "rpsThreshold"]);
    let given = given.and_then(|node| Some((node, import.number(node)?)));
    let Some((node, rate)) = given else {
        policy.set(PATH, in_window(RATE).max(1));
        return;
    };
    let mut differs = rate.differs;
    differs.push(format!("{} requests a second over the window", rate.value));
    let read = Read {
        value: in_window(rate.value),
        differs,
    };
    import.set_integer(policy, PATH, node, read, &engine::MINIMUM_REQUESTS);
}

/// Reads the largest share that is rejected.
fn rejection(import: &mut Import, policy: &mut Policy, node: &Node) {
    const PATH: &str = "circuit_breaker.recovery.start_percent";
    let given = node.get("maxRejectionPercent");
    let given = given.and_then(|node| Some((node, import.number(node)?)));
    let Some((node, mut read)) = given else {
        policy.set(PATH, super::super::values::percent(100.0 - REJECTION_MAX));
        return;
    };
    if read.value > 100.0 {
        import.problems.add(node, "0 to 100");
        return;
    }
    read.differs.push(format!(
        "{} % are rejected where the ramp starts",
        read.value
    ));
    read.value = 100.0 - read.value;
    import.set_percent(policy, PATH, node, read, &(0.0..=100.0));
}

/// Reads what a success is. Everything else is a failure.
fn criteria(import: &mut Import, policy: &mut Policy, node: &Node) {
    let list = ["successCriteria", "http", "statusCodes"];
    if let Some(node) = node.at(&list)
        && let Some(statuses) = failures(import, node)
    {
        import
            .report
            .exact(node, format!("{STATUSES} {}", statuses.join(", ")));
        policy.set(STATUSES, statuses);
    }
    let list = ["successCriteria", "grpc", "statusCodes"];
    let Some(node) = node.at(&list) else { return };
    let mut failures: Vec<&(&str, &str)> = GRPC.iter().collect();
    for status in kube::list(import, Some(node)) {
        let name = status
            .text()
            .unwrap_or_default()
            .to_ascii_lowercase()
            .replace('_', "");
        let is_known = GRPC.iter().any(|(known, _)| *known == name)
            || ["ok", "cancelled", "canceled"].contains(&name.as_str());
        if !is_known {
            import
                .problems
                .add(status, "a gRPC status such as Ok or NotFound");
        }
        failures.retain(|(known, _)| *known != name);
    }
    let failures: Vec<&str> = failures.iter().map(|(_, name)| *name).collect();
    import
        .report
        .exact(node, "outcome.failure_grpc_status has the others");
    policy.set("outcome.failure_grpc_status", failures);
}

/// Returns the ranges of statuses that a list of successes leaves, or `None` if one is wrong.
fn failures(import: &mut Import, node: &Node) -> Option<Vec<String>> {
    let mut successes = Vec::new();
    for status in kube::list(import, Some(node)) {
        let value = import.integer(status)?.value;
        if !(100..=599).contains(&value) {
            import.problems.add(status, "100 to 599");
            return None;
        }
        successes.push(value);
    }
    successes.sort_unstable();
    let mut ranges = Vec::new();
    let mut next = 100;
    for success in successes.into_iter().chain([600]) {
        if next + 1 == success {
            ranges.push(next.to_string());
        } else if next < success {
            ranges.push(format!("{next}-{}", success - 1));
        }
        next = success + 1;
    }
    Some(ranges)
}
