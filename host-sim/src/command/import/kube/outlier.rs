//! Outlier detection: hosts that fail too often in a row leave the load balancing for a while.
//!
//! A circuit is of a whole cluster, and a host is one part of it. The numbers are taken over, and
//! the report says for each what the difference makes of it.

use std::time::Duration;

use serde_json::Value;

use super::super::context::Import;
use super::super::draft::Policy;
use super::super::engine;
use super::super::source::Node;
use super::super::values::{Read, SECOND, write};
use super::leave;

/// How a mesh spells the settings, and its defaults.
pub(crate) struct Spelling {
    pub errors: &'static str,
    pub gateway_errors: &'static str,
    /// An older name of `gateway_errors`.
    pub old_errors: &'static str,
}

pub(crate) const ISTIO: Spelling = Spelling {
    errors: "consecutive5xxErrors",
    gateway_errors: "consecutiveGatewayErrors",
    old_errors: "consecutiveErrors",
};

pub(crate) const ENVOY_GATEWAY: Spelling = Spelling {
    errors: "consecutive5XxErrors",
    gateway_errors: "consecutiveGatewayErrors",
    old_errors: "",
};

/// What a mesh does without a number of its own.
const ERRORS: u64 = 5;
const EJECTION: Duration = Duration::from_secs(30);
/// Envoy's longest ejection, unless the base is longer.
const EJECTION_MAX: Duration = Duration::from_secs(300);

const HOSTS: &str =
    "counted over all hosts of the cluster, where outlier detection counts each host for itself";

/// Reads and reports an outlier detection. Returns the settings of its breaker, or `None` if it
/// ejects nothing by errors in a row.
pub(crate) fn read(import: &mut Import, node: &Node, spelling: &Spelling) -> Option<Policy> {
    import.report.section(
        node,
        "the circuit is of the cluster; keep this for single hosts",
    );
    leave(import, node, LEFT);
    let base = node.get("baseEjectionTime");
    let mut breaker = Policy::settings();
    if trigger(import, &mut breaker, node, spelling).is_none() {
        if let Some(base) = base {
            import
                .report
                .no_equivalent(base, "nothing ejects a host by errors in a row");
        }
        return None;
    }
    ejection(import, &mut breaker, base);
    breaker.set("circuit_breaker.open.jitter", 0);
    breaker.set("circuit_breaker.open.retry_after_max", "0s");
    breaker.set("circuit_breaker.half_open.permits", 1);
    Some(breaker)
}

const LEFT: super::Fields = &[
    (
        "interval",
        "a circuit opens and probes by a timer of its own, without a sweep",
    ),
    (
        "maxEjectionPercent",
        "a circuit has no hosts; the mesh keeps this limit",
    ),
    (
        "minHealthPercent",
        "a circuit has no hosts; the mesh keeps this limit",
    ),
    (
        "splitExternalLocalOriginErrors",
        "refused connections and timeouts are failures like bad statuses, in one count",
    ),
    (
        "consecutiveLocalOriginFailures",
        "refused connections and timeouts are failures like bad statuses, in one count",
    ),
    (
        "failurePercentageThreshold",
        "a circuit has no hosts to compare; the mesh does that",
    ),
    (
        "successRateThreshold",
        "a circuit has no hosts to compare; the mesh does that",
    ),
    (
        "alwaysEjectOneEndpoint",
        "a circuit has no hosts; the mesh keeps this",
    ),
];

