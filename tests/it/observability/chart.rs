//! Charts of series in SVG, after the settings of a panel.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;

use plotters::prelude::*;
use serde_json::Value;

use super::dashboard::{Named, Panel};

/// A colour of the dashboard.
#[derive(Clone, Copy)]
pub(super) struct Colour(RGBColor);

/// Names of Grafana's colours.
const NAMED: [(&str, RGBColor); 7] = [
    ("green", RGBColor(86, 166, 75)),
    ("yellow", RGBColor(224, 180, 0)),
    ("red", RGBColor(224, 47, 68)),
    ("blue", RGBColor(50, 116, 217)),
    ("orange", RGBColor(255, 120, 10)),
    ("text", RGBColor(140, 140, 140)),
    ("transparent", RGBColor(255, 255, 255)),
];

/// Colours of series that have none of their own.
const PALETTE: [RGBColor; 8] = [
    RGBColor(50, 116, 217),
    RGBColor(255, 120, 10),
    RGBColor(86, 166, 75),
    RGBColor(163, 82, 204),
    RGBColor(224, 47, 68),
    RGBColor(224, 180, 0),
    RGBColor(0, 150, 160),
    RGBColor(120, 90, 60),
];

type Drawn = Result<(), Box<dyn Error>>;

/// Values by the number of their step.
type Steps = BTreeMap<usize, f64>;

impl Colour {
    pub(super) fn css(self) -> String {
        let RGBColor(red, green, blue) = self.0;
        format!("rgb({red}, {green}, {blue})")
    }

    fn named(name: &str) -> Self {
        let found = NAMED.iter().find(|(known, _)| *known == name);
        Self(found.unwrap_or_else(|| panic!("no colour {name}")).1)
    }
}

/// The colour of each series: that of an override by name, or the next of the palette.
pub(super) fn colours(panel: &Panel, series: &[Named]) -> Vec<Colour> {
    let overrides = panel.overrides.as_array().map_or(&[][..], Vec::as_slice);
    let own = |name: &str| {
        let found = overrides
            .iter()
            .find(|it| it["matcher"]["options"] == name)?;
        found["properties"][0]["value"]["fixedColor"].as_str()
    };
    let colour = |(at, series): (usize, &Named)| match own(&series.name) {
        Some(name) => Colour::named(name),
        None => Colour(PALETTE[at % PALETTE.len()]),
    };
    series.iter().enumerate().map(colour).collect()
}

/// The colour that the thresholds give to a value.
pub(super) fn of_thresholds(defaults: &Value, value: f64) -> Colour {
    let steps = defaults["thresholds"]["steps"].as_array().expect("steps");
    let reached = |step: &&Value| step["value"].as_f64().is_none_or(|from| value >= from);
    let step = steps.iter().rev().find(reached).expect("a first step");
    Colour::named(step["color"].as_str().expect("a colour"))
}

/// The texts and colours of a timeline's states.
pub(super) fn states(defaults: &Value) -> Vec<(String, Colour)> {
    let options = defaults["mappings"][0]["options"].as_object();
    let states = options.into_iter().flatten().map(|(_, state)| {
        let text = |name: &str| state[name].as_str().expect("a state's text and colour");
        (text("text").to_owned(), Colour::named(text("color")))
    });
    states.collect()
}

/// A value as the panel's unit shows it.
pub(super) fn with_unit(defaults: &Value, value: f64) -> String {
    match defaults["unit"].as_str() {
        Some("percentunit") => format!("{:.1}%", value * 100.0),
        Some("percent") => format!("{value:.0}%"),
        Some("reqps") => format!("{value:.1}/s"),
        _ if value.fract() == 0.0 => format!("{value}"),
        _ => format!("{value:.1}"),
    }
}

/// Draws a timeline: a bar for each series, in the colours of its states.
pub(super) fn timeline(
    panel: &Panel,
    series: &[Named],
    span: (f64, f64),
    size: (u32, u32),
) -> String {
    let states = states(&panel.defaults);
    drawn(size, |area| {
        let rows = series.len() as f64;
        let mut chart = ChartBuilder::on(area)
            .x_label_area_size(18)
            .y_label_area_size(170)
            .build_cartesian_2d(0.0..span.1 - span.0, 0.0..rows)?;
        let name = |at: &f64| {
            series
                .get(*at as usize)
                .map_or("", |it| &it.name)
                .to_owned()
        };
        chart
            .configure_mesh()
            .disable_mesh()
            .y_labels(series.len() + 1)
            .y_label_offset(-12)
            .y_label_formatter(&name)
            .x_label_formatter(&|at| format!("{at:.0}s"))
            .draw()?;
        for (row, series) in series.iter().enumerate() {
            for pair in series.points.windows(2) {
                let [(from, state), (to, _)] = [pair[0], pair[1]];
                let colour = states[state as usize].1.0;
                let corners = [
                    (from - span.0, row as f64 + 0.1),
                    (to - span.0, row as f64 + 0.9),
                ];
                chart.draw_series([Rectangle::new(corners, colour.filled())])?;
            }
        }
        Ok(())
    })
}

