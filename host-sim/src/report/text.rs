//! The report of a run for a terminal.

mod chart;
mod comparison;
mod paint;
mod replay;
mod scatter;

use std::fmt::Write as _;

use crate::record::{Circuits, Outcome, Record, Tally};
use crate::report::{grouped, latency, percent, shortened, simulated};
use crate::scenario::expect::Verdict;
use crate::scenario::play::Run;
use crate::sim::clock::Time;

pub use comparison::report as comparison;
pub use paint::{Hue, Paint};
pub use replay::report as replay;

/// Number of transitions listed. The chart shows all of them.
const TRANSITIONS_SHOWN: usize = 12;

/// Number of reasons listed.
const REASONS_SHOWN: usize = 10;

/// Returns the report.
pub fn report(run: &Run, paint: Paint) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = write(run, paint, &mut out);
    out
}

fn write(run: &Run, paint: Paint, out: &mut String) -> std::fmt::Result {
    head(run, paint, out)?;
    clients(&run.record.total, paint, out)?;
    upstreams(&run.record, paint, out)?;
    chart::write(run, paint, out)?;
    if !run.record.circuits.transitions.is_empty() {
        let time = |at: Time| format!("{:>10}", at.to_string());
        transitions(&run.record.circuits, TRANSITIONS_SHOWN, time, paint, out)?;
    }
    reasons(&run.record, paint, out)?;
    notes(run, paint, out)?;
    if !run.verdicts.is_empty() {
        writeln!(out, "\n{}", paint.bold("expected"))?;
        for verdict in &run.verdicts {
            out.push_str(&self::verdict(verdict, paint));
        }
    }
    Ok(())
}

fn head(run: &Run, paint: Paint, out: &mut String) -> std::fmt::Result {
    title(&run.name, &run.description, paint, out)?;
    let simulated = simulated(run.duration, run.workers, run.seed).join(", ");
    writeln!(out, "\n{simulated}, digest {}\n", run.digest())
}

fn title(name: &str, description: &str, paint: Paint, out: &mut String) -> std::fmt::Result {
    write!(out, "{}", paint.bold(name))?;
    if !description.is_empty() {
        write!(out, "  {}", description.trim())?;
    }
    Ok(())
}

fn clients(total: &Tally, paint: Paint, out: &mut String) -> std::fmt::Result {
    let mut heads = format!("{:<14}{:>9}", "clients", "calls");
    let mut row = format!("{:<14}{:>9}", "", grouped(total.calls));
    let succeeded = percent(total.calls_succeeded, total.calls_ended);
    write!(heads, "{:>10}{:>10}", "succeeded", "requests")?;
    write!(row, "{succeeded:>10}{:>10}", grouped(total.requests))?;
    let ended = total.outcomes.iter().sum();
    for outcome in Outcome::ALL {
        write!(heads, "{:>10}", outcome.name())?;
        write!(row, "{:>10}", percent(total.outcome(outcome), ended))?;
    }
    writeln!(out, "{}\n{row}", paint.bold(&heads))?;
    let percentiles = [("p50", 50.0), ("p90", 90.0), ("p99", 99.0), ("p99.9", 99.9)];
    let shown =
        percentiles.map(|(name, percent)| format!("{name} {}", latency(total.percentile(percent))));
    let slowest = latency(total.latency_max());
    writeln!(
        out,
        "{:<14}  {}  slowest {slowest}\n",
        "latency",
        shown.join("  ")
    )
}

fn upstreams(record: &Record, paint: Paint, out: &mut String) -> std::fmt::Result {
    let heads = format!(
        "{:<14}{:>9}{:>10}{:>10}{:>10}{:>13}{:>11}{:>14}",
        "upstreams",
        "requests",
        "per call",
        "retries",
        "failures",
        "over limits",
        "most busy",
        "most waiting",
    );
    writeln!(out, "{}", paint.bold(&heads))?;
    let calls = record.total.calls.max(1);
    for (name, it) in record.names.clusters.iter().zip(&record.total.clusters) {
        let per_call = it.attempts as f64 / calls as f64;
        writeln!(
            out,
            "{:<14}{:>9}{per_call:>10.2}{:>10}{:>10}{:>13}{:>11}{:>14}",
            shortened(name, 14),
            grouped(it.attempts),
            grouped(it.retries),
            grouped(it.failures),
            grouped(it.overflows),
            it.serving_max,
            it.line_max,
        )?;
    }
    Ok(())
}

