//! The report: how each line of the sources was imported.
//!
//! An importer reports each node that it has an answer for. The rest is found at the end, by
//! walking the trees: what nobody reported is unknown, so nothing can get lost. A mapping or list
//! whose parts are reported one by one is a section, and has an entry for its key's line.

pub(super) mod print;

use std::collections::{BTreeMap, BTreeSet};

use super::node::{Kind, Node, Place};
use super::source::Source;

/// How a part of a source was imported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Verdict {
    /// The policy does the same.
    Exact,
    /// The policy does nearly the same, and the note says what differs.
    Approximate,
    /// The policy cannot do it. The note says why, and which part of the mesh does.
    NoEquivalent,
    /// No setting that the importer knows.
    Unknown,
    /// A setting of something else.
    Unrelated,
    /// The key of what the next lines hold.
    Section,
}

/// An entry of the report.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entry {
    pub place: Place,
    pub path: String,
    pub verdict: Verdict,
    /// What it became, why it did not, or what differs.
    pub note: String,
}

/// All entries, and remarks about whole policies.
#[derive(Default)]
pub(super) struct Report {
    entries: BTreeSet<Entry>,
    /// Nodes with an entry of their own, and whether it covers all below.
    claimed: BTreeMap<(usize, usize), bool>,
    remarks: Vec<String>,
}

impl Report {
    /// Reports that a field of the policy does the same. Covers the node and all below it.
    pub(super) fn exact(&mut self, node: &Node, to: impl Into<String>) {
        self.add(node, Verdict::Exact, to.into());
    }

    /// Reports what a node became, and what differs. Covers the node and all below it.
    pub(super) fn approximate(&mut self, node: &Node, to: impl Into<String>, differs: &str) {
        let to = to.into();
        self.add(node, Verdict::Approximate, format!("{to}: {differs}"));
    }

    /// Reports `exact` if nothing differs, and `approximate` with all that does otherwise.
    pub(super) fn became(&mut self, node: &Node, to: impl Into<String>, differs: &[String]) {
        if differs.is_empty() {
            self.exact(node, to);
        } else {
            self.approximate(node, to, &differs.join("; "));
        }
    }

    /// Reports why a node has no equivalent, and which part of the mesh does it. Covers the node
    /// and all below it.
    pub(super) fn no_equivalent(&mut self, node: &Node, why: impl Into<String>) {
        self.add(node, Verdict::NoEquivalent, why.into());
    }

    /// Reports a setting of something else. Covers the node and all below it.
    pub(super) fn unrelated(&mut self, node: &Node, what: impl Into<String>) {
        self.add(node, Verdict::Unrelated, what.into());
    }

    /// Changes what was reported of names and conditions below a node, since no policy has them.
    pub(super) fn unused(&mut self, node: &Node) {
        let mut ids = BTreeSet::new();
        collect(node, &mut ids);
        let is_unused = |entry: &Entry| {
            let is_about_policy = ["match", "in the name"];
            let mut starts = is_about_policy.iter();
            ids.contains(&(entry.place.file, entry.place.id))
                && matches!(entry.verdict, Verdict::Exact | Verdict::Approximate)
                && starts.any(|start| entry.note.starts_with(start))
        };
        let changed: Vec<Entry> = self
            .entries
            .iter()
            .filter(|it| is_unused(it))
            .cloned()
            .collect();
        for mut entry in changed {
            self.entries.remove(&entry);
            entry.verdict = Verdict::Unrelated;
            entry.note = "no policy comes of it".to_owned();
            self.entries.insert(entry);
        }
    }

    /// Reports what a mapping or list stands for. What is below it is reported on its own.
    pub(super) fn section(&mut self, node: &Node, what: impl Into<String>) {
        self.claimed
            .entry((node.place.file, node.place.id))
            .or_insert(false);
        let mut place = node.place.clone();
        place.last = place.first;
        self.entries.insert(Entry {
            place,
            path: node.path.clone(),
            verdict: Verdict::Section,
            note: what.into(),
        });
    }

    /// Adds a remark about a policy, or about all of them.
    pub(super) fn remark(&mut self, text: impl Into<String>) {
        let text = text.into();
        if !self.remarks.contains(&text) {
            self.remarks.push(text);
        }
    }

    /// Returns whether a node itself was reported.
    pub(super) fn knows(&self, node: &Node) -> bool {
        self.claimed.contains_key(&(node.place.file, node.place.id))
    }

    fn add(&mut self, node: &Node, verdict: Verdict, note: String) {
        self.claimed.insert((node.place.file, node.place.id), true);
        self.entries.insert(Entry {
            place: node.place.clone(),
            path: node.path.clone(),
            verdict,
            note,
        });
    }

    /// Reports as unknown what no importer reported.
    pub(super) fn finish(&mut self, sources: &[Source]) {
        for document in sources.iter().flat_map(|source| &source.documents) {
            self.close(document, false);
        }
    }

    fn close(&mut self, node: &Node, has_key: bool) {
        let covered = self.claimed.get(&(node.place.file, node.place.id)) == Some(&true);
        if covered {
            return;
        }
        if !self.knows_below(node) {
            if !self.knows(node) {
                self.add(
                    node,
                    Verdict::Unknown,
                    "not a setting that is known here".to_owned(),
                );
            }
            return;
        }
        // The top of a document and the items of a list have no key of their own.
        if !self.knows(node) && has_key {
            self.section(node, "");
        }
        let has_key = matches!(node.kind, Kind::Mapping(_));
        for child in node.children() {
            self.close(child, has_key);
        }
    }

    /// Returns whether something below a node was reported.
    pub(super) fn knows_below(&self, node: &Node) -> bool {
        node.children()
            .any(|child| self.knows(child) || self.knows_below(child))
    }

    /// Returns the entries of a file by line.
    pub(super) fn entries(&self, file: usize) -> impl Iterator<Item = &Entry> {
        self.entries
            .iter()
            .filter(move |entry| entry.place.file == file)
    }
}

/// Collects the numbers of a node and of all below it.
fn collect(node: &Node, ids: &mut BTreeSet<(usize, usize)>) {
    ids.insert((node.place.file, node.place.id));
    node.children().for_each(|child| collect(child, ids));
}
