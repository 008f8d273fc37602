//! `retryConstraint` of an `XBackendTrafficPolicy`, which is Spillway's retry budget.

use std::time::Duration;

use serde_json::Value;

use super::super::context::Import;
use super::super::draft::Policy;
use super::super::engine;
use super::super::kube::{self, BUDGET_PERCENT, MIN_RETRIES, Object};
use super::super::source::Node;

/// Fields of a budget, and what they are if they are left out.
const DEFAULTS: [(&str, &str); 4] = [
    ("percent", "20"),
    ("interval", "\"10s\""),
    ("min_retry_rate.count", "10"),
    ("min_retry_rate.interval", "\"1s\""),
];

/// The budget of some services.
pub(super) struct Budget {
    pub name: String,
    services: Vec<String>,
    fields: Vec<(String, Value)>,
}

impl Budget {
    pub(super) fn is_for(&self, service: &str) -> bool {
        self.services.iter().any(|name| name == service)
    }

    pub(super) fn clusters(&self) -> Vec<String> {
        let services = self.services.iter();
        services
            .map(|service| kube::cluster(service, "", None))
            .collect()
    }

    pub(super) fn apply(&self, policy: &mut Policy) {
        for (path, value) in &self.fields {
            policy.set(path, value.clone());
        }
    }
}

/// Reads a policy. `None` if it has no retry constraint.
pub(super) fn read(import: &mut Import, object: &Object) -> Option<Budget> {
    let spec = object.open(import)?;
    object.annotations(import);
    kube::leave(
        import,
        spec,
        &[(
            "sessionPersistence",
            "the mesh selects the host of a session",
        )],
    );
    let services = services(import, object, spec);
    let constraint = spec.get("retryConstraint")?;
    if services.is_empty() {
        let why = "none of targetRefs is a Service, whose clusters would have known names";
        import.report.no_equivalent(constraint, why);
        return None;
    }
    let mut policy = Policy::new("");
    percent(import, &mut policy, constraint.at(&["budget", "percent"]));
    let interval = constraint.at(&["budget", "interval"]);
    duration(import, &mut policy, "retry.budget.interval", interval);
    if let Some(count) = constraint.at(&["minRetryRate", "count"])
        && let Some(read) = import.integer(count)
    {
        let path = "retry.budget.min_retry_rate.count";
        import.set_integer(&mut policy, path, count, read, &MIN_RETRIES);
    }
    let interval = constraint.at(&["minRetryRate", "interval"]);
    duration(
        import,
        &mut policy,
        "retry.budget.min_retry_rate.interval",
        interval,
    );
    let fields = DEFAULTS.iter().map(|(field, default)| {
        let path = format!("retry.budget.{field}");
        let default = || serde_json::from_str(default).unwrap_or_default();
        let value = policy.get(&path).cloned().unwrap_or_else(default);
        (path, value)
    });
    Some(Budget {
        name: object.name.to_owned(),
        services,
        fields: fields.collect(),
    })
}

fn percent(import: &mut Import, policy: &mut Policy, node: Option<&Node>) {
    if let Some(node) = node
        && let Some(mut read) = import.number(node)
    {
        read.differs
            .push("only requests that ended well earn retries, not all".to_owned());
        import.set_percent(policy, "retry.budget.percent", node, read, &BUDGET_PERCENT);
    }
}

fn duration(import: &mut Import, policy: &mut Policy, path: &str, node: Option<&Node>) {
    if let Some(node) = node
        && let Some(read) = import.duration(node, Duration::from_secs(1))
    {
        import.set_duration(policy, path, node, read, &engine::WINDOW);
    }
}

/// Reads which services the policy is for.
fn services(import: &mut Import, object: &Object, spec: &Node) -> Vec<String> {
    let mut services = Vec::new();
    for target in kube::list(import, spec.get("targetRefs")) {
        let text = |key| target.get(key).and_then(Node::text).unwrap_or_default();
        match (text("group"), text("kind"), text("name")) {
            ("" | "core", "Service", name) if !name.is_empty() => {
                let service = kube::full_name(name, object.namespace);
                let cluster = kube::cluster(&service, "", None);
                import
                    .report
                    .exact(target, format!("match.clusters {cluster}"));
                services.push(service);
            }
            _ => import
                .report
                .no_equivalent(target, "only the clusters of a Service are known"),
        }
    }
    services
}
