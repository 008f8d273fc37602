//! Ids by which a guest refers to metrics.

use crate::proxy::process::metrics::MetricKind;

/// Ids of one VM. Two definitions of the same name have two ids.
#[derive(Debug, Default)]
pub(crate) struct MetricIds {
    places: [Vec<usize>; 3],
}

/// Ids of metrics and tokens of calls carry their kind in the two lowest bits.
pub(super) const KIND_BITS: u32 = 2;
const KIND_MASK: u32 = 3;

impl MetricIds {
    /// Returns a new id for the metric at `place`.
    pub(crate) fn add(&mut self, kind: MetricKind, place: usize) -> u32 {
        let Some(places) = self.places.get_mut(kind as usize) else {
            return 0;
        };
        places.push(place);
        let count = u32::try_from(places.len()).unwrap_or(u32::MAX);
        (count << KIND_BITS) | kind as u32
    }

    /// Returns the metric of an id. The inner `None` means that the id was never given out.
    pub(crate) fn place(&self, id: u32) -> Option<(MetricKind, Option<usize>)> {
        let kinds = [
            MetricKind::Counter,
            MetricKind::Gauge,
            MetricKind::Histogram,
        ];
        let kind = *kinds.get((id & KIND_MASK) as usize)?;
        let index = (id >> KIND_BITS).checked_sub(1);
        let places = self.places.get(kind as usize)?;
        Some((
            kind,
            index.and_then(|index| places.get(index as usize).copied()),
        ))
    }
}
