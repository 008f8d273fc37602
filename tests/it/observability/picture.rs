//! The dashboard as a page: each panel at its place on the grid, drawn from the series of its
//! queries.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::chart::{self, Colour};
use super::dashboard::{Named, Panel, Place};

/// Size of a cell of the grid, in pixels. Grafana's rows are 30 high, with a gap of 8.
const CELL: (u64, u64) = (60, 38);

const STYLE: &str = "
body { margin: 10px; position: relative; background: #f4f5f5; color: #24292e;
  font: 12px sans-serif }
section { position: absolute; box-sizing: border-box; background: #fff; border: 1px solid #ddd;
  padding: 6px; overflow: hidden }
section.row { background: none; border: 0; padding: 12px 0 0; font-weight: bold; font-size: 15px }
h3 { margin: 0 0 2px; font-size: 13px; font-weight: 600 }
ul { margin: 0; padding: 0; list-style: none }
li { display: inline-block; margin-right: 10px }
li::before { content: ''; display: inline-block; width: 10px; height: 4px; margin-right: 4px;
  vertical-align: middle; background: var(--colour) }
.big { font-size: 34px; text-align: center; padding: 22px 0; color: #fff }
td, th { text-align: left; padding: 2px 12px 2px 0 }
";

/// The page of panels with their series, between two points in time.
pub(super) fn page(panels: &[(Panel, Vec<Named>)], span: (f64, f64)) -> String {
    let bottom = panels
        .iter()
        .map(|(panel, _)| panel.place.y + panel.place.h);
    let height = bottom.max().unwrap_or_default() * CELL.1;
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                title { "Spillway" }
                style { (PreEscaped(STYLE)) }
            }
            body style=(format!("height: {height}px")) {
                @for (panel, series) in panels { (section(panel, series, span)) }
            }
        }
    };
    page.into_string()
}

fn section(panel: &Panel, series: &[Named], span: (f64, f64)) -> Markup {
    let Place { x, y, w, h } = panel.place;
    let (left, top) = (x * CELL.0, y * CELL.1);
    let (width, height) = (w * CELL.0 - 6, h * CELL.1 - 6);
    let style = format!("left: {left}px; top: {top}px; width: {width}px; height: {height}px");
    html! {
        section class=(panel.kind) style=(style) {
            @if panel.kind == "row" { (panel.title) } @else {
                @if !panel.title.is_empty() { h3 { (panel.title) } }
                (content(panel, series, span, (width, height)))
            }
        }
    }
}

fn content(panel: &Panel, series: &[Named], span: (f64, f64), size: (u64, u64)) -> Markup {
    match panel.kind.as_str() {
        "text" => html! { p { (panel.text) } },
        "stat" => stat(panel, series),
        "table" => table(series),
        kind => {
            // Room for the title, the legend and the padding.
            let size = (size.0 as u32 - 14, size.1 as u32 - 62);
            let drawn = match kind {
                "state-timeline" => chart::timeline(panel, series, span, size),
                _ => chart::lines(panel, series, span, size),
            };
            html! { (PreEscaped(drawn)) (legend(panel, series)) }
        }
    }
}

/// The highest value on a background that the thresholds choose. Grafana shows the last one, which
/// would say nothing here: the outage is over.
fn stat(panel: &Panel, series: &[Named]) -> Markup {
    let values = series.iter().flat_map(|series| &series.points);
    let highest = values.map(|(_, value)| *value).fold(0.0, f64::max);
    let colour = chart::of_thresholds(&panel.defaults, highest);
    let text = chart::with_unit(&panel.defaults, highest);
    html! {
        div.big style=(format!("background: {}", colour.css())) { (text) }
        "highest in this time"
    }
}

fn table(series: &[Named]) -> Markup {
    html! {
        table {
            @for series in series {
                tr {
                    @for (label, value) in series.labels.as_object().into_iter().flatten() {
                        td { (label) " " b { (value.as_str().unwrap_or_default()) } }
                    }
                    td { (series.points.last().map_or(0.0, |(_, value)| *value)) }
                }
            }
        }
    }
}

fn legend(panel: &Panel, series: &[Named]) -> Markup {
    let entries: Vec<(String, Colour)> = match panel.kind.as_str() {
        "state-timeline" => chart::states(&panel.defaults),
        _ => chart::colours(panel, series)
            .into_iter()
            .zip(series)
            .map(|(colour, series)| (series.name.clone(), colour))
            .collect(),
    };
    html! {
        ul {
            @for (name, colour) in entries {
                li style=(format!("--colour: {}", colour.css())) { (name) }
            }
        }
    }
}
