//! Sentinel: lists of degrade rules, in JSON or YAML.
//!
//! Each rule of a resource has a breaker of its own there. Here the rules of a resource share one
//! policy, with one rule for slow requests and one for failures.

use super::context::Import;
use super::draft::Policy;
use super::engine;
use super::node::{Kind, Node};
use super::values::{self, MS, SECOND};

mod resource;

/// Reads all lists of rules, wherever they are in the documents.
pub(super) fn import(import: &mut Import) {
    let sources = import.sources;
    let mut rules = Vec::new();
    for document in sources.iter().flat_map(|source| &source.documents) {
        find(import, document, &mut rules);
        unrelated(import, document);
    }
    let mut resources: Vec<(&str, Vec<&Node>)> = Vec::new();
    for rule in rules {
        let Some(resource) = resource_of(import, rule) else {
            continue;
        };
        match resources.iter_mut().find(|(other, _)| *other == resource) {
            Some((_, rules)) => rules.push(rule),
            None => resources.push((resource, vec![rule])),
        }
    }
    let mut policies = Vec::new();
    for (resource, rules) in resources {
        policies.extend(policy(import, resource, &rules));
    }
    // A request has one policy: that of a method is narrower than that of a path alone.
    policies.sort_by_key(|policy| policy.get("match.methods").is_none());
    for policy in policies {
        import.draft.add(policy);
    }
}

fn resource_of<'a>(import: &mut Import, rule: &'a Node) -> Option<&'a str> {
    let node = rule.get("resource")?;
    match node.text() {
        Some(text) if !text.is_empty() => Some(text),
        _ => {
            import.problems.add(node, "the name of a resource");
            None
        }
    }
}

/// Finds degrade rules, and reports the rules of other kinds.
fn find<'a>(import: &mut Import, node: &'a Node, rules: &mut Vec<&'a Node>) {
    if let Kind::Sequence(items) = &node.kind {
        for item in items.iter().filter(|item| item.get("resource").is_some()) {
            if item.get("timeWindow").is_some() || item.get("slowRatioThreshold").is_some() {
                rules.push(item);
            } else {
                import.report.no_equivalent(item, kind_of(item));
            }
        }
    }
    for child in node.children() {
        find(import, child, rules);
    }
}

/// Returns what a rule of another kind is, and what does it in a proxy.
fn kind_of(rule: &Node) -> &'static str {
    if rule.get("paramIdx").is_some() {
        "a rule for hot parameters: rate limit descriptors of the proxy do it"
    } else if rule.get("count").is_some() {
        "a flow rule: the proxy's local rate limit does it, or max_requests of the cluster"
    } else {
        "an authority rule: the proxy's RBAC filter does it"
    }
}

/// Reports everything beside the rules.
fn unrelated(import: &mut Import, node: &Node) {
    for child in node.children() {
        if holds_rule(child) || import.report.knows(child) {
            continue;
        }
        let is_setting = matches!(node.kind, Kind::Mapping(_));
        if holds_rules(child) || is_setting && names_sentinel_below(child) {
            unrelated(import, child);
        } else if is_setting && child.path.contains(SENTINEL) {
            let why = "it is about where rules come from: import the file of the rules";
            import.report.no_equivalent(child, why);
        } else if is_setting {
            import.report.unrelated(child, "no rule of Sentinel");
        }
    }
}

const SENTINEL: &str = "spring.cloud.sentinel";

/// Returns whether Sentinel's settings are somewhere below a node, and not the node itself.
fn names_sentinel_below(node: &Node) -> bool {
    let is_outside = !node.path.contains(SENTINEL);
    let names = |child: &Node| child.path.contains(SENTINEL) || names_sentinel_below(child);
    is_outside && node.children().any(names)
}

fn holds_rule(node: &Node) -> bool {
    node.get("resource").is_some()
}

fn holds_rules(node: &Node) -> bool {
    node.children()
        .any(|child| holds_rule(child) || holds_rules(child))
}

