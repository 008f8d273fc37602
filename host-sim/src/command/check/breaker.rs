//! Lints of trip rules that cannot trip, or trip earlier than expected.

use spillway_core::policy::{SlowUntil, WHOLE_BP, WindowShape};

use crate::command::check::finding::Finding;
use crate::command::check::view::{PolicyView, show_percent, show_span};

/// Maximum request rate of one key, in requests per second: more than a proxy with many workers
/// forwards in total.
const RATE_MAX: u64 = 100_000;

/// Runs the lints of the trip rules in `circuit_breaker`.
pub(super) fn lint(view: &PolicyView<'_>, findings: &mut Vec<Finding>) {
    if !view.says("circuit_breaker") || view.is_forced() {
        return;
    }
    findings.extend(never_opens(view));
    findings.extend(minimum_over_window(view));
    findings.extend(minimum_out_of_reach(view));
    findings.extend(consecutive_out_of_reach(view));
    findings.extend(count_over_window(view));
    findings.extend(one_failure_opens(view));
    findings.extend(slowness(view));
}

fn never_opens(view: &PolicyView<'_>) -> Option<Finding> {
    (!view.can_trip()).then(|| {
        Finding::warning(
            "breaker-never-opens",
            view.path("circuit_breaker"),
            "all rules that could open the circuit are disabled".into(),
            "set failure_rate_threshold, failure_count_threshold, consecutive_failures, or \
             slow_threshold with slow_rate_threshold; or remove circuit_breaker"
                .into(),
        )
    })
}

/// Finds a minimum above the size of a count window. The filter uses the size in its place.
fn minimum_over_window(view: &PolicyView<'_>) -> Option<Finding> {
    let breaker = &view.policy.breaker;
    let WindowShape::Count { size } = breaker.window else {
        return None;
    };
    let minimum = breaker.minimum_requests;
    let written = view.says("circuit_breaker.minimum_requests");
    (written && minimum > size).then(|| {
        Finding::warning(
            "minimum-over-window",
            view.path("circuit_breaker.minimum_requests"),
            format!("{minimum} outcomes never fit into a window of {size}, so {size} are enough"),
            format!("set it to {size} or less, or window.size to {minimum}"),
        )
    })
}

/// Finds a minimum that a time window cannot reach, since a proxy cannot forward as many requests.
fn minimum_out_of_reach(view: &PolicyView<'_>) -> Option<Finding> {
    let breaker = &view.policy.breaker;
    let WindowShape::Time { duration } = breaker.window else {
        return None;
    };
    let requests_max = duration.as_ms().saturating_mul(RATE_MAX) / 1_000;
    let minimum = breaker.minimum_requests;
    (view.has_rates() && u64::from(minimum) > requests_max).then(|| {
        let span = show_span(duration);
        Finding::warning(
            "minimum-out-of-reach",
            view.path("circuit_breaker.minimum_requests"),
            format!("{minimum} outcomes within {span} are more than {RATE_MAX} per second"),
            "lower it, or raise window.duration".into(),
        )
    })
}

/// Finds a run of failures that cannot decide, since the failure rate opens the circuit before. In
/// a count window, this happens at the latest when the run reaches both the minimum volume and the
/// rate's share of a full window.
fn consecutive_out_of_reach(view: &PolicyView<'_>) -> Option<Finding> {
    let breaker = &view.policy.breaker;
    let WindowShape::Count { size } = breaker.window else {
        return None;
    };
    let rate_bp = u64::from(breaker.failure_rate_bp);
    let share = (u64::from(size) * rate_bp).div_ceil(u64::from(WHOLE_BP));
    let reached_at = share.max(u64::from(breaker.volume()));
    let consecutive = breaker.consecutive_failures;
    (rate_bp > 0 && u64::from(consecutive) >= reached_at).then(|| {
        Finding::warning(
            "consecutive-out-of-reach",
            view.path("circuit_breaker.consecutive_failures"),
            format!(
                "a run of {reached_at} failures already reaches failure_rate_threshold ({} %) in a \
                 window of {size}, so a run of {consecutive} has no effect",
                show_percent(breaker.failure_rate_bp)
            ),
            format!("set it below {reached_at}, or to 0, or failure_rate_threshold to 0"),
        )
    })
}

