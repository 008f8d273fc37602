//! The rules by which a breaker opens.

use super::names::Why;
use crate::circuit::window::Window;
use crate::policy::{BreakerConfig, WHOLE_BP};

/// Returns the rule that says the circuit should open, or `None`.
///
/// The failure rate is taken over everything in the window, and also over the ended requests
/// alone if there are enough of them: waiting requests have not failed yet, so many of them
/// would hide a failing upstream.
#[inline]
pub(super) fn tripped(window: &Window, consecutive: u32, config: &BreakerConfig) -> Option<Why> {
    let (ended, waiting) = (window.outcomes(), window.waiting());
    let all = ended.requests.saturating_add(waiting);
    let volume = config.volume();
    let reached = |part: u32, requests: u32, share_bp: u32| {
        let share = u64::from(requests).saturating_mul(u64::from(share_bp));
        share_bp > 0 && u64::from(part).saturating_mul(u64::from(WHOLE_BP)) >= share
    };
    if all >= volume {
        let failed = |requests| reached(ended.failures, requests, config.failure_rate_bp);
        let slow = ended.slow.saturating_add(waiting);
        if failed(all) || (waiting > 0 && ended.requests >= volume && failed(ended.requests)) {
            return Some(Why::FailureRate);
        } else if reached(slow, all, config.effective_slow_rate_bp()) {
            return Some(Why::SlowRate);
        }
    }
    let counted = |count: u32, threshold: u32| threshold > 0 && count >= threshold;
    if counted(ended.failures, config.failure_count) {
        return Some(Why::FailureCount);
    }
    counted(consecutive, config.consecutive_failures).then_some(Why::ConsecutiveFailures)
}
