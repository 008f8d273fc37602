//! The first pass over a log: what it contains.

use super::entry::Entry;
use super::fate::Meaning;
use super::reading::{Log, LogError, Reading};
use super::time::wall_clock;
use crate::model::spec;
use crate::model::world::Plan;
use crate::record::Reasons;
use crate::scenario::file::PluginFile;
use crate::scenario::{PluginSpec, Scenario};
use crate::sim::span::Span;

/// What a log contains.
#[derive(Clone, Debug)]
pub struct Survey {
    pub name: String,
    pub reading: Reading,
    /// Number of lines to read in later passes: a log may grow meanwhile.
    pub lines: u64,
    /// When the first request began, in nanoseconds since 1970.
    pub origin_ns: u64,
    /// From the first start to the last end.
    pub duration: Span,
    pub longest: Span,
    /// Names of the clusters, in the order of their first request.
    pub clusters: Vec<String>,
    /// Requests that are replayed.
    pub requests: u64,
    /// Those of them that Spillway kept from the upstream in the recording.
    pub kept_away: u64,
    /// Those of them whose failure Spillway wrote over.
    pub replaced: u64,
    /// Requests that neither reached Spillway nor an upstream.
    pub left_out: Reasons,
    pub left_out_total: u64,
    /// Requests to clusters beyond the limit.
    pub further_clusters: u64,
}

/// A report cannot show more, and every period has counts for each.
const CLUSTERS_MAX: usize = 256;

/// The longest time that a log may cover. A longer one is a wrong time, for which the simulation
/// would take days.
const DURATION_MAX: Span = Span::from_ms(31 * 86_400_000);

impl Survey {
    /// Reads a log once.
    ///
    /// # Errors
    ///
    /// If it cannot be read, has no request to replay, or covers too long a time.
    pub fn new(log: &Log, name: &str) -> Result<Survey, LogError> {
        let mut requests = log.requests(u64::MAX)?;
        let mut survey = Survey::empty(name);
        let mut last_ns = 0;
        while let Some((entry, meaning)) = requests.next() {
            if survey.origin_ns == 0 {
                survey.origin_ns = entry.start_ns;
            }
            last_ns = last_ns.max(entry.end_ns());
            if last_ns - survey.origin_ns > DURATION_MAX.as_ns() {
                let (from, to) = (wall_clock(survey.origin_ns), wall_clock(last_ns));
                let what = format!("the log spans {from} to {to} here, allowed 31 days");
                return Err(log.error(Some(requests.line()), what));
            }
            survey.add(&entry, meaning);
        }
        survey.duration = Span::from_ns((last_ns - survey.origin_ns).max(1_000_000));
        survey.lines = requests.line();
        survey.reading = requests.reading;
        match (survey.requests, survey.reading.examples.first()) {
            (0, Some((line, why))) => Err(log.error(Some(*line), why.clone())),
            (0, None) => {
                let what = "has no request that reached an upstream, needs at least one";
                Err(log.error(None, what.into()))
            }
            _ => Ok(survey),
        }
    }

    fn empty(name: &str) -> Survey {
        Survey {
            name: name.into(),
            reading: Reading::default(),
            lines: 0,
            origin_ns: 0,
            duration: Span::ZERO,
            longest: Span::ZERO,
            clusters: Vec::new(),
            requests: 0,
            kept_away: 0,
            replaced: 0,
            left_out: Reasons::default(),
            left_out_total: 0,
            further_clusters: 0,
        }
    }

    fn add(&mut self, entry: &Entry, meaning: Meaning) {
        if meaning == Meaning::Elsewhere {
            self.left_out_total += 1;
            let flags = Reasons::flags(&entry.flags);
            let code = (entry.status > 0).then_some(entry.status);
            return self
                .left_out
                .count(code, flags, &entry.details.as_str().into());
        }
        if self.cluster(&entry.cluster).is_none() {
            if self.clusters.len() >= CLUSTERS_MAX {
                self.further_clusters += 1;
                return;
            }
            self.clusters.push(entry.cluster.clone());
        }
        self.requests += 1;
        self.kept_away += u64::from(meaning == Meaning::KeptAway);
        self.replaced += u64::from(matches!(meaning, Meaning::Replaced(_)));
        self.longest = self.longest.max(entry.duration);
    }

    /// Returns the index of a cluster.
    pub fn cluster(&self, name: &str) -> Option<usize> {
        self.clusters.iter().position(|it| it == name)
    }

    /// Returns the scenario of a replay: the clusters of the log without limits of their own, and
    /// no traffic but the recorded one.
    pub fn scenario(&self, policy: Option<Vec<u8>>, workers: usize, seed: u64) -> Scenario {
        let clusters = self.clusters.iter();
        let route = |name: &String| spec::Route {
            name: "recorded".into(),
            cluster: Some(name.clone()),
            // The recorded endings have the timeouts in them.
            timeout: Span::ZERO,
            idle_timeout: Span::ZERO,
            ..spec::Route::default()
        };
        Scenario {
            name: self.name.clone(),
            description: String::new(),
            plan: Plan {
                seed,
                workers,
                duration: self.duration,
                clusters: clusters.map(|name| (name.clone(), unlimited())).collect(),
                routes: self.clusters.iter().map(route).collect(),
                ..Plan::default()
            },
            plugin: policy.map(PluginFile::default_with),
            expectations: Vec::new(),
        }
    }
}

/// A cluster whose limits have shown in the recording already.
fn unlimited() -> spec::Cluster {
    spec::Cluster {
        limits: spec::Limits {
            max_connections: u32::MAX,
            max_pending_requests: u32::MAX,
            max_requests: u32::MAX,
            ..spec::Limits::default()
        },
        ..spec::Cluster::default()
    }
}

impl PluginFile {
    /// Returns the shipped plugin with a policy.
    fn default_with(policy: Vec<u8>) -> PluginSpec {
        let file = PluginFile::default();
        PluginSpec {
            module: None,
            name: file.name,
            root_id: file.root_id,
            vm_id: file.vm_id,
            vm_configuration: file.vm_configuration.into_bytes(),
            configuration: policy,
            failure_policy: file.failure_policy.into(),
            allow_on_headers_stop_iteration: file.allow_on_headers_stop_iteration,
        }
    }
}
