//! `ServiceProfile`: a retry budget for a service, and routes that may be retried.

use serde_json::{Value, json};

use super::super::context::Import;
use super::super::draft::Policy;
use super::super::engine;
use super::super::kube::retries::Conditions;
use super::super::kube::{self, Object};
use super::super::source::Node;
use super::super::values::SECOND;
use super::accrual;
use super::annotations::Annotated;

/// Only the budget bounds how often Linkerd retries one request; policies allow at most this.
const RETRIES: u64 = 10;

/// Reads a profile.
pub(super) fn read(import: &mut Import, object: &Object, services: &[Annotated]) {
    let Some(spec) = object.open(import) else {
        return;
    };
    object.annotations(import);
    kube::leave(
        import,
        spec,
        &[
            ("dstOverrides", "the mesh routes"),
            ("opaquePorts", "not HTTP"),
        ],
    );
    let budget = budget(import, spec.get("retryBudget"));
    let host = kube::full_name(object.name, object.namespace);
    let before = import.draft.len();
    for route in kube::list(import, spec.get("routes")) {
        if let Some(policy) = read_route(import, object, route, &budget) {
            accrual::add(import, policy, accrual::breaker(&host, services));
        } else {
            import.report.unused(route);
        }
    }
    if import.draft.len() == before {
        import.report.unused(object.node);
    }
}

/// Reads the budget, whose parts have defaults.
fn budget(import: &mut Import, node: Option<&Node>) -> Policy {
    const PERCENT: &str = "retry.budget.percent";
    const INTERVAL: &str = "retry.budget.interval";
    const COUNT: &str = "retry.budget.min_retry_rate.count";
    let mut settings = Policy::settings();
    settings.set(PERCENT, 20);
    settings.set(INTERVAL, "10s");
    settings.set(COUNT, 10);
    let part = |key| node.and_then(|node| node.get(key));
    if let Some(node) = part("retryRatio")
        && let Some(mut read) = import.number(node)
    {
        read.value *= 100.0;
        read.differs
            .push("only requests that ended well earn retries".to_owned());
        import.set_percent(&mut settings, PERCENT, node, read, &engine::BUDGET_PERCENT);
    }
    if let Some(node) = part("minRetriesPerSecond")
        && let Some(read) = import.integer(node)
    {
        import.set_integer(&mut settings, COUNT, node, read, &engine::MIN_RETRIES);
    }
    if let Some(node) = part("ttl")
        && let Some(read) = import.duration(node, SECOND)
    {
        import.set_duration(&mut settings, INTERVAL, node, read, &engine::WINDOW);
    }
    settings
}

fn read_route(
    import: &mut Import,
    object: &Object,
    route: &Node,
    budget: &Policy,
) -> Option<Policy> {
    let name = route.get("name").and_then(Node::text).unwrap_or_default();
    let timeout = route.get("timeout");
    let flag = route.get("isRetryable");
    let is_retryable = match flag {
        Some(node) => import.boolean(node).is_some_and(|read| read.value),
        None => false,
    };
    let rest = ["name", "condition", "responseClasses"];
    let rest = rest.into_iter().filter_map(|key| route.get(key));
    if !is_retryable && timeout.is_none() {
        let why = "neither a timeout nor retries, so no policy";
        rest.chain(flag)
            .for_each(|node| import.report.unrelated(node, why));
        return None;
    }
    if let Some(node) = route.get("responseClasses") {
        let why = "list the statuses that are failures in outcome.failure_status yourself";
        import.report.no_equivalent(node, why);
    }
    let mut policy = Policy::new(&format!("{}-{name}", short(object.name)));
    let host = kube::full_name(object.name, object.namespace);
    policy.set("match.clusters", vec![kube::cluster(&host, "", None)]);
    if let Some(node) = route.get("name") {
        import.report.exact(node, "in the name of the policy");
    }
    if !condition(import, &mut policy, route, is_retryable) {
        let why = "no policy can have this condition";
        let left = flag.into_iter().chain(timeout);
        left.for_each(|node| import.report.no_equivalent(node, why));
        return None;
    }
    if let Some(node) = timeout
        && let Some(read) = import.duration(node, SECOND)
    {
        engine::timeout(import, &mut policy, node, read);
    }
    match flag {
        Some(flag) if is_retryable => {
            let differs = format!(
                "at most {RETRIES} retries of a request, where only the budget bounds them"
            );
            import.report.approximate(flag, "retry", &differs);
            Conditions::of(&["5xx"]).set(&mut policy);
            policy.set("retry.max_retries", RETRIES);
            policy.extend(budget);
        }
        Some(flag) => import.report.exact(flag, "no retry"),
        None => {}
    }
    Some(policy)
}

