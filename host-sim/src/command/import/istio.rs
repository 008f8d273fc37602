//! Istio's `DestinationRule` and `VirtualService`.
//!
//! Rules are read first: they say which hosts have an outlier detection or a retry budget. A route
//! of a `VirtualService` then gets a policy if it sets retries, and with it the settings of the host
//! that it goes to, since the filter uses the first policy that matches. Destinations with different
//! settings have a policy each. Policies of routes are written in front of those of hosts.

mod destination;
mod route;
mod traffic;

use super::context::Import;
use super::kube::{self, Object};
use destination::Rule;

/// Imports all files.
pub(super) fn import(import: &mut Import) {
    let objects = kube::objects(import);
    let mut rules: Vec<Rule> = Vec::new();
    for object in &objects {
        match object.kind {
            "DestinationRule" if is_istio(object) => {
                rules.extend(destination::read(import, object));
            }
            "VirtualService" if is_istio(object) => {}
            _ => object.pass_over(import),
        }
    }
    for object in &objects {
        if object.kind == "VirtualService" && is_istio(object) {
            route::read(import, object, &rules);
        }
    }
    destination::write(import, rules);
}

fn is_istio(object: &Object) -> bool {
    object.group == "networking.istio.io"
}
