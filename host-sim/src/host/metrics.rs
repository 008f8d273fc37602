//! The metrics of the process.

use std::collections::BTreeMap;

/// All metrics that plugins defined, by name, without Envoy's prefix `wasmcustom.`.
///
/// One table for all workers: two virtual machines that define the same name move
/// the same metric.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    places: BTreeMap<Box<[u8]>, usize>,
    values: Vec<u64>,
}

/// Kinds of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    Counter,
    Gauge,
    Histogram,
}

impl Metrics {
    /// The value of a counter or gauge; 0 if nobody defined it. A gauge that was
    /// taken below 0 is near 2^64, as in Envoy.
    pub fn value(&self, name: &str) -> u64 {
        let place = self.places.get(name.as_bytes());
        place
            .and_then(|place| self.values.get(*place))
            .copied()
            .unwrap_or(0)
    }
}
