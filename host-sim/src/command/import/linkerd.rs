//! Linkerd: annotations of services and routes, and the older `ServiceProfile`.
//!
//! Linkerd does not use Envoy, so the names of its clusters mean nothing to the filter. Policies match the
//! clusters that Istio makes of the same services.

mod annotations;
mod profile;

use super::context::Import;
use super::kube;

/// Imports all files.
pub(super) fn import(import: &mut Import) {
    for object in &kube::objects(import) {
        match (object.group, object.kind) {
            ("", "Service")
            | ("gateway.networking.k8s.io" | "policy.linkerd.io", "HTTPRoute" | "GRPCRoute") => {
                annotations::read(import, object);
            }
            ("linkerd.io", "ServiceProfile") => profile::read(import, object),
            _ => object.pass_over(import),
        }
    }
}
