//! `VirtualService`: a policy for each HTTP route that sets retries.

use serde_json::{Value, json};

use super::super::context::Import;
use super::super::draft::Policy;
use super::super::engine;
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
    let before = import.draft.len();
    for (number, route) in kube::list(import, spec.get("http")).iter().enumerate() {
        read_route(import, object, route, number, rules);
    }
    if import.draft.len() == before {
        import.report.unused(object.node);
    }
}

fn read_route(import: &mut Import, object: &Object, route: &Node, number: usize, rules: &[Rule]) {
    kube::leave(import, route, LEFT);
    let name = route
        .get("name")
        .and_then(Node::text)
        .filter(|name| !name.is_empty());
    let label = name.map_or_else(|| number.to_string(), str::to_owned);
    let targets = targets(import, object, route);
    let mut policy = Policy::new(&format!("{}-{label}", object.name));
    if let (Some(name), Some(node)) = (name, route.get("name")) {
        import.report.exact(node, format!("match.routes {name}"));
    }
    conditions(import, &mut policy, route, name);
    let Some(retries) = route.get("retries") else {
        import.report.unused(route);
        return;
    };
    if targets.is_empty() && name.is_none() {
        import
            .report
            .no_equivalent(retries, "the route has neither a name nor a destination");
        import.report.unused(route);
        return;
    }
    read_retries(import, &mut policy, retries);
    if targets.is_empty() {
        import.draft.add(policy);
        return;
    }
    for (rule, clusters) in groups(&targets, rules) {
        write(import, &policy, rule, clusters);
    }
}

/// Writes the policy of a route for the destinations that have the settings of one rule, or none.
fn write(import: &mut Import, route: &Policy, rule: Option<&Rule>, clusters: Vec<String>) {
    let mut policy = route.named_like();
    policy.set("match.clusters", clusters);
    policy.extend(route);
    let Some(rule) = rule else {
        import.draft.add(policy);
        return;
    };
    rule.traffic.apply(&mut policy);
    let name = import.draft.add(policy);
    let host = &rule.host;
    if rule.traffic.breaker.is_some() {
        import.report.remark(format!(
            "{name} has a circuit of its own, with the settings of {host}: a request has one policy"
        ));
    }
    if rule.traffic.budget.is_some() {
        import.report.remark(format!(
            "{name} has a budget of its own with the numbers of {host}: a request has one policy"
        ));
    }
}

/// Returns the clusters of destinations by the rule that holds for them. A destination without a
/// port goes to the port of the request, so the rules of single ports come first.
fn groups<'r>(targets: &[Target], rules: &'r [Rule]) -> Vec<(Option<&'r Rule>, Vec<String>)> {
    let mut groups: Vec<(Option<&Rule>, Vec<String>)> = Vec::new();
    let mut add = |rule: Option<&'r Rule>, cluster: String| {
        let settings = rule.map(|rule| &rule.traffic);
        let is_same = |group: &&mut (Option<&Rule>, Vec<String>)| {
            group.0.map(|rule| &rule.traffic) == settings
        };
        match groups.iter_mut().find(is_same) {
            Some((_, clusters)) => clusters.push(cluster),
            None => groups.push((rule, vec![cluster])),
        }
    };
    for (host, subset, port) in targets {
        if port.is_none() {
            let ports = rules.iter().filter_map(|rule| Some((rule, rule.port?)));
            for (rule, port) in ports.filter(|(rule, port)| rule.holds(host, subset, Some(*port))) {
                add(Some(rule), kube::cluster(host, subset, Some(port)));
            }
        }
    }
    for (host, subset, port) in targets {
        let holding = rules.iter().filter(|rule| rule.holds(host, subset, *port));
        let rule = holding.min_by_key(|rule| rule.width());
        add(rule, kube::cluster(host, subset, *port));
    }
    groups
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
        several if several.iter().all(|entry| only_path(entry).is_some()) => {
            let paths: Vec<Value> = several.iter().filter_map(only_path).collect();
            policy.set("match.paths", paths);
            for entry in several {
                import.report.exact(entry, "match.paths");
            }
        }
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

/// Returns the pattern of a match that looks at nothing but the path.
fn only_path(entry: &Node) -> Option<Value> {
    let is_about_path = |(key, _): &(String, Node)| key == "uri" || key == "name";
    let uri = entry.get("uri")?;
    entry
        .entries()
        .iter()
        .all(is_about_path)
        .then(|| path_pattern(uri))?
}

/// Returns a pattern for paths, or `None` if policies have no such kind.
fn path_pattern(uri: &Node) -> Option<Value> {
    let [(kind, value)] = uri.entries() else {
        return None;
    };
    let path = value.text()?;
    let is_known = matches!(kind.as_str(), "exact" | "prefix");
    (is_known && path.starts_with('/') && !path.contains(['?', '#'])).then(|| json!({kind: path}))
}

/// Reads one condition of the only match of a route.
fn condition(import: &mut Import, policy: &mut Policy, key: &str, node: &Node) {
    let exact = node.get("exact").and_then(Node::text);
    match (key, exact, path_pattern(node)) {
        ("uri", _, Some(pattern)) => {
            policy.set("match.paths", json!([pattern]));
            import.report.exact(node, "match.paths");
        }
        ("ignoreUriCase", ..) => {
            let why = "paths are compared with their case, so the policy holds for fewer requests";
            import.report.no_equivalent(node, why);
        }
        ("method", Some(_), _) => {
            if let Some(exact) = node.get("exact")
                && let Some(method) = kube::method(import, exact)
            {
                policy.set("match.methods", vec![method]);
                import.report.exact(node, "match.methods");
            }
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
        if !kube::is_token(name) {
            let why = "policies match headers by their names alone";
            import.report.no_equivalent(value, why);
            continue;
        }
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
    engine::backoff(import, policy, node.get("backoff"), None, &[]);
    let off = "set `retries: {attempts: 0}` in the VirtualService";
    retries::remark(import, policy, off);
}
