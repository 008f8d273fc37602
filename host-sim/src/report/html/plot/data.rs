//! The data of a plot.

/// A series of values over time.
pub(crate) struct Line {
    pub name: String,
    /// The CSS class of its colour.
    pub class: &'static str,
    /// A value for each bucket. `None` where there is nothing to show.
    pub values: Vec<Option<f64>>,
}

/// Formats a value.
pub(crate) type Unit = fn(f64) -> String;

/// The lowest and the highest value above zero.
pub(crate) type Reach = (f64, f64);

/// How an axis of values is divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ticks {
    /// From zero, evenly.
    Even,
    /// From zero, evenly, in whole numbers.
    Whole,
    /// By powers of ten, for values such as latencies.
    Decades,
}

/// The data and the texts of a plot.
pub(crate) struct Plot<'a> {
    pub id: String,
    pub title: &'a str,
    /// A sentence for readers who cannot see the plot.
    pub description: String,
    pub unit: Unit,
    pub height: f64,
    pub ticks: Ticks,
    /// The range of the axis of values. `None` for the range of the plot's own values. Compared
    /// plots share the same range.
    pub room: Option<Reach>,
    pub lines: Vec<Line>,
}

impl Plot<'_> {
    /// Returns the range of its lines.
    pub(crate) fn reach(&self) -> Option<Reach> {
        let values = self.lines.iter().flat_map(|line| line.values.iter());
        reach(values.flatten().copied())
    }

    /// Returns the range of its stacked columns.
    pub(crate) fn reach_stacked(&self) -> Option<Reach> {
        let columns = self.lines.iter().map(|line| line.values.len()).max();
        reach((0..columns.unwrap_or(0)).map(|index| self.sum(index)))
    }

    /// Returns the sum of all lines at one index.
    fn sum(&self, index: usize) -> f64 {
        self.lines.iter().map(|line| line.at(index)).sum()
    }
}

impl Line {
    /// Returns the value at an index, or zero if it is missing.
    pub(crate) fn at(&self, index: usize) -> f64 {
        self.values.get(index).copied().flatten().unwrap_or(0.0)
    }
}

fn reach(values: impl Iterator<Item = f64>) -> Option<Reach> {
    let positive = values.filter(|value| *value > 0.0);
    positive.fold(None, |reach, value| {
        let (low, high) = reach.unwrap_or((value, value));
        Some((value.min(low), value.max(high)))
    })
}
