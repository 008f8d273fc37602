//! Linkerd: annotations of services and routes, and the older `ServiceProfile`.
//!
//! Linkerd does not use Envoy, so the names of its clusters mean nothing to the filter. Policies
//! match the clusters that Istio makes of the same services.
//!
//! Policies of profiles and routes are written in front of those of services, as Linkerd prefers
//! them. Only a service has a failure accrual, so they have that of their service.

mod annotations;
mod profile;

use super::context::Import;
use super::draft::Policy;
use super::kube::{self, Object};
use annotations::Annotated;

/// Imports all files.
pub(super) fn import(import: &mut Import) {
    let objects = kube::objects(import);
    let is_service = |object: &&Object| object.group.is_empty() && object.kind == "Service";
    let services = objects.iter().filter(is_service);
    let services: Vec<Annotated> = services
        .filter_map(|object| annotations::read(import, object))
        .collect();
    for object in &objects {
        match (object.group, object.kind) {
            ("", "Service")
            | ("gateway.networking.k8s.io" | "policy.linkerd.io", "HTTPRoute" | "GRPCRoute") => {}
            ("linkerd.io", "ServiceProfile") => profile::read(import, object, &services),
            _ => object.pass_over(import),
        }
    }
    for object in &objects {
        if matches!(
            object.group,
            "gateway.networking.k8s.io" | "policy.linkerd.io"
        ) && matches!(object.kind, "HTTPRoute" | "GRPCRoute")
            && let Some(route) = annotations::read(import, object)
        {
            write(import, &route, &services);
        }
    }
    for service in services {
        import.draft.add(service.policy);
    }
}

/// Writes the policy of a route for the services that have the same failure accrual, or none.
fn write(import: &mut Import, route: &Annotated, services: &[Annotated]) {
    let mut groups: Vec<(Option<Policy>, Vec<String>)> = Vec::new();
    for (host, cluster) in &route.clusters {
        let breaker = breaker(host, services);
        match groups.iter_mut().find(|(other, _)| *other == breaker) {
            Some((_, clusters)) => clusters.push(cluster.clone()),
            None => groups.push((breaker, vec![cluster.clone()])),
        }
    }
    for (breaker, clusters) in groups {
        let mut policy = route.policy.clone();
        policy.set("match.clusters", clusters);
        add(import, policy, breaker);
    }
}

/// Adds a policy with the failure accrual of its service.
fn add(import: &mut Import, mut policy: Policy, breaker: Option<Policy>) {
    let has_breaker = breaker.is_some();
    if let Some(breaker) = breaker {
        policy.extend(&breaker);
    }
    let name = import.draft.add(policy);
    if has_breaker {
        import.report.remark(format!(
            "{name} has a circuit of its own, with the settings of its service: a request has one \
             policy"
        ));
    }
}

/// Returns the failure accrual of a service.
fn breaker(host: &str, services: &[Annotated]) -> Option<Policy> {
    let is_of = |service: &&Annotated| service.clusters.iter().any(|(other, _)| other == host);
    let part = services.iter().find(is_of)?.policy.part("circuit_breaker");
    (!part.is_idle()).then_some(part)
}
