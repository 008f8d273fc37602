//! The trees that sources become: values that know their lines.

/// A value at a place in a file.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub place: Place,
    /// Keys and positions from the top of the document, such as `spec.hosts[0]`.
    pub path: String,
    pub kind: Kind,
}

/// Where a node is. No two nodes of an import have the same place.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub file: usize,
    /// First line, which is that of the key if the node has one.
    pub first: usize,
    /// Last line that holds a part of the node.
    pub last: usize,
    /// Number of the node within its file.
    pub id: usize,
}

/// What a node is.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    /// Text without its quotes. `null` and nothing at all are the empty text.
    Scalar(String),
    Sequence(Vec<Node>),
    /// Keys in their order. No key is there twice.
    Mapping(Vec<(String, Node)>),
}

impl Node {
    /// Returns the text of a scalar, or `None` if the node is a list or a mapping.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Scalar(text) => Some(text),
            _ => None,
        }
    }

    /// Returns the items of a list. Other nodes have none.
    pub(super) fn items(&self) -> &[Node] {
        match &self.kind {
            Kind::Sequence(items) => items,
            _ => &[],
        }
    }

    /// Returns the entries of a mapping. Other nodes have none.
    pub(super) fn entries(&self) -> &[(String, Node)] {
        match &self.kind {
            Kind::Mapping(entries) => entries,
            _ => &[],
        }
    }

    /// Returns the value of a key of a mapping, spelled exactly so.
    pub(super) fn get(&self, key: &str) -> Option<&Node> {
        let mut entries = self.entries().iter();
        entries.find(|(name, _)| name == key).map(|(_, node)| node)
    }

    /// Returns the value at the end of several keys.
    pub(super) fn at(&self, keys: &[&str]) -> Option<&Node> {
        keys.iter().try_fold(self, |node, key| node.get(key))
    }

    /// Returns the nodes directly below.
    pub(super) fn children(&self) -> Box<dyn Iterator<Item = &Node> + '_> {
        match &self.kind {
            Kind::Scalar(_) => Box::new(std::iter::empty()),
            Kind::Sequence(items) => Box::new(items.iter()),
            Kind::Mapping(entries) => Box::new(entries.iter().map(|(_, node)| node)),
        }
    }

    /// Returns what the node is, for messages: its text in quotes, or its kind.
    pub(super) fn found(&self) -> String {
        match &self.kind {
            Kind::Scalar(text) if text.is_empty() => "empty".to_owned(),
            Kind::Scalar(text) => format!("{text:?}"),
            Kind::Sequence(_) => "a list".to_owned(),
            Kind::Mapping(_) => "a mapping".to_owned(),
        }
    }
}

/// Hands out the numbers of nodes, and bounds how many there are.
pub(super) struct Ids {
    pub file: usize,
    next: usize,
}

/// Most nodes of one file. Aliases can make a small YAML file large beyond all bounds.
const NODES_MAX: usize = 200_000;

impl Ids {
    pub(super) fn new(file: usize) -> Ids {
        Ids { file, next: 0 }
    }

    pub(super) fn place(&mut self, first: usize, last: usize) -> Place {
        self.next += 1;
        Place {
            file: self.file,
            first,
            last: last.max(first),
            id: self.next,
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.next >= NODES_MAX
    }
}
