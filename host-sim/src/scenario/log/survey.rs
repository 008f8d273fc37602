//! The first pass over a log: what it contains.

use hashbrown::HashMap;

use super::entry::Entry;
use super::fate::Meaning;
use super::reading::{Log, LogError, Reading};
use super::time::wall_clock;
use crate::model::spec;
use crate::model::world::Plan;
use crate::proxy::BUFFER_LIMIT_BYTES;
use crate::record::Reasons;
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
    pub clusters: Clusters,
    /// Requests that are replayed.
    pub requests: u64,
    /// Replayed requests that Spillway rejected or answered itself in the recording.
    pub kept_away: u64,
    /// Replayed requests whose failed response Spillway replaced in the recording.
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

/// The clusters of a log. Every pass looks one up for each request.
#[derive(Clone, Debug, Default)]
pub struct Clusters {
    /// In the order of their first request.
    names: Vec<String>,
    indices: HashMap<String, usize>,
}

impl Clusters {
    /// Returns the index of a cluster, or `None` if it is not replayed.
    pub fn index(&self, name: &str) -> Option<usize> {
        self.indices.get(name).copied()
    }

    /// Adds a cluster unless it is known. Returns false if there is no room for it.
    fn add(&mut self, name: &str) -> bool {
        if self.indices.contains_key(name) {
            return true;
        }
        let index = self.names.len();
        if index < CLUSTERS_MAX {
            self.names.push(name.to_owned());
            self.indices.insert(name.to_owned(), index);
        }
        index < CLUSTERS_MAX
    }
}

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
            clusters: Clusters::default(),
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
                .count(code.map(u32::from), flags, &entry.details.as_str().into());
        }
        if !self.clusters.add(&entry.cluster) {
            self.further_clusters += 1;
            return;
        }
        self.requests += 1;
        self.kept_away += u64::from(meaning == Meaning::KeptAway);
        self.replaced += u64::from(matches!(meaning, Meaning::Replaced(_)));
        self.longest = self.longest.max(entry.duration);
    }

    /// Returns the scenario of a replay: the clusters of the log without limits of their own, and
    /// no traffic but the recorded one.
    pub fn scenario(&self, policy: Option<Vec<u8>>, workers: usize, seed: u64) -> Scenario {
        let clusters = self.clusters.names.iter();
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
                routes: self.clusters.names.iter().map(route).collect(),
                ..Plan::default()
            },
            plugin: policy.map(PluginSpec::shipped),
            per_connection_buffer_limit_bytes: BUFFER_LIMIT_BYTES,
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
