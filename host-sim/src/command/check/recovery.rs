//! Lints of open times, probes and the recovery.

use spillway_core::policy::WHOLE_BP;
use spillway_core::time::Span;

use crate::command::check::finding::Finding;
use crate::command::check::view::{PolicyView, show_percent, show_span};

/// Runs the lints of `open`, `half_open` and `recovery`.
pub(super) fn lint(view: &PolicyView<'_>, findings: &mut Vec<Finding>) {
    if !view.says("circuit_breaker") || view.is_forced() || !view.can_trip() {
        return;
    }
    findings.extend(no_jitter(view));
    findings.extend(no_room_to_grow(view));
    findings.extend(cap_out_of_reach(view));
    findings.extend(spare_permits(view));
    findings.extend(lease_hides_slowness(view));
    findings.extend(ramp(view));
}

fn no_jitter(view: &PolicyView<'_>) -> Option<Finding> {
    (view.policy.breaker.open.jitter_bp == 0).then(|| {
        Finding::note(
            "no-jitter",
            view.path("circuit_breaker.open.jitter"),
            "proxies whose circuits opened at the same time also probe at the same time".into(),
            "remove it for the default, or set it to 10 or more".into(),
        )
    })
}

/// Finds a multiplier that has no effect, since the first open time is already the longest.
fn no_room_to_grow(view: &PolicyView<'_>) -> Option<Finding> {
    let open = &view.policy.breaker.open;
    if open.multiplier_bp == WHOLE_BP || open.max_duration > open.duration {
        return None;
    }
    let make = if view.says("circuit_breaker.open.multiplier") {
        Finding::warning
    } else {
        Finding::note
    };
    let span = show_span(open.duration);
    Some(make(
        "no-room-to-grow",
        view.path("circuit_breaker.open.max_duration"),
        format!("duration and the longest open time are both {span}, so multiplier has no effect"),
        format!("set it above {span}, or set multiplier to 1"),
    ))
}

fn cap_out_of_reach(view: &PolicyView<'_>) -> Option<Finding> {
    let open = &view.policy.breaker.open;
    let spread = u64::from(WHOLE_BP + open.jitter_bp);
    let longest = open.duration.scale(spread, u64::from(WHOLE_BP));
    let written = view.says("circuit_breaker.open.max_duration");
    let constant = open.multiplier_bp == WHOLE_BP;
    (written && constant && open.max_duration > longest).then(|| {
        Finding::warning(
            "cap-out-of-reach",
            view.path("circuit_breaker.open.max_duration"),
            format!(
                "with multiplier 1 the circuit is open for at most {}",
                show_span(longest)
            ),
            "set multiplier above 1, or remove this".into(),
        )
    })
}

/// Finds a threshold that all probes must fail to reach, so that one success decides.
fn spare_permits(view: &PolicyView<'_>) -> Option<Finding> {
    let breaker = &view.policy.breaker;
    let permits = breaker.half_open.permits;
    let rates = [breaker.failure_rate_bp, breaker.effective_slow_rate_bp()];
    let one_decides = breaker.counts_failures() && breaker.failure_rate_bp == 0;
    let lowest_bp = rates.into_iter().filter(|bp| *bp > 0).min()?;
    let share = u64::from(permits) * u64::from(lowest_bp);
    let needed = share.div_ceil(u64::from(WHOLE_BP)).max(1);
    (permits > 1 && !one_decides && needed == u64::from(permits)).then(|| {
        Finding::note(
            "spare-permits",
            view.path("circuit_breaker.half_open.permits"),
            format!(
                "at a threshold of {} %, one successful probe closes the circuit, and only \
                 {permits} failed ones open it again",
                show_percent(lowest_bp)
            ),
            "set it to 1 if one failed probe has to open the circuit, or lower the threshold so \
             that more probes have to succeed"
                .into(),
        )
    })
}

/// Finds a lease that ends before a probe can be slow.
fn lease_hides_slowness(view: &PolicyView<'_>) -> Option<Finding> {
    let breaker = &view.policy.breaker;
    let threshold = breaker.slow_threshold?;
    let lease = breaker.half_open.lease;
    (lease <= threshold).then(|| {
        let (lease, threshold) = (show_span(lease), show_span(threshold));
        Finding::warning(
            "lease-hides-slowness",
            view.path("circuit_breaker.half_open.lease"),
            format!(
                "a probe ends as a failure after {lease}, before it can be slow after {threshold}"
            ),
            format!("set it well above {threshold}"),
        )
    })
}

fn ramp(view: &PolicyView<'_>) -> Option<Finding> {
    let recovery = &view.policy.breaker.recovery;
    let start = "circuit_breaker.recovery.start_percent";
    if recovery.duration > Span::ZERO && recovery.start_bp == WHOLE_BP {
        return Some(Finding::warning(
            "ramp-starts-full",
            view.path(start),
            "a recovery that starts at 100 % admits everything from the beginning".into(),
            "lower it, or remove recovery".into(),
        ));
    }
    (recovery.duration == Span::ZERO && view.says(start)).then(|| {
        Finding::warning(
            "start-without-ramp",
            view.path(start),
            "without recovery.duration, the circuit closes at once".into(),
            "set recovery.duration, or remove this".into(),
        )
    })
}
