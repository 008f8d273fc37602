//! The ids of all metrics that the VM has defined, whatever configuration has used them.
//!
//! A host gives a metric another id each time that it is defined, and forgets none as long as
//! the VM lives. Without this table, each new configuration would leave thousands behind.

use std::cell::RefCell;

use crate::host::{self, MetricKind, Status};

/// Enough for the metrics of the first policies.
const BUCKETS: usize = 1_024;

thread_local! {
    /// Hashes of names with their ids, in buckets by the hash.
    static IDS: RefCell<Vec<Vec<(u64, u32)>>> = const { RefCell::new(Vec::new()) };
}

/// Returns the id of a metric, and defines it if this VM has not used it before.
pub(super) fn id_of(kind: MetricKind, name: &str) -> Result<u32, Status> {
    IDS.with(|ids| {
        let hash = spillway_core::fingerprint(name.as_bytes());
        let Ok(mut ids) = ids.try_borrow_mut() else {
            return host::define_metric(kind, name);
        };
        if ids.is_empty() {
            ids.resize_with(BUCKETS, Vec::new);
        }
        // The lowest bits of the hash, whatever the size of a pointer.
        let at = (hash & u64::from(u16::MAX)) as usize % BUCKETS;
        let Some(bucket) = ids.get_mut(at) else {
            return host::define_metric(kind, name);
        };
        if let Some((_, id)) = bucket.iter().find(|(other, _)| *other == hash) {
            return Ok(*id);
        }
        let id = host::define_metric(kind, name)?;
        bucket.push((hash, id));
        Ok(id)
    })
}
