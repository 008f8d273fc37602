//! What a host can do.

use core::fmt;

/// What a host can do, asked only when a decision depends on it: finding out may cost a hostcall.
pub trait Capabilities {
    /// Whether the host sends requests for the filter, and ticks. Without either a paused stream
    /// would never resume.
    fn sends_requests(&self) -> bool;
    /// Whether the host says how streams end. Some never do, and none says so before the first
    /// stream has ended.
    fn reports_ends(&self) -> bool;
}

impl fmt::Debug for dyn Capabilities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Capabilities")
    }
}
