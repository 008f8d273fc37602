//! `resilience4j.circuitbreaker`.

use std::time::Duration;

use serde_json::json;

use super::effective::{Effective, without};
use super::{exceptions, open};
use crate::command::import::context::Import;
use crate::command::import::draft::Policy;
use crate::command::import::engine;
use crate::command::import::values::{self, MS, Read, SECOND};

/// Canonical names of everything that is read here.
pub(super) const KEYS: &[&str] = &[
    "allowhealthindicatortofail",
    "automatictransitionfromopentohalfopenenabled",
    "enableexponentialbackoff",
    "enablerandomizedwait",
    "eventconsumerbuffersize",
    "exponentialbackoffmultiplier",
    "exponentialmaxwaitdurationinopenstate",
    "failureratethreshold",
    "ignoreclassbindingexceptions",
    "ignoreexceptionpredicate",
    "ignoreexceptions",
    "ignoreunknownexceptions",
    "initialstate",
    "maxwaitdurationinhalfopenstate",
    "minimumnumberofcalls",
    "permittednumberofcallsinhalfopenstate",
    "randomizedwaitfactor",
    "recordexceptions",
    "recordfailurepredicate",
    "recordresultpredicate",
    "registerhealthindicator",
    "ringbuffersizeinclosedstate",
    "ringbuffersizeinhalfopenstate",
    "slidingwindowsize",
    "slidingwindowtype",
    "slowcalldurationthreshold",
    "slowcallratethreshold",
    "transitiontostateafterwaitduration",
    "waitdurationinopenstate",
    "waitinterval",
    "writablestacktraceenabled",
];

/// Sets the breaker of a policy, with the library's defaults for what is left out.
pub(super) fn import(import: &mut Import, policy: &mut Policy, settings: &Effective) {
    outcomes(import, policy, settings);
    state(import, policy, settings);
    let size = window(import, policy, settings);
    let minimum = rates(import, policy, settings, size);
    open::import(import, policy, settings);
    half_open(import, policy, settings, minimum);
    without(
        import,
        settings,
        &[
            (
                "registerhealthindicator",
                "the filter's metrics and the operators' page show circuits",
            ),
            (
                "allowhealthindicatortofail",
                "a circuit never makes a proxy unhealthy",
            ),
            (
                "eventconsumerbuffersize",
                "the filter's metrics and log lines are always there",
            ),
            (
                "writablestacktraceenabled",
                "a rejection is a response, without a stack trace",
            ),
            ("ignoreclassbindingexceptions", "no class is loaded"),
            ("ignoreunknownexceptions", "no class is loaded"),
        ],
    );
}

/// Sets which outcomes are failures.
fn outcomes(import: &mut Import, policy: &mut Policy, settings: &Effective) {
    if let Some(setting) = settings.setting(&["recordexceptions"]) {
        let classes = setting.texts();
        let classes: Vec<&str> = classes.iter().map(String::as_str).collect();
        let statuses = exceptions::statuses(&classes);
        let others = exceptions::others(&classes);
        let mut differs =
            "refused and reset connections and timeouts are always failures".to_owned();
        let to = if statuses.is_empty() || others.is_some() {
            "outcome.failure_status is left at 5xx".to_owned()
        } else {
            policy.set("outcome.failure_status", json!(statuses));
            format!("outcome.failure_status {}", statuses.join(", "))
        };
        if let Some(others) = others {
            differs.push_str(&format!("; set it to the statuses that stand for {others}"));
        }
        for node in &setting.nodes {
            import.report.approximate(node, to.clone(), &differs);
        }
    }
    if let Some(setting) = settings.setting(&["ignoreexceptions"]) {
        let classes = setting.texts();
        let classes: Vec<&str> = classes.iter().map(String::as_str).collect();
        let statuses = exceptions::statuses(&classes);
        if !statuses.is_empty() {
            policy.set("outcome.ignore_status", json!(statuses));
        }
        for node in &setting.nodes {
            if statuses.is_empty() {
                let why = "a proxy sees statuses: list those of these exceptions in \
                    outcome.ignore_status. Statuses below 500 are successes already";
                import.report.no_equivalent(node, why);
            } else {
                let to = format!("outcome.ignore_status {}", statuses.join(", "));
                import
                    .report
                    .approximate(node, to, "a proxy sees statuses and no exceptions");
            }
        }
    }
    let why = "it is code: say by outcome.failure_status and outcome.ignore_status what it does";
    without(
        import,
        settings,
        &[
            ("recordfailurepredicate", why),
            ("recordresultpredicate", why),
            ("ignoreexceptionpredicate", why),
        ],
    );
}

/// Sets the mode by the state that the breaker starts in.
fn state(import: &mut Import, policy: &mut Policy, settings: &Effective) {
    let Some(node) = settings.get(&["initialstate"]) else {
        return;
    };
    let Some(read) = import.text(node, "the name of a state") else {
        return;
    };
    let differs = "operators and a new policy move it, where Resilience4j has methods for that";
    let mode = match read.value.to_ascii_uppercase().as_str() {
        "CLOSED" => {
            return import
                .report
                .became(node, "the circuit begins closed", &read.differs);
        }
        "DISABLED" => "disabled",
        "FORCED_OPEN" => "forced_open",
        "METRICS_ONLY" => "shadow",
        "OPEN" | "HALF_OPEN" => {
            return import
                .report
                .no_equivalent(node, "every circuit begins closed");
        }
        _ => {
            let states = "CLOSED, OPEN, HALF_OPEN, DISABLED, FORCED_OPEN or METRICS_ONLY";
            return import.problems.add(node, states);
        }
    };
    policy.set("mode", mode);
    import
        .report
        .approximate(node, format!("mode {mode}"), differs);
}

