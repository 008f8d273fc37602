//! Several policies on the same traffic, and the measures to compare them.
//!
//! The measures are computed here, so terminal and page cannot disagree. Most are always present.
//! Those that are zero in most runs are present only if one of the policies has a value above
//! zero.

use crate::record::{Outcome, Record};
use crate::report::{grouped, latency, percent};
use crate::scenario::play::Run;
use crate::sim::span::Span;

/// Runs of one scenario from one seed, each with its own policy.
pub struct Comparison {
    pub name: String,
    pub description: String,
    pub seed: u64,
    pub workers: usize,
    pub duration: Span,
    pub runs: Vec<Compared>,
}

/// One of the runs.
pub struct Compared {
    /// The unique name of the policy in reports.
    pub title: String,
    /// The policy as given by the user: a file, or `none`.
    pub policy: String,
    pub run: Run,
}

/// A row of the table, with a value for each run.
pub struct Measure {
    pub name: String,
    pub values: Vec<String>,
}

/// The compared percentiles.
const PERCENTILES: [(&str, f64); 4] =
    [("p50", 50.0), ("p90", 90.0), ("p99", 99.0), ("p99.9", 99.9)];

impl Comparison {
    /// Returns the rows of the table.
    pub fn measures(&self) -> Vec<Measure> {
        let mut rows = self.clients();
        rows.extend(self.latencies());
        rows.extend(self.upstreams());
        rows.push(self.row("circuits opened", opened));
        rows.extend(self.anomalies());
        rows
    }

    /// Returns the calls of the run with the fewest calls.
    pub fn calls_min(&self) -> u64 {
        let calls = self.runs.iter().map(|it| it.run.record.total.calls);
        calls.min().unwrap_or(0)
    }

    fn clients(&self) -> Vec<Measure> {
        let mut rows = vec![
            self.row("calls", |it| grouped(it.total.calls)),
            self.row("calls succeeded", |it| {
                percent(it.total.calls_succeeded, it.total.calls_ended)
            }),
            self.row("requests", |it| grouped(it.total.requests)),
        ];
        rows.extend(Outcome::ALL.map(|outcome| {
            self.row(&format!("requests: {}", outcome.name()), |it| {
                let ended = it.total.outcomes.iter().sum();
                percent(it.total.outcome(outcome), ended)
            })
        }));
        rows
    }

    fn latencies(&self) -> Vec<Measure> {
        let percentile = |(name, percent): (&str, f64)| {
            self.row(&format!("latency {name}"), |it| {
                latency(it.total.percentile(percent))
            })
        };
        let mut rows: Vec<_> = PERCENTILES.into_iter().map(percentile).collect();
        rows.push(self.row("latency, slowest", |it| latency(it.total.latency_max())));
        rows
    }

    fn upstreams(&self) -> Vec<Measure> {
        let names = self.runs.first().map(|it| &it.run.record.names.clusters);
        let names = names.into_iter().flatten().enumerate();
        let requests = |(index, name): (usize, &String)| {
            self.row(&format!("requests at {name}"), |it| {
                grouped(it.total.clusters.get(index).map_or(0, |it| it.attempts))
            })
        };
        let mut rows: Vec<_> = names.map(requests).collect();
        rows.push(self.row("requests at upstreams per call", |it| {
            format!("{:.2}", it.total.amplification())
        }));
        rows.push(self.row("retries by the proxy", |it| grouped(it.total.retries())));
        rows.extend(self.row_if_any("requests by the plugin", |it| {
            it.record.total.clusters.iter().map(|it| it.callouts).sum()
        }));
        rows
    }

    fn anomalies(&self) -> Vec<Measure> {
        let unfinished = self.row_if_any("unfinished requests", |run| run.unfinished as u64);
        let errors = self.row_if_any("errors logged by the plugin", |run| run.record.errors_total);
        unfinished.into_iter().chain(errors).collect()
    }

    fn row(&self, name: &str, value: impl Fn(&Record) -> String) -> Measure {
        let values = self.runs.iter().map(|it| value(&it.run.record));
        Measure {
            name: name.into(),
            values: values.collect(),
        }
    }

    /// Returns a row of numbers. `None` if all are zero.
    fn row_if_any(&self, name: &str, value: impl Fn(&Run) -> u64) -> Option<Measure> {
        let values: Vec<_> = self.runs.iter().map(|it| value(&it.run)).collect();
        values.iter().any(|value| *value > 0).then(|| Measure {
            name: name.into(),
            values: values.into_iter().map(grouped).collect(),
        })
    }
}

fn opened(record: &Record) -> String {
    let opened = grouped(record.circuits.opened());
    match record.circuits.dropped {
        0 => opened,
        // Transitions beyond a cap are not kept, and any of them may have opened a circuit.
        _ => format!("{opened} or more"),
    }
}
