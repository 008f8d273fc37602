//! How long a circuit of Resilience4j stays open, and what comes after.

use std::time::Duration;

use super::effective::{Effective, is_on};
use crate::command::import::context::Import;
use crate::command::import::draft::Policy;
use crate::command::import::engine;
use crate::command::import::values::{self, MS};

/// The wait, and its name in versions before 1.0.
const WAIT: [&str; 2] = ["waitdurationinopenstate", "waitinterval"];
const GROWS: &str = "enableexponentialbackoff";
const SPREADS: &str = "enablerandomizedwait";

/// Sets how long the circuit stays open. The library reads how the wait changes only from the
/// instance or config that sets the wait itself.
pub(super) fn import(import: &mut Import, policy: &mut Policy, settings: &Effective) {
    let path = "circuit_breaker.open.duration";
    policy.set(path, "1m");
    let beside = settings.beside(&WAIT, false);
    let mut open = Duration::from_secs(60);
    if let Some(node) = beside.get(&WAIT)
        && let Some(read) = import.duration(node, MS)
    {
        open = read.value;
        import.set_duration(policy, path, node, read, &engine::OPEN);
    }
    engine::fixed_open(policy);
    let grows = is_on(
        import,
        &beside,
        GROWS,
        "circuit_breaker.open.multiplier",
        &[],
    );
    if grows {
        backoff(import, policy, &beside, open);
    }
    let differs = ["Resilience4j refuses both"];
    let differs = if grows { &differs[..] } else { &[] };
    let path = "circuit_breaker.open.jitter";
    if is_on(import, &beside, SPREADS, path, differs) {
        policy.set(path, 50);
        if let Some(node) = beside.get(&["randomizedwaitfactor"])
            && let Some(mut read) = import.number(node)
        {
            read.value *= 100.0;
            import.set_percent(policy, path, node, read, &(0.0..=100.0));
        }
    }
    unused(import, settings, &beside);
    next_state(import, settings);
}

/// Reports what has no effect in Resilience4j either.
fn unused(import: &mut Import, settings: &Effective, beside: &Effective) {
    for name in [
        GROWS,
        SPREADS,
        "exponentialbackoffmultiplier",
        "exponentialmaxwaitdurationinopenstate",
        "randomizedwaitfactor",
    ] {
        let Some(node) = settings.get(&[name]) else {
            continue;
        };
        if import.report.knows(node) {
            continue;
        }
        let why = if beside.get(&[name]).is_some() {
            "the setting that switches it on is not true"
        } else {
            "Resilience4j reads it only where waitDurationInOpenState is set, too"
        };
        import.report.no_equivalent(node, why);
    }
}

/// Reports when and to which state the circuit changes.
fn next_state(import: &mut Import, settings: &Effective) {
    if let Some(node) = settings.get(&["automatictransitionfromopentohalfopenenabled"])
        && let Some(mut read) = import.boolean(node)
    {
        if read.value {
            let differs = "the first request after the open time moves it, and no timer";
            read.differs.push(differs.to_owned());
        }
        import
            .report
            .became(node, "the circuit becomes half-open", &read.differs);
    }
    if let Some(node) = settings.get(&["transitiontostateafterwaitduration"])
        && let Some(read) = import.text(node, "the name of a state")
    {
        if read.value.eq_ignore_ascii_case("half_open") {
            let to = "the circuit becomes half-open";
            import.report.became(node, to, &read.differs);
        } else {
            let why = "a circuit is half-open after its open time, and closes by its probes";
            import.report.no_equivalent(node, why);
        }
    }
}

/// Sets the growth of the open time.
fn backoff(import: &mut Import, policy: &mut Policy, settings: &Effective, open: Duration) {
    let path = "circuit_breaker.open.multiplier";
    policy.set(path, 1.5);
    if let Some(node) = settings.get(&["exponentialbackoffmultiplier"])
        && let Some(mut read) = import.number(node)
    {
        values::clamp(&mut read, &(1.0..=10.0), |value| value.to_string());
        import
            .report
            .became(node, format!("{path} {}", read.value), &read.differs);
        policy.set(path, values::percent(read.value));
    }
    let path = "circuit_breaker.open.max_duration";
    policy.set(path, "24h");
    if let Some(node) = settings.get(&["exponentialmaxwaitdurationinopenstate"])
        && let Some(read) = import.duration(node, MS)
    {
        let range = open.clamp(*engine::OPEN.start(), *engine::OPEN.end())..=*engine::OPEN.end();
        import.set_duration(policy, path, node, read, &range);
    }
}
