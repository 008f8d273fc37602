//! Plots as SVG: stacked columns, lines and bands, all on the same time axis.

mod data;
mod figure;
mod scale;
mod scatter;
mod sheet;

use maud::{Markup, html};

use crate::record::{Outcome, State, Tally};
use crate::scenario::play::Run;
use crate::sim::clock::Time;
use crate::sim::span::Span;

pub(super) use data::{Line, Plot, Reach, Ticks, Unit};
pub(super) use figure::{Figure, Key};
pub(super) use scatter::{Point, scatter};
pub(super) use sheet::WIDTH;

use scale::Scale;
use sheet::{ABOVE, BELOW, LEFT, RIGHT, short};

/// Number of columns that a reader can tell apart.
const BUCKETS_MAX: usize = 240;
const BUCKETS_MIN: usize = 20;

/// Minimum number of calls per bucket. With fewer, a plot of their rate is mostly noise.
const CALLS_IN_BUCKET_MIN: usize = 15;

/// The time axis that all plots share.
pub(super) struct Frame {
    /// The buckets of the run until the end of the traffic.
    pub buckets: Vec<(Time, Tally)>,
    pub width: Span,
    end_ns: f64,
}

impl Frame {
    /// Creates the axis of a run, with a resolution that suits `calls`: those of the run, or the
    /// fewest of all runs that are compared.
    pub(super) fn new(run: &Run, calls: u64) -> Frame {
        let end = Time::ZERO + run.duration;
        let buckets_max = (calls as usize / CALLS_IN_BUCKET_MIN).clamp(BUCKETS_MIN, BUCKETS_MAX);
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

    /// Returns a rate per second for each bucket.
    pub(super) fn rate(&self, count: impl Fn(&Tally) -> u64) -> Vec<Option<f64>> {
        let seconds = self.width.as_seconds();
        self.each(|tally| Some(count(tally) as f64 / seconds))
    }

    /// Returns a value for each bucket.
    pub(super) fn each(&self, value: impl Fn(&Tally) -> Option<f64>) -> Vec<Option<f64>> {
        self.buckets.iter().map(|(_, tally)| value(tally)).collect()
    }

    fn x(&self, at: Time) -> f64 {
        let share = (at.as_ns() as f64 / self.end_ns).min(1.0);
        LEFT + share * (WIDTH - LEFT - RIGHT)
    }

    /// Returns the ticks of the axis: about ten, at round times.
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

/// Formats a time on the axis: `12s`, `1:30`, `1:00:00`.
pub(super) fn clock(at: Time) -> String {
    let seconds = at.as_ns() / 1_000_000_000;
    match (seconds / 3_600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds}s"),
        (0, minutes, seconds) => format!("{minutes}:{seconds:02}"),
        (hours, minutes, seconds) => format!("{hours}:{minutes:02}:{seconds:02}"),
    }
}

/// Draws lines.
pub(super) fn lines(frame: &Frame, plot: &Plot<'_>) -> Figure {
    let scale = Scale::new(plot, plot.reach());
    let half = Span::from_ns(frame.width.as_ns() / 2);
    let points = |line: &Line| {
        let mut path = String::new();
        let mut pen = 'M';
        for ((from, _), value) in frame.buckets.iter().zip(&line.values) {
            let Some(value) = value else {
                // A missing value interrupts the line.
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

/// Draws stacked columns.
pub(super) fn stacked(frame: &Frame, plot: &Plot<'_>) -> Figure {
    let scale = Scale::new(plot, plot.reach_stacked());
    let mut columns = Vec::new();
    for (index, (from, _)) in frame.buckets.iter().enumerate() {
        let (left, right) = (frame.x(*from), frame.x(*from + frame.width));
        // A small gap between columns that are wide enough.
        let gap = if right - left > 4.0 { 1.0 } else { 0.0 };
        let mut below = 0.0;
        for line in &plot.lines {
            let value = line.at(index);
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
pub(super) struct Row {
    pub name: String,
    /// Begin, end, class and text of each band.
    pub bands: Vec<(Time, Time, &'static str, String)>,
}

/// Height of a row of bands.
const ROW: f64 = 26.0;

/// Draws bands, such as the states of a circuit over time.
pub(super) fn bands(
    frame: &Frame,
    id: &str,
    title: &str,
    description: String,
    rows: &[Row],
) -> Figure {
    const NAMES: f64 = 16.0;
    let height = ABOVE + rows.len() as f64 * (ROW + NAMES) + BELOW;
    let marks = html! {
        (frame.time_axis(height))
        @for (index, row) in rows.iter().enumerate() {
            @let y = ABOVE + index as f64 * (ROW + NAMES);
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

/// Returns the formatted value of each bucket, for the cursor.
fn data(line: &Line, unit: Unit) -> String {
    let words = line
        .values
        .iter()
        .map(|value| value.map_or(String::new(), unit));
    words.collect::<Vec<_>>().join("|")
}

/// Returns the CSS class of an outcome.
pub(super) fn outcome_class(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Success => "success",
        Outcome::Fallback => "fallback",
        Outcome::Rejected => "rejected",
        Outcome::Error => "error",
        Outcome::GaveUp => "gave-up",
        Outcome::Broken => "broken",
    }
}

/// Returns the CSS class of a state.
pub(super) fn state_class(state: State) -> &'static str {
    match state {
        State::Closed => "closed",
        State::Recovering => "recovering",
        State::HalfOpen => "half-open",
        State::Open => "open",
    }
}

/// Returns the axis as data for the script.
pub(super) fn axis_data(frame: &Frame) -> String {
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
    fn times_on_the_axis_look_like_a_clock() {
        let rows = [(5, "5s"), (90, "1:30"), (3_661, "1:01:01")];
        for (seconds, expected) in rows {
            assert_eq!(clock(Time::from_ms(seconds * 1000)), expected);
        }
    }
}
