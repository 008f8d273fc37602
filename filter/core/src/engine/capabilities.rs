//! What a host can do.

/// What a host can do, asked only when a decision depends on it: finding out costs a hostcall.
pub trait Capabilities {
    /// Whether the host sends requests for the filter, and ticks. Without either a paused stream
    /// would never resume.
    fn sends_requests(&self) -> bool;
}