/// Draws lines, areas on top of each other, or bars.
pub(super) fn lines(panel: &Panel, series: &[Named], span: (f64, f64), size: (u32, u32)) -> String {
    let stacked = panel.defaults["custom"]["stacking"]["mode"] == "normal";
    let bars = panel.defaults["custom"]["drawStyle"] == "bars";
    let layers = layers(series, span, stacked);
    let colours = colours(panel, series);
    let values = layers.iter().flat_map(BTreeMap::values);
    let highest = values.fold(0.0, |high: f64, value| high.max(*value));
    let top = panel.defaults["max"].as_f64().unwrap_or(highest * 1.1);
    let at = |step: usize| step as f64 * step_of(span);
    drawn(size, |area| {
        let mut chart = ChartBuilder::on(area)
            .margin_top(8)
            .x_label_area_size(18)
            .y_label_area_size(46)
            .build_cartesian_2d(0.0..span.1 - span.0, 0.0..top)?;
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .y_labels(5)
            .x_label_formatter(&|at| format!("{at:.0}s"))
            .y_label_formatter(&|value| with_unit(&panel.defaults, *value))
            .draw()?;
        // The highest layer first, so that those below it cover it.
        for (layer, colour) in layers.iter().zip(&colours).rev() {
            for run in runs(layer) {
                let points = run.iter().map(|(step, value)| (at(*step), *value));
                if stacked || bars || run.len() == 1 {
                    let fill = colour.0.filled();
                    let bar = |(x, y): (f64, f64)| {
                        Rectangle::new([(x, 0.0), (x + step_of(span), y)], fill)
                    };
                    chart.draw_series(points.map(bar))?;
                } else {
                    chart.draw_series(LineSeries::new(points, colour.0.stroke_width(2)))?;
                }
            }
        }
        for threshold in thresholds(&panel.defaults) {
            let line = [(0.0, threshold), (span.1 - span.0, threshold)];
            chart.draw_series(LineSeries::new(line, RED.mix(0.5)))?;
        }
        Ok(())
    })
}

fn drawn(
    size: (u32, u32),
    draw: impl FnOnce(&DrawingArea<SVGBackend<'_>, plotters::coord::Shift>) -> Drawn,
) -> String {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        draw(&area).expect("a chart");
        area.present().expect("a chart");
    }
    svg
}

/// Seconds between two points, as the queries have them.
fn step_of(span: (f64, f64)) -> f64 {
    (span.1 - span.0) / f64::from(super::STEPS)
}

/// The values of each series at its steps; on top of those of the series before it if stacked.
fn layers(series: &[Named], span: (f64, f64), stacked: bool) -> Vec<Steps> {
    let step = |at: f64| ((at - span.0) / step_of(span)).round() as usize;
    let steps = |series: &Named| -> Steps {
        let points = series.points.iter();
        points.map(|(at, value)| (step(*at), *value)).collect()
    };
    let mut layers: Vec<Steps> = series.iter().map(steps).collect();
    if stacked {
        let all: BTreeSet<usize> = layers.iter().flat_map(BTreeMap::keys).copied().collect();
        for step in all {
            let mut sum = 0.0;
            for layer in &mut layers {
                sum += layer.get(&step).copied().unwrap_or_default();
                layer.insert(step, sum);
            }
        }
    }
    layers
}

/// The parts of a layer without a gap.
fn runs(layer: &Steps) -> Vec<Vec<(usize, f64)>> {
    let mut runs: Vec<Vec<(usize, f64)>> = Vec::new();
    for (&step, &value) in layer {
        match runs.last_mut() {
            Some(run) if run.last().is_some_and(|last| last.0 + 1 == step) => {
                run.push((step, value));
            }
            _ => runs.push(vec![(step, value)]),
        }
    }
    runs
}

/// The thresholds that the panel draws as lines.
fn thresholds(defaults: &Value) -> Vec<f64> {
    if defaults["custom"]["thresholdsStyle"]["mode"] != "line" {
        return Vec::new();
    }
    let steps = defaults["thresholds"]["steps"]
        .as_array()
        .into_iter()
        .flatten();
    steps.filter_map(|step| step["value"].as_f64()).collect()
}
