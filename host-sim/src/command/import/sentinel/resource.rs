//! The names of resources as conditions on requests.

use serde_json::json;

use crate::command::import::draft::Policy;

/// Sets `match` from a resource: `/path`, `GET:/path`, `GET:http://service/path`, or the name of
/// something that the proxy does not know. Returns what it became, and what the user has to do.
pub(super) fn set_match(policy: &mut Policy, resource: &str) -> (String, &'static str) {
    let (method, target) = match resource.split_once(':') {
        Some((method, rest)) if is_method(method) => (Some(method), rest),
        _ => (None, resource),
    };
    let target = match target.split_once("://") {
        Some((_, rest)) => {
            let at = rest.find('/').unwrap_or(rest.len());
            policy.set("match.authorities", json!([&rest[..at]]));
            &rest[at..]
        }
        None => target,
    };
    let path = target.split(['?', '#']).next().unwrap_or_default();
    if !path.starts_with('/') && policy.get("match.authorities").is_none() {
        policy.set("match.clusters", json!([resource]));
        return (
            format!("match.clusters {resource}"),
            "the proxy does not know resources: set it to the cluster that is called",
        );
    }
    if let Some(method) = method {
        policy.set("match.methods", json!([method]));
    }
    if path.starts_with('/') {
        let is_template = path.contains('{');
        let kind = if is_template { "template" } else { "exact" };
        policy.set("match.paths", json!([{ kind: path }]));
    }
    (
        "match".to_owned(),
        "Sentinel names resources as the application does: compare it with the requests",
    )
}

fn is_method(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|letter| letter.is_ascii_uppercase())
}
