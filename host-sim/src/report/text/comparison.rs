//! The comparison for a terminal: a table, and a short chart for each policy.
//!
//! The charts have the same axis of time and the same heights, so that a bar under one
//! policy can be held against the bar under another.

use std::fmt::Write as _;

use super::chart::{
    axis, bars_below, ended, faults, highest, key, p99, rate, series, states, time,
};
use super::{Hue, Paint, title};
use crate::record::{Outcome, Series};
use crate::report::comparison::{Compared, Comparison};
use crate::report::simulated;

/// The least width of a column: more than most values have.
const COLUMN: usize = 10;

/// Room between columns.
const GAP: usize = 2;

/// The whole comparison.
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
    let letters = |text: &String| text.chars().count();
    let names = measures.iter().map(|it| letters(&it.name)).max();
    let names = names.unwrap_or(0);
    let titles: Vec<_> = comparison.runs.iter().map(|it| it.title.clone()).collect();
    let width = |(place, title): (usize, &String)| {
        let values = measures.iter().filter_map(|it| it.values.get(place));
        let widest = values.map(letters).max().unwrap_or(0);
        GAP + widest.max(letters(title)).max(COLUMN)
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

/// What clients could use, whoever made it.
fn succeeded(series: &Series) -> Vec<f64> {
    let good = Outcome::ALL.into_iter().filter(|it| it.is_good());
    let rows: Vec<_> = good.map(|outcome| ended(series, outcome)).collect();
    let sum = |place| rows.iter().filter_map(|row| row.get(place)).sum();
    (0..series.iter().len()).map(sum).collect()
}

/// The highest value of all runs. Not zero, by which bars would be divided.
fn top(all: &[Series], values: fn(&Series) -> Vec<f64>) -> f64 {
    let highest = all.iter().map(|series| highest(&values(series)));
    highest.fold(f64::MIN_POSITIVE, f64::max)
}

/// One row for all circuits of a policy, which may be thousands.
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
