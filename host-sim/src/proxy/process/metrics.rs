//! The metrics of the process.

use std::collections::BTreeMap;

/// All metrics that plugins defined, without Envoy's prefix `wasmcustom.`.
///
/// All workers share one table: two VMs that define the same name update the same metric.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    places: BTreeMap<(MetricKind, Box<[u8]>), usize>,
    values: Vec<Value>,
}

/// Kinds of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum MetricKind {
    Counter,
    Gauge,
    Histogram,
}

/// Value of a counter or gauge, or sum and count of a histogram.
#[derive(Clone, Copy, Debug, Default)]
struct Value {
    value: u64,
    count: u64,
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

    /// Iterates over all counters and gauges, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], MetricKind, u64)> {
        self.places
            .iter()
            .map(|((kind, name), place)| (&**name, *kind, self.at(*place)))
    }

    /// Returns the index of a metric, and defines it if necessary.
    pub(crate) fn define(&mut self, kind: MetricKind, name: &[u8]) -> usize {
        let new = self.values.len();
        let place = *self.places.entry((kind, name.into())).or_insert(new);
        if place == new {
            self.values.push(Value::default());
        }
        place
    }

    pub(crate) fn at(&self, place: usize) -> u64 {
        self.values.get(place).map_or(0, |value| value.value)
    }

    /// Adds to a counter or gauge, with wraparound.
    pub(crate) fn add(&mut self, place: usize, delta: i64) {
        if let Some(value) = self.values.get_mut(place) {
            value.value = value.value.wrapping_add_signed(delta);
        }
    }

    /// Sets a gauge.
    pub(crate) fn set(&mut self, place: usize, to: u64) {
        if let Some(value) = self.values.get_mut(place) {
            value.value = to;
        }
    }

    /// Adds to a counter, or adds a sample to a histogram.
    pub(crate) fn record(&mut self, place: usize, sample: u64) {
        if let Some(value) = self.values.get_mut(place) {
            value.value = value.value.wrapping_add(sample);
            value.count += 1;
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
    fn a_gauge_below_zero_wraps() {
        let mut metrics = Metrics::default();
        let place = metrics.define(MetricKind::Gauge, b"g");
        metrics.add(place, -2);
        assert_eq!(metrics.value("g"), u64::MAX - 1);
    }
}
