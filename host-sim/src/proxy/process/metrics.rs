//! The metrics of the process.

use std::collections::BTreeMap;

use super::histogram::Histogram;

/// All metrics that plugins defined, without Envoy's prefix `wasmcustom.`.
///
/// All workers share one table: two VMs that define the same name update the same metric.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    places: BTreeMap<(MetricKind, Box<[u8]>), usize>,
    /// Values of counters and gauges, and exact sums of histograms.
    values: Vec<u64>,
    /// By place.
    histograms: BTreeMap<usize, Histogram>,
}

/// Kinds of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum MetricKind {
    Counter,
    Gauge,
    Histogram,
}

impl Metrics {
    /// Returns the value of a counter or gauge, or 0 if it is not defined. A gauge below 0
    /// wraps to values near 2^64, as in Envoy.
    pub fn value(&self, name: &str) -> u64 {
        [MetricKind::Counter, MetricKind::Gauge]
            .into_iter()
            .find_map(|kind| self.places.get(&(kind, name.as_bytes().into())))
            .map_or(0, |place| self.at(*place))
    }

    /// Iterates over all metrics, by kind and name. The value of a histogram is the sum of its
    /// samples.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], MetricKind, u64)> {
        self.places
            .iter()
            .map(|((kind, name), place)| (&**name, *kind, self.at(*place)))
    }

    /// Iterates over all histograms, by name.
    pub fn histograms(&self) -> impl Iterator<Item = (&[u8], &Histogram)> {
        let places = self.places.iter();
        places.filter_map(|((_, name), place)| Some((&**name, self.histograms.get(place)?)))
    }

    /// Returns the index of a metric, and defines it if necessary. Dots at the end are no part of
    /// its name.
    pub(crate) fn define(&mut self, kind: MetricKind, name: &[u8]) -> usize {
        let new = self.values.len();
        let len = name.iter().rposition(|byte| *byte != b'.');
        let name = &name[..len.map_or(0, |last| last + 1)];
        let place = *self.places.entry((kind, name.into())).or_insert(new);
        if place == new {
            self.values.push(0);
            if kind == MetricKind::Histogram {
                self.histograms.insert(place, Histogram::default());
            }
        }
        place
    }

    pub(crate) fn at(&self, place: usize) -> u64 {
        self.values.get(place).copied().unwrap_or(0)
    }

    /// Adds to a counter or gauge, with wraparound.
    pub(crate) fn add(&mut self, place: usize, delta: i64) {
        if let Some(value) = self.values.get_mut(place) {
            *value = value.wrapping_add_signed(delta);
        }
    }

    /// Sets a gauge.
    pub(crate) fn set(&mut self, place: usize, to: u64) {
        if let Some(value) = self.values.get_mut(place) {
            *value = to;
        }
    }

    /// Adds to a counter, or adds a sample to a histogram.
    pub(crate) fn record(&mut self, place: usize, sample: u64) {
        if let Some(value) = self.values.get_mut(place) {
            *value = value.wrapping_add(sample);
        }
        if let Some(histogram) = self.histograms.get_mut(&place) {
            histogram.record(sample);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_defined_twice_is_one_metric() {
        let mut metrics = Metrics::default();
        let place = metrics.define(MetricKind::Gauge, b"g");
        assert_eq!(metrics.define(MetricKind::Gauge, b"g"), place);
        assert_ne!(metrics.define(MetricKind::Counter, b"c"), place);
    }

    #[test]
    fn dots_at_the_end_are_no_part_of_a_name() {
        let mut metrics = Metrics::default();
        let place = metrics.define(MetricKind::Counter, b".a.b");
        assert_eq!(metrics.define(MetricKind::Counter, b".a.b.."), place);
        let nameless = metrics.define(MetricKind::Counter, b"");
        assert_eq!(metrics.define(MetricKind::Counter, b"..."), nameless);
    }

    #[test]
    fn a_gauge_below_zero_wraps() {
        let mut metrics = Metrics::default();
        let place = metrics.define(MetricKind::Gauge, b"g");
        metrics.add(place, -2);
        assert_eq!(metrics.value("g"), u64::MAX - 1);
    }
}
