//! The settings of `--tune` as points: errors let through, upwards, over good requests kept away.

use std::fmt::Write as _;

use crate::report::grouped;
use crate::report::text::paint::{Hue, Paint};
use crate::report::tuning::{Cell, Tuning};

/// Size of the plot in letters.
const COLUMNS: usize = 60;
const ROWS: usize = 12;

/// Width of the labels of the vertical axis.
const LABEL: usize = 11;

/// A point, from the least to the most important: of several in one place the last is shown.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Point {
    Other,
    Front,
    Given,
    Best,
}

impl Point {
    const ALL: [Point; 4] = [Point::Best, Point::Given, Point::Front, Point::Other];

    fn of(tuning: &Tuning, at: usize, cell: &Cell) -> Point {
        match at {
            _ if at == tuning.best() => Point::Best,
            0 => Point::Given,
            _ if tuning.is_on_front(cell) => Point::Front,
            _ => Point::Other,
        }
    }

    fn glyph(self) -> char {
        match self {
            Point::Other => '·',
            Point::Front => 'o',
            Point::Given => 'G',
            Point::Best => 'B',
        }
    }

    fn name(self) -> &'static str {
        match self {
            Point::Other => "other",
            Point::Front => "front",
            Point::Given => "given",
            Point::Best => "best",
        }
    }

    fn hue(self) -> Hue {
        match self {
            Point::Other => Hue::Faint,
            Point::Front => Hue::Calm,
            Point::Given => Hue::Warn,
            Point::Best => Hue::Good,
        }
    }
}

/// Writes the plot. Both axes begin at 0.
pub(super) fn write(tuning: &Tuning, paint: Paint, out: &mut String) -> std::fmt::Result {
    let most = |value: fn(&Cell) -> u64| tuning.cells.iter().map(value).max().unwrap_or_default();
    let (right, top) = (most(|cell| cell.kept_away), most(|cell| cell.let_through));
    let mut plot = [[None; COLUMNS]; ROWS];
    for (at, cell) in tuning.cells.iter().enumerate() {
        let row = ROWS - 1 - place(cell.let_through, top, ROWS);
        let column = place(cell.kept_away, right, COLUMNS);
        let point = Some(Point::of(tuning, at, cell));
        plot[row][column] = plot[row][column].max(point);
    }
    writeln!(out, "\n{}", paint.bold("errors let through"))?;
    for (row, points) in plot.iter().enumerate() {
        let label = match row {
            0 => grouped(top),
            _ if row + 1 == ROWS => "0".to_owned(),
            _ => String::new(),
        };
        let points: String = points.iter().map(|point| painted(*point, paint)).collect();
        writeln!(out, "{}", format!("{label:>LABEL$} │{points}").trim_end())?;
    }
    writeln!(out, "{:>LABEL$} └{}", "", "─".repeat(COLUMNS))?;
    let width = COLUMNS - 1;
    writeln!(out, "{:>LABEL$}  0{:>width$}", "", grouped(right))?;
    writeln!(out, "{:>LABEL$}  {}", "", paint.bold("good kept away"))?;
    let key = Point::ALL.map(|it| format!("{} {}", painted(Some(it), paint), it.name()));
    writeln!(out, "{:>LABEL$}  {}", "", key.join("  "))
}

/// Returns the place of a value among `count` from 0 on, of which the last is for `most`.
fn place(value: u64, most: u64, count: usize) -> usize {
    let share = value as f64 / most.max(1) as f64;
    ((share * (count - 1) as f64).round() as usize).min(count - 1)
}

fn painted(point: Option<Point>, paint: Paint) -> String {
    match point {
        None => " ".to_owned(),
        Some(point) => paint.hue(point.hue(), &point.glyph().to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plot(costs: &[(u64, u64)]) -> String {
        let mut out = String::new();
        write(&Tuning::of_costs(costs), Paint::new(false), &mut out).unwrap();
        out
    }

    #[test]
    fn the_plot_has_every_setting_at_its_place() {
        let costs = [
            (5_000, 2_400),
            (0, 4_000),
            (10_000, 0),
            (500, 900),
            (9_000, 3_900),
        ];
        insta::assert_snapshot!(plot(&costs));
    }

    #[test]
    fn the_best_setting_hides_others_at_its_place() {
        let plot = plot(&[(0, 0), (0, 0)]);
        let points = plot.lines().filter(|line| line.contains('│'));
        let points: Vec<&str> = points.collect();
        assert_eq!(points.last(), Some(&"          0 │B"));
        assert_eq!(points.len(), ROWS);
    }
}
