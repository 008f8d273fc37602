//! Linkerd: annotations of services and routes, and the older `ServiceProfile`.
//!
//! Linkerd does not use Envoy, so the names of its clusters mean nothing to the filter. Policies
//! match the clusters that Istio makes of the same services.
//!
//! Policies of profiles and routes are written in front of those of services, as Linkerd prefers
//! them. Only a service has a failure accrual, so they have that of their service.

mod accrual;
mod annotations;
mod profile;

use super::context::Import;
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
            accrual::write(import, &route, &services);
        }
    }
    for service in services {
        import.draft.add(service.policy);
    }
}
