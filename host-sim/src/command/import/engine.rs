//! What policies can express: ranges of fields that more than one importer sets.
//!
//! A field that the filter gains is switched on here.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::context::Import;
use super::draft::Policy;
use super::node::Node;
use super::values::{Read, SECOND};

const fn ms(low: u64, high: u64) -> RangeInclusive<Duration> {
    Duration::from_millis(low)..=Duration::from_millis(high)
}

const HOUR_MS: u64 = 3_600_000;

pub(super) const WINDOW: RangeInclusive<Duration> = ms(100, HOUR_MS);
pub(super) const OPEN: RangeInclusive<Duration> = ms(1, 24 * HOUR_MS);
pub(super) const SLOW: RangeInclusive<Duration> = ms(1, HOUR_MS);
pub(super) const TIMEOUT: RangeInclusive<Duration> = ms(1, HOUR_MS);
pub(super) const LEASE: RangeInclusive<Duration> = ms(10, HOUR_MS);
pub(super) const WINDOW_SIZE: RangeInclusive<u64> = 1..=10_000;
pub(super) const MINIMUM_REQUESTS: RangeInclusive<u64> = 1..=1_000_000;
pub(super) const FAILURE_COUNT: RangeInclusive<u64> = 1..=1_000_000;
pub(super) const CONSECUTIVE_FAILURES: RangeInclusive<u64> = 1..=1_000_000;
pub(super) const PERMITS: RangeInclusive<u64> = 1..=100;
pub(super) const MAX_RETRIES: RangeInclusive<u64> = 0..=10;
pub(super) const BUDGET_PERCENT: RangeInclusive<f64> = 0.0..=1000.0;
pub(super) const MIN_RETRIES: RangeInclusive<u64> = 0..=100_000;
/// Waits before retries that the filter makes itself.
pub(super) const BACKOFF: RangeInclusive<Duration> = ms(1, 60_000);
pub(super) const BACKOFF_BASE: &str = "retry.backoff.base_interval";
pub(super) const BACKOFF_MAX: &str = "retry.backoff.max_interval";
/// A rate of 0 switches the rule off, which no library means by it.
pub(super) const RATE: RangeInclusive<f64> = 0.01..=100.0;

/// How the policy's slow requests differ from a library's slow calls.
pub(super) const SLOW_DIFFERS: &str =
    "it is until the response's headers, and slow requests count while they wait";

/// Why the waits before the router's retries are not in a policy.
pub(super) const ROUTER_WAITS: &str = "the router waits by retry_back_off of its route, or 25ms and \
    longer; with --retries-by filter it is retry.backoff";

/// Sets how long the filter waits before a retry, if it makes the retries, and reports it with
/// what differs.
pub(super) fn backoff(
    import: &mut Import,
    policy: &mut Policy,
    base: Option<&Node>,
    longest: Option<&Node>,
    differs: &[&str],
) {
    let mut least = *BACKOFF.start();
    for (node, path) in [(base, BACKOFF_BASE), (longest, BACKOFF_MAX)] {
        let Some(node) = node else { continue };
        let Some(mut read) = import.duration(node, SECOND) else {
            continue;
        };
        if !import.by_filter {
            import.report.no_equivalent(node, ROUTER_WAITS);
            continue;
        }
        let differs = differs.iter().map(|text| (*text).to_owned());
        read.differs.extend(differs);
        let range = least..=*BACKOFF.end();
        least = read.value.clamp(*range.start(), *range.end());
        import.set_duration(policy, path, node, read, &range);
    }
}

/// Limits the time of a request, as a library limits that of a call, and reports it.
pub(super) fn timeout(
    import: &mut Import,
    policy: &mut Policy,
    node: &Node,
    mut read: Read<Duration>,
) {
    if read.value.is_zero() {
        let why = "it ends every call at once; set timeout to what the service may take";
        import.report.no_equivalent(node, why);
        return;
    }
    let differs = "it runs until the response has ended, and replaces the timeout of the route";
    read.differs.push(differs.to_owned());
    import.set_duration(policy, "timeout", node, read, &TIMEOUT);
}

/// Keeps a circuit from rejecting, and reports it.
pub(super) fn forced_closed(import: &mut Import, policy: &mut Policy, node: &Node) {
    policy.set("mode", "forced_closed");
    import.report.exact(node, "mode forced_closed");
}

/// Opens a circuit at a number of failures, and reports it.
pub(super) fn failure_count(
    import: &mut Import,
    policy: &mut Policy,
    node: &Node,
    read: Read<u64>,
) {
    let mut read = read;
    let differs = "it ignores the minimum number of requests";
    read.differs.push(differs.to_owned());
    policy.set("circuit_breaker.failure_rate_threshold", 0);
    let path = "circuit_breaker.failure_count_threshold";
    import.set_integer(policy, path, node, read, &FAILURE_COUNT);
}

/// Keeps the open time the same each time, as libraries do.
pub(super) fn fixed_open(policy: &mut Policy) {
    policy.set("circuit_breaker.open.multiplier", 1);
    policy.set("circuit_breaker.open.jitter", 0);
    policy.set("circuit_breaker.open.retry_after_max", "0s");
}
