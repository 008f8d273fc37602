//! A comparison for programs.
//!
//! It has the totals of each run in the format of the report of one run. It omits the timelines,
//! which would be most of the document.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::{Counts, Reason, VERSION, counts, reasons, text};
use crate::report::comparison::{Compared, Comparison};

/// Runs of one scenario from one seed, each with its own policy.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ComparisonDocument {
    /// Version of the format.
    pub version: u32,
    pub scenario: String,
    pub description: String,
    pub seed: u64,
    pub workers: usize,
    pub duration_s: f64,
    /// The runs, in the order of the given policies.
    pub runs: Vec<Summary>,
}

/// The results of one policy.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Summary {
    /// The policy as given by the user, or `none` for a proxy without a plugin.
    pub policy: String,
    /// Two runs with the same digest had the same events at the same times.
    pub digest: String,
    pub total: Counts,
    /// Retries of the proxy at all upstreams.
    pub retries: u64,
    /// How often a circuit opened.
    pub circuits_opened: u64,
    /// Transitions that were not kept because there were too many. Some may have opened a circuit.
    pub transitions_dropped: u64,
    pub reasons: Vec<Reason>,
    /// The plugin's counters and gauges.
    pub metrics: BTreeMap<String, u64>,
    pub errors_total: u64,
    /// Requests that had not ended at the end of the run.
    pub unfinished: usize,
}

/// Returns the comparison as text.
pub fn report(comparison: &Comparison) -> String {
    text(&ComparisonDocument {
        version: VERSION,
        scenario: comparison.name.clone(),
        description: comparison.description.clone(),
        seed: comparison.seed,
        workers: comparison.workers,
        duration_s: comparison.duration.as_seconds(),
        runs: comparison.runs.iter().map(summary).collect(),
    })
}

/// Returns the JSON Schema of the comparison.
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(ComparisonDocument).to_value()
}

pub(super) fn summary(compared: &Compared) -> Summary {
    let run = &compared.run;
    let record = &run.record;
    Summary {
        policy: compared.policy.clone(),
        digest: run.digest(),
        total: counts(record, &record.total),
        retries: record.total.retries(),
        circuits_opened: record.circuits.opened(),
        transitions_dropped: record.circuits.dropped,
        reasons: reasons(record),
        metrics: run.metrics.iter().cloned().collect(),
        errors_total: record.errors_total,
        unfinished: run.unfinished,
    }
}
