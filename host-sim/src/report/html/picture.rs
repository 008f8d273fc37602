//! The picture of a run: its main plots as one SVG file, for a README or a slide.
//!
//! The plots are those of the page, so picture and report cannot differ. A picture has no script
//! and no cursor, and supports light and dark mode.

use maud::{PreEscaped, html};

use super::PLOT_STYLE;
use super::plot::{self, Figure, Frame, WIDTH};
use super::sections;
use crate::scenario::play::Run;

/// Space around the plots and between them.
const MARGIN: f64 = 16.0;

/// Rules for everything around the plots.
const STYLE: &str = "\
svg { font: 13px/1.5 system-ui, sans-serif; }
.sheet { fill: var(--card); stroke: var(--line); }
.title { font-weight: 600; fill: var(--ink); }
.key { fill: var(--ink); }
";

/// Draws the states of the circuits, the outcomes and the requests at upstreams.
pub fn picture(run: &Run) -> String {
    let frame = Frame::new(run, run.record.total.calls);
    let figures: Vec<Figure> = sections::faults_and_circuits(run, &frame, "states")
        .into_iter()
        .chain([
            plot::stacked(&frame, &sections::outcomes(run, &frame)),
            plot::lines(&frame, &sections::upstreams(run, &frame)),
        ])
        .collect();
    let (width, mut height) = (WIDTH + MARGIN, MARGIN);
    let mut parts = Vec::new();
    for figure in &figures {
        parts.push(figure.in_picture(height));
        height += figure.height_in_picture() + MARGIN;
    }
    let said: Vec<&str> = figures.iter().map(|it| it.description.as_str()).collect();
    let drawing = html! {
        svg xmlns="http://www.w3.org/2000/svg" role="img" aria-labelledby="title desc"
            viewBox={"0 0 " (width) " " (height)} {
            title id="title" { (run.name) }
            desc id="desc" { (run.description) " " (said.join(" ")) }
            style { (PreEscaped(PLOT_STYLE)) (PreEscaped(STYLE)) }
            rect.sheet x="0.5" y="0.5" width=(width - 1.0) height=(height - 1.0) rx="8" {}
            @for part in parts { (part) }
        }
    };
    format!("{}\n", drawing.into_string())
}
