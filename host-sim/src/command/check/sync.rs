//! Lints of circuits that are too fast for the interval at which workers sync.
//!
//! The whole file has one interval, so each lint checks the policy with the shortest time: an
//! interval that suits this one suits all.

use spillway_core::BUCKETS;
use spillway_core::policy::WindowShape;
use spillway_core::time::Span;

use crate::command::check::finding::Finding;
use crate::command::check::view::{FileView, PolicyView, show_span};

/// Runs the lints of `sync`.
pub(super) fn lint(file: &FileView<'_>, findings: &mut Vec<Finding>) {
    findings.extend(behind_window(file));
    findings.extend(behind_open(file));
}

/// Finds an interval at which other workers' outcomes reach the window late, or never.
fn behind_window(file: &FileView<'_>) -> Option<Finding> {
    let interval = file.config.sync.interval;
    let (window, at) = shortest(file, "window.duration", time_window)?;
    let bucket = window.scale(1, BUCKETS);
    if interval <= bucket {
        return None;
    }
    let (late, interval_max) = (show_span(interval), show_span(bucket));
    let (make, reason): (fn(_, _, _, _) -> _, _) = if interval < window {
        let reason = format!(
            "other workers' outcomes arrive up to {late} late, which is longer than a bucket of {at} \
             ({interval_max}), so rates lack the latest ones"
        );
        (Finding::note, reason)
    } else {
        let reason = format!(
            "other workers' outcomes arrive up to {late} late, which is not within {at} ({})",
            show_span(window)
        );
        (Finding::warning, reason)
    };
    let duration_min = show_span(interval.scale(BUCKETS, 1));
    Some(make(
        "sync-behind-window",
        "sync.interval".into(),
        reason,
        format!("set it to {interval_max} or less, or {at} to {duration_min} or more"),
    ))
}

/// Finds an interval that is not shorter than the first open time.
fn behind_open(file: &FileView<'_>) -> Option<Finding> {
    let interval = file.config.sync.interval;
    let first = |view: &PolicyView<'_>| Some(view.policy.breaker.open.duration);
    let (open, at) = shortest(file, "open.duration", first)?;
    (interval >= open).then(|| {
        let (late, span) = (show_span(interval), show_span(open));
        Finding::warning(
            "sync-behind-open",
            "sync.interval".into(),
            format!(
                "other workers learn of an open circuit up to {late} late, when {at} ({span}) may have \
                 passed"
            ),
            format!("set {at} above {late}, or lower this"),
        )
    })
}

/// Returns the duration of a time window with rates.
fn time_window(view: &PolicyView<'_>) -> Option<Span> {
    match view.policy.breaker.window {
        WindowShape::Time { duration } if view.has_rates() => Some(duration),
        WindowShape::Time { .. } | WindowShape::Count { .. } => None,
    }
}

/// Returns the shortest time of all circuits of the file, and the path of its field in
/// `circuit_breaker`.
fn shortest(
    file: &FileView<'_>,
    field: &str,
    time: impl Fn(&PolicyView<'_>) -> Option<Span>,
) -> Option<(Span, String)> {
    let circuits = file.policies().filter(PolicyView::has_circuit);
    let times = circuits.filter_map(|view| {
        let path = view.path(&format!("circuit_breaker.{field}"));
        Some((time(&view)?, path))
    });
    times.min_by_key(|(span, _)| *span)
}
