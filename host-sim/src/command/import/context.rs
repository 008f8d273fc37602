//! What one import has at hand: the sources on one side, and what it writes on the other.

use super::draft::Draft;
use super::problems::Problems;
use super::report::Report;
use super::source::Source;

/// One import: what importers read, and what they write.
pub(super) struct Import<'a> {
    pub sources: &'a [Source],
    pub profiles: &'a [String],
    /// Whether the filter makes the imported retries, and not the router.
    pub by_filter: bool,
    pub draft: Draft,
    pub report: Report,
    pub problems: Problems,
}