/// Lists the first transitions of circuits.
fn transitions(
    circuits: &Circuits,
    shown: usize,
    time: impl Fn(Time) -> String,
    paint: Paint,
    out: &mut String,
) -> std::fmt::Result {
    writeln!(out, "\n{}", paint.bold("circuits"))?;
    for (it, circuit) in circuits.changes().take(shown) {
        let (at, name, from, why) = (time(it.at), circuit.name(), it.from.name(), &it.why);
        let to = paint.state(it.to, it.to.name());
        writeln!(out, "{at}  {name}: {from} -> {to} ({why})")?;
    }
    match circuits.further(shown) {
        0 => Ok(()),
        more => {
            let width = time(Time::ZERO).len();
            writeln!(out, "{:width$}  and {} more transitions", "", grouped(more))
        }
    }
}

fn reasons(record: &Record, paint: Paint, out: &mut String) -> std::fmt::Result {
    let heads = format!(
        "\n{:>10}  {:>4}  {:<10}{}",
        "requests", "code", "flags", "details"
    );
    writeln!(out, "{}", paint.bold(&heads))?;
    let mut sorted: Vec<_> = record.reasons.all.iter().collect();
    sorted.sort_by_key(|reason| std::cmp::Reverse(reason.requests));
    for reason in sorted.iter().take(REASONS_SHOWN) {
        let code = reason.code.map_or("-".into(), |code| code.to_string());
        let details = if reason.details.is_empty() {
            "-"
        } else {
            &reason.details
        };
        let flags = reason.flags_text();
        writeln!(
            out,
            "{:>10}  {code:>4}  {flags:<10}{details}",
            grouped(reason.requests)
        )?;
    }
    let rest = sorted
        .iter()
        .skip(REASONS_SHOWN)
        .map(|reason| reason.requests);
    let rest = rest.sum::<u64>() + record.reasons.others;
    if rest > 0 {
        writeln!(out, "{:>10}  with other reasons", grouped(rest))?;
    }
    Ok(())
}

fn notes(run: &Run, paint: Paint, out: &mut String) -> std::fmt::Result {
    let record = &run.record;
    if run.unfinished > 0 {
        let note = format!(
            "{} requests had not ended at the end of the run",
            grouped(run.unfinished as u64)
        );
        writeln!(out, "\n{}", paint.hue(Hue::Bad, &note))?;
    }
    for (at, accepted) in &record.updates {
        match accepted {
            true => writeln!(out, "\n{at}: a new policy is active")?,
            false => {
                let note = format!("{at}: a new policy was rejected, the old one stays active");
                writeln!(out, "\n{}", paint.hue(Hue::Bad, &note))?;
            }
        }
    }
    if record.errors_total > 0 {
        let note = format!("the plugin logged {} errors", grouped(record.errors_total));
        writeln!(out, "\n{}", paint.hue(Hue::Bad, &note))?;
    }
    for line in &record.errors {
        writeln!(out, "{:>10}  {}", line.at.to_string(), line.text.trim_end())?;
    }
    Ok(())
}

/// Returns one line for an expectation that was met, and more for one that was not.
pub fn verdict(verdict: &Verdict, paint: Paint) -> String {
    if verdict.held {
        return format!("  {}  {}\n", paint.hue(Hue::Good, "held"), verdict.text);
    }
    let mut text = format!("  {}  {}\n", paint.hue(Hue::Bad, "FAILED"), verdict.text);
    let _ = writeln!(
        text,
        "    expected {}, seen {}",
        verdict.expected, verdict.seen
    );
    for line in &verdict.around {
        let _ = writeln!(text, "    {line}");
    }
    text
}
