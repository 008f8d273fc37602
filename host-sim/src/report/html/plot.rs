//! Plots as SVG: stacked columns, lines, bands, all over the same axis of time.

mod figure;
mod scale;

use maud::{Markup, html};

use crate::record::{Outcome, State, Tally};
use crate::scenario::play::Run;
use crate::sim::clock::Time;
use crate::sim::span::Span;

pub use figure::{Figure, Key};

use scale::Scale;

/// Width of a plot in its own units; the page scales it.
pub const WIDTH: f64 = 960.0;

/// Room for the labels of the values, and at the right end.
const LEFT: f64 = 64.0;
const RIGHT: f64 = 12.0;

/// Room below for the labels of the times.
const BELOW: f64 = 22.0;
const ABOVE: f64 = 8.0;

/// So many columns can be told apart.
const BUCKETS_MAX: usize = 240;
const BUCKETS_MIN: usize = 20;

/// With fewer calls in a bucket, a plot of their rate shows chance and little else.
const CALLS_IN_BUCKET: usize = 15;

/// The axis of time that all plots share.
pub struct Frame {
    /// The buckets of the run, without those after the traffic's end.
    pub buckets: Vec<(Time, Tally)>,
    pub width: Span,
    end_ns: f64,
}

/// One kind of value over time.
pub struct Line {
    pub name: String,
    /// The class that gives it its colour.
    pub class: &'static str,
    /// A value for each bucket; none where there is nothing to show.
    pub values: Vec<Option<f64>>,
}

/// How values are shown in words.
pub type Unit = fn(f64) -> String;

/// The least and the greatest of values above zero.
pub type Reach = (f64, f64);

/// How an axis of values is divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ticks {
    /// From zero, evenly.
    Even,
    /// The same, in whole numbers.
    Whole,
    /// By powers of ten, for values such as latencies.
    Decades,
}

/// What a plot is about.
pub struct Plot<'a> {
    pub id: String,
    pub title: &'a str,
    /// A sentence for those who do not see it.
    pub description: String,
    pub unit: Unit,
    pub height: f64,
    pub ticks: Ticks,
    /// What its axis has to hold; the reach of its own values if none. Plots that are compared
    /// have the same.
    pub room: Option<Reach>,
    pub lines: Vec<Line>,
}

impl Frame {
    /// The axis for a run, fine enough for `calls`: its own, or those of the run with the fewest
    /// of those that stand beside it.
    pub fn new(run: &Run, calls: u64) -> Frame {
        let end = Time::ZERO + run.duration;
        let buckets_max = (calls as usize / CALLS_IN_BUCKET).clamp(BUCKETS_MIN, BUCKETS_MAX);
        let series = run.record.series.until(end).coarser(buckets_max);
        let buckets = series.iter();
        Frame {
            width: series.width(),
            end_ns: run.duration.as_ns().max(1) as f64,
            buckets: buckets
                .map(|bucket| (bucket.from, bucket.tally.clone()))
                .collect(),
        }
    }

    /// A value for each bucket, per second.
    pub fn rate(&self, count: impl Fn(&Tally) -> u64) -> Vec<Option<f64>> {
        let seconds = self.width.as_seconds();
        self.each(|tally| Some(count(tally) as f64 / seconds))
    }

    /// A value for each bucket.
    pub fn each(&self, value: impl Fn(&Tally) -> Option<f64>) -> Vec<Option<f64>> {
        self.buckets.iter().map(|(_, tally)| value(tally)).collect()
    }

    fn x(&self, at: Time) -> f64 {
        let share = (at.as_ns() as f64 / self.end_ns).min(1.0);
        LEFT + share * (WIDTH - LEFT - RIGHT)
    }

    /// Marks of the axis: at most ten, at times that people would choose.
    fn ticks(&self) -> Vec<Time> {
        const STEPS_S: [u64; 15] = [
            1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 14_400,
        ];
        let end_s = (self.end_ns / 1e9).floor() as u64;
        let step = STEPS_S
            .iter()
            .find(|step| end_s / **step <= 10)
            .unwrap_or(&28_800);
        (0..=end_s)
            .step_by(*step as usize)
            .map(|s| Time::from_ms(s * 1000))
            .collect()
    }

    fn time_axis(&self, height: f64) -> Markup {
        html! {
            @for tick in self.ticks() {
                @let x = self.x(tick);
                line.grid x1=(x) x2=(x) y1=(ABOVE) y2=(height - BELOW) {}
                text.label x=(x) y=(height - 6.0) text-anchor="middle" { (clock(tick)) }
            }
        }
    }
}

impl Plot<'_> {
    /// The reach of its lines.
    pub fn reach(&self) -> Option<Reach> {
        let values = self.lines.iter().flat_map(|line| line.values.iter());
        reach(values.flatten().copied())
    }

    /// The same of its columns, each of which is all lines on each other.
    pub fn reach_stacked(&self) -> Option<Reach> {
        let columns = self.lines.iter().map(|line| line.values.len()).max();
        reach((0..columns.unwrap_or(0)).map(|place| self.sum(place)))
    }

    fn sum(&self, place: usize) -> f64 {
        self.lines.iter().map(|line| line.at(place)).sum()
    }
}

impl Line {
    fn at(&self, place: usize) -> f64 {
        self.values.get(place).copied().flatten().unwrap_or(0.0)
    }
}

fn reach(values: impl Iterator<Item = f64>) -> Option<Reach> {
    let positive = values.filter(|value| *value > 0.0);
    positive.fold(None, |reach, value| {
        let (low, high) = reach.unwrap_or((value, value));
        Some((value.min(low), value.max(high)))
    })
}

