//! The names of resources as conditions on requests.

use serde_json::{Value, json};

use crate::command::import::draft::Policy;

/// Sets `match` from a resource: `/path`, `GET:/path`, `GET:http://service/path`, or the name of
/// something that the proxy does not know. Returns what it became, and what the user has to do.
pub(super) fn set_match(policy: &mut Policy, resource: &str) -> (String, &'static str) {
    let (method, target) = match resource.split_once(':') {
        Some((method, rest)) if is_method(method) => (Some(method), rest),
        _ => (None, resource),
    };
    let (authority, target) = match target.split_once("://") {
        Some((_, rest)) => rest.split_at(rest.find('/').unwrap_or(rest.len())),
        None => ("", target),
    };
    let path = target.split(['?', '#']).next().unwrap_or_default();
    let path = pattern(path);
    if path.is_none() && authority.is_empty() {
        policy.set("match.clusters", json!([resource]));
        return (
            format!("match.clusters {resource}"),
            "the proxy does not know resources: set it to the cluster that is called",
        );
    }
    if !authority.is_empty() {
        policy.set("match.authorities", json!([authority]));
    }
    if let Some(method) = method {
        policy.set("match.methods", json!([method]));
    }
    if let Some(path) = path {
        policy.set("match.paths", json!([path]));
    }
    (
        "match".to_owned(),
        "Sentinel names resources as the application does: compare it with the requests",
    )
}

/// Returns the pattern for a path as the routes of Spring have it: with `{name}` or
/// `{name:expression}` for a segment, and `**` at the end. `None` if policies have no such pattern.
fn pattern(path: &str) -> Option<Value> {
    let (path, is_prefix) = match path.strip_suffix("/**") {
        Some(start) => (start, true),
        None => (path, false),
    };
    if is_prefix && path.is_empty() {
        return Some(json!({"prefix": "/"}));
    }
    let segments = path.strip_prefix('/')?.split('/').map(segment);
    let segments: Vec<String> = segments.collect::<Option<_>>()?;
    let text = format!("/{}", segments.join("/"));
    match (is_prefix, text.contains('{')) {
        (true, true) => None,
        (true, false) => Some(json!({"prefix": format!("{text}/")})),
        (false, true) => Some(json!({"template": text})),
        (false, false) => Some(json!({"exact": text})),
    }
}

/// Returns a segment of a template, or `None` if it is a pattern of another kind.
fn segment(text: &str) -> Option<String> {
    if !text.contains(['{', '}', '*']) {
        return Some(text.to_owned());
    }
    let name = text.strip_prefix('{')?.strip_suffix('}')?;
    let name = name.split(':').next().unwrap_or_default();
    let is_name = !name.is_empty()
        && name
            .bytes()
            .all(|it| it.is_ascii_alphanumeric() || it == b'_');
    is_name.then(|| format!("{{{name}}}"))
}

fn is_method(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|letter| letter.is_ascii_uppercase())
}
