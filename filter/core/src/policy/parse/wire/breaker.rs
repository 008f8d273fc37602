//! `circuit_breaker`: when the circuit opens, and how it closes again.

use serde_json::json;

use super::ranges::{DAY_MS, HOUR_MS, ms};

use crate::policy::parse::read::{Object, Place};
use crate::policy::{
    BreakerConfig, COUNT_SIZE_MAX, HalfOpenConfig, Mode, OpenConfig, PERMITS_MAX, RecoveryConfig,
    SlowUntil, WHOLE_BP, WindowShape,
};
use crate::time::Span;

/// A window's counters are 32 bits wide.
const REQUESTS_MAX: u32 = 1_000_000;
/// No service needs more than ten-fold growth from one opening to the next.
const MULTIPLIER_MAX_BP: u32 = 10 * WHOLE_BP;

/// Reads the breaker of a policy. It is off if it is missing or the mode forces it closed.
pub(super) fn read(place: &Place<'_>, mode: Mode) -> BreakerConfig {
    let mut breaker = place.object(circuit_breaker);
    if place.is_missing() || mode == Mode::ForcedClosed {
        breaker.enabled = false;
        breaker.failure_rate_bp = 0;
        breaker.failure_count = 0;
        breaker.slow_rate_bp = 0;
        breaker.consecutive_failures = 0;
    }
    breaker
}

fn circuit_breaker(o: &mut Object<'_>) -> BreakerConfig {
    let untils = [("headers", SlowUntil::Headers), ("end", SlowUntil::End)];
    let window_place = o.at("window");
    window_place.schema(|| {
        json!({
            "if": {"required": ["type"], "properties": {"type": {"const": "count"}}},
            "then": {"properties": {"duration": false}},
            "else": {"properties": {"size": false}},
        })
    });
    BreakerConfig {
        enabled: true,
        window: window_place.object(window),
        minimum_requests: o.at("minimum_requests").integer(1..=REQUESTS_MAX, 20),
        failure_rate_bp: o.at("failure_rate_threshold").percent(WHOLE_BP / 2),
        failure_count: o.at("failure_count_threshold").integer(0..=REQUESTS_MAX, 0),
        slow_threshold: o
            .at("slow_threshold")
            .optional_duration(false, ms(1, HOUR_MS)),
        slow_until: o
            .at("slow_until")
            .choice_or_first(&untils, SlowUntil::Headers),
        slow_rate_bp: o.at("slow_rate_threshold").percent(WHOLE_BP),
        consecutive_failures: o.at("consecutive_failures").integer(0..=REQUESTS_MAX, 0),
        open: o.at("open").object(open),
        half_open: o.at("half_open").object(half_open),
        recovery: o.at("recovery").object(recovery),
    }
}

fn window(o: &mut Object<'_>) -> WindowShape {
    let kinds = [("time", true), ("count", false)];
    let is_time = o.at("type").choice_or_first(&kinds, true);
    let duration_place = o.at("duration");
    let size_place = o.at("size");
    let duration = duration_place.duration(false, ms(100, HOUR_MS), Span::from_secs(10));
    let size = size_place.integer(1..=COUNT_SIZE_MAX, 100);
    if is_time {
        if !size_place.is_missing() {
            size_place.conflict("is only allowed with \"type\": \"count\"");
        }
        WindowShape::Time { duration }
    } else {
        if !duration_place.is_missing() {
            duration_place.conflict("is only allowed with \"type\": \"time\"");
        }
        WindowShape::Count { size }
    }
}

fn open(o: &mut Object<'_>) -> OpenConfig {
    let lengths = ms(1, DAY_MS);
    let duration = o
        .at("duration")
        .duration(false, lengths.clone(), Span::from_secs(5));
    let max_place = o.at("max_duration");
    let max_default = Span::from_secs(60).max(duration);
    let max_duration = max_place.duration(false, lengths, max_default);
    if max_duration < duration {
        max_place.conflict("is shorter than open.duration");
    }
    OpenConfig {
        duration,
        multiplier_bp: o
            .at("multiplier")
            .decimal(100..=MULTIPLIER_MAX_BP / 100, 200)
            .saturating_mul(100),
        max_duration,
        jitter_bp: o.at("jitter").percent(2_000),
        retry_after_max: o
            .at("retry_after_max")
            .duration(true, ms(1, DAY_MS), Span::from_secs(60)),
    }
}

fn half_open(o: &mut Object<'_>) -> HalfOpenConfig {
    HalfOpenConfig {
        permits: o.at("permits").integer(1..=PERMITS_MAX, 3),
        lease: o
            .at("lease")
            .duration(false, ms(10, HOUR_MS), Span::from_secs(30)),
    }
}

fn recovery(o: &mut Object<'_>) -> RecoveryConfig {
    RecoveryConfig {
        duration: o.at("duration").duration(true, ms(10, HOUR_MS), Span::ZERO),
        start_bp: o.at("start_percent").percent(WHOLE_BP / 10),
    }
}
