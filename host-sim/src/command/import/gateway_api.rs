//! The Gateway API: retry budgets of `XBackendTrafficPolicy`, and retries of routes.
//!
//! A budget is for a service, and what is retried is said by the routes to it. A policy of a route
//! therefore has the budget of its service, and a budget alone leaves the conditions to the mesh.

mod budget;
mod route;

use super::context::Import;
use super::draft::Policy;
use super::kube;
use budget::Budget;

/// Imports all files.
pub(super) fn import(import: &mut Import) {
    let objects = kube::objects(import);
    let mut budgets: Vec<Budget> = Vec::new();
    for object in &objects {
        match (object.group, object.kind) {
            ("gateway.networking.x-k8s.io", "XBackendTrafficPolicy" | "BackendTrafficPolicy") => {
                budgets.extend(budget::read(import, object));
            }
            ("gateway.networking.k8s.io", "HTTPRoute" | "GRPCRoute") => {}
            _ => object.pass_over(import),
        }
    }
    for object in &objects {
        if object.group == "gateway.networking.k8s.io"
            && matches!(object.kind, "HTTPRoute" | "GRPCRoute")
        {
            route::read(import, object, &budgets);
        }
    }
    for budget in budgets {
        let mut policy = Policy::new(&budget.name);
        policy.set("match.clusters", budget.clusters());
        policy.set("retry.retry_on", Vec::<String>::new());
        budget.apply(&mut policy);
        let name = import.draft.add(policy);
        import.report.remark(format!(
            "{name} limits the retries that routes of the mesh ask for, and asks for none itself"
        ));
    }
}