/// Finds a number of failures that a count window cannot hold.
fn count_over_window(view: &PolicyView<'_>) -> Option<Finding> {
    let breaker = &view.policy.breaker;
    let WindowShape::Count { size } = breaker.window else {
        return None;
    };
    let count = breaker.failure_count;
    (count > size).then(|| {
        Finding::warning(
            "failure-count-over-window",
            view.path("circuit_breaker.failure_count_threshold"),
            format!("{count} failures never fit into a window of {size}, so this has no effect"),
            format!("set it to {size} or less, or window.size to {count}"),
        )
    })
}

/// Finds rules by which a single failure opens the circuit.
fn one_failure_opens(view: &PolicyView<'_>) -> Option<Finding> {
    let breaker = &view.policy.breaker;
    let rate_bp = breaker.failure_rate_bp;
    let share = u64::from(breaker.volume()) * u64::from(rate_bp);
    let (field, fix) = if breaker.consecutive_failures == 1 {
        ("consecutive_failures", "raise it, unless this is intended")
    } else if breaker.failure_count == 1 {
        (
            "failure_count_threshold",
            "raise it, unless this is intended",
        )
    } else if rate_bp > 0 && share <= u64::from(WHOLE_BP) {
        let fix = "raise failure_rate_threshold or minimum_requests, unless this is intended";
        ("failure_rate_threshold", fix)
    } else {
        return None;
    };
    Some(Finding::note(
        "one-failure-opens",
        view.path(&format!("circuit_breaker.{field}")),
        "a single failure can open the circuit".into(),
        fix.into(),
    ))
}

fn slowness(view: &PolicyView<'_>) -> Vec<Finding> {
    let breaker = &view.policy.breaker;
    let threshold = "circuit_breaker.slow_threshold";
    let rate = "circuit_breaker.slow_rate_threshold";
    let mut findings = Vec::new();
    if breaker.slow_threshold.is_none() && view.says(rate) && breaker.slow_rate_bp > 0 {
        findings.push(Finding::warning(
            "slow-rate-without-threshold",
            view.path(rate),
            "without slow_threshold, no response is slow, so this share is never reached".into(),
            "set slow_threshold, or remove this".into(),
        ));
    }
    if breaker.slow_threshold.is_none() && breaker.slow_until == SlowUntil::End {
        findings.push(Finding::warning(
            "slow-until-without-threshold",
            view.path("circuit_breaker.slow_until"),
            "without slow_threshold, no response is timed".into(),
            "set slow_threshold, or remove this".into(),
        ));
    }
    let at_headers = view.policy.judges_at_headers();
    if breaker.slow_threshold.is_some() && breaker.slow_until == SlowUntil::End && at_headers {
        findings.push(Finding::warning(
            "slow-until-after-judgement",
            view.path("circuit_breaker.slow_until"),
            "outcome.judge_at is headers, so the outcome is decided before the response ends"
                .into(),
            "remove this, or set outcome.judge_at to end".into(),
        ));
    }
    if let (Some(slow), Some(timeout)) = (breaker.slow_threshold, view.policy.timeout)
        && slow >= timeout
    {
        findings.push(Finding::note(
            "slow-beyond-timeout",
            view.path(threshold),
            format!(
                "a request ends as a failure after timeout ({}), before it can be slow",
                show_span(timeout)
            ),
            "lower it, or raise timeout, unless the failures are enough".into(),
        ));
    }
    if breaker.slow_threshold.is_some() && breaker.slow_rate_bp == 0 {
        findings.push(Finding::note(
            "slow-without-rate",
            view.path(threshold),
            "slow responses are counted, but never open the circuit with slow_rate_threshold 0"
                .into(),
            "set slow_rate_threshold, unless only counting is intended".into(),
        ));
    }
    findings
}
