//! Points and lengths of time, in whole nanoseconds of the host's monotonic clock.
//!
//! Not `core::time`: a `Duration` is two words and its arithmetic panics on
//! overflow. Here both are one word and all arithmetic saturates, so that a
//! clock that stands still or a duration of centuries is an ordinary value.

/// A length of time, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(u64);

/// A point on the host's monotonic clock, in nanoseconds since an origin that
/// all workers of one process share.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instant(u64);

const NS_PER_MS: u64 = 1_000_000;
const NS_PER_S: u64 = 1_000_000_000;

impl Span {
    /// No time.
    pub const ZERO: Span = Span(0);

    /// `ns` nanoseconds.
    #[inline]
    pub const fn from_ns(ns: u64) -> Span {
        Span(ns)
    }

    /// `ms` milliseconds, at most about 584 years.
    #[inline]
    pub const fn from_ms(ms: u64) -> Span {
        Span(ms.saturating_mul(NS_PER_MS))
    }

    /// `seconds` seconds, at most about 584 years.
    pub const fn from_secs(seconds: u64) -> Span {
        Span(seconds.saturating_mul(NS_PER_S))
    }

    /// The length in nanoseconds.
    #[inline]
    pub const fn as_ns(self) -> u64 {
        self.0
    }

    /// The length in milliseconds, rounded down.
    #[inline]
    pub const fn as_ms(self) -> u64 {
        self.0 / NS_PER_MS
    }

    /// The length in seconds, rounded up: a caller that waits this long does not come back
    /// early.
    pub const fn as_secs_ceil(self) -> u64 {
        self.0.div_ceil(NS_PER_S)
    }

    /// `self * numerator / denominator`, saturating; zero if `denominator` is zero.
    pub fn scale(self, numerator: u64, denominator: u64) -> Span {
        let scaled = u128::from(self.0)
            .saturating_mul(u128::from(numerator))
            .checked_div(u128::from(denominator));
        Span(u64::try_from(scaled.unwrap_or(0)).unwrap_or(u64::MAX))
    }
}

impl Instant {
    /// The instant `ns` nanoseconds after the clock's origin.
    #[inline]
    pub const fn from_ns(ns: u64) -> Instant {
        Instant(ns)
    }

    /// Nanoseconds since the clock's origin.
    #[inline]
    pub const fn as_ns(self) -> u64 {
        self.0
    }

    /// The instant `span` later.
    #[inline]
    pub const fn after(self, span: Span) -> Instant {
        Instant(self.0.saturating_add(span.0))
    }

    /// The time from `earlier` to `self`; zero if `earlier` is not earlier.
    #[inline]
    pub const fn since(self, earlier: Instant) -> Span {
        Span(self.0.saturating_sub(earlier.0))
    }
}
