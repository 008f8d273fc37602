//! Settings as points: good requests kept away to the right, errors let through upwards.

use maud::html;

use super::figure::{Figure, Key};
use super::scale::nice_above;
use super::sheet::{ABOVE, BELOW, LEFT, RIGHT, WIDTH, short};
use crate::report::grouped;

/// One setting.
pub(crate) struct Point {
    pub x: f64,
    pub y: f64,
    /// The CSS class of its colour.
    pub class: &'static str,
    /// What a reader sees who points at it.
    pub text: String,
}

const HEIGHT: f64 = 300.0;

/// Draws the points. Later ones are below earlier ones.
pub(crate) fn scatter(points: &[Point]) -> Figure {
    let high = |of: fn(&Point) -> f64| nice_above(points.iter().map(of).fold(0.0, f64::max));
    let (x_high, y_high) = (high(|it| it.x), high(|it| it.y));
    let x = |value: f64| LEFT + value / x_high * (WIDTH - LEFT - RIGHT);
    let y = |value: f64| ABOVE + (1.0 - value / y_high) * (HEIGHT - ABOVE - BELOW);
    let quarters = |high: f64| (0..=4).map(move |part| high * f64::from(part) / 4.0);
    let marks = html! {
        @for tick in quarters(y_high) {
            line.grid x1=(LEFT) x2=(WIDTH - RIGHT) y1=(short(y(tick))) y2=(short(y(tick))) {}
            text.label x=(LEFT - 8.0) y=(short(y(tick) + 4.0)) text-anchor="end" {
                (grouped(tick as u64))
            }
        }
        @for tick in quarters(x_high) {
            line.grid x1=(short(x(tick))) x2=(short(x(tick))) y1=(ABOVE) y2=(HEIGHT - BELOW) {}
            text.label x=(short(x(tick))) y=(HEIGHT - 6.0) text-anchor="middle" {
                (grouped(tick as u64))
            }
        }
        @for point in points.iter().rev() {
            circle.band.(point.class) cx=(short(x(point.x))) cy=(short(y(point.y))) r="5" {
                title { (point.text) }
            }
        }
    };
    let key = |(name, class): (&str, &'static str)| Key {
        name: name.into(),
        class,
        values: None,
    };
    let keys = [
        ("best", "success"),
        ("given", "rejected"),
        ("front", "fallback"),
        ("others", "broken"),
    ];
    Figure {
        id: "tuning".into(),
        title: "Good requests kept away (across) and errors let through (up)".into(),
        description: format!(
            "{} settings; lower and further left is better.",
            points.len()
        ),
        height: HEIGHT,
        marks,
        legend: keys.map(key).into(),
        note: None,
    }
}