/// Sets the window. Returns the size of a count window.
fn window(import: &mut Import, policy: &mut Policy, settings: &Effective) -> Option<u64> {
    let mut is_time = false;
    if let Some(node) = settings.get(&["slidingwindowtype"])
        && let Some(read) = import.text(node, "COUNT_BASED or TIME_BASED")
    {
        is_time = match read.value.to_ascii_uppercase().replace('-', "_").as_str() {
            "COUNT_BASED" => false,
            "TIME_BASED" => true,
            _ => {
                import.problems.add(node, "COUNT_BASED or TIME_BASED");
                false
            }
        };
        let kind = if is_time { "time" } else { "count" };
        import.report.became(
            node,
            format!("circuit_breaker.window.type {kind}"),
            &read.differs,
        );
    }
    let names = ["slidingwindowsize", "ringbuffersizeinclosedstate"];
    let node = settings.get(&names);
    if is_time {
        let path = "circuit_breaker.window.duration";
        policy.set("circuit_breaker.window.type", "time");
        policy.set(path, "100s");
        if let Some(node) = node
            && let Some(mut read) = import.duration(node, SECOND)
        {
            read.differs
                .push("it has ten buckets, and not one for each second".to_owned());
            import.set_duration(policy, path, node, read, &engine::WINDOW);
        }
        return None;
    }
    let path = "circuit_breaker.window.size";
    policy.set("circuit_breaker.window.type", "count");
    policy.set(path, 100);
    if let Some(node) = node
        && let Some(read) = import.integer(node)
    {
        import.set_integer(policy, path, node, read, &engine::WINDOW_SIZE);
    }
    policy.get(path).and_then(serde_json::Value::as_u64)
}

/// Sets the rules that open the circuit. Returns how many calls have to be counted.
fn rates(import: &mut Import, policy: &mut Policy, settings: &Effective, size: Option<u64>) -> u64 {
    let path = "circuit_breaker.minimum_requests";
    let most = size.unwrap_or(u64::MAX);
    policy.set(path, most.min(100));
    // The ring buffer of old versions had to be full.
    let names = ["minimumnumberofcalls", "ringbuffersizeinclosedstate"];
    if let Some(node) = settings.get(&names)
        && let Some(mut read) = import.integer(node)
    {
        if read.value > most {
            // The library takes the smaller one too.
            read.value = most;
        }
        import.set_integer(policy, path, node, read, &engine::MINIMUM_REQUESTS);
    }
    let minimum = policy
        .get(path)
        .and_then(serde_json::Value::as_u64)
        .unwrap_or(100);
    let percents = [
        (
            "failureratethreshold",
            "circuit_breaker.failure_rate_threshold",
            50,
        ),
        (
            "slowcallratethreshold",
            "circuit_breaker.slow_rate_threshold",
            100,
        ),
    ];
    for (name, path, default) in percents {
        policy.set(path, default);
        if let Some(node) = settings.get(&[name])
            && let Some(read) = import.number(node)
        {
            import.set_percent(policy, path, node, read, &engine::RATE);
        }
    }
    let path = "circuit_breaker.slow_threshold";
    policy.set(path, "1m");
    if let Some(node) = settings.get(&["slowcalldurationthreshold"])
        && let Some(mut read) = import.duration(node, MS)
    {
        read.differs.push(engine::SLOW_DIFFERS.to_owned());
        import.set_duration(policy, path, node, read, &engine::SLOW);
    }
    minimum
}

/// Sets the probes.
fn half_open(import: &mut Import, policy: &mut Policy, settings: &Effective, minimum: u64) {
    let path = "circuit_breaker.half_open.permits";
    policy.set(path, minimum.min(10));
    let names = [
        "permittednumberofcallsinhalfopenstate",
        "ringbuffersizeinhalfopenstate",
    ];
    if let Some(node) = settings.get(&names)
        && let Some(mut read) = import.integer(node)
    {
        if read.value > minimum {
            let text = format!("{} pass there, of which {minimum} are judged", read.value);
            read.differs.push(text);
            read.value = minimum;
        }
        import.set_integer(policy, path, node, read, &engine::PERMITS);
    }
    lease(import, policy, settings);
}

/// Sets how long a probe may take. Without a limit of its own it has to outlast the threshold of
/// slow calls.
fn lease(import: &mut Import, policy: &mut Policy, settings: &Effective) {
    let path = "circuit_breaker.half_open.lease";
    let slow = policy
        .get("circuit_breaker.slow_threshold")
        .and_then(|it| it.as_str());
    let slow = slow.and_then(|text| values::duration(text, MS));
    let slow = slow.unwrap_or_default();
    let forever = (slow.max(Duration::from_secs(20)) * 3 / 2).min(*engine::LEASE.end());
    policy.set(path, values::write(forever));
    let Some(node) = settings.get(&["maxwaitdurationinhalfopenstate"]) else {
        return;
    };
    let Some(Read { value, mut differs }) = import.duration(node, MS) else {
        return;
    };
    let value = if value.is_zero() {
        differs.push("0 is without end there, and a lease has to end".to_owned());
        forever
    } else if value <= slow {
        differs.push(format!(
            "{} there, but a probe has to outlast circuit_breaker.slow_threshold to be slow",
            values::write(value)
        ));
        forever
    } else {
        differs.push("it is for each probe, and not for the whole state".to_owned());
        value
    };
    import.set_duration(policy, path, node, Read { value, differs }, &engine::LEASE);
}
