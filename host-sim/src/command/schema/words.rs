//! The description of each field of a policy, by its path.
//!
//! Every field has a description here, and every description belongs to a field; tests check
//! both. Ranges and defaults come from the parser, so they are not repeated.

mod breaker;
mod fallback;
mod file;
mod policy;
mod retry;

/// Paths and their descriptions.
type Words = [(&'static str, &'static str)];

/// The tables, in the order in which a policy is usually written.
const TABLES: [&Words; 5] = [
    policy::WORDS,
    breaker::WORDS,
    retry::WORDS,
    fallback::WORDS,
    file::WORDS,
];

/// Returns the description of the field at `path`.
pub(super) fn describe(path: &str) -> Option<&'static str> {
    if path.ends_with(".description") || path == "description" {
        return Some("For readers, since JSON has no comments.");
    }
    all()
        .find(|(known, _)| *known == path)
        .map(|(_, words)| words)
}

/// Returns all paths and descriptions.
pub(super) fn all() -> impl Iterator<Item = (&'static str, &'static str)> {
    TABLES.into_iter().flatten().copied()
}
