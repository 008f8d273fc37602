//! `DestinationRule`: a policy for each part of a host that has settings of its own.

use super::super::context::Import;
use super::super::draft::Policy;
use super::super::kube::{self, Object};
use super::super::source::Node;
use super::traffic::{self, Traffic};

/// Settings, and what they are for.
pub(super) struct Rule {
    pub host: String,
    pub traffic: Traffic,
    pub port: Option<u64>,
    name: String,
    /// Subsets with these settings. The empty name stands for the host without a subset.
    subsets: Vec<String>,
}

impl Rule {
    /// Returns whether the rule is for a destination, whose port may be unknown.
    pub(super) fn holds(&self, host: &str, subset: &str, port: Option<u64>) -> bool {
        let is_host = match self.host.strip_prefix('*') {
            Some(end) => host.ends_with(end),
            None => self.host == host,
        };
        is_host
            && self.subsets.iter().any(|name| name == subset)
            && (self.port.is_none() || self.port == port)
    }

    /// Orders rules by how much they are for: those of a port first, those of a wildcard last.
    pub(super) fn width(&self) -> (bool, bool) {
        (self.host.starts_with('*'), self.port.is_none())
    }
}

/// Says where the object applies. Policies apply where the plugin is loaded.
pub(super) const SCOPE: kube::Fields = &[
    ("exportTo", "a policy holds in every proxy that loads it"),
    (
        "workloadSelector",
        "select the same workloads where you load the plugin",
    ),
    (
        "gateways",
        "load the plugin into these gateways; `mesh` stands for the sidecars",
    ),
];

/// Reads a rule with its subsets and ports.
pub(super) fn read(import: &mut Import, object: &Object) -> Vec<Rule> {
    let Some(spec) = object.open(import) else {
        return Vec::new();
    };
    object.annotations(import);
    kube::leave(import, spec, SCOPE);
    let Some(host) = host(import, object, spec) else {
        return Vec::new();
    };
    let whole = part(import, object, "", spec);
    let mut rules = Rules {
        object,
        host,
        rules: Vec::new(),
    };
    rules.add("", "", None, whole.traffic.clone());
    for (port, traffic) in &whole.ports {
        rules.add("", "", Some(*port), traffic.clone());
    }
    for subset in kube::list(import, spec.get("subsets")) {
        if let Some(name) = subset_name(import, subset) {
            let own = part(import, object, &name, subset);
            rules.add_subset(&name, &whole, &own);
        }
    }
    let rules: Vec<Rule> = rules.rules;
    if rules.is_empty() {
        import.report.unused(object.node);
    }
    rules
}

/// A host or a subset with the settings of its ports.
struct Part {
    traffic: Traffic,
    ports: Vec<(u64, Traffic)>,
}

fn part(import: &mut Import, object: &Object, subset: &str, node: &Node) -> Part {
    let names = [object.name, subset];
    let names: Vec<&str> = names.into_iter().filter(|name| !name.is_empty()).collect();
    match node.get("trafficPolicy") {
        None => Part {
            traffic: Traffic::default(),
            ports: Vec::new(),
        },
        Some(node) => Part {
            traffic: Traffic::read(import, node),
            ports: traffic::ports(import, node, &names.join(" ")),
        },
    }
}

/// The rules of one object.
struct Rules<'a> {
    object: &'a Object<'a>,
    host: String,
    rules: Vec<Rule>,
}

impl Rules<'_> {
    /// Adds the settings of a subset. A port has those that the subset gives it, or else those that
    /// the host gives it, with the subset's own over them.
    fn add_subset(&mut self, name: &str, whole: &Part, own: &Part) {
        let is_own = own.traffic != Traffic::default();
        let origin = if is_own { name } else { "" };
        let plain = whole.traffic.with(&own.traffic);
        for (port, traffic) in &own.ports {
            self.add(name, name, Some(*port), traffic.clone());
        }
        for (port, traffic) in &whole.ports {
            let traffic = traffic.with(&own.traffic);
            let is_given = own.ports.iter().any(|(other, _)| other == port);
            if !is_given && traffic != plain {
                self.add(origin, name, Some(*port), traffic);
            }
        }
        self.add(origin, name, None, plain);
    }

    /// Adds a rule, or a subset to the rule of the same settings.
    fn add(&mut self, origin: &str, subset: &str, port: Option<u64>, traffic: Traffic) {
        if traffic.is_empty() {
            return;
        }
        let port_text = port.map(|port| port.to_string()).unwrap_or_default();
        let names = [self.object.name, origin, &port_text];
        let names: Vec<&str> = names.into_iter().filter(|name| !name.is_empty()).collect();
        let name = names.join("-");
        let is_same = |rule: &&mut Rule| rule.name == name && rule.traffic == traffic;
        match self.rules.iter_mut().find(is_same) {
            Some(rule) => rule.subsets.push(subset.to_owned()),
            None => self.rules.push(Rule {
                host: self.host.clone(),
                traffic,
                port,
                name,
                subsets: vec![subset.to_owned()],
            }),
        }
    }
}

fn host(import: &mut Import, object: &Object, spec: &Node) -> Option<String> {
    match spec.get("host").map(|node| (node, node.text())) {
        Some((node, Some(text))) if !text.is_empty() => {
            let host = kube::full_name(text, object.namespace);
            import.report.exact(
                node,
                format!("match.clusters {}", kube::cluster(&host, "", None)),
            );
            Some(host)
        }
        Some((node, _)) => {
            import.problems.add(node, "a host name");
            None
        }
        None => {
            import.problems.add(spec, "a mapping with host");
            None
        }
    }
}

fn subset_name(import: &mut Import, subset: &Node) -> Option<String> {
    if let Some(labels) = subset.get("labels") {
        import.report.unrelated(labels, "the mesh selects hosts");
    }
    match subset.get("name").and_then(Node::text) {
        Some(name) if !name.is_empty() => {
            if let Some(node) = subset.get("name") {
                import
                    .report
                    .exact(node, "match.clusters, in the third part of a name");
            }
            Some(name.to_owned())
        }
        _ => {
            import.problems.add(subset, "a mapping with name");
            None
        }
    }
}

/// Writes the policies. Those of a port come first, and those of a wildcard last.
pub(super) fn write(import: &mut Import, mut rules: Vec<Rule>) {
    rules.sort_by_key(Rule::width);
    for rule in rules {
        let mut policy = Policy::new(&rule.name);
        let clusters = rule.subsets.iter();
        let clusters = clusters.map(|subset| kube::cluster(&rule.host, subset, rule.port));
        policy.set("match.clusters", clusters.collect::<Vec<String>>());
        rule.traffic.apply(&mut policy);
        let name = import.draft.add(policy);
        if rule.traffic.budget.is_some() {
            import.report.remark(format!(
                "{name} limits the retries that routes of the mesh ask for, and asks for none \
                 itself"
            ));
        }
    }
}