/// Sets how many failures in a row open the circuit, and which statuses are failures. `None` if no
/// number of them does.
fn trigger(
    import: &mut Import,
    breaker: &mut Policy,
    node: &Node,
    spelling: &Spelling,
) -> Option<()> {
    let errors = node.get(spelling.errors);
    let old = node.get(spelling.old_errors);
    // What the old name counted is what the newer one of gateway errors counts.
    let gateway = node.get(spelling.gateway_errors);
    if let (Some(old), Some(_)) = (old, gateway) {
        let why = format!("{} replaces it", spelling.gateway_errors);
        import.report.no_equivalent(old, why);
    }
    let is_old = gateway.is_none();
    // A value that is not a number has been reported as an error.
    let by_gateway = match gateway.or(old) {
        None => None,
        Some(gateway) => Some((gateway, import.integer(gateway)?)),
    };
    let by_old = old.is_some() && by_gateway.as_ref().is_some_and(|(_, read)| read.value > 0);
    let mut count = match errors {
        // The old name switched the count of all 5xx off.
        None => Read {
            value: if by_old { 0 } else { ERRORS },
            differs: Vec::new(),
        },
        Some(errors) => import.integer(errors)?,
    };
    count.differs.push(HOSTS.to_owned());
    match (count.value, by_gateway) {
        (0, Some((gateway, mut read))) if read.value > 0 => {
            if let Some(errors) = errors {
                let what = "outcome.failure_status has no other 5xx";
                import.report.exact(errors, what);
            }
            read.differs.push(HOSTS.to_owned());
            if is_old {
                let how = "an old name for 502, 503 and 504 in a row, which a new Istio ignores \
                           for five 5xx in a row";
                read.differs.push(how.to_owned());
            }
            failures(import, breaker, "502-504", Some(gateway), read);
        }
        (0, by_gateway) => {
            let gateway = by_gateway.map(|(gateway, _)| gateway);
            for node in errors.into_iter().chain(gateway) {
                import.report.exact(node, "no circuit_breaker");
            }
            return None;
        }
        (_, by_gateway) => {
            if let Some((gateway, read)) = by_gateway {
                report_second(import, gateway, read.value, count.value);
            }
            failures(import, breaker, "5xx", errors, count);
        }
    }
    Some(())
}

/// Sets the number of failures in a row, which may have no line in the source.
fn failures(
    import: &mut Import,
    breaker: &mut Policy,
    statuses: &str,
    node: Option<&Node>,
    count: Read<u64>,
) {
    const PATH: &str = "circuit_breaker.consecutive_failures";
    breaker.set("outcome.failure_status", vec![statuses]);
    breaker.set("circuit_breaker.failure_rate_threshold", 0);
    match node {
        Some(node) => import.set_integer(breaker, PATH, node, count, &engine::CONSECUTIVE_FAILURES),
        None => breaker.set(PATH, count.value),
    }
}

/// Reports a count of gateway errors beside one of all 5xx.
fn report_second(import: &mut Import, gateway: &Node, count: u64, errors: u64) {
    if count == 0 || count >= errors {
        let why = format!("gateway errors are 5xx too, {errors} of which open the circuit before");
        import.report.exact(gateway, why);
    } else {
        let why = format!(
            "one policy counts one set of statuses, here {errors} of 5xx; the mesh keeps ejecting \
             hosts after {count} gateway errors"
        );
        import.report.no_equivalent(gateway, why);
    }
}

/// Sets how long the circuit is open for the first time, and at most.
fn ejection(import: &mut Import, breaker: &mut Policy, base: Option<&Node>) {
    const PATH: &str = "circuit_breaker.open.duration";
    let mut longest = EJECTION_MAX;
    let read = base.and_then(|base| Some((base, import.duration(base, SECOND)?)));
    match read {
        None => breaker.set(PATH, write(EJECTION)),
        Some((base, mut read)) => {
            longest = read.value.max(EJECTION_MAX).min(*engine::OPEN.end());
            if read.value < longest {
                read.differs.push(format!(
                    "it doubles with each opening up to {}, where an ejection grows by the same \
                     time each",
                    write(longest)
                ));
            }
            import.set_duration(breaker, PATH, base, read, &engine::OPEN);
        }
    }
    let longest = Value::from(write(longest));
    if breaker.get(PATH) == Some(&longest) {
        breaker.set("circuit_breaker.open.multiplier", 1);
    } else {
        breaker.set("circuit_breaker.open.multiplier", 2);
        breaker.set("circuit_breaker.open.max_duration", longest);
    }
}
