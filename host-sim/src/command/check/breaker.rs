//! Trip rules that cannot trip, or trip on less than they seem to.

use spillway_core::policy::{SlowUntil, WHOLE_BP, WindowShape};

use super::Finding;
use super::view::{PolicyView, show_percent, show_span};

/// Most requests per second of one key that a policy may count on: more than a proxy
/// of many workers forwards in all.
const RATE_MAX: u64 = 100_000;

/// The lints of `circuit_breaker` but for what follows a trip.
pub fn lint(view: &PolicyView<'_>, findings: &mut Vec<Finding>) {
    if !view.says("circuit_breaker") || view.rejects_all() {
        return;
    }
    findings.extend(never_opens(view));
    findings.extend(minimum_over_window(view));
    findings.extend(minimum_out_of_reach(view));
    findings.extend(consecutive_out_of_reach(view));
    findings.extend(one_failure_opens(view));
    findings.extend(slowness(view));
}

fn never_opens(view: &PolicyView<'_>) -> Option<Finding> {
    (!view.can_trip()).then(|| {
        Finding::warning(
            "breaker-never-opens",
            view.path("circuit_breaker"),
            "every rule that could open the circuit is off".into(),
            "set failure_rate_threshold, slow_threshold with slow_rate_threshold, or \
             consecutive_failures; or drop circuit_breaker"
                .into(),
        )
    })
}

/// Rates are compared with the window's own size instead.
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
            format!("{minimum} outcomes never fit into a window of {size}: {size} are enough"),
            format!("set it to {size} or less, or window.size to {minimum}"),
        )
    })
}

/// A time window that would have to see more requests than a proxy can forward.
fn minimum_out_of_reach(view: &PolicyView<'_>) -> Option<Finding> {
    let breaker = &view.policy.breaker;
    let WindowShape::Time { duration } = breaker.window else {
        return None;
    };
    let most = duration.as_ms().saturating_mul(RATE_MAX) / 1_000;
    let minimum = breaker.minimum_requests;
    (view.has_rates() && u64::from(minimum) > most).then(|| {
        let span = show_span(duration);
        Finding::warning(
            "minimum-out-of-reach",
            view.path("circuit_breaker.minimum_requests"),
            format!("{minimum} outcomes within {span} are more than {RATE_MAX} a second"),
            "lower it, or lengthen window.duration".into(),
        )
    })
}

/// With a count window a run of failures ends in the failure rate being reached: at
/// the latest when it fills both the least volume and its share of a full window.
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
                "a run of {reached_at} failures already reaches failure_rate_threshold ({} %) in \
                 a window of {size}, so a run of {consecutive} never decides",
                show_percent(breaker.failure_rate_bp)
            ),
            format!("set it below {reached_at}, or to 0, or failure_rate_threshold to 0"),
        )
    })
}

/// At the least volume one failure, or a run of one, is all that it takes.
fn one_failure_opens(view: &PolicyView<'_>) -> Option<Finding> {
    let breaker = &view.policy.breaker;
    let rate_bp = breaker.failure_rate_bp;
    let share = u64::from(breaker.volume()) * u64::from(rate_bp);
    let (field, mend) = if breaker.consecutive_failures == 1 {
        ("consecutive_failures", "raise it, unless that is meant")
    } else if rate_bp > 0 && share <= u64::from(WHOLE_BP) {
        let mend = "raise failure_rate_threshold or minimum_requests, unless that is meant";
        ("failure_rate_threshold", mend)
    } else {
        return None;
    };
    Some(Finding::note(
        "one-failure-opens",
        view.path(&format!("circuit_breaker.{field}")),
        "a single failure can open the circuit".into(),
        mend.into(),
    ))
}

fn slowness(view: &PolicyView<'_>) -> Vec<Finding> {
    let breaker = &view.policy.breaker;
    let threshold = "circuit_breaker.slow_threshold";
    let rate = "circuit_breaker.slow_rate_threshold";
    let mut found = Vec::new();
    if breaker.slow_threshold.is_none() && view.says(rate) && breaker.slow_rate_bp > 0 {
        found.push(Finding::warning(
            "slow-rate-without-threshold",
            view.path(rate),
            "without slow_threshold no answer is slow, so this share is never reached".into(),
            "set slow_threshold, or drop this".into(),
        ));
    }
    if breaker.slow_threshold.is_none() && breaker.slow_until == SlowUntil::End {
        found.push(Finding::warning(
            "slow-until-without-threshold",
            view.path("circuit_breaker.slow_until"),
            "without slow_threshold no clock runs that this could stop".into(),
            "set slow_threshold, or drop this".into(),
        ));
    }
    let at_headers = view.policy.judges_at_headers();
    if breaker.slow_threshold.is_some() && breaker.slow_until == SlowUntil::End && at_headers {
        found.push(Finding::warning(
            "slow-until-after-judgement",
            view.path("circuit_breaker.slow_until"),
            "outcome.judge_at is headers, so a request is settled before its end is timed".into(),
            "drop this, or set outcome.judge_at to end".into(),
        ));
    }
    if breaker.slow_threshold.is_some() && breaker.slow_rate_bp == 0 {
        found.push(Finding::note(
            "slow-without-rate",
            view.path(threshold),
            "slow answers are counted, but with slow_rate_threshold 0 they never open the circuit"
                .into(),
            "set slow_rate_threshold, unless counting is all that is meant".into(),
        ));
    }
    found
}
