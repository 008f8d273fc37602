//! Metrics. Each VM has its own ids, and the process has the metrics behind them.

use super::guest::{Guest, HostcallResult};
use crate::proxy::process::metrics::MetricKind;
use crate::proxy::vm::Status;

pub(crate) fn define(
    guest: &mut Guest<'_>,
    kind: u32,
    name: u32,
    name_len: u32,
    id_out: u32,
) -> HostcallResult {
    let ([name], state) = guest.slices([(name, name_len)])?;
    let kind = match kind {
        0 => MetricKind::Counter,
        1 => MetricKind::Gauge,
        2 => MetricKind::Histogram,
        _ => return Err(Status::BadArgument),
    };
    let place = state.process.metrics.define(kind, name);
    let id = state.metrics.add(kind, place);
    guest.write_u32(id_out, id)
}

/// Adds to a gauge, or to a counter. A counter rejects 0, as it rejects negative numbers.
pub(crate) fn increment(guest: &mut Guest<'_>, id: u32, delta: i64) -> HostcallResult {
    let state = guest.state();
    match state.metrics.place(id) {
        Some((MetricKind::Counter | MetricKind::Gauge, None)) => Err(Status::NotFound),
        Some((MetricKind::Counter, Some(_))) if delta <= 0 => Err(Status::BadArgument),
        Some((MetricKind::Counter | MetricKind::Gauge, Some(place))) => {
            state.process.metrics.add(place, delta);
            Ok(())
        }
        Some((MetricKind::Histogram, _)) | None => Err(Status::BadArgument),
    }
}

/// Sets a gauge, adds a sample to a histogram, or adds to a counter.
pub(crate) fn record(guest: &mut Guest<'_>, id: u32, value: u64) -> HostcallResult {
    let state = guest.state();
    match state.metrics.place(id) {
        Some((MetricKind::Gauge, Some(place))) => state.process.metrics.set(place, value),
        Some((_, Some(place))) => state.process.metrics.record(place, value),
        _ => return Err(Status::NotFound),
    }
    Ok(())
}

pub(crate) fn value(guest: &mut Guest<'_>, id: u32, out: u32) -> HostcallResult {
    let state = guest.state();
    let place = match state.metrics.place(id) {
        Some((MetricKind::Counter | MetricKind::Gauge, place)) => place.ok_or(Status::NotFound)?,
        Some((MetricKind::Histogram, _)) | None => return Err(Status::BadArgument),
    };
    let value = state.process.metrics.at(place);
    guest.write_u64(out, value)
}
