//! `retryConstraint` of an `XBackendTrafficPolicy`, which is Spillway's retry budget.

use super::super::context::Import;
use super::super::draft::Policy;
use super::super::engine;
use super::super::kube::{self, Object};
use super::super::source::Node;
use super::super::values::SECOND;

/// The budget of some services.
pub(super) struct Budget {
    pub name: String,
    services: Vec<String>,
    settings: Policy,
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
        policy.extend(&self.settings);
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
    let Some(constraint) = spec.get("retryConstraint") else {
        import.report.unused(object.node);
        return None;
    };
    if services.is_empty() {
        let why = "none of targetRefs is a Service, whose clusters would have known names";
        import.report.no_equivalent(constraint, why);
        return None;
    }
    import.report.section(
        constraint,
        "retry.budget, with the defaults of the Gateway API for what is left out",
    );
    let mut settings = Policy::settings();
    settings.set("retry.budget.percent", 20);
    settings.set("retry.budget.interval", "10s");
    settings.set("retry.budget.min_retry_rate.count", 10);
    settings.set("retry.budget.min_retry_rate.interval", "1s");
    percent(import, &mut settings, constraint.at(&["budget", "percent"]));
    let interval = constraint.at(&["budget", "interval"]);
    duration(import, &mut settings, "retry.budget.interval", interval);
    if let Some(count) = constraint.at(&["minRetryRate", "count"])
        && let Some(read) = import.integer(count)
    {
        let path = "retry.budget.min_retry_rate.count";
        import.set_integer(&mut settings, path, count, read, &engine::MIN_RETRIES);
    }
    let interval = constraint.at(&["minRetryRate", "interval"]);
    let path = "retry.budget.min_retry_rate.interval";
    duration(import, &mut settings, path, interval);
    Some(Budget {
        name: object.name.to_owned(),
        services,
        settings,
    })
}

fn percent(import: &mut Import, policy: &mut Policy, node: Option<&Node>) {
    if let Some(node) = node
        && let Some(mut read) = import.number(node)
    {
        read.differs
            .push("only requests that ended well earn retries, not all".to_owned());
        import.set_percent(
            policy,
            "retry.budget.percent",
            node,
            read,
            &engine::BUDGET_PERCENT,
        );
    }
}

fn duration(import: &mut Import, policy: &mut Policy, path: &str, node: Option<&Node>) {
    if let Some(node) = node
        && let Some(read) = import.duration(node, SECOND)
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
                let to = format!("match.clusters {cluster}");
                if target.get("sectionName").is_some() {
                    let differs = "ports have no names here, so it is for all of the service";
                    import.report.approximate(target, to, differs);
                } else {
                    import.report.exact(target, to);
                }
                services.push(service);
            }
            _ => import
                .report
                .no_equivalent(target, "only the clusters of a Service are known"),
        }
    }
    services
}
