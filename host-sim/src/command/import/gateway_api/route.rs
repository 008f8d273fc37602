//! `HTTPRoute` and `GRPCRoute`: a policy for each rule with retries.

use serde_json::{Value, json};

use super::super::context::Import;
use super::super::draft::Policy;
use super::super::engine;
use super::super::kube::retries::{self, Conditions};
use super::super::kube::{self, Object};
use super::super::source::Node;
use super::budget::Budget;

/// Statuses that are retried if a rule names none. Implementations may choose others.
const CODES: [&str; 4] = [
    "gateway-error",
    "connect-failure",
    "refused-stream",
    "reset",
];
/// Retries of a rule that gives no number. Implementations may choose others.
const ATTEMPTS: u64 = 1;

const LEFT: kube::Fields = &[
    ("timeouts.request", kube::TIMEOUT),
    ("filters", "the mesh changes and routes requests"),
    (
        "sessionPersistence",
        "the mesh selects the host of a session",
    ),
];

/// Reads all rules of a route.
pub(super) fn read(import: &mut Import, object: &Object, budgets: &[Budget]) {
    let Some(spec) = object.open(import) else {
        return;
    };
    object.annotations(import);
    for key in ["parentRefs", "hostnames", "useDefaultGateways"] {
        if let Some(node) = spec.get(key) {
            import
                .report
                .unrelated(node, "policies match the clusters that the rules go to");
        }
    }
    let before = import.draft.len();
    for (number, rule) in kube::list(import, spec.get("rules")).iter().enumerate() {
        read_rule(import, object, rule, number, budgets);
    }
    if import.draft.len() == before {
        import.report.unused(object.node);
    }
}

fn read_rule(import: &mut Import, object: &Object, rule: &Node, number: usize, budgets: &[Budget]) {
    kube::leave(import, rule, LEFT);
    if let Some(name) = rule.get("name") {
        import.report.unrelated(name, "a name for people");
    }
    let backends = backends(import, object, rule);
    let Some(retry) = rule.get("retry") else {
        if let Some(matches) = rule.get("matches") {
            import.report.unrelated(matches, "a rule without retries");
        }
        if let Some(timeout) = rule.at(&["timeouts", "backendRequest"]) {
            import
                .report
                .no_equivalent(timeout, "a limit of single attempts, and none is retried");
        }
        import.report.unused(rule);
        return;
    };
    let mut policy = Policy::new(&format!("{}-{number}", object.name));
    let mut clusters: Vec<String> = backends
        .iter()
        .map(|(service, port)| kube::cluster(service, "", *port))
        .collect();
    clusters.push(kube::rule_cluster(
        object.kind,
        object.namespace,
        object.name,
        number,
    ));
    policy.set("match.clusters", clusters);
    matches(import, &mut policy, rule);
    read_retry(import, &mut policy, retry);
    retries::try_timeout(
        import,
        &mut policy,
        rule.at(&["timeouts", "backendRequest"]),
    );
    let budget = budgets
        .iter()
        .find(|budget| backends.iter().any(|(name, _)| budget.is_for(name)));
    if let Some(budget) = budget {
        budget.apply(&mut policy);
    }
    let off = "remove `retry` from the route";
    retries::remark(import, &policy, off);
    let name = import.draft.add(policy);
    if let Some(budget) = budget {
        import.report.remark(format!(
            "{name} has a budget of its own with the numbers of {}: a request has one policy",
            budget.name
        ));
    }
}

type Backend = (String, Option<u64>);

fn backends(import: &mut Import, object: &Object, rule: &Node) -> Vec<Backend> {
    let mut backends = Vec::new();
    for entry in kube::list(import, rule.get("backendRefs")) {
        let text = |key| entry.get(key).and_then(Node::text);
        let is_service = text("kind").is_none_or(|kind| kind == "Service");
        match text("name") {
            Some(name) if is_service && !name.is_empty() => {
                let port = entry.get("port").and_then(|port| import.integer(port));
                let port = port.map(|port| port.value);
                let service = kube::full_name(name, text("namespace").unwrap_or(object.namespace));
                let cluster = kube::cluster(&service, "", port);
                import
                    .report
                    .exact(entry, format!("match.clusters {cluster}"));
                backends.push((service, port));
            }
            Some(_) => {
                import
                    .report
                    .no_equivalent(entry, "only the clusters of a Service are known");
            }
            None => import.problems.add(entry, "a mapping with name"),
        }
    }
    backends
}

/// Reads which requests take the rule. Paths of several matches are alternatives here too.
fn matches(import: &mut Import, policy: &mut Policy, rule: &Node) {
    let matches = kube::list(import, rule.get("matches"));
    let paths = matches.iter().map(|entry| path_pattern(entry.get("path")?));
    let paths: Option<Vec<Value>> = paths.collect();
    let paths = paths.filter(|paths| !paths.is_empty());
    for entry in matches {
        for (key, node) in entry.entries() {
            if key == "method" && matches.len() == 1 && node.text().is_some() {
                continue;
            }
            match &paths {
                Some(_) if key == "path" => import.report.exact(node, "match.paths"),
                None if key == "path" => import
                    .report
                    .no_equivalent(node, "the policy holds for every path"),
                _ => import
                    .report
                    .no_equivalent(node, "the policy holds for more requests"),
            }
        }
    }
    if let Some(paths) = paths {
        policy.set("match.paths", paths);
    }
    if let [only] = matches
        && let Some(node) = only.get("method")
        && node.text().is_some()
        && let Some(method) = kube::method(import, node)
    {
        import.report.exact(node, "match.methods");
        policy.set("match.methods", vec![method]);
    }
}

/// Returns a pattern for paths, or `None` if policies have no such kind.
fn path_pattern(path: &Node) -> Option<Value> {
    let text = |key| path.get(key).and_then(Node::text);
    let value = text("value").unwrap_or("/");
    if !value.starts_with('/') || value.contains(['?', '#']) {
        return None;
    }
    match text("type").unwrap_or("PathPrefix") {
        "Exact" => Some(json!({"exact": value})),
        "PathPrefix" => Some(json!({"prefix": value})),
        _ => None,
    }
}

fn read_retry(import: &mut Import, policy: &mut Policy, retry: &Node) {
    import.report.section(
        retry,
        "retry; what is left out is up to each implementation",
    );
    retries::attempts(import, policy, retry.get("attempts"), ATTEMPTS);
    let mut conditions = Conditions::of(&CODES);
    if let Some(codes) = retry.get("codes") {
        conditions = Conditions::of(&["connect-failure", "refused-stream", "reset"]);
        for code in kube::list(import, Some(codes)) {
            match import.integer(code) {
                Some(read) if (400..=599).contains(&read.value) => {
                    conditions.add(&read.value.to_string());
                    conditions.report(import, code);
                }
                Some(_) => import.problems.add(code, "400 to 599"),
                None => {}
            }
        }
    }
    conditions.set(policy);
    let differs = ["the most of the first wait, where the Gateway API means the least of each"];
    engine::backoff(import, policy, retry.get("backoff"), None, &differs);
}
