//! `resilience4j.retry`.

use serde_json::json;

use super::effective::{Effective, without};
use super::exceptions::{self, Meaning};
use super::wait;
use crate::command::import::context::Import;
use crate::command::import::draft::Policy;
use crate::command::import::engine;

/// Canonical names of everything that is read here.
pub(super) const KEYS: &[&str] = &[
    "consumeresultbeforeretryattempt",
    "enableexponentialbackoff",
    "enablerandomizedwait",
    "eventconsumerbuffersize",
    "exponentialbackoffmultiplier",
    "exponentialmaxwaitduration",
    "failaftermaxattempts",
    "ignoreclassbindingexceptions",
    "ignoreexceptions",
    "ignoreunknownexceptions",
    "intervalbifunction",
    "maxattempts",
    "maxretryattempts",
    "randomizedwaitfactor",
    "resultpredicate",
    "retryexceptionpredicate",
    "retryexceptions",
    "retryonresult",
    "waitduration",
];

/// Sets the retries of a policy, which are made out of a budget.
pub(super) fn import(import: &mut Import, policy: &mut Policy, settings: &Effective) {
    let path = "retry.max_retries";
    policy.set(path, 2);
    if let Some(node) = settings.get(&["maxattempts", "maxretryattempts"])
        && let Some(mut read) = import.integer(node)
    {
        if read.value == 0 {
            import.problems.add(node, "an integer from 1 on");
        }
        read.value = read.value.saturating_sub(1);
        let differs = "the first attempt is not counted, a budget limits retries, and requests \
            that may not be sent twice are not retried (see retry.methods)";
        read.differs.push(differs.to_owned());
        import.set_integer(policy, path, node, read, &engine::MAX_RETRIES);
    }
    conditions(import, policy, settings);
    wait::import(import, policy, settings);
    let code = "it is code: say by retry.retry_on what it does";
    let events = "the filter's metrics and log lines are always there";
    without(
        import,
        settings,
        &[
            ("resultpredicate", code),
            ("retryonresult", code),
            ("retryexceptionpredicate", code),
            (
                "failaftermaxattempts",
                "the client gets the response of the last attempt",
            ),
            ("eventconsumerbuffersize", events),
            (
                "consumeresultbeforeretryattempt",
                "it is code that runs between attempts",
            ),
            ("ignoreclassbindingexceptions", "no class is loaded"),
            ("ignoreunknownexceptions", "no class is loaded"),
        ],
    );
}

/// Sets what is retried.
fn conditions(import: &mut Import, policy: &mut Policy, settings: &Effective) {
    if let Some(setting) = settings.setting(&["retryexceptions"]) {
        let classes = setting.texts();
        let classes: Vec<&str> = classes.iter().map(String::as_str).collect();
        let mut conditions = Vec::new();
        for class in &classes {
            for condition in words(exceptions::meaning(class)) {
                if !conditions.contains(condition) {
                    conditions.push(condition);
                }
            }
        }
        let others = exceptions::others(&classes);
        let differs = match &others {
            Some(others) => format!("{others} cannot be seen by a proxy, so its defaults are left"),
            None => "exceptions are told by how the request ended".to_owned(),
        };
        let to = if conditions.is_empty() || others.is_some() {
            "retry.retry_on is left at its default".to_owned()
        } else {
            policy.set("retry.retry_on", json!(conditions));
            format!("retry.retry_on {}", conditions.join(", "))
        };
        for node in &setting.nodes {
            import.report.approximate(node, to.clone(), &differs);
        }
    }
    let why = "statuses below 500 are not retried unless retry.retry_on lists them, and a \
        rejection never is";
    without(import, settings, &[("ignoreexceptions", why)]);
}

/// Returns the conditions of Envoy that stand for an exception.
fn words(meaning: Meaning) -> &'static [&'static str] {
    match meaning {
        Meaning::Status("502" | "503" | "504") => &["gateway-error"],
        Meaning::Status("4xx" | "409") => &["retriable-4xx"],
        Meaning::Status(status) if status.starts_with('4') => &[],
        Meaning::Status(_) => &["5xx"],
        Meaning::Connection => &["reset", "connect-failure", "refused-stream"],
        // The proxy's own timeout of an attempt is a gateway error.
        Meaning::Timeout => &["gateway-error"],
        Meaning::Any => &["5xx", "reset", "connect-failure", "refused-stream"],
        Meaning::Other => &[],
    }
}
