//! Documents inside of texts: the files of a `ConfigMap`, and rules that a configuration service
//! keeps as JSON in a string.
//!
//! The text becomes a list of its documents, in place, so that the report has each of their lines.
//! A document is known by its empty path.

use super::{properties, yaml};
use crate::command::import::node::{Ids, Kind, Node, Place};
use crate::command::import::problems::Problems;

/// Opens all texts of a file that hold documents.
pub(super) fn open(documents: &mut [Node]) {
    let mut is_changed = false;
    for document in documents.iter_mut() {
        is_changed |= open_below(document, "");
    }
    if is_changed {
        let file = documents.first().map_or(0, |document| document.place.file);
        let mut ids = Ids::new(file);
        documents
            .iter_mut()
            .for_each(|node| renumber(node, &mut ids));
    }
}

fn open_below(node: &mut Node, key: &str) -> bool {
    let mut is_changed = false;
    match &mut node.kind {
        Kind::Scalar(text) => {
            let parsed = parse(text, key, node.place.file);
            if parsed.is_empty() {
                return false;
            }
            let lines = Lines::of(text, &node.place);
            node.kind = Kind::Sequence(parsed);
            if let Kind::Sequence(documents) = &mut node.kind {
                documents
                    .iter_mut()
                    .for_each(|document| lines.shift(document));
            }
            return true;
        }
        Kind::Sequence(items) => {
            for item in items {
                is_changed |= open_below(item, "");
            }
        }
        Kind::Mapping(entries) => {
            for (key, node) in entries {
                is_changed |= open_below(node, key);
            }
        }
    }
    is_changed
}

/// Returns the documents of a text, or nothing if it is a plain value.
fn parse(text: &str, key: &str, file: usize) -> Vec<Node> {
    let mut problems = Problems::default();
    let is = |ends: &[&str]| ends.iter().any(|end| key.ends_with(end));
    let is_rules = text.trim_start().starts_with(['[', '{']) && text.contains("\"resource\"");
    let documents = if is(&[".properties", ".env"]) {
        properties::parse(text.as_bytes(), file, &mut problems)
    } else if is(&[".yml", ".yaml", ".json"]) || is_rules {
        yaml::parse(text, file, &mut problems)
    } else {
        return Vec::new();
    };
    let is_plain = |node: &Node| matches!(node.kind, Kind::Scalar(_));
    if problems.is_empty() && !documents.iter().any(is_plain) {
        documents
    } else {
        Vec::new()
    }
}

/// Where the lines of a text are in its file.
enum Lines {
    /// One by one, after the line of the key.
    After(usize),
    /// All of them at the lines of the text, which has line breaks of its own.
    Within(usize, usize),
}

impl Lines {
    fn of(text: &str, place: &Place) -> Lines {
        let (first, last) = (place.first, place.last);
        // Blank lines at the end of a block do not count as its lines.
        let count = text.trim_end().lines().count();
        if last > first && count == last - first {
            Lines::After(first)
        } else {
            Lines::Within(first, last)
        }
    }

    fn shift(&self, node: &mut Node) {
        (node.place.first, node.place.last) = match self {
            Lines::After(first) => (node.place.first + first, node.place.last + first),
            Lines::Within(first, last) => (*first, *last),
        };
        each_child(node, |child| self.shift(child));
    }
}

fn renumber(node: &mut Node, ids: &mut Ids) {
    node.place = ids.place(node.place.first, node.place.last);
    each_child(node, |child| renumber(child, ids));
}

fn each_child(node: &mut Node, visit: impl FnMut(&mut Node)) {
    match &mut node.kind {
        Kind::Scalar(_) => {}
        Kind::Sequence(items) => items.iter_mut().for_each(visit),
        Kind::Mapping(entries) => entries.iter_mut().map(|(_, node)| node).for_each(visit),
    }
}

/// Returns the documents inside of a tree.
pub(super) fn roots<'a>(node: &'a Node, found: &mut Vec<&'a Node>) {
    for child in node.children() {
        if child.path.is_empty() {
            found.push(child);
        } else {
            roots(child, found);
        }
    }
}
