//! The report for programs.
//!
//! The format is stable: fields are added, but not renamed or removed without a new `version`.
//! Times are in seconds, latencies in milliseconds, shares in percent. [`schema`] documents it. The
//! document of a comparison has the same parts.

mod comparison;
mod replay;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use crate::record::{Bucket, Outcome, Record, State, Tally};
use crate::scenario::play::Run;
use crate::sim::clock::Time;
use crate::sim::span::Span;

pub use comparison::{
    ComparisonDocument, Summary, report as comparison, schema as comparison_schema,
};
pub use replay::{ReplayDocument, report as replay, schema as replay_schema};

/// One run.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Document {
    /// Version of the format.
    pub version: u32,
    pub scenario: String,
    pub description: String,
    pub seed: u64,
    pub workers: usize,
    pub duration_s: f64,
    /// Two runs with the same digest had the same events at the same times.
    pub digest: String,
    /// Whether all expectations were met.
    pub held: bool,
    pub total: Counts,
    /// The run in periods of `bucket_s` seconds.
    pub timeline: Vec<Period>,
    pub bucket_s: f64,
    pub circuits: Vec<CircuitStates>,
    pub transitions: Vec<Change>,
    pub reasons: Vec<Reason>,
    /// Policy updates during the traffic.
    pub updates: Vec<Update>,
    pub expectations: Vec<Expectation>,
    /// The plugin's counters and gauges.
    pub metrics: BTreeMap<String, u64>,
    /// The first errors that the plugin logged.
    pub errors: Vec<ErrorLine>,
    pub errors_total: u64,
    /// Requests that had not ended at the end of the run.
    pub unfinished: usize,
}

/// Counts of the run, or of a period of it.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Counts {
    /// Calls of clients, each counted once, regardless of retries.
    pub calls: u64,
    pub calls_ended: u64,
    pub calls_succeeded: u64,
    /// Percentage of ended calls that succeeded. Missing if none has ended.
    pub success_percent: Option<f64>,
    /// Requests sent by clients.
    pub requests: u64,
    pub outcomes: Outcomes,
    /// Latency of calls, including retries of the client.
    pub latency_ms: Latencies,
    /// Attempts at upstreams per call.
    pub amplification: f64,
    /// Upstreams by the name of the cluster.
    pub upstreams: BTreeMap<String, UpstreamCounts>,
}

/// Requests by outcome.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Outcomes {
    /// A usable response of the upstream.
    pub success: u64,
    /// A usable response of the filter.
    pub fallback: u64,
    /// An error of the filter.
    pub rejected: u64,
    /// Another error.
    pub error: u64,
    pub gave_up: u64,
    /// The response was reset.
    pub broken: u64,
}

/// Percentiles. Missing if no call has ended.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Latencies {
    pub p50: Option<f64>,
    pub p90: Option<f64>,
    pub p99: Option<f64>,
    pub p999: Option<f64>,
    pub max: Option<f64>,
}

/// Counts of one upstream.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct UpstreamCounts {
    /// Attempts of requests and calls of plugins.
    pub requests: u64,
    /// Requests that were retries of the proxy.
    pub retries: u64,
    /// Requests that were calls of plugins.
    pub callouts: u64,
    pub failures: u64,
    /// Attempts and retries rejected by the proxy's limits for the cluster.
    pub overflows: u64,
    pub serving_max: u32,
    pub line_max: u32,
}

/// A period.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Period {
    pub from_s: f64,
    #[serde(flatten)]
    pub counts: Counts,
}

/// The states of a circuit over time.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct CircuitStates {
    pub policy: String,
    pub key: Vec<String>,
    /// The states. Each lasts until the next one begins.
    pub states: Vec<StateFrom>,
}

/// A state and when it began.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct StateFrom {
    pub from_s: f64,
    pub state: State,
}

/// A change of state, as the filter logged it.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Change {
    pub at_s: f64,
    /// The worker that logged it.
    pub worker: Option<usize>,
    pub policy: String,
    pub key: Vec<String>,
    pub from: State,
    pub to: State,
    pub why: String,
}

/// Requests that ended with the same code, flags and details.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Reason {
    pub requests: u64,
    pub code: Option<u32>,
    /// `%RESPONSE_FLAGS%`.
    pub flags: String,
    /// `%RESPONSE_CODE_DETAILS%`.
    pub details: String,
}

/// A policy update.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Update {
    pub at_s: f64,
    /// Whether the plugin accepted it. If not, the old policy stays active.
    pub accepted: bool,
}

/// The result of a statement of the scenario.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Expectation {
    pub statement: String,
    pub held: bool,
    pub expected: String,
    pub seen: String,
    /// If it was not met: what happened around it.
    pub around: Vec<String>,
}

/// An error that the plugin logged.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ErrorLine {
    pub at_s: f64,
    pub worker: Option<usize>,
    pub text: String,
}

/// Version of the format.
const VERSION: u32 = 1;