/// Returns the policy of a resource, or `None` if no rule of it is one.
fn policy(import: &mut Import, resource: &str, rules: &[&Node]) -> Option<Policy> {
    let mut policy = Policy::new(resource);
    let matched = resource::set_match(&mut policy, resource);
    policy.set("circuit_breaker.window.type", "time");
    policy.set("circuit_breaker.window.duration", "1s");
    policy.set("circuit_breaker.minimum_requests", 5);
    policy.set("circuit_breaker.failure_rate_threshold", 0);
    let mut grades = Vec::new();
    for rule in rules {
        let Some(grade) = grade(import, rule, &grades) else {
            continue;
        };
        let is_first = grades.is_empty();
        grades.push(grade);
        if let Some(node) = rule.get("resource") {
            import
                .report
                .approximate(node, matched.0.clone(), matched.1);
        }
        threshold(import, &mut policy, rule, grade);
        shared(import, &mut policy, rule, is_first);
        ignored(import, rule);
    }
    if grades.is_empty() {
        return None;
    }
    engine::fixed_open(&mut policy);
    policy.set("circuit_breaker.half_open.permits", 1);
    Some(policy)
}

/// Returns the grade of a rule, or `None` if it is wrong or the policy has a rule of that kind.
fn grade(import: &mut Import, rule: &Node, grades: &[u64]) -> Option<u64> {
    let node = rule.get("grade");
    let read = match node {
        None => None,
        Some(node) => Some(import.integer(node)?),
    };
    let grade = read.as_ref().map_or(0, |read| read.value);
    let kind = match grade {
        0 => "a rule for slow requests",
        1 => "a rule for the share of failures",
        2 => "a rule for the number of failures",
        _ => {
            let allowed = "0 (slow requests), 1 (error ratio) or 2 (error count)";
            import.problems.add(node.unwrap_or(rule), allowed);
            return None;
        }
    };
    // Shares and numbers of failures are rules of one field here.
    if grades.iter().any(|other| (*other == 0) == (grade == 0)) {
        let why = "a policy has one rule of this kind, and an earlier rule of this resource is it";
        import.report.no_equivalent(rule, why);
        return None;
    }
    if let (Some(node), Some(read)) = (node, read) {
        import.report.became(node, kind, &read.differs);
    }
    Some(grade)
}

/// Sets what a rule opens the circuit at.
fn threshold(import: &mut Import, policy: &mut Policy, rule: &Node, grade: u64) {
    let Some(node) = rule.get("count") else {
        let text = format!("{} has no count, required", rule.path);
        import
            .problems
            .add_line(rule.place.file, rule.place.first, text);
        return;
    };
    match grade {
        0 => {
            if let Some(mut read) = import.duration(node, MS) {
                read.differs.push(engine::SLOW_DIFFERS.to_owned());
                let path = "circuit_breaker.slow_threshold";
                import.set_duration(policy, path, node, read, &engine::SLOW);
            }
            slow_ratio(import, policy, rule);
        }
        1 => {
            if let Some(value) = above(
                import,
                policy,
                node,
                "circuit_breaker.failure_rate_threshold",
            ) && value > 1.0
            {
                import.problems.add(node, "0 to 1 for an error ratio");
            }
        }
        _ => {
            if let Some(mut read) = import.integer(node) {
                // Sentinel opens above the count.
                read.value = read.value.saturating_add(1);
                engine::failure_count(import, policy, node, read);
            }
        }
    }
}

fn slow_ratio(import: &mut Import, policy: &mut Policy, rule: &Node) {
    let path = "circuit_breaker.slow_rate_threshold";
    policy.set(path, 100);
    if let Some(node) = rule.get("slowRatioThreshold") {
        if let Some(value) = above(import, policy, node, path)
            && value > 1.0
        {
            import.problems.add(node, "0 to 1");
        }
        return;
    }
    if let Some(grade) = rule.get("grade").or(rule.get("count")) {
        let differs = "without slowRatioThreshold all requests have to be slow";
        import
            .report
            .approximate(grade, format!("{path} 100"), differs);
    }
}

