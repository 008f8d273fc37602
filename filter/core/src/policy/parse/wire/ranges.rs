//! Ranges of durations.

use core::ops::RangeInclusive;

use crate::time::Span;

pub(super) const HOUR_MS: u64 = 3_600_000;
pub(super) const DAY_MS: u64 = 24 * HOUR_MS;

/// Returns the range from `low` to `high` milliseconds.
pub(super) const fn ms(low: u64, high: u64) -> RangeInclusive<Span> {
    Span::from_ms(low)..=Span::from_ms(high)
}
