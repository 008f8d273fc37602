//! The failure accrual of a service, in the policies of its routes.

use super::super::context::Import;
use super::super::draft::Policy;
use super::annotations::Annotated;

/// Writes the policy of a route for the services that have the same failure accrual, or none.
pub(super) fn write(import: &mut Import, route: &Annotated, services: &[Annotated]) {
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
pub(super) fn add(import: &mut Import, mut policy: Policy, breaker: Option<Policy>) {
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
pub(super) fn breaker(host: &str, services: &[Annotated]) -> Option<Policy> {
    let is_of = |service: &&Annotated| service.clusters.iter().any(|(other, _)| other == host);
    let part = services.iter().find(is_of)?.policy.part("circuit_breaker");
    (!part.is_idle()).then_some(part)
}
