//! `match` and `key`: which requests a policy applies to, and which of them share a circuit.

use alloc::boxed::Box;
use alloc::vec::Vec;

/// The conditions of a policy. All must hold. An empty list sets no condition, and one
/// match within a list is enough.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Match {
    /// Names of the host's clusters, in which `*` is a wildcard.
    pub clusters: Vec<Box<str>>,
    /// Names of the host's routes.
    pub routes: Vec<Box<str>>,
    /// Host names.
    pub authorities: Vec<Authority>,
    /// Paths without the query.
    pub paths: Vec<PathPattern>,
    /// Methods, compared case-sensitively.
    pub methods: Vec<Box<str>>,
    /// Headers. Unlike in the lists above, all of these must hold.
    pub headers: Vec<HeaderCondition>,
}

impl Match {
    /// Whether it lists the clusters, all by their full names.
    pub fn names_clusters(&self) -> bool {
        !self.clusters.is_empty() && self.clusters.iter().all(|name| !name.contains('*'))
    }
}

/// A host name in lower case. Without a port it matches every port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Authority {
    /// Exactly this name.
    Exact(Box<str>),
    /// Any name that ends with this, after at least one character: `.example.com`.
    Suffix(Box<str>),
}

/// A pattern for the path without its query. A key contains the pattern's text, not the
/// path, so the number of keys does not follow the traffic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathPattern {
    /// The pattern as written.
    pub text: Box<str>,
    /// How it is compared.
    pub kind: PathKind,
}

/// How a path pattern is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathKind {
    /// With the whole path.
    Exact,
    /// With the start of the path.
    Prefix,
    /// Segment by segment; `{name}` matches any one non-empty segment.
    Template,
}

/// A condition on one header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderCondition {
    /// The name in lower case.
    pub name: Box<str>,
    /// What must hold.
    pub test: HeaderTest,
}

/// What must hold of a header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeaderTest {
    /// One of its values is this.
    Exact(Box<str>),
    /// It is present, or it is missing.
    Present(bool),
}

/// One part of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyPart {
    /// The host's cluster.
    Cluster,
    /// The host's route.
    Route,
    /// The host name of the request, in lower case and without its port.
    Authority,
    /// The method.
    Method,
    /// The text of the path pattern that matched.
    Path,
    /// The first value of this header; the name is in lower case.
    Header(Box<str>),
}