/// Sets a percentage that has to be exceeded, where the policy's has to be reached. Returns the
/// ratio.
fn above(import: &mut Import, policy: &mut Policy, node: &Node, path: &str) -> Option<f64> {
    let mut read = import.number(node)?;
    let ratio = read.value;
    read.value = ratio * 100.0;
    if ratio < 1.0 {
        // A hundredth of a percent more, which no window of up to 10,000 requests can hit.
        read.value += 0.01;
        read.differs.push(format!("Sentinel opens above {ratio}"));
    } else if !path.contains("slow") {
        read.differs
            .push("Sentinel opens above 1, which never is, and this policy at it".to_owned());
    }
    import.set_percent(policy, path, node, read, &engine::RATE);
    Some(ratio)
}

/// Sets what rules of one resource share. The first one's values are used.
fn shared(import: &mut Import, policy: &mut Policy, rule: &Node, is_first: bool) {
    if let Some(node) = rule.get("minRequestAmount") {
        let path = "circuit_breaker.minimum_requests";
        if let Some(read) = import.integer(node) {
            if is_first {
                import.set_integer(policy, path, node, read, &engine::MINIMUM_REQUESTS);
            } else {
                later(import, policy, path, node, &read.value.to_string());
            }
        }
    }
    let durations = [
        (
            "statIntervalMs",
            MS,
            "circuit_breaker.window.duration",
            &engine::WINDOW,
        ),
        (
            "timeWindow",
            SECOND,
            "circuit_breaker.open.duration",
            &engine::OPEN,
        ),
    ];
    for (key, unit, path, range) in durations {
        let Some(node) = rule.get(key) else {
            continue;
        };
        let Some(mut read) = import.duration(node, unit) else {
            continue;
        };
        if !is_first {
            later(import, policy, path, node, &values::write(read.value));
            continue;
        }
        if key == "statIntervalMs" {
            read.differs
                .push("the window slides, where Sentinel's interval starts anew".to_owned());
        }
        import.set_duration(policy, path, node, read, range);
    }
}

/// Reports the value of a later rule.
fn later(import: &mut Import, policy: &Policy, path: &str, node: &Node, value: &str) {
    let used = policy
        .get(path)
        .map(|used| used.to_string().replace('"', ""));
    let used = used.unwrap_or_default();
    if used == value {
        import.report.exact(node, format!("{path} {value}"));
    } else {
        let differs = format!("{value} here, but the rules of a resource share one circuit");
        import
            .report
            .approximate(node, format!("{path} {used}"), &differs);
    }
}

/// Reports fields that no longer matter, or not here.
fn ignored(import: &mut Import, rule: &Node) {
    let fields = [
        (
            "passCount",
            "it is a counter of old versions, and no setting",
        ),
        ("cut", "it is a state of old versions, and no setting"),
        ("id", "rules have no numbers here"),
        ("app", "the policy is for one proxy"),
        ("ip", "the policy is for one proxy"),
        ("port", "the policy is for one proxy"),
        ("gmtCreate", "it is a date"),
        ("gmtModified", "it is a date"),
        ("regex", "resources are compared as written"),
        ("clusterMode", "each proxy has a circuit of its own"),
    ];
    for (key, why) in fields {
        if let Some(node) = rule.get(key) {
            import.report.no_equivalent(node, why);
        }
    }
    if let Some(node) = rule.get("rtSlowRequestAmount") {
        let differs = "so many slow requests in a row, where this is a share of the window";
        import
            .report
            .approximate(node, "circuit_breaker.slow_rate_threshold 100", differs);
    }
    if let Some(node) = rule.get("limitApp") {
        if matches!(node.text(), Some("default" | "")) {
            import.report.exact(node, "every caller");
        } else {
            let why = "callers are told apart by match.headers, which has to be written";
            import.report.no_equivalent(node, why);
        }
    }
}