/// Returns the report of a run.
pub fn document(run: &Run) -> Document {
    let record = &run.record;
    Document {
        version: VERSION,
        scenario: run.name.clone(),
        description: run.description.clone(),
        seed: run.seed,
        workers: run.workers,
        duration_s: run.duration.as_seconds(),
        digest: run.digest(),
        held: run.held(),
        total: counts(record, &record.total),
        timeline: record
            .series
            .iter()
            .map(|bucket| period(record, &bucket))
            .collect(),
        bucket_s: record.series.width().as_seconds(),
        circuits: circuits(record),
        transitions: transitions(record),
        reasons: reasons(record),
        updates: record.updates.iter().map(update).collect(),
        expectations: run.verdicts.iter().map(expectation).collect(),
        metrics: run.metrics.iter().cloned().collect(),
        errors: record.errors.iter().map(error_line).collect(),
        errors_total: record.errors_total,
        unfinished: run.unfinished,
    }
}

/// Returns the report as text.
pub fn report(run: &Run) -> String {
    text(&document(run))
}

/// Returns the JSON Schema of the report.
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(Document).to_value()
}

/// Returns named rows as an object, sorted by name.
pub(crate) fn named<N: Ord, T>(rows: &[(N, T)]) -> BTreeMap<&N, &T> {
    rows.iter().map(|(name, row)| (name, row)).collect()
}

/// Returns a document as indented JSON with a line end.
pub(crate) fn text(document: &impl Serialize) -> String {
    // Serializing numbers and strings cannot fail.
    let mut text = serde_json::to_string_pretty(document).unwrap_or_default();
    text.push('\n');
    text
}

fn counts(record: &Record, tally: &Tally) -> Counts {
    let percentile = |percent| tally.percentile(percent).map(millis);
    let upstreams = record.names.clusters.iter().zip(&tally.clusters);
    Counts {
        calls: tally.calls,
        calls_ended: tally.calls_ended,
        calls_succeeded: tally.calls_succeeded,
        success_percent: (tally.calls_ended > 0).then(|| rounded(tally.success_percent())),
        requests: tally.requests,
        outcomes: Outcomes {
            success: tally.outcome(Outcome::Success),
            fallback: tally.outcome(Outcome::Fallback),
            rejected: tally.outcome(Outcome::Rejected),
            error: tally.outcome(Outcome::Error),
            gave_up: tally.outcome(Outcome::GaveUp),
            broken: tally.outcome(Outcome::Broken),
        },
        latency_ms: Latencies {
            p50: percentile(50.0),
            p90: percentile(90.0),
            p99: percentile(99.0),
            p999: percentile(99.9),
            max: tally.latency_max().map(millis),
        },
        amplification: rounded(tally.amplification()),
        upstreams: upstreams
            .map(|(name, it)| (name.clone(), upstream(it)))
            .collect(),
    }
}

fn upstream(it: &crate::record::ClusterTally) -> UpstreamCounts {
    UpstreamCounts {
        requests: it.attempts,
        retries: it.retries,
        callouts: it.callouts,
        failures: it.failures,
        overflows: it.overflows,
        serving_max: it.serving_max,
        line_max: it.line_max,
    }
}

fn period(record: &Record, bucket: &Bucket<'_>) -> Period {
    Period {
        from_s: seconds(bucket.from),
        counts: counts(record, bucket.tally),
    }
}

fn circuits(record: &Record) -> Vec<CircuitStates> {
    let states = |it: &crate::record::Circuit| CircuitStates {
        policy: it.policy.clone(),
        key: it.key.clone(),
        states: it
            .bands
            .iter()
            .map(|band| StateFrom {
                from_s: seconds(band.from),
                state: band.state,
            })
            .collect(),
    };
    record.circuits.all.iter().map(states).collect()
}

fn transitions(record: &Record) -> Vec<Change> {
    let changes = record.circuits.changes().map(|(it, circuit)| Change {
        at_s: seconds(it.at),
        worker: it.worker,
        policy: circuit.policy.clone(),
        key: circuit.key.clone(),
        from: it.from,
        to: it.to,
        why: it.why.clone(),
    });
    changes.collect()
}

fn reasons(record: &Record) -> Vec<Reason> {
    record.reasons.all.iter().map(reason).collect()
}

fn reason(it: &crate::record::Reason) -> Reason {
    Reason {
        requests: it.requests,
        code: it.code,
        flags: it.flags_text(),
        details: it.details.to_string(),
    }
}

fn expectation(verdict: &crate::scenario::expect::Verdict) -> Expectation {
    Expectation {
        statement: verdict.text.clone(),
        held: verdict.held,
        expected: verdict.expected.clone(),
        seen: verdict.seen.clone(),
        around: verdict.around.clone(),
    }
}

fn update((at, accepted): &(Time, bool)) -> Update {
    Update {
        at_s: seconds(*at),
        accepted: *accepted,
    }
}

fn error_line(line: &crate::proxy::LogLine) -> ErrorLine {
    ErrorLine {
        at_s: seconds(line.at),
        worker: line.worker,
        text: line.text.clone(),
    }
}

fn seconds(at: Time) -> f64 {
    at.as_ns() as f64 / 1e9
}

fn millis(span: Span) -> f64 {
    span.as_ns() as f64 / 1e6
}

/// Rounds to a thousandth, which is more precise than the measurements.
fn rounded(number: f64) -> f64 {
    (number * 1e3).round() / 1e3
}
