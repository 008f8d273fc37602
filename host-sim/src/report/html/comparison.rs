//! The comparison as a page: a table of measures, followed by the plots of each policy.
//!
//! Plots of one kind have the same axes for all policies, so they can be compared, and the cursor
//! reads all of them at the same time.

use maud::{Markup, html};

use super::plot::{self, Frame, Plot, Reach};
use super::{document, sections, title};
use crate::report::comparison::{Compared, Comparison};
use crate::report::simulated;

/// Low enough to see the plots of two policies at once.
const HEIGHT: f64 = 150.0;

/// The plots of one policy.
struct Drawn<'a> {
    compared: &'a Compared,
    frame: Frame,
    outcomes: Plot<'static>,
    latency: Plot<'static>,
}

/// Returns the page of a comparison.
pub fn page(comparison: &Comparison) -> String {
    let body = html! {
        (head(comparison))
        (body(comparison))
    };
    document(&comparison.name, &body)
}

/// Returns the table and the plots.
pub(super) fn body(comparison: &Comparison) -> Markup {
    let all = drawn(comparison);
    html! {
        (table(comparison))
        @if let Some(first) = all.first() { (sections::axis(&first.frame)) }
        @for (number, it) in (1..).zip(&all) { (policy(number, it)) }
    }
}

/// Returns the title and what was simulated.
pub(super) fn head(comparison: &Comparison) -> Markup {
    let Comparison {
        duration,
        workers,
        seed,
        ..
    } = *comparison;
    html! {
        header {
            (title(&comparison.name, &comparison.description))
            p.meta { (simulated(duration, workers, seed).join(" · ")) }
        }
    }
}

fn table(comparison: &Comparison) -> Markup {
    html! {
        table.measures {
            thead {
                tr {
                    th {}
                    @for (number, it) in (1..).zip(&comparison.runs) {
                        th.number scope="col" { a href={"#policy-" (number)} { (it.title) } }
                    }
                }
            }
            tbody {
                @for measure in comparison.measures() {
                    tr {
                        th scope="row" { (measure.name) }
                        @for value in &measure.values { td.number { (value) } }
                    }
                }
            }
        }
    }
}

fn policy(number: usize, it: &Drawn<'_>) -> Markup {
    let run = &it.compared.run;
    html! {
        section.policy id={"policy-" (number)} {
            h2 { (it.compared.title) }
            (plot::stacked(&it.frame, &it.outcomes))
            (plot::lines(&it.frame, &it.latency))
            @if let Some(states) =
                sections::faults_and_circuits(run, &it.frame, &format!("states-{number}")) {
                (states)
            }
            (sections::transitions(run))
            (sections::reasons(run))
            (sections::numbers(run, &it.frame))
        }
    }
}

/// Returns the plots of all runs. Plots of the same kind share their axes.
fn drawn(comparison: &Comparison) -> Vec<Drawn<'_>> {
    let calls = comparison.calls_min();
    let mut all: Vec<_> = (1..)
        .zip(&comparison.runs)
        .map(|(number, it)| draw(number, it, calls))
        .collect();
    let outcomes = widest(all.iter().map(|it| it.outcomes.reach_stacked()));
    let latency = widest(all.iter().map(|it| it.latency.reach()));
    for it in &mut all {
        it.outcomes.room = outcomes;
        it.latency.room = latency;
    }
    all
}

/// Returns the plots of one run, with a resolution that suits `calls`.
fn draw(number: usize, compared: &Compared, calls: u64) -> Drawn<'_> {
    let frame = Frame::new(&compared.run, calls);
    let outcomes = sections::outcomes(&compared.run, &frame);
    let latency = sections::latency(&compared.run, &frame);
    Drawn {
        compared,
        frame,
        outcomes: Plot {
            id: format!("outcomes-{number}"),
            height: HEIGHT,
            ..outcomes
        },
        latency: Plot {
            id: format!("latency-{number}"),
            height: HEIGHT,
            ..latency
        },
    }
}

/// Returns the range that covers all of them.
fn widest(reaches: impl Iterator<Item = Option<Reach>>) -> Option<Reach> {
    let wider = |a: Reach, b: Reach| (a.0.min(b.0), a.1.max(b.1));
    reaches.flatten().reduce(wider)
}
