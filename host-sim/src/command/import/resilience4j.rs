//! Resilience4j: `resilience4j.MODULE.{configs,instances,backends}.NAME` in Spring's files.
//!
//! The instances of one name in all modules become one policy. An instance has its own settings,
//! then those of the configs that it inherits from, then the library's defaults. One without any
//! setting has a policy too, as the library makes a breaker of it.

mod breaker;
mod effective;
mod exceptions;
mod open;
mod retry;
mod wait;

use std::time::Duration;

use serde_json::Value;

use super::context::Import;
use super::draft::Policy;
use super::engine;
use super::settings::{self, Setting, canonical};
use super::values::{self, MS};
use effective::{Effective, MODULES, effective, is_bare, is_of, key, without};

/// Modules without an equivalent, and what does it instead.
const WITHOUT: [(&str, &str); 6] = [
    ("bulkhead", MAX_REQUESTS),
    ("threadpoolbulkhead", MAX_REQUESTS),
    (
        "ratelimiter",
        "the proxy's local rate limit (envoy.filters.http.local_ratelimit) does it",
    ),
    ("micrometer", "the filter's metrics are always there"),
    (
        "cache",
        "a fallback of type stale, or the proxy's cache filter, does it",
    ),
    ("scheduled", "it is about threads of Java"),
];

const MAX_REQUESTS: &str = "max_requests in circuit_breakers of the cluster does it, \
    in Istio http2MaxRequests of the connectionPool";

/// Writes a policy for each instance, or one for `configs.default` if there is no instance.
pub(super) fn import(import: &mut Import) {
    let all = settings::collect(import, &["resilience4j"], "Resilience4j");
    for setting in &all {
        outside(import, setting);
    }
    let mut names: Vec<&str> = Vec::new();
    let is_instance = |it: &&Setting| is_of(it, "instances") || is_bare(it, "instances");
    for setting in all.iter().filter(is_instance) {
        let name = setting.path[3].as_str();
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let has_default = all
        .iter()
        .any(|setting| is_of(setting, "configs") && setting.path[3] == "default");
    if names.is_empty() && has_default {
        instance(import, "default", &all, true);
    }
    for name in &names {
        instance(import, name, &all, false);
    }
    all.iter().for_each(|setting| bare(import, setting));
    for setting in all.iter().filter(|setting| is_of(setting, "configs")) {
        for node in &setting.nodes {
            if is_known(setting) && !import.report.knows(node) {
                import.report.no_equivalent(node, "no instance uses it");
            }
        }
    }
}

/// Reports modules without an equivalent, and settings beside instances and configs.
fn outside(import: &mut Import, setting: &Setting) {
    let module = canonical(&setting.path[1]);
    let why = match WITHOUT.iter().find(|(name, _)| *name == module) {
        Some((_, why)) => *why,
        None if MODULES.contains(&module.as_str()) => {
            let section = setting
                .path
                .get(2)
                .map(|name| canonical(name))
                .unwrap_or_default();
            match section.as_str() {
                "metrics" | "tags" => "the filter's metrics are always there",
                name if name.ends_with("aspectorder") => {
                    "the filter counts what its retries end with"
                }
                _ => return,
            }
        }
        None => return,
    };
    for node in &setting.nodes {
        import.report.no_equivalent(node, why);
    }
}

/// Reports an instance or a config that sets nothing itself.
fn bare(import: &mut Import, setting: &Setting) {
    let is_config = is_bare(setting, "configs");
    if !is_config && !is_bare(setting, "instances") {
        return;
    }
    let to = "what it inherits, and the defaults of Resilience4j";
    for node in &setting.nodes {
        match canonical(&setting.path[1]).as_str() {
            "circuitbreaker" => import.report.exact(node, to),
            "retry" => {
                let differs =
                    "waits between attempts are the proxy's own, and a budget limits them";
                import.report.approximate(node, to, differs);
            }
            _ => import
                .report
                .no_equivalent(node, "its default of 1s is the timeout of the route"),
        }
    }
}

fn is_known(setting: &Setting) -> bool {
    let key = key(setting);
    let keys = match canonical(&setting.path[1]).as_str() {
        "circuitbreaker" => breaker::KEYS,
        "retry" => retry::KEYS,
        _ => TIMELIMITER,
    };
    key == "baseconfig" || keys.contains(&key.as_str())
}

/// The default of `timeoutDuration`.
const TIMEOUT: Duration = Duration::from_secs(1);

const TIMELIMITER: &[&str] = &[
    "timeoutduration",
    "cancelrunningfuture",
    "eventconsumerbuffersize",
];

fn instance(import: &mut Import, name: &str, all: &[Setting], is_config: bool) {
    let mut policy = Policy::new(name);
    if !is_config {
        policy.set("match.clusters", vec![name]);
    }
    if let Some(settings) = effective(import, all, "circuitbreaker", name, is_config) {
        breaker::import(import, &mut policy, &settings);
    }
    if let Some(settings) = effective(import, all, "retry", name, is_config) {
        retry::import(import, &mut policy, &settings);
    }
    if let Some(settings) = effective(import, all, "timelimiter", name, is_config) {
        timelimiter(import, &mut policy, &settings);
    }
    if policy.is_idle() {
        return;
    }
    let name = import.draft.add(policy);
    import.report.remark(if is_config {
        format!(
            "policy {name} is for every request, since configs.default has no instance: set match \
             to the clusters that it is for"
        )
    } else {
        format!(
            "policy {name}: the proxy does not know instances, so match.clusters has the name: set \
             it to the cluster that is called"
        )
    });
}

/// Sets the limit on the time of a call. Resilience4j limits each attempt if it retries, so a
/// request that is retried has a limit for each attempt, and one that allows for all of them.
fn timelimiter(import: &mut Import, policy: &mut Policy, settings: &Effective) {
    const EACH: &str = "retry.per_try_timeout";
    let retries = policy.get("retry.max_retries").and_then(Value::as_u64);
    let attempts = u32::try_from(retries.unwrap_or(0)).map_or(1, |retries| retries + 1);
    let node = settings.get(&["timeoutduration"]);
    let read = node.map(|node| (node, import.duration(node, MS)));
    match read {
        None => {
            policy.set("timeout", values::write(TIMEOUT * attempts));
            if attempts > 1 {
                policy.set(EACH, values::write(TIMEOUT));
            }
        }
        Some((_, None)) => {}
        Some((node, Some(mut read))) if attempts > 1 && !read.value.is_zero() => {
            let whole = values::write((read.value * attempts).min(*engine::TIMEOUT.end()));
            read.differs.push(format!(
                "it is for attempts of requests that may be sent twice, until the headers of the \
                 response; timeout {whole} limits every request"
            ));
            import.set_duration(policy, EACH, node, read, &engine::TIMEOUT);
            policy.set("timeout", whole);
        }
        Some((node, Some(read))) => engine::timeout(import, policy, node, read),
    }
    without(
        import,
        settings,
        &[
            (
                "cancelrunningfuture",
                "the proxy always resets a request that timed out",
            ),
            (
                "eventconsumerbuffersize",
                "the filter's metrics and log lines are always there",
            ),
        ],
    );
}
