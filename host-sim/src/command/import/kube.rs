//! Kubernetes objects, and the names that meshes give to their services.
//!
//! Files of a mesh hold objects of many kinds. Those that an importer is for are taken apart
//! field by field; each of the others is one entry of the report.

pub(super) mod budget;
pub(super) mod outlier;
pub(super) mod retries;

use super::context::Import;
use super::node::{Kind, Node};

/// Fields that policies have no part for, each with the reason.
pub(super) type Fields = &'static [(&'static str, &'static str)];

/// Why a limit on the time of requests stays where it is.
pub(super) const TIMEOUT: &str =
    "keep it on the route of the mesh: a request that it ends is a failure for the circuit";

/// Why a limit of a cluster stays where it is.
pub(super) const LIMIT: &str =
    "a limit of the cluster; requests over it are ignored unless outcome.overflow says failure";

/// One object of a file.
pub(super) struct Object<'a> {
    pub node: &'a Node,
    /// The part of `apiVersion` in front of the slash. The core group is empty.
    pub group: &'a str,
    pub kind: &'a str,
    pub name: &'a str,
    pub namespace: &'a str,
}

/// Namespace of an object that names none.
const NAMESPACE: &str = "default";

/// Returns the objects of all files, those in lists too.
pub(super) fn objects<'a>(import: &mut Import<'a>) -> Vec<Object<'a>> {
    let mut objects = Vec::new();
    for document in import.sources.iter().flat_map(|source| &source.documents) {
        collect(import, document, &mut objects);
    }
    objects
}

fn collect<'a>(import: &mut Import<'a>, node: &'a Node, objects: &mut Vec<Object<'a>>) {
    let text = |key| node.get(key).and_then(Node::text);
    match (text("apiVersion"), text("kind")) {
        (Some(_), Some(kind)) if kind.ends_with("List") && node.get("items").is_some() => {
            for (key, part) in node.entries() {
                if key != "items" {
                    import.report.unrelated(part, "about the list of objects");
                }
            }
            let items = node.get("items").map(Node::items).unwrap_or_default();
            items.iter().for_each(|item| collect(import, item, objects));
        }
        (Some(version), Some(kind)) => {
            let metadata = |key| node.at(&["metadata", key]).and_then(Node::text);
            objects.push(Object {
                node,
                group: version.split_once('/').map_or("", |(group, _)| group),
                kind,
                name: metadata("name").unwrap_or_default(),
                namespace: metadata("namespace").unwrap_or(NAMESPACE),
            });
        }
        // Some tools keep their objects in lists by kind.
        _ => node
            .children()
            .for_each(|child| collect(import, child, objects)),
    }
}

impl Object<'_> {
    /// Reports an object that says nothing about failures.
    pub(super) fn pass_over(&self, import: &mut Import) {
        let what = format!(
            "{} {} sets no circuit breaker, retries or timeouts",
            self.kind, self.name
        );
        import.report.unrelated(self.node, what.replace("  ", " "));
    }

    /// Reports what only identifies the object, and returns its `spec`. `None` if it has no name
    /// or no `spec`, which is a problem.
    pub(super) fn open(&self, import: &mut Import) -> Option<&Node> {
        self.identify(import)?;
        let spec = self.node.get("spec");
        match spec {
            Some(spec) if !spec.entries().is_empty() => return Some(spec),
            Some(spec) => import.problems.add(spec, "a mapping with the settings"),
            None => self.missing(import, "spec"),
        }
        None
    }

    /// Reports what only identifies the object. `None` if it has no name, which is a problem.
    pub(super) fn identify(&self, import: &mut Import) -> Option<()> {
        for key in ["apiVersion", "kind", "status"] {
            if let Some(node) = self.node.get(key) {
                import.report.unrelated(node, "identifies the object");
            }
        }
        for (key, node) in self
            .node
            .get("metadata")
            .map(Node::entries)
            .unwrap_or_default()
        {
            match key.as_str() {
                "name" => import.report.exact(node, "in the names of the policies"),
                "annotations" => {}
                _ => import.report.unrelated(node, "identifies the object"),
            }
        }
        if self.name.is_empty() {
            self.missing(import, "metadata.name");
            return None;
        }
        Some(())
    }

    fn missing(&self, import: &mut Import, field: &str) {
        let place = &self.node.place;
        let text = format!(
            "{field} of the {} is missing, allowed any that is not empty",
            self.kind
        );
        import.problems.add_line(place.file, place.first, text);
    }

    /// Reports annotations that no importer has a use for.
    pub(super) fn annotations(&self, import: &mut Import) {
        if let Some(node) = self.node.at(&["metadata", "annotations"]) {
            import.report.unrelated(node, "annotations for other tools");
        }
    }
}

/// Reports those fields of a table that are there.
pub(super) fn leave(import: &mut Import, node: &Node, fields: Fields) {
    for (path, why) in fields {
        let keys: Vec<&str> = path.split('.').collect();
        if let Some(found) = node.at(&keys) {
            import.report.no_equivalent(found, *why);
        }
    }
}

/// Returns the items of a list. Anything else is a problem, except nothing at all.
pub(super) fn list<'a>(import: &mut Import, node: Option<&'a Node>) -> &'a [Node] {
    match node.map(|node| (node, &node.kind)) {
        None => &[],
        Some((_, Kind::Sequence(items))) => items,
        Some((_, Kind::Scalar(text))) if text.is_empty() => &[],
        Some((node, _)) => {
            import.problems.add(node, "a list");
            &[]
        }
    }
}

/// Returns the text of a method. Anything else is a problem.
pub(super) fn method<'a>(import: &mut Import, node: &'a Node) -> Option<&'a str> {
    let method = node.text().filter(|text| is_token(text));
    if method.is_none() {
        import.problems.add(node, "a method such as GET");
    }
    method
}

/// Returns whether a text may be a method or the name of a header.
pub(super) fn is_token(text: &str) -> bool {
    let signs = b"!#$%&'*+-.^_`|~";
    let allowed = |letter: u8| letter.is_ascii_alphanumeric() || signs.contains(&letter);
    !text.is_empty() && text.bytes().all(allowed)
}

/// Returns the full name of a service. A name without dots is one of the object's namespace.
pub(super) fn full_name(host: &str, namespace: &str) -> String {
    if host.contains('.') || host.contains('*') {
        host.to_owned()
    } else {
        format!("{host}.{namespace}.svc.cluster.local")
    }
}

/// Returns the pattern for Istio's clusters of a host: one for each port, unless a port is given.
pub(super) fn cluster(host: &str, subset: &str, port: Option<u64>) -> String {
    let port = port.map_or_else(|| "*".to_owned(), |port| port.to_string());
    format!("outbound|{port}|{subset}|{host}")
}

/// Returns the name of Envoy Gateway's cluster of one rule of a route.
pub(super) fn rule_cluster(
    kind: &str,
    namespace: &str,
    route: &str,
    rule: impl std::fmt::Display,
) -> String {
    format!(
        "{}/{namespace}/{route}/rule/{rule}",
        kind.to_ascii_lowercase()
    )
}
