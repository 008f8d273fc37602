//! Sizes that all plots share, in units of the drawing. Page and picture scale them.

/// Width of a plot.
pub(crate) const WIDTH: f64 = 960.0;

/// Space for the labels of the values, and at the right end.
pub(super) const LEFT: f64 = 64.0;
pub(super) const RIGHT: f64 = 12.0;

/// Space below for the labels of the times, and above the plot.
pub(super) const BELOW: f64 = 22.0;
pub(super) const ABOVE: f64 = 8.0;

/// Formats a coordinate with a tenth of a unit, which is less than a pixel.
pub(super) fn short(number: f64) -> String {
    format!("{number:.1}")
}
