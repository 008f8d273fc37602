//! The run as rows of bars, all on the same time axis.

use std::fmt::Write as _;

use crate::record::{Bucket, Circuit, Outcome, Series, State};
use crate::report::text::paint::{Hue, Paint};
use crate::report::{shortened, worst_state};
use crate::scenario::play::Run;
use crate::sim::clock::Time;
use crate::sim::span::Span;

/// Width of the names before the bars.
const NAME: usize = 22;

/// Maximum number of bars. With names and scale they fit a terminal of 110 columns.
const BARS: usize = 72;

/// Number of circuits shown, since a policy may have thousands of keys.
const CIRCUITS_SHOWN: usize = 12;

/// Blocks of zero to eight eighths.
const BLOCKS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Writes the chart.
pub(super) fn write(run: &Run, paint: Paint, out: &mut String) -> std::fmt::Result {
    let series = series(run);
    writeln!(out, "\n{}", paint.bold(&axis(&series)))?;
    let outcomes = [
        ("good", Outcome::Success, Hue::Good),
        ("fallback", Outcome::Fallback, Hue::Calm),
        ("rejected", Outcome::Rejected, Hue::Warn),
        ("errors", Outcome::Error, Hue::Bad),
        ("gave up", Outcome::GaveUp, Hue::Bad),
        ("broken", Outcome::Broken, Hue::Bad),
    ];
    for (name, outcome, hue) in outcomes {
        let values = ended(&series, outcome);
        bars(name, &values, hue, &rate, paint, out)?;
    }
    bars("p99", &p99(&series), Hue::Faint, &time, paint, out)?;
    for (cluster, name) in run.record.names.clusters.iter().enumerate() {
        let values = row(&series, |it| {
            per_second(it, it.tally.clusters[cluster].attempts)
        });
        bars(
            &format!("at {name}"),
            &values,
            Hue::Faint,
            &rate,
            paint,
            out,
        )?;
        let waiting = row(&series, |it| it.tally.clusters[cluster].line_max.into());
        bars(
            &format!("waiting at {name}"),
            &waiting,
            Hue::Warn,
            &whole,
            paint,
            out,
        )?;
    }
    faults(run, &series, paint, out)?;
    circuits(run, &series, paint, out)
}

/// Returns the run in at most as many buckets as there are bars. Runs of the same duration have
/// the same buckets.
pub(super) fn series(run: &Run) -> Series {
    let end = Time::ZERO + run.duration;
    run.record.series.until(end).coarser(BARS)
}

/// Returns the requests with this outcome, per second.
pub(super) fn ended(series: &Series, outcome: Outcome) -> Vec<f64> {
    row(series, |it| per_second(it, it.tally.outcome(outcome)))
}

/// Returns the 99th percentile of the latency, in nanoseconds.
pub(super) fn p99(series: &Series) -> Vec<f64> {
    let p99 = |it: &Bucket<'_>| it.tally.percentile(99.0);
    row(series, |it| p99(it).map_or(0.0, |it| it.as_ns() as f64))
}

/// Formats nanoseconds.
pub(super) fn time(ns: f64) -> String {
    Span::from_ns(ns as u64).rounded()
}

/// Formats a rate.
pub(super) fn rate(value: f64) -> String {
    format!("{}/s", whole(value))
}

fn whole(value: f64) -> String {
    format!("{value:.0}")
}

