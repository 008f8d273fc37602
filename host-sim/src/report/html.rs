//! The report as a page: one file that needs no network, for light and dark mode.
//!
//! Plots are SVG drawn here, so the page shows everything without a script. The script only adds a
//! cursor that reads all plots at the same time, and takes its numbers from the page. Each plot has
//! a title and a description for readers who cannot see it, and a table contains the numbers.

mod comparison;
mod picture;
mod plot;
mod replay;
mod sections;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::report::html::plot::Frame;
use crate::report::simulated;
use crate::scenario::play::Run;

pub use comparison::page as comparison;
pub use picture::picture;
pub use replay::page as replay;

/// Colours, and rules for plots.
const PLOT_STYLE: &str = include_str!("html/plot.css");
/// Rules for everything else on a page.
const STYLE: &str = include_str!("html/style.css");
const SCRIPT: &str = include_str!("html/script.js");

/// Returns the page of a run.
pub fn page(run: &Run) -> String {
    let frame = Frame::new(run, run.record.total.calls);
    let body = html! {
        (head(run))
        (sections::tiles(run))
        (sections::expectations(run))
        (sections::axis(&frame))
        section id="plots" {
            @if let Some(states) = sections::faults_and_circuits(run, &frame, "states") { (states) }
            (plot::stacked(&frame, &sections::outcomes(run, &frame)))
            (plot::lines(&frame, &sections::latency(run, &frame)))
            (plot::lines(&frame, &sections::upstreams(run, &frame)))
            (plot::lines(&frame, &sections::load(run, &frame)))
            (sections::retries(run, &frame))
        }
        (sections::transitions(run))
        (sections::reasons(run))
        (sections::numbers(run, &frame))
    };
    document(&run.name, &body)
}

/// Returns a page with this body.
fn document(name: &str, body: &Markup) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                // Without an icon, browsers request /favicon.ico.
                link rel="icon" href="data:,";
                title { (name) " · host-sim" }
                style { (PreEscaped(PLOT_STYLE)) (PreEscaped(STYLE)) }
            }
            body {
                main { (body) }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    page.into_string()
}

fn head(run: &Run) -> Markup {
    html! {
        header {
            (title(&run.name, &run.description))
            p.meta {
                (simulated(run.duration, run.workers, run.seed).join(" · "))
                " · digest " code { (run.digest()) }
            }
        }
    }
}

fn title(name: &str, description: &str) -> Markup {
    html! {
        h1 { (name) }
        @if !description.is_empty() { p.lead { (description) } }
    }
}
