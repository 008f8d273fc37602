//! A replay as a page: what was read and assumed, recorded beside replayed, and the settings.

use maud::{Markup, html};

use super::{comparison, document, plot, sections};
use crate::report::grouped;
use crate::report::replay::Replay;
use crate::report::tuning::{RULE, Tuning};

/// Returns the page of a replay.
pub fn page(replay: &Replay) -> String {
    let body = html! {
        (comparison::head(&replay.comparison))
        ul.meta { @for line in replay.source() { li { (line) } } }
        (effects(replay))
        (transitions(replay))
        @if let Some(tuning) = &replay.tuning { (settings(tuning)) }
        section {
            h2 { "Assumed" }
            ul { @for line in replay.assumptions() { li { (line) } } }
        }
        (comparison::body(&replay.comparison))
    };
    document(&replay.comparison.name, &body)
}

fn effects(replay: &Replay) -> Markup {
    html! {
        table.measures {
            thead {
                tr {
                    th { "recorded as" }
                    @for name in ["requests", "passed", "rejected", "answered in place"] {
                        th.number scope="col" { (name) }
                    }
                }
            }
            tbody {
                @for row in replay.rows() {
                    tr {
                        th scope="row" { (row.name) }
                        @for number in [row.total, row.passed, row.rejected, row.answered] {
                            td.number { (grouped(number)) }
                        }
                    }
                }
            }
        }
    }
}

fn transitions(replay: &Replay) -> Markup {
    html! {
        @if let Some(run) = replay.run() {
            details open {
                summary { "Transitions by the log's clock" }
                (sections::transition_table(&run.record.circuits, |at| replay.clock(at)))
            }
        }
    }
}

fn settings(tuning: &Tuning) -> Markup {
    let points = tuning.cells.iter().enumerate().map(|(at, cell)| {
        let settings = &cell.settings;
        plot::Point {
            x: cell.kept_away as f64,
            y: cell.let_through as f64,
            class: match (at == tuning.best(), at == 0, tuning.is_on_front(cell)) {
                (true, ..) => "success",
                (_, true, _) => "rejected",
                (.., true) => "fallback",
                _ => "broken",
            },
            text: format!(
                "{} %, minimum {}, open {}, window {}: {} kept away, {} let through",
                settings.failure_rate_threshold,
                settings.minimum_requests,
                settings.open,
                settings.window,
                grouped(cell.kept_away),
                grouped(cell.let_through)
            ),
        }
    });
    let heads = [
        "threshold",
        "minimum",
        "open",
        "window",
        "good kept away",
        "errors let through",
        "opened",
    ];
    html! {
        section {
            h2 { "Settings of " (tuning.policy) }
            (plot::scatter(&points.collect::<Vec<_>>()))
            p.meta { "Best: " (RULE) "." }
            table {
                thead { tr { @for name in heads { th.number { (name) } } th {} } }
                tbody {
                    @for (at, cell) in tuning.cells.iter().enumerate() {
                        tr {
                            td.number { (cell.settings.failure_rate_threshold) " %" }
                            td.number { (cell.settings.minimum_requests) }
                            td.number { (cell.settings.open) }
                            td.number { (cell.settings.window) }
                            td.number { (grouped(cell.kept_away)) }
                            td.number { (grouped(cell.let_through)) }
                            td.number { (grouped(cell.opened)) }
                            td { (tuning.marks(at)) }
                        }
                    }
                }
            }
        }
    }
}
