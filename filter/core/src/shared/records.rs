//! The memory that all workers of a proxy share, as far as the core knows it.
//!
//! A host can return a value with the version of its last write, and write a value if that
//! version is still the last. It can neither list names nor delete one, so a name must never
//! come from a client. Instead, every policy has a fixed number of numbered slots. The hash of a
//! key selects a few of them, and forgotten content is overwritten.

use alloc::vec::Vec;

/// How often a write is tried before it is given up. Each lost compare-and-swap means that
/// another worker has succeeded, so eight losses in a row mean that something is wrong.
pub const TRIES: u32 = 8;

/// Version of a record, which the host changes with every write.
pub type Version = u32;

/// Name of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Name<'a> {
    /// The list of policies.
    Directory,
    /// The census of a policy: which of its slots are taken.
    Census(&'a str),
    /// A slot of a policy, by number.
    Slot(&'a str, u32),
    /// When all slots of a policy were last read for its gauges.
    Survey(&'a str),
    /// The last transitions.
    History,
    /// The circuits that have a series of their own.
    Shown,
    /// The index of a set of the stale cache.
    StaleSet(u32),
    /// A slot of a set, by number.
    StoredResponse(u32, u32),
}

/// Store of the shared records.
pub trait Records {
    /// Returns a record and its version; `None` if it was never written.
    fn read(&mut self, name: Name<'_>) -> Option<(Vec<u8>, Version)>;

    /// Writes a record if its version is still `version`, or with `None` if it was never
    /// written. Returns whether it did.
    fn write(&mut self, name: Name<'_>, record: &[u8], version: Option<Version>) -> bool;

    /// Writes a record unconditionally. Its readers must detect a wrong one by its content.
    fn put(&mut self, name: Name<'_>, record: &[u8]);
}
