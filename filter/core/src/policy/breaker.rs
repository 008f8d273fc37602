//! `circuit_breaker`: when a circuit opens, and how it closes again.

use crate::time::Span;

/// Most probes of one half-open state. The breaker remembers the lease of each.
pub(crate) const PERMITS_MAX: u32 = 100;

/// Largest size of a count window: 2.5 KB for each key.
pub(crate) const COUNT_SIZE_MAX: u32 = 10_000;

/// Settings of a circuit breaker. With all trip rules off it never opens by itself.
#[derive(Clone, Debug, PartialEq)]
pub struct BreakerConfig {
    /// Whether the policy has a breaker that its mode does not force closed. Without one every
    /// request passes and nothing is counted, whatever state an earlier configuration left
    /// behind.
    pub enabled: bool,
    /// The outcomes that rates are computed over.
    pub window: WindowShape,
    /// Outcomes that the window must hold before a rate can trip the breaker.
    pub minimum_requests: u32,
    /// Share of failures that trips, in basis points; 0 is off.
    pub failure_rate_bp: u32,
    /// Failures in the window that trip, whatever their share and the volume; 0 is off.
    pub failure_count: u32,
    /// A response that takes longer than this is slow; `None` if none is.
    pub slow_threshold: Option<Span>,
    /// Where the measurement of slowness stops.
    pub slow_until: SlowUntil,
    /// Share of slow outcomes that trips, in basis points; 0 is off.
    pub slow_rate_bp: u32,
    /// Consecutive failures that trip, whatever the volume; 0 is off.
    pub consecutive_failures: u32,
    /// How long the circuit stays open.
    pub open: OpenConfig,
    /// How the circuit probes its upstream.
    pub half_open: HalfOpenConfig,
    /// How traffic returns.
    pub recovery: RecoveryConfig,
}

impl BreakerConfig {
    /// Returns the number of outcomes from which rates count. A count window may be smaller
    /// than `minimum_requests`, and then it only has to be full.
    #[inline]
    pub fn volume(&self) -> u32 {
        match self.window {
            WindowShape::Time { .. } => self.minimum_requests,
            WindowShape::Count { size } => self.minimum_requests.min(size),
        }
    }

    /// Whether a number of failures trips, in the window or in a row.
    #[inline]
    pub fn counts_failures(&self) -> bool {
        self.failure_count | self.consecutive_failures > 0
    }

    /// Returns the slow rate, or 0 if nothing can be slow.
    #[inline]
    pub fn effective_slow_rate_bp(&self) -> u32 {
        self.slow_threshold.map_or(0, |_| self.slow_rate_bp)
    }
}

/// The outcomes that rates are computed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WindowShape {
    /// The outcomes of the last `duration`.
    Time {
        /// Length of the window.
        duration: Span,
    },
    /// The last `size` outcomes.
    Count {
        /// 1 to 10,000.
        size: u32,
    },
}

/// Where the measurement of slowness stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlowUntil {
    /// At the response's headers.
    Headers,
    /// At the response's end.
    End,
}

/// How long a circuit stays open.
#[derive(Clone, Debug, PartialEq)]
pub struct OpenConfig {
    /// Open time after the first trip.
    pub duration: Span,
    /// Growth with each further opening, in basis points: 20,000 doubles.
    pub multiplier_bp: u32,
    /// Longest open time, unless the upstream asks for more.
    pub max_duration: Span,
    /// Random spread around the open time, in basis points of it.
    pub jitter_bp: u32,
    /// Longest `retry-after` of an upstream that is honoured; zero ignores them all.
    pub retry_after_max: Span,
}

/// How a circuit probes its upstream.
#[derive(Clone, Debug, PartialEq)]
pub struct HalfOpenConfig {
    /// Number of probes, 1 to 100.
    pub permits: u32,
    /// How long a probe may take before the breaker decides without it.
    pub lease: Span,
}

/// How traffic returns after successful probes.
#[derive(Clone, Debug, PartialEq)]
pub struct RecoveryConfig {
    /// Length of the ramp; zero closes the circuit at once.
    pub duration: Span,
    /// Share of requests admitted at the start of the ramp, in basis points.
    pub start_bp: u32,
}
