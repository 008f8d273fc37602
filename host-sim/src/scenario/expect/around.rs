//! Context of an expectation that was not met.

use std::fmt::Write as _;

use crate::record::{Outcome, Record, Transition};
use crate::sim::clock::Time;
use crate::sim::span::Span;

/// Number of events shown before a moment.
const EVENTS_SHOWN: usize = 16;

/// Number of rows shown for a period.
const ROWS_SHOWN: usize = 16;

/// Returns the last transitions of circuits, then the last events.
pub(super) fn events(record: &Record) -> Vec<String> {
    let transitions = record.circuits.transitions.iter().rev().take(4).rev();
    let mut lines: Vec<_> = transitions.map(|it| transition(record, it)).collect();
    let last = record.trace.last().rev();
    let shown = last.filter_map(|entry| record.names.show(entry));
    let mut shown: Vec<_> = shown.take(EVENTS_SHOWN).collect();
    shown.reverse();
    lines.extend(shown);
    lines
}

fn transition(record: &Record, it: &Transition) -> String {
    let name = record
        .circuits
        .all
        .get(it.circuit)
        .map(|it| it.name())
        .unwrap_or_default();
    let (from, to) = (it.from.name(), it.to.name());
    format!(
        "{:>10}  circuit {name}: {from} -> {to} ({})",
        it.at.to_string(),
        it.why
    )
}

/// Returns the period as a table.
pub(super) fn rows(record: &Record, window: Option<(Time, Time)>) -> Vec<String> {
    let (from, to) = window.unwrap_or((Time::ZERO, record.end));
    let width = record.series.width().as_ns();
    let within = Span::between(from, to)
        .as_ns()
        .div_ceil(width.max(1))
        .max(1);
    let all = record.series.iter().len();
    let parts = (all as u64 * ROWS_SHOWN as u64)
        .div_ceil(within)
        .min(all as u64);
    let series = record.series.coarser(parts as usize);
    let mut lines =
        vec!["      time  requests  good  rejected  errors  gave up       p99  upstream".into()];
    for bucket in series.iter() {
        let end = bucket.from + bucket.width;
        if end <= from || bucket.from >= to {
            continue;
        }
        let it = bucket.tally;
        let good = it.outcome(Outcome::Success) + it.outcome(Outcome::Fallback);
        let errors = it.outcome(Outcome::Error) + it.outcome(Outcome::Broken);
        let p99 = it.percentile(99.0).map_or("-".into(), Span::rounded);
        let mut line = String::new();
        // Writing to a string cannot fail.
        let _ = write!(
            line,
            "{:>10}  {:>8}  {good:>4}  {:>8}  {errors:>6}  {:>7}  {p99:>8}  {:>8}",
            bucket.from.to_string(),
            it.requests,
            it.outcome(Outcome::Rejected),
            it.outcome(Outcome::GaveUp),
            it.attempts(),
        );
        lines.push(line);
    }
    let transitions = record.circuits.transitions.iter();
    let transitions = transitions
        .filter(|it| from <= it.at && it.at < to)
        .take(ROWS_SHOWN);
    lines.extend(transitions.map(|it| transition(record, it)));
    lines
}
