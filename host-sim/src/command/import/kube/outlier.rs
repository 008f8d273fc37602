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
use super::super::values::{Read, write};
use super::{CONSECUTIVE, leave};

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

/// A breaker with the numbers of an outlier detection.
#[derive(Clone, PartialEq)]
pub(crate) struct Breaker {
    failures: Value,
    statuses: &'static str,
    open: Value,
    open_max: Value,
}

impl Breaker {
    pub(crate) fn apply(&self, policy: &mut Policy) {
        policy.set("outcome.failure_status", vec![self.statuses]);
        policy.set("circuit_breaker.failure_rate_threshold", 0);
        policy.set(
            "circuit_breaker.consecutive_failures",
            self.failures.clone(),
        );
        policy.set("circuit_breaker.open.duration", self.open.clone());
        if self.open == self.open_max {
            policy.set("circuit_breaker.open.multiplier", 1);
        } else {
            policy.set("circuit_breaker.open.multiplier", 2);
            policy.set("circuit_breaker.open.max_duration", self.open_max.clone());
        }
        policy.set("circuit_breaker.open.jitter", 0);
        policy.set("circuit_breaker.open.retry_after_max", "0s");
        policy.set("circuit_breaker.half_open.permits", 1);
    }
}

/// Reads and reports an outlier detection. `None` if it ejects nothing by errors in a row.
pub(crate) fn read(import: &mut Import, node: &Node, spelling: &Spelling) -> Option<Breaker> {
    import.report.section(
        node,
        "the circuit is of the cluster; keep this for single hosts",
    );
    leave(import, node, LEFT);
    let base = node.get("baseEjectionTime");
    let Some((failures, statuses)) = trigger(import, node, spelling) else {
        if let Some(base) = base {
            import
                .report
                .no_equivalent(base, "nothing ejects a host by errors in a row");
        }
        return None;
    };
    let (open, open_max) = ejection(import, base);
    Some(Breaker {
        failures,
        statuses,
        open,
        open_max,
    })
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

/// Finds how many failures in a row open the circuit, and which statuses are failures.
fn trigger(import: &mut Import, node: &Node, spelling: &Spelling) -> Option<(Value, &'static str)> {
    let gateway = node.get(spelling.gateway_errors);
    let old = node.get(spelling.old_errors);
    let errors = node.get(spelling.errors);
    // What the old name counted is what the newer one of gateway errors counts.
    let gateway = gateway.or(old);
    if let (Some(old), Some(gateway)) = (old, gateway)
        && old.place != gateway.place
    {
        import
            .report
            .no_equivalent(old, format!("{} replaces it", spelling.gateway_errors));
    }
    let count = match errors {
        None => Some(Read {
            value: ERRORS,
            differs: Vec::new(),
        }),
        Some(errors) => import.integer(errors),
    };
    // Something that is no number is a problem already.
    let count = count?;
    let by_gateway = match gateway {
        None => None,
        Some(gateway) => Some((gateway, import.integer(gateway)?)),
    };
    let mut scratch = Policy::new("");
    const PATH: &str = "circuit_breaker.consecutive_failures";
    match (count.value, by_gateway) {
        (0, Some((gateway, mut read))) if read.value > 0 => {
            if let Some(errors) = errors {
                import
                    .report
                    .exact(errors, "outcome.failure_status has no other 5xx");
            }
            read.differs.push(HOSTS.to_owned());
            if old.is_some_and(|old| old.place == gateway.place) {
                read.differs
                    .push("an old name, read as 502, 503 and 504 in a row".to_owned());
            }
            import.set_integer(&mut scratch, PATH, gateway, read, &CONSECUTIVE);
            Some((scratch.get(PATH)?.clone(), "502-504"))
        }
        (0, by_gateway) => {
            for node in errors
                .into_iter()
                .chain(by_gateway.map(|(gateway, _)| gateway))
            {
                import.report.exact(node, "no circuit_breaker");
            }
            None
        }
        (_, by_gateway) => {
            if let Some((gateway, read)) = by_gateway {
                report_second(import, gateway, read.value, count.value);
            }
            match errors {
                Some(errors) => {
                    let mut read = count;
                    read.differs.push(HOSTS.to_owned());
                    import.set_integer(&mut scratch, PATH, errors, read, &CONSECUTIVE);
                    Some((scratch.get(PATH)?.clone(), "5xx"))
                }
                None => Some((Value::from(ERRORS), "5xx")),
            }
        }
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

/// Returns how long the circuit is open for the first time, and at most.
fn ejection(import: &mut Import, base: Option<&Node>) -> (Value, Value) {
    const PATH: &str = "circuit_breaker.open.duration";
    let read = base.and_then(|base| Some((base, import.duration(base, Duration::from_secs(1))?)));
    let Some((base, mut read)) = read else {
        return (
            Value::from(write(EJECTION)),
            Value::from(write(EJECTION_MAX)),
        );
    };
    let longest = read.value.max(EJECTION_MAX).min(*engine::OPEN.end());
    if read.value < longest {
        read.differs.push(format!(
            "it doubles with each opening up to {}, where an ejection grows by the same time each",
            write(longest)
        ));
    }
    let mut scratch = Policy::new("");
    import.set_duration(&mut scratch, PATH, base, read, &engine::OPEN);
    let open = scratch.get(PATH).cloned().unwrap_or_default();
    (open, Value::from(write(longest)))
}
