//! A comparison for programs: the sums of each run in the form that the report of one run
//! has for them. Their course over time is left to the page, since a document of six
//! timelines is mostly timelines.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::{Counts, Reason, VERSION, counts, reasons, text};
use crate::report::comparison::{Compared, Comparison};

/// Runs of one scenario from one seed, each with a policy of its own.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ComparisonDocument {
    /// The version of this form.
    pub version: u32,
    pub scenario: String,
    pub description: String,
    pub seed: u64,
    pub workers: usize,
    pub duration_s: f64,
    /// In the order in which the policies were given.
    pub runs: Vec<Summary>,
}

/// What came of one policy.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Summary {
    /// The file of the policy as it was given, or `none` for a proxy without a plugin.
    pub policy: String,
    /// Two runs with the same digest had the same events at the same times.
    pub digest: String,
    pub total: Counts,
    /// Retries of the proxy at all upstreams.
    pub retries: u64,
    /// How often a circuit opened.
    pub circuits_opened: u64,
    /// Changes of circuits that were not kept, openings perhaps, since there were too many.
    pub transitions_dropped: u64,
    pub reasons: Vec<Reason>,
    /// The plugin's counters and gauges.
    pub metrics: BTreeMap<String, u64>,
    pub errors_total: u64,
    /// Requests that had no end within a minute after the traffic's.
    pub unfinished: usize,
}

/// The comparison as text.
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

/// The JSON Schema of the comparison.
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(ComparisonDocument).to_value()
}

fn summary(compared: &Compared) -> Summary {
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
