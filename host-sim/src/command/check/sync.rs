//! Circuits too fast for the time in which workers hear of each other.
//!
//! One interval holds for the whole file, so each lint looks at the policy with the
//! shortest time: an interval that suits that one suits all.

use spillway_core::circuit::window::BUCKETS;
use spillway_core::policy::WindowShape;
use spillway_core::time::Span;

use super::Finding;
use super::view::{FileView, PolicyView, show_span};

/// The lints of `sync`.
pub fn lint(file: &FileView<'_>, findings: &mut Vec<Finding>) {
    findings.extend(behind_window(file));
    findings.extend(behind_open(file));
}

/// Outcomes of other workers are late by a bucket, or never in the window at all.
fn behind_window(file: &FileView<'_>) -> Option<Finding> {
    let interval = file.config.sync.interval;
    let (window, at) = shortest(file, "window.duration", time_window)?;
    let bucket = window.scale(1, BUCKETS);
    if interval <= bucket {
        return None;
    }
    let (late, most) = (show_span(interval), show_span(bucket));
    let (make, reason): (fn(_, _, _, _) -> _, _) = if interval < window {
        let reason = format!(
            "other workers' outcomes come up to {late} late, which is longer than a bucket of \
             {at} ({most}), so that a rate lacks their newest"
        );
        (Finding::note, reason)
    } else {
        let reason = format!(
            "other workers' outcomes come up to {late} late, when they have left {at} ({})",
            show_span(window)
        );
        (Finding::warning, reason)
    };
    let least = show_span(interval.scale(BUCKETS, 1));
    Some(make(
        "sync-behind-window",
        "sync.interval".into(),
        reason,
        format!("set it to {most} or less, or lengthen {at} to {least} or more"),
    ))
}

/// The circuit is open for no longer than the news of it takes.
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
                "other workers hear of an open circuit up to {late} late, when its time, {at} \
                 ({span}), may be over"
            ),
            format!("lengthen {at} beyond {late}, or shorten this"),
        )
    })
}

/// The duration of a time window over which rates are taken.
fn time_window(view: &PolicyView<'_>) -> Option<Span> {
    match view.policy.breaker.window {
        WindowShape::Time { duration } if view.has_rates() => Some(duration),
        WindowShape::Time { .. } | WindowShape::Count { .. } => None,
    }
}

/// The shortest time that circuits of the file have, and the path of the field of
/// `circuit_breaker` that holds it.
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
