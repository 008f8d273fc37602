//! One setting, however its source nests and spells it.

use crate::command::import::node::Node;
use crate::command::import::values::resolve;

/// A setting, and where it is. A list in a `.properties` file has a node for each item.
pub(crate) struct Setting<'a> {
    pub path: Vec<String>,
    pub nodes: Vec<&'a Node>,
    /// Number of the document that it is in.
    pub document: usize,
}

/// Returns a name without what relaxed binding ignores: case, `-` and `_`.
pub(crate) fn canonical(name: &str) -> String {
    let letters = name.chars().filter(|letter| !matches!(letter, '-' | '_'));
    letters.map(|letter| letter.to_ascii_lowercase()).collect()
}

impl<'a> Setting<'a> {
    /// Returns the node, or the first item of a list that has several.
    pub(crate) fn node(&self) -> &'a Node {
        self.nodes[0]
    }

    /// Returns whether the path begins with these canonical names.
    pub(crate) fn is_below(&self, prefix: &[&str]) -> bool {
        self.path.len() > prefix.len()
            && self
                .names()
                .zip(prefix)
                .all(|(name, other)| name == **other)
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = String> {
        self.path.iter().map(|name| canonical(name))
    }

    /// Returns the canonical name after the first `skipped` parts of the path.
    pub(crate) fn key(&self, skipped: usize) -> String {
        let names: Vec<String> = self.names().skip(skipped).collect();
        names.join(".")
    }

    /// Returns the texts of a list: of its items, or of a text with commas. A placeholder gives its
    /// default, or stays if it has none.
    pub(crate) fn texts(&self) -> Vec<String> {
        let resolved = |text: &str| match resolve(text) {
            Some(read) => read.value,
            None => text.to_owned(),
        };
        let items = |node: &&'a Node| -> Vec<String> {
            match node.text() {
                Some(text) => resolved(text).split(',').map(str::to_owned).collect(),
                None => node
                    .items()
                    .iter()
                    .filter_map(Node::text)
                    .map(resolved)
                    .collect(),
            }
        };
        let texts = self.nodes.iter().flat_map(items);
        texts
            .map(|text| text.trim().to_owned())
            .filter(|text| !text.is_empty())
            .collect()
    }
}
