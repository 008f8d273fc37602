//! `VirtualService`: a policy for each HTTP route that sets retries.

use serde_json::{Value, json};

use super::super::context::Import;
use super::super::draft::Policy;
use super::super::kube::retries::{self, Conditions};
use super::super::kube::{self, Object};
use super::super::source::Node;
use super::destination::{Rule, SCOPE};

/// What Istio retries unless a route says otherwise, and how often.
const RETRY_ON: [&str; 4] = [
    "connect-failure",
    "refused-stream",
    "unavailable",
    "cancelled",
];
const ATTEMPTS: u64 = 2;

const LEFT: kube::Fields = &[
    ("timeout", kube::TIMEOUT),
    (
        "fault",
        "the mesh injects faults; the circuit ignores responses that it makes itself",
    ),
    ("mirror", "the mesh mirrors requests"),
    ("mirrors", "the mesh mirrors requests"),
    ("mirrorPercentage", "the mesh mirrors requests"),
    ("mirror_percent", "the mesh mirrors requests"),
    ("mirrorPercent", "the mesh mirrors requests"),
    ("rewrite", "the mesh routes"),
    ("redirect", "the mesh routes"),
    (
        "directResponse",
        "the mesh routes; the circuit ignores responses of the proxy itself",
    ),
    (
        "delegate",
        "the mesh routes; import the other VirtualService too",
    ),
    ("headers", "the mesh changes headers"),
    ("corsPolicy", "the mesh answers for CORS"),
];

/// Reads all routes of an object.
pub(super) fn read(import: &mut Import, object: &Object, rules: &[Rule]) {
    let Some(spec) = object.open(import) else {
        return;
    };
    object.annotations(import);
    kube::leave(import, spec, SCOPE);
    kube::leave(import, spec, &[("tcp", "not HTTP"), ("tls", "not HTTP")]);
    if let Some(hosts) = spec.get("hosts") {
        import
            .report
            .unrelated(hosts, "policies match the clusters that the routes go to");
    }
    for (number, route) in kube::list(import, spec.get("http")).iter().enumerate() {
        read_route(import, object, route, number, rules);
    }
}

fn read_route(import: &mut Import, object: &Object, route: &Node, number: usize, rules: &[Rule]) {
    kube::leave(import, route, LEFT);
    let name = route
        .get("name")
        .and_then(Node::text)
        .filter(|name| !name.is_empty());
    let label = name.map_or_else(|| number.to_string(), str::to_owned);
    let mut policy = Policy::new(&format!("{}-{label}", object.name));
    let targets = targets(import, object, route);
    if !targets.is_empty() {
        let clusters = targets.iter();
        let clusters = clusters.map(|(host, subset, port)| kube::cluster(host, subset, *port));
        policy.set("match.clusters", clusters.collect::<Vec<String>>());
    }
    if let (Some(name), Some(node)) = (name, route.get("name")) {
        import.report.exact(node, format!("match.routes {name}"));
    }
    conditions(import, &mut policy, route, name);
    let Some(retries) = route.get("retries") else {
        return;
    };
    if targets.is_empty() && name.is_none() {
        import
            .report
            .no_equivalent(retries, "the route has neither a name nor a destination");
        return;
    }
    read_retries(import, &mut policy, retries);
    let breakers: Vec<Option<&Rule>> = targets
        .iter()
        .map(|(host, subset, port)| rules.iter().find(|rule| rule.holds(host, subset, *port)))
        .collect();
    let first = breakers.first().copied().flatten();
    let same =
        |rule: &Option<&Rule>| rule.map(|rule| &rule.breaker) == first.map(|rule| &rule.breaker);
    let is_same = breakers.iter().all(same);
    if let Some(rule) = first.filter(|_| is_same) {
        policy.extend(&rule.breaker);
    }
    let name = import.draft.add(policy);
    if !is_same {
        import.report.remark(format!(
            "{name} has no circuit_breaker, since its destinations have different ones"
        ));
    } else if let Some(rule) = first {
        import.report.remark(format!(
            "{name} has a circuit of its own, with the settings of {}: a request has one policy",
            rule.host
        ));
    }
}

type Target = (String, String, Option<u64>);

fn targets(import: &mut Import, object: &Object, route: &Node) -> Vec<Target> {
    let mut targets = Vec::new();
    for entry in kube::list(import, route.get("route")) {
        kube::leave(
            import,
            entry,
            &[
                ("weight", "the mesh routes"),
                ("headers", "the mesh changes headers"),
            ],
        );
        let Some(destination) = entry.get("destination") else {
            import.problems.add(entry, "a mapping with destination");
            continue;
        };
        let text = |key| destination.get(key).and_then(Node::text);
        let Some(host) = text("host").filter(|host| !host.is_empty()) else {
            import.problems.add(destination, "a mapping with host");
            continue;
        };
        let port = destination.at(&["port", "number"]);
        let port = port
            .and_then(|port| import.integer(port))
            .map(|port| port.value);
        let host = kube::full_name(host, object.namespace);
        let subset = text("subset").unwrap_or_default().to_owned();
        let cluster = kube::cluster(&host, &subset, port);
        import
            .report
            .exact(destination, format!("match.clusters {cluster}"));
        targets.push((host, subset, port));
    }
    targets
}

