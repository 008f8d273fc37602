//! A replay for programs.

use schemars::JsonSchema;
use serde::Serialize;

use super::comparison::{Summary, summary};
use super::{Reason, VERSION, reason, seconds, text};
use crate::record::State;
use crate::report::replay::Replay;
use crate::report::tuning::{Cell, RULE, Tuning};
use crate::scenario::log::wall_clock;

/// A log beside its replay.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ReplayDocument {
    /// Version of the format.
    pub version: u32,
    pub log: ReadLog,
    pub seed: u64,
    pub workers: usize,
    pub duration_s: f64,
    pub assumptions: Vec<String>,
    /// The recorded run, then the replayed one.
    pub runs: Vec<Summary>,
    /// Outcomes in the replay, by the recorded result of the upstream.
    pub effects: Vec<EffectRow>,
    /// Changes of circuits in the replay.
    pub transitions: Vec<WallChange>,
    /// The settings that `--tune` tried.
    pub tuning: Option<TuningTable>,
}

/// The log, and counts of its lines and requests.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ReadLog {
    pub name: String,
    pub format: String,
    pub lines: u64,
    pub unreadable: u64,
    /// The first unreadable lines.
    pub examples: Vec<Unreadable>,
    /// Why the log ended early, if it did.
    pub cut_off: Option<String>,
    /// Requests that came too late for the order of their start, and are left out.
    pub late: u64,
    /// Requests that are replayed.
    pub requests: u64,
    /// Replayed requests that Spillway rejected or answered itself in the recording.
    pub kept_away: u64,
    /// Replayed requests whose failed response Spillway replaced in the recording.
    pub replaced: u64,
    /// Requests that neither reached Spillway nor an upstream.
    pub left_out: u64,
    pub left_out_reasons: Vec<Reason>,
    /// Requests to clusters beyond the first 256.
    pub further_clusters: u64,
    pub from: String,
    pub to: String,
}

/// A line that could not be read.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Unreadable {
    pub line: u64,
    pub why: String,
}

/// Outcomes of the requests with one recorded result.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct EffectRow {
    /// `good`, `failed` or `not known`.
    pub recorded: String,
    pub requests: u64,
    pub passed: u64,
    pub rejected: u64,
    pub answered_in_place: u64,
}

/// A change of a circuit, by the log's clock.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct WallChange {
    pub at: String,
    /// Since the first request.
    pub at_s: f64,
    pub policy: String,
    pub key: Vec<String>,
    pub from: State,
    pub to: State,
    pub why: String,
}

/// The settings that were tried.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct TuningTable {
    /// The policy whose settings are shown. Others of the file are scaled alike.
    pub policy: String,
    /// How the best setting is chosen.
    pub rule: String,
    /// Index of the best setting.
    pub best: usize,
    /// The first is the policy as given.
    pub cells: Vec<TuningCell>,
}

/// One setting and its result.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct TuningCell {
    pub failure_rate_threshold: f64,
    pub minimum_requests: u32,
    pub open: String,
    pub window: String,
    pub good_kept_away: u64,
    pub errors_let_through: u64,
    pub circuits_opened: u64,
    /// Whether no other setting is better in one number and no worse in the other.
    pub on_front: bool,
}

/// Returns the replay as text.
pub fn report(replay: &Replay) -> String {
    let comparison = &replay.comparison;
    let effects = replay.rows().into_iter().map(|row| EffectRow {
        recorded: row.name.into(),
        requests: row.total,
        passed: row.passed,
        rejected: row.rejected,
        answered_in_place: row.answered,
    });
    text(&ReplayDocument {
        version: VERSION,
        log: read_log(replay),
        seed: comparison.seed,
        workers: comparison.workers,
        duration_s: comparison.duration.as_seconds(),
        assumptions: replay.assumptions(),
        runs: comparison.runs.iter().map(summary).collect(),
        effects: effects.collect(),
        transitions: transitions(replay),
        tuning: replay.tuning.as_ref().map(table),
    })
}

/// Returns the JSON Schema of the replay.
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(ReplayDocument).to_value()
}

fn read_log(replay: &Replay) -> ReadLog {
    let survey = &replay.survey;
    let reading = &survey.reading;
    let examples = reading.examples.iter().map(|(line, why)| Unreadable {
        line: *line,
        why: why.clone(),
    });
    ReadLog {
        name: survey.name.clone(),
        format: replay.format.into(),
        lines: reading.lines,
        unreadable: reading.unreadable,
        examples: examples.collect(),
        cut_off: reading.cut_off.clone(),
        late: reading.late,
        requests: survey.requests,
        kept_away: survey.kept_away,
        replaced: survey.replaced,
        left_out: survey.left_out_total,
        left_out_reasons: survey.left_out.all.iter().map(reason).collect(),
        further_clusters: survey.further_clusters,
        from: wall_clock(survey.origin_ns),
        to: wall_clock(survey.origin_ns.saturating_add(survey.duration.as_ns())),
    }
}

fn transitions(replay: &Replay) -> Vec<WallChange> {
    let run = replay.run().into_iter();
    let changes = run.flat_map(|run| run.record.circuits.changes());
    let changes = changes.map(|(it, circuit)| WallChange {
        at: replay.clock(it.at),
        at_s: seconds(it.at),
        policy: circuit.policy.clone(),
        key: circuit.key.clone(),
        from: it.from,
        to: it.to,
        why: it.why.clone(),
    });
    changes.collect()
}

fn table(tuning: &Tuning) -> TuningTable {
    let cell = |cell: &Cell| TuningCell {
        failure_rate_threshold: cell.settings.failure_rate_threshold,
        minimum_requests: cell.settings.minimum_requests,
        open: cell.settings.open.to_string(),
        window: cell.settings.window.clone(),
        good_kept_away: cell.kept_away,
        errors_let_through: cell.let_through,
        circuits_opened: cell.opened,
        on_front: tuning.is_on_front(cell),
    };
    TuningTable {
        policy: tuning.policy.clone(),
        rule: RULE.into(),
        best: tuning.best(),
        cells: tuning.cells.iter().map(cell).collect(),
    }
}
