//! The report as a page: one file, no network, legible in light and dark.
//!
//! Plots are SVG that is drawn here, so that the page shows everything without a
//! script. The script only adds a cursor that reads all plots at one time; it gets its
//! numbers from the page itself. Each plot has a title and a description for those who
//! do not see it, and the numbers stand in a table below.

mod plot;
mod sections;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::report::html::plot::Frame;
use crate::report::{grouped, percent};
use crate::scenario::play::Run;
use crate::sim::span::Span;

const STYLE: &str = include_str!("html/style.css");
const SCRIPT: &str = include_str!("html/script.js");

/// The page for a run.
pub fn page(run: &Run) -> String {
    let frame = Frame::new(run);
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                // Without one, browsers ask for /favicon.ico.
                link rel="icon" href="data:,";
                title { (run.name) " · host-sim" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                main {
                    (head(run))
                    (sections::tiles(run))
                    (sections::expectations(run))
                    section id="plots" {
                        (sections::faults_and_circuits(run, &frame))
                        (sections::outcomes(run, &frame))
                        (sections::latency(run, &frame))
                        (sections::upstreams(run, &frame))
                        (sections::retries(run, &frame))
                    }
                    (sections::transitions(run))
                    (sections::reasons(run))
                    (sections::numbers(run, &frame))
                }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    page.into_string()
}

fn head(run: &Run) -> Markup {
    let workers = if run.workers == 1 {
        "worker"
    } else {
        "workers"
    };
    html! {
        header {
            h1 { (run.name) }
            @if !run.description.is_empty() {
                p.lead { (run.description) }
            }
            p.meta {
                (run.duration) " simulated · " (run.workers) " " (workers) " · seed " (run.seed)
                " · digest " code { (run.digest()) }
            }
        }
    }
}

/// A latency for eyes, `-` if there is none.
fn latency(span: Option<Span>) -> String {
    span.map_or("-".into(), Span::rounded)
}

/// A number with its share of a whole.
fn share(part: u64, whole: u64) -> String {
    format!("{} ({})", grouped(part), percent(part, whole))
}