/// Reads which requests take the route.
fn conditions(import: &mut Import, policy: &mut Policy, route: &Node, name: Option<&str>) {
    let matches = kube::list(import, route.get("match"));
    if let Some(name) = name {
        // Envoy's route has the names of both.
        let routes: Vec<String> = match matches {
            [] => vec![name.to_owned()],
            matches => matches
                .iter()
                .map(|entry| route_name(name, entry))
                .collect(),
        };
        for entry in matches {
            import
                .report
                .exact(entry, format!("match.routes {}", route_name(name, entry)));
        }
        policy.set("match.routes", routes);
        return;
    }
    match matches {
        [] => {}
        [only] => only
            .entries()
            .iter()
            .for_each(|(key, node)| condition(import, policy, key, node)),
        several => several.iter().for_each(|entry| {
            import.report.no_equivalent(
                entry,
                "one policy has one set of conditions; name the route, and match.routes is used",
            );
        }),
    }
}

fn route_name(name: &str, entry: &Node) -> String {
    match entry.get("name").and_then(Node::text) {
        Some(own) if !own.is_empty() => format!("{name}.{own}"),
        _ => name.to_owned(),
    }
}

/// Reads one condition of the only match of a route.
fn condition(import: &mut Import, policy: &mut Policy, key: &str, node: &Node) {
    let exact = node.get("exact").and_then(Node::text);
    let prefix = node.get("prefix").and_then(Node::text);
    let is_path = |path: &&str| path.starts_with('/') && !path.contains('?');
    match (key, exact, prefix) {
        ("uri", Some(path), _) if is_path(&path) => {
            policy.set("match.paths", json!([{"exact": path}]));
            import.report.exact(node, "match.paths");
        }
        ("uri", _, Some(path)) if is_path(&path) => {
            policy.set("match.paths", json!([{"prefix": path}]));
            import.report.exact(node, "match.paths");
        }
        ("method", Some(method), _) => {
            policy.set("match.methods", vec![method]);
            import.report.exact(node, "match.methods");
        }
        ("headers", ..) => headers(import, policy, node),
        ("name", ..) => import.report.unrelated(node, "a name for people"),
        _ => import.report.no_equivalent(
            node,
            "the policy holds for more requests; name the route, and match.routes is used",
        ),
    }
}

fn headers(import: &mut Import, policy: &mut Policy, node: &Node) {
    let mut conditions: Vec<Value> = Vec::new();
    for (name, value) in node.entries() {
        match value.get("exact").and_then(Node::text) {
            Some(exact) => {
                conditions.push(json!({"name": name, "exact": exact}));
                import.report.exact(value, "match.headers");
            }
            // Istio reads a condition without a value as that the header is there.
            None if value.children().next().is_none() && value.text().is_none_or(str::is_empty) => {
                conditions.push(json!({"name": name, "present": true}));
                import.report.exact(value, "match.headers, present");
            }
            None => import.report.no_equivalent(
                value,
                "the policy holds for more requests; name the route, and match.routes is used",
            ),
        }
    }
    if !conditions.is_empty() {
        policy.set("match.headers", conditions);
    }
}

fn read_retries(import: &mut Import, policy: &mut Policy, node: &Node) {
    import
        .report
        .section(node, "retry, with Istio's defaults for what is left out");
    kube::leave(
        import,
        node,
        &[
            (
                "retryRemoteLocalities",
                "the mesh selects the host of a retry",
            ),
            (
                "retryIgnorePreviousHosts",
                "the mesh selects the host of a retry",
            ),
            ("backoff", "the router waits as the mesh tells it"),
        ],
    );
    retries::attempts(import, policy, node.get("attempts"), ATTEMPTS);
    let mut conditions = Conditions::of(&RETRY_ON);
    if let Some(retry_on) = node.get("retryOn")
        && let Some(read) = import.text(retry_on, "conditions with commas between them")
    {
        conditions = Conditions::default();
        let names = read.value.split(',').map(str::trim);
        names
            .filter(|name| !name.is_empty())
            .for_each(|name| conditions.add(name));
        conditions.report(import, retry_on);
    }
    conditions.set(policy);
    retries::try_timeout(import, policy, node.get("perTryTimeout"));
    let off = "set `retries: {attempts: 0}` in the VirtualService";
    retries::remark(import, policy, off);
}
