//! A replay for a terminal.

use std::fmt::Write as _;

use crate::report::grouped;
use crate::report::replay::Replay;
use crate::report::text::paint::Paint;
use crate::report::text::{comparison, scatter};
use crate::report::tuning::{RULE, Tuning};

/// Number of transitions listed.
const TRANSITIONS_SHOWN: usize = 40;

/// Returns the report.
pub fn report(replay: &Replay, paint: Paint) -> String {
    let mut out = comparison::report(&replay.comparison, paint);
    // Writing to a string cannot fail.
    let _ = write(replay, paint, &mut out);
    out
}

fn write(replay: &Replay, paint: Paint, out: &mut String) -> std::fmt::Result {
    writeln!(
        out,
        "\n{}",
        paint.bold(&format!(
            "{:<12}{:>10}{:>12}{:>10}{:>20}",
            "recorded as", "requests", "passed", "rejected", "answered in place"
        ))
    )?;
    for row in replay.rows() {
        writeln!(
            out,
            "{:<12}{:>10}{:>12}{:>10}{:>20}",
            row.name,
            grouped(row.total),
            grouped(row.passed),
            grouped(row.rejected),
            grouped(row.answered)
        )?;
    }
    transitions(replay, paint, out)?;
    if let Some(tuning) = &replay.tuning {
        table(tuning, paint, out)?;
    }
    writeln!(out, "\n{}", paint.bold("read"))?;
    for line in replay.source() {
        writeln!(out, "  {line}")?;
    }
    writeln!(out, "\n{}", paint.bold("assumed"))?;
    for line in replay.assumptions() {
        writeln!(out, "  {line}")?;
    }
    Ok(())
}

fn transitions(replay: &Replay, paint: Paint, out: &mut String) -> std::fmt::Result {
    let Some(record) = replay.run().map(|run| &run.record) else {
        return Ok(());
    };
    let circuits = &record.circuits;
    if circuits.transitions.is_empty() {
        return writeln!(out, "\nno circuit changed its state");
    }
    let time = |at| format!("  {}", replay.clock(at));
    super::transitions(circuits, TRANSITIONS_SHOWN, time, paint, out)
}

fn table(tuning: &Tuning, paint: Paint, out: &mut String) -> std::fmt::Result {
    let heads = format!(
        "{:>9}{:>9}{:>9}{:>9}{:>16}{:>20}{:>9}",
        "threshold", "minimum", "open", "window", "good kept away", "errors let through", "opened"
    );
    let title = format!("settings of {}", tuning.policy);
    writeln!(out, "\n{}\n{}", paint.bold(&title), paint.bold(&heads))?;
    for (at, cell) in tuning.cells.iter().enumerate() {
        let settings = &cell.settings;
        let line = format!(
            "{:>7} %{:>9}{:>9}{:>9}{:>16}{:>20}{:>9}  {}",
            settings.failure_rate_threshold,
            settings.minimum_requests,
            settings.open.to_string(),
            settings.window,
            grouped(cell.kept_away),
            grouped(cell.let_through),
            grouped(cell.opened),
            tuning.marks(at)
        );
        writeln!(out, "{}", line.trim_end())?;
    }
    writeln!(out, "best: {RULE}")?;
    scatter::write(tuning, paint, out)
}