/// A time on the axis: `12s`, `1:30`, `1:00:00`.
pub fn clock(at: Time) -> String {
    let seconds = at.as_ns() / 1_000_000_000;
    match (seconds / 3_600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds}s"),
        (0, minutes, seconds) => format!("{minutes}:{seconds:02}"),
        (hours, minutes, seconds) => format!("{hours}:{minutes:02}:{seconds:02}"),
    }
}

/// A plot of lines.
pub fn lines(frame: &Frame, plot: &Plot<'_>) -> Figure {
    let scale = Scale::new(plot, plot.reach());
    let half = Span::from_ns(frame.width.as_ns() / 2);
    let points = |line: &Line| {
        let mut path = String::new();
        let mut pen = 'M';
        for ((from, _), value) in frame.buckets.iter().zip(&line.values) {
            let Some(value) = value else {
                // A gap, not a line to nowhere.
                pen = 'M';
                continue;
            };
            path += &format!("{pen}{:.1} {:.1}", frame.x(*from + half), scale.y(*value));
            pen = 'L';
        }
        path
    };
    figure(
        frame,
        plot,
        scale.axis(plot.unit),
        html! {
            @for line in &plot.lines {
                path.line.(line.class) d=(points(line)) {}
            }
        },
    )
}

/// A plot of columns that stand on each other.
pub fn stacked(frame: &Frame, plot: &Plot<'_>) -> Figure {
    let scale = Scale::new(plot, plot.reach_stacked());
    let mut columns = Vec::new();
    for (place, (from, _)) in frame.buckets.iter().enumerate() {
        let (left, right) = (frame.x(*from), frame.x(*from + frame.width));
        // A hair of air between columns, where they are wide enough to spare it.
        let gap = if right - left > 4.0 { 1.0 } else { 0.0 };
        let mut below = 0.0;
        for line in &plot.lines {
            let value = line.at(place);
            if value > 0.0 {
                let (top, bottom) = (scale.y(below + value), scale.y(below));
                columns.push((line.class, left, top, right - left - gap, bottom - top));
                below += value;
            }
        }
    }
    figure(
        frame,
        plot,
        scale.axis(plot.unit),
        html! {
            @for (class, x, y, width, height) in &columns {
                rect.column.(class) x=(short(*x)) y=(short(*y)) width=(short(*width))
                    height=(short(*height)) {}
            }
        },
    )
}

/// One row of a plot of bands.
pub struct Row {
    pub name: String,
    /// Begin, end, class and words of each band.
    pub bands: Vec<(Time, Time, &'static str, String)>,
}

/// Height of a row of bands.
const ROW: f64 = 26.0;

/// A plot of bands: what held when.
pub fn bands(frame: &Frame, id: &str, title: &str, description: String, rows: &[Row]) -> Figure {
    const NAMES: f64 = 16.0;
    let height = ABOVE + rows.len() as f64 * (ROW + NAMES) + BELOW;
    let marks = html! {
        (frame.time_axis(height))
        @for (place, row) in rows.iter().enumerate() {
            @let y = ABOVE + place as f64 * (ROW + NAMES);
            text.name x=(LEFT) y=(short(y + NAMES - 4.0)) { (row.name) }
            @for (from, to, class, words) in &row.bands {
                @let (left, right) = (frame.x(*from), frame.x(*to));
                rect.band.(class) x=(short(left)) y=(short(y + NAMES))
                    height=(short(ROW - 6.0)) width=(short((right - left).max(1.0))) {
                    title { (words) }
                }
            }
        }
    };
    Figure {
        id: id.into(),
        title: title.into(),
        description,
        height,
        marks,
        legend: Vec::new(),
        note: None,
    }
}

fn figure(frame: &Frame, plot: &Plot<'_>, axis: Markup, marks: Markup) -> Figure {
    let key = |line: &Line| Key {
        name: line.name.clone(),
        class: line.class,
        values: Some(data(line, plot.unit)),
    };
    Figure {
        id: plot.id.clone(),
        title: plot.title.into(),
        description: plot.description.clone(),
        height: plot.height,
        marks: html! { (axis) (frame.time_axis(plot.height)) (marks) },
        legend: plot.lines.iter().map(key).collect(),
        note: None,
    }
}

/// The words for each bucket, for the cursor.
fn data(line: &Line, unit: Unit) -> String {
    let words = line
        .values
        .iter()
        .map(|value| value.map_or(String::new(), unit));
    words.collect::<Vec<_>>().join("|")
}

/// A coordinate with a tenth of a unit, which is less than a pixel.
fn short(number: f64) -> String {
    format!("{number:.1}")
}

/// The class that gives an outcome its colour.
pub fn outcome_class(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Success => "success",
        Outcome::Fallback => "fallback",
        Outcome::Rejected => "rejected",
        Outcome::Error => "error",
        Outcome::GaveUp => "gave-up",
        Outcome::Broken => "broken",
    }
}

/// The class that gives a state its colour.
pub fn state_class(state: State) -> &'static str {
    match state {
        State::Closed => "closed",
        State::Recovering => "recovering",
        State::HalfOpen => "half-open",
        State::Open => "open",
    }
}

/// What the script has to know of the axis.
pub fn axis_data(frame: &Frame) -> String {
    let ends = (
        frame.width.as_ns() as f64 / frame.end_ns,
        frame.buckets.len(),
    );
    format!("{LEFT},{},{WIDTH},{},{}", WIDTH - RIGHT, ends.0, ends.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_shown_as_clocks_show_them() {
        let rows = [(5, "5s"), (90, "1:30"), (3_661, "1:01:01")];
        for (seconds, expected) in rows {
            assert_eq!(clock(Time::from_ms(seconds * 1000)), expected);
        }
    }
}