fn row(series: &Series, value: impl Fn(&Bucket<'_>) -> f64) -> Vec<f64> {
    series.iter().map(|bucket| value(&bucket)).collect()
}

fn per_second(bucket: &Bucket<'_>, count: u64) -> f64 {
    count as f64 / bucket.width.as_seconds()
}

/// Writes one row, followed by its highest value. Writes nothing if all values are zero.
fn bars(
    name: &str,
    values: &[f64],
    hue: Hue,
    unit: &dyn Fn(f64) -> String,
    paint: Paint,
    out: &mut String,
) -> std::fmt::Result {
    match highest(values) {
        0.0 => Ok(()),
        top => bars_below(top, name, values, hue, unit, paint, out),
    }
}

/// Returns the highest value, or 0 if there is none.
pub(super) fn highest(values: &[f64]) -> f64 {
    values.iter().copied().fold(0.0, f64::max)
}

/// Writes one row with the full height `top`, followed by its highest value.
pub(super) fn bars_below(
    top: f64,
    name: &str,
    values: &[f64],
    hue: Hue,
    unit: &dyn Fn(f64) -> String,
    paint: Paint,
    out: &mut String,
) -> std::fmt::Result {
    let block = |value: &f64| {
        let eighths = (value * 8.0 / top).round() as usize;
        // A value above zero is always visible.
        let eighths_min = usize::from(*value > 0.0);
        BLOCKS.get(eighths.max(eighths_min)).copied().unwrap_or('█')
    };
    let bars: String = values.iter().map(block).collect();
    let name = shortened(name, NAME - 1);
    let name = format!("{name:<NAME$}");
    writeln!(
        out,
        "{name}{} {}",
        paint.hue(hue, &bars),
        unit(highest(values))
    )
}

/// Returns the time axis.
pub(super) fn axis(series: &Series) -> String {
    /// Width of a label and a gap.
    const STEP: usize = 12;
    let mut line = format!("{:<NAME$}", "time");
    for bucket in series.iter().step_by(STEP) {
        let seconds = bucket.from.as_ns() / 1_000_000_000;
        let label = match (seconds / 60, seconds % 60) {
            (0, _) => Span::from_ns(bucket.from.as_ns()).rounded(),
            (minutes, seconds) => format!("{minutes}:{seconds:02}"),
        };
        // Writing to a string cannot fail.
        let _ = write!(line, "{label:<STEP$}");
    }
    line.trim_end().to_owned()
}

/// Writes a row for each fault that shows when it is active.
pub(super) fn faults(
    run: &Run,
    series: &Series,
    paint: Paint,
    out: &mut String,
) -> std::fmt::Result {
    for (name, (from, to)) in run.record.names.faults.iter().zip(&run.faults) {
        let cell = |bucket: Bucket<'_>| {
            let end = bucket.from + bucket.width;
            let active = *from < end && to.is_none_or(|to| to > bucket.from);
            if active { '━' } else { ' ' }
        };
        let cells: String = series.iter().map(cell).collect();
        let name = shortened(name, NAME - 1);
        writeln!(
            out,
            "{name:<NAME$}{}",
            paint.hue(Hue::Bad, cells.trim_end())
        )?;
    }
    Ok(())
}

fn circuits(run: &Run, series: &Series, paint: Paint, out: &mut String) -> std::fmt::Result {
    let circuits = &run.record.circuits.all;
    for circuit in circuits.iter().take(CIRCUITS_SHOWN) {
        states(&circuit.name(), &[circuit], series, paint, out)?;
    }
    if circuits.len() > CIRCUITS_SHOWN {
        writeln!(
            out,
            "{:<NAME$}and {} more circuits",
            "",
            circuits.len() - CIRCUITS_SHOWN
        )?;
    }
    if !circuits.is_empty() {
        key(paint, out)?;
    }
    Ok(())
}

/// Writes one row with the worst state of all the circuits.
pub(super) fn states(
    name: &str,
    circuits: &[&Circuit],
    series: &Series,
    paint: Paint,
    out: &mut String,
) -> std::fmt::Result {
    let state = |bucket: Bucket<'_>| {
        let end = bucket.from + bucket.width;
        let worst = circuits.iter().map(|it| worst_state(it, bucket.from, end));
        worst.max().unwrap_or_default()
    };
    let states: Vec<_> = series.iter().map(state).collect();
    let mut cells = String::new();
    for same in states.chunk_by(|a, b| a == b) {
        let text: String = same.iter().map(|state| glyph(*state)).collect();
        cells += &paint.state(same[0], &text);
    }
    let name = shortened(name, NAME - 1);
    writeln!(out, "{name:<NAME$}{cells}")
}

/// Writes the key of the states' glyphs.
pub(super) fn key(paint: Paint, out: &mut String) -> std::fmt::Result {
    let key = [
        State::Closed,
        State::Recovering,
        State::HalfOpen,
        State::Open,
    ];
    let key = key.map(|it| format!("{} {}", paint.state(it, &glyph(it).to_string()), it.name()));
    writeln!(out, "{:<NAME$}{}", "", key.join("  "))
}

fn glyph(state: State) -> char {
    match state {
        State::Closed => '─',
        State::Recovering => '░',
        State::HalfOpen => '▒',
        State::Open => '█',
    }
}
