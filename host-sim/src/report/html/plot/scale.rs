//! The axis of values.

use maud::{Markup, html};

use super::data::{Plot, Reach, Ticks, Unit};
use super::sheet::{ABOVE, BELOW, LEFT, RIGHT, WIDTH};

/// The axis of values of a plot.
pub(super) struct Scale {
    low: f64,
    high: f64,
    height: f64,
    logarithmic: bool,
}

impl Scale {
    /// Creates the axis of a plot. The plot's own `room` takes precedence over `reach`.
    pub(super) fn new(plot: &Plot<'_>, reach: Option<Reach>) -> Scale {
        let reach = plot.room.or(reach);
        match plot.ticks {
            Ticks::Decades => Scale::logarithmic(reach.unwrap_or((1.0, 1.0)), plot.height),
            ticks => {
                let max = reach.map_or(0.0, |(_, max)| max);
                Scale::linear(max, ticks == Ticks::Whole, plot.height)
            }
        }
    }

    /// Creates an axis from zero to a round number of at least `max`.
    fn linear(max: f64, whole: bool, height: f64) -> Scale {
        let nice = nice_above(max);
        let high = if whole {
            (nice / 4.0).ceil() * 4.0
        } else {
            nice
        };
        Scale {
            low: 0.0,
            high,
            height,
            logarithmic: false,
        }
    }

    /// Creates an axis between powers of ten, at least one decade long.
    fn logarithmic((low, high): Reach, height: f64) -> Scale {
        let low = libm::pow(10.0, low.log10().floor());
        let high = libm::pow(10.0, high.log10().ceil()).max(low * 10.0);
        Scale {
            low,
            high,
            height,
            logarithmic: true,
        }
    }

    /// Returns the vertical position of a value.
    pub(super) fn y(&self, value: f64) -> f64 {
        let share = match self.logarithmic {
            true => (value.max(self.low) / self.low).log10() / (self.high / self.low).log10(),
            false => value / self.high,
        };
        let room = self.height - ABOVE - BELOW;
        ABOVE + (1.0 - share.clamp(0.0, 1.0)) * room
    }

    fn ticks(&self) -> Vec<f64> {
        if !self.logarithmic {
            return (0..=4)
                .map(|part| self.high * f64::from(part) / 4.0)
                .collect();
        }
        let decades = (self.high / self.low).log10().round() as i32;
        (0..=decades)
            .map(|power| self.low * libm::pow(10.0, f64::from(power)))
            .collect()
    }

    /// Draws the axis with its labels.
    pub(super) fn axis(&self, unit: Unit) -> Markup {
        html! {
            @for tick in self.ticks() {
                @let y = self.y(tick);
                line.grid x1=(LEFT) x2=(WIDTH - RIGHT) y1=(y) y2=(y) {}
                text.label x=(LEFT - 8.0) y=(y + 4.0) text-anchor="end" { (unit(tick)) }
            }
        }
    }
}

/// Returns the lowest number not below `value` whose quarters have few digits.
pub(super) fn nice_above(value: f64) -> f64 {
    if value <= 0.0 {
        return 1.0;
    }
    let power = libm::pow(10.0, value.log10().floor());
    let steps = [1.0, 1.2, 1.6, 2.0, 2.4, 3.2, 4.0, 5.0, 6.0, 8.0, 10.0];
    let nice = steps
        .iter()
        .map(|step| step * power)
        .find(|nice| *nice >= value);
    nice.unwrap_or(power * 10.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_ends_at_a_number_with_short_quarters() {
        let rows = [
            (0.0, 1.0),
            (0.3, 0.32),
            (7.0, 8.0),
            (95.0, 100.0),
            (101.0, 120.0),
            (450.0, 500.0),
        ];
        for (value, expected) in rows {
            assert!((nice_above(value) - expected).abs() < 1e-9, "{value}");
        }
    }
}