/// Returns the first part of a full name.
fn short(name: &str) -> &str {
    name.split('.').next().unwrap_or(name)
}

/// Reads which requests take a route. `false` if policies have no such condition.
fn condition(import: &mut Import, policy: &mut Policy, route: &Node, retried: bool) -> bool {
    let Some(condition) = route.get("condition") else {
        return true;
    };
    let known = |key: &str| matches!(key, "method" | "pathRegex");
    if condition.entries().iter().any(|(key, _)| !known(key)) {
        import
            .report
            .no_equivalent(condition, "only method and pathRegex have a counterpart");
        return false;
    }
    if let Some(node) = condition.get("pathRegex") {
        let Some(pattern) = node.text().and_then(pattern) else {
            import
                .report
                .no_equivalent(condition, "paths are exact, prefixes or templates");
            return false;
        };
        let to = format!("match.paths {pattern}");
        if pattern.get("template").is_some() && node.text().is_some_and(|text| text.contains("]*"))
        {
            import
                .report
                .approximate(node, to, "a part of a template is not empty");
        } else {
            import.report.exact(node, to);
        }
        policy.set("match.paths", json!([pattern]));
    }
    if let Some(node) = condition.get("method")
        && let Some(method) = kube::method(import, node)
    {
        policy.set("match.methods", vec![method]);
        if retried {
            import.report.exact(node, "match.methods, retry.methods");
            policy.set("retry.methods", vec![method]);
        } else {
            import.report.exact(node, "match.methods");
        }
    }
    true
}

/// Returns the pattern that holds for the same paths as a regular expression, for the forms that
/// profiles made of an OpenAPI description have.
fn pattern(regex: &str) -> Option<Value> {
    let regex = regex.strip_prefix('^').unwrap_or(regex);
    let regex = regex.strip_suffix('$').unwrap_or(regex);
    if let Some(prefix) = regex.strip_suffix(".*") {
        return Some(json!({"prefix": literal(prefix)?}));
    }
    let mut segments = Vec::new();
    let mut has_names = false;
    // A slash inside a character class does not separate segments.
    let regex = regex.replace("[^/]*", "\u{0}").replace("[^/]+", "\u{0}");
    for (number, segment) in regex.split('/').enumerate() {
        if segment == "\u{0}" {
            has_names = true;
            segments.push(format!("{{part{number}}}"));
        } else {
            segments.push(literal(segment)?);
        }
    }
    let path = segments.join("/");
    let kind = if has_names { "template" } else { "exact" };
    path.starts_with('/').then(|| json!({kind: path}))
}

/// Returns the text that an expression stands for, or `None` if it stands for several.
fn literal(regex: &str) -> Option<String> {
    let mut text = String::new();
    let mut letters = regex.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => text.push(
                letters
                    .next()
                    .filter(|next| !next.is_ascii_alphanumeric())?,
            ),
            '.' | '*' | '+' | '?' | '(' | ')' | '[' | ']' | '{' | '}' | '|' | '^' | '$' | '\0' => {
                return None;
            }
            letter => text.push(letter),
        }
    }
    Some(text)
}
