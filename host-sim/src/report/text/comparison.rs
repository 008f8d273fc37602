//! The comparison for a terminal: a table, and a short chart for each policy.
//!
//! The charts have the same time axis and the same scale, so the bars of two policies can be
//! compared.

use std::fmt::Write as _;

use crate::record::{Outcome, Series};
use crate::report::comparison::{Compared, Comparison};
use crate::report::simulated;
use crate::report::text::chart::{
    axis, bars_below, ended, faults, highest, key, p99, rate, series, states, time,
};
use crate::report::text::paint::{Hue, Paint};
use crate::report::text::title;

/// Minimum width of a column, wider than most values.
const COLUMN_MIN: usize = 10;

/// Space between columns.
const GAP: usize = 2;

/// Returns the comparison.
pub fn report(comparison: &Comparison, paint: Paint) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = write(comparison, paint, &mut out);
    out
}

fn write(comparison: &Comparison, paint: Paint, out: &mut String) -> std::fmt::Result {
    title(&comparison.name, &comparison.description, paint, out)?;
    let Comparison {
        duration,
        workers,
        seed,
        ..
    } = *comparison;
    writeln!(out, "\n{}\n", simulated(duration, workers, seed).join(", "))?;
    table(comparison, paint, out)?;
    charts(comparison, paint, out)
}

fn table(comparison: &Comparison, paint: Paint, out: &mut String) -> std::fmt::Result {
    let measures = comparison.measures();
    let width_of = |text: &String| text.chars().count();
    let names = measures.iter().map(|it| width_of(&it.name)).max();
    let names = names.unwrap_or(0);
    let titles: Vec<_> = comparison.runs.iter().map(|it| it.title.clone()).collect();
    let width = |(index, title): (usize, &String)| {
        let values = measures.iter().filter_map(|it| it.values.get(index));
        let widest = values.map(width_of).max().unwrap_or(0);
        GAP + widest.max(width_of(title)).max(COLUMN_MIN)
    };
    let widths: Vec<_> = titles.iter().enumerate().map(width).collect();
    let row = |name: &str, values: &[String]| {
        let cells = values.iter().zip(&widths);
        let cells = cells.map(|(value, width)| format!("{value:>width$}"));
        format!("{name:<names$}{}", cells.collect::<String>())
    };
    writeln!(out, "{}", paint.bold(&row("", &titles)))?;
    for measure in &measures {
        writeln!(out, "{}", row(&measure.name, &measure.values))?;
    }
    Ok(())
}

fn charts(comparison: &Comparison, paint: Paint, out: &mut String) -> std::fmt::Result {
    let all: Vec<_> = comparison.runs.iter().map(|it| series(&it.run)).collect();
    let Some((first, times)) = comparison.runs.first().zip(all.first()) else {
        return Ok(());
    };
    writeln!(out, "\n{}", paint.bold(&axis(times)))?;
    faults(&first.run, times, paint, out)?;
    let succeeded_top = top(&all, succeeded);
    let p99_top = top(&all, p99);
    for (compared, series) in comparison.runs.iter().zip(&all) {
        writeln!(out, "{}", paint.bold(&compared.title))?;
        let (succeeded, p99) = (succeeded(series), p99(series));
        bars_below(
            succeeded_top,
            "  succeeded",
            &succeeded,
            Hue::Good,
            &rate,
            paint,
            out,
        )?;
        bars_below(p99_top, "  p99", &p99, Hue::Faint, &time, paint, out)?;
        circuits(compared, series, paint, out)?;
    }
    let changed = |it: &Compared| !it.run.record.circuits.all.is_empty();
    match comparison.runs.iter().any(changed) {
        true => key(paint, out),
        false => Ok(()),
    }
}

/// Returns the usable responses per second, of upstreams and of the filter.
fn succeeded(series: &Series) -> Vec<f64> {
    let good = Outcome::ALL.into_iter().filter(|it| it.is_good());
    let rows: Vec<_> = good.map(|outcome| ended(series, outcome)).collect();
    let sum = |index| rows.iter().filter_map(|row| row.get(index)).sum();
    (0..series.iter().len()).map(sum).collect()
}

/// Returns the highest value of all runs. Never zero, since bars are divided by it.
fn top(all: &[Series], values: fn(&Series) -> Vec<f64>) -> f64 {
    let highest = all.iter().map(|series| highest(&values(series)));
    highest.fold(f64::MIN_POSITIVE, f64::max)
}

/// Writes one row for all circuits of a policy, since there may be thousands.
fn circuits(
    compared: &Compared,
    series: &Series,
    paint: Paint,
    out: &mut String,
) -> std::fmt::Result {
    let circuits: Vec<_> = compared.run.record.circuits.all.iter().collect();
    match circuits.is_empty() {
        true => Ok(()),
        false => states("  circuits", &circuits, series, paint, out),
    }
}
