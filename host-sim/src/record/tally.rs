//! Counts of a stretch of time.

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::sim::span::Span;

/// How a request ended, in the client's eyes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The upstream's answer, below 500 and gRPC status 0.
    Success,
    /// A good answer that the filter made.
    Fallback,
    /// An error that the filter made.
    Rejected,
    /// Another error: the upstream's or the proxy's.
    Error,
    /// No answer in time; the client went.
    GaveUp,
    /// An answer that broke off.
    Broken,
}

impl Outcome {
    /// All of them, in the order in which reports show them.
    pub const ALL: [Outcome; 6] = [
        Outcome::Success,
        Outcome::Fallback,
        Outcome::Rejected,
        Outcome::Error,
        Outcome::GaveUp,
        Outcome::Broken,
    ];

    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Success => "success",
            Outcome::Fallback => "fallback",
            Outcome::Rejected => "rejected",
            Outcome::Error => "error",
            Outcome::GaveUp => "gave up",
            Outcome::Broken => "broken",
        }
    }

    /// Whether the client got what it can use.
    pub fn is_good(self) -> bool {
        matches!(self, Outcome::Success | Outcome::Fallback)
    }
}

/// Counts of a stretch of time.
///
/// A *call* is what a user wants once; a *request* is one try of the client at it, an
/// *attempt* one try of the proxy. Without retries there is one of each.
#[derive(Clone, Debug)]
pub struct Tally {
    /// Calls that began.
    pub calls: u64,
    /// Calls that ended.
    pub calls_ended: u64,
    /// Calls that ended well.
    pub calls_succeeded: u64,
    /// Requests that were sent to the proxy.
    pub requests: u64,
    /// Requests that ended, by [`Outcome`].
    pub outcomes: [u64; Outcome::ALL.len()],
    /// By cluster.
    pub clusters: Vec<ClusterTally>,
    /// What calls took in microseconds; those that the client gave up included.
    latency_us: Option<Histogram<u32>>,
}

/// Counts of one cluster.
#[derive(Clone, Debug, Default)]
pub struct ClusterTally {
    /// Attempts of requests, and calls of plugins.
    pub attempts: u64,
    /// Those of the attempts that were retries of the proxy.
    pub retries: u64,
    /// Those of the attempts that were calls of plugins.
    pub callouts: u64,
    /// Attempts that ended without an answer, or in one of 500 and above.
    pub failures: u64,
    /// Attempts and retries that the proxy's limits for the cluster forbade.
    pub overflows: u64,
    /// The most requests that it worked on at once.
    pub serving_max: u32,
    /// The most requests that waited in its line.
    pub line_max: u32,
}

impl Tally {
    /// Zeros for so many clusters; percentiles are exact to `digits`, at most 5.
    pub fn new(clusters: usize, digits: u8) -> Tally {
        Tally {
            calls: 0,
            calls_ended: 0,
            calls_succeeded: 0,
            requests: 0,
            outcomes: [0; Outcome::ALL.len()],
            clusters: vec![ClusterTally::default(); clusters],
            // None on more than five digits alone.
            latency_us: Histogram::new(digits).ok(),
        }
    }

    /// A call ended after `took`.
    pub fn end_call(&mut self, good: bool, took: Span) {
        self.calls_ended += 1;
        self.calls_succeeded += u64::from(good);
        if let Some(histogram) = &mut self.latency_us {
            // It grows as it needs to.
            let _ = histogram.record(took.as_ns() / 1_000);
        }
    }

    /// What so many of a hundred calls were faster than; none without a call.
    pub fn percentile(&self, percent: f64) -> Option<Span> {
        let histogram = self.latencies()?;
        Some(Span::from_ns(
            histogram.value_at_quantile(percent / 100.0) * 1_000,
        ))
    }

    /// What the slowest call took.
    pub fn latency_max(&self) -> Option<Span> {
        Some(Span::from_ns(self.latencies()?.max() * 1_000))
    }

    fn latencies(&self) -> Option<&Histogram<u32>> {
        self.latency_us
            .as_ref()
            .filter(|histogram| !histogram.is_empty())
    }

    /// Requests with this outcome.
    pub fn outcome(&self, outcome: Outcome) -> u64 {
        self.outcomes[outcome as usize]
    }

    /// Percent of the ended calls that ended well; 100 without any.
    pub fn success_percent(&self) -> f64 {
        match self.calls_ended {
            0 => 100.0,
            ended => self.calls_succeeded as f64 * 100.0 / ended as f64,
        }
    }

    /// Attempts at all clusters.
    pub fn attempts(&self) -> u64 {
        self.clusters.iter().map(|it| it.attempts).sum()
    }

    /// Retries of the proxy at all clusters.
    pub fn retries(&self) -> u64 {
        self.clusters.iter().map(|it| it.retries).sum()
    }

    /// Attempts for each call; 0 without any call.
    pub fn amplification(&self) -> f64 {
        self.per_call(self.attempts() as f64)
    }

    /// `number` for each call; 0 without any call.
    pub fn per_call(&self, number: f64) -> f64 {
        match self.calls {
            0 => 0.0,
            calls => number / calls as f64,
        }
    }

    /// Counts what cluster `place` works on and has waiting.
    pub fn load(&mut self, place: usize, serving: u32, line: u32) {
        if let Some(cluster) = self.clusters.get_mut(place) {
            cluster.serving_max = cluster.serving_max.max(serving);
            cluster.line_max = cluster.line_max.max(line);
        }
    }

    /// Adds what `other` counted.
    pub fn add(&mut self, other: &Tally) {
        self.calls += other.calls;
        self.calls_ended += other.calls_ended;
        self.calls_succeeded += other.calls_succeeded;
        self.requests += other.requests;
        for (own, other) in self.outcomes.iter_mut().zip(other.outcomes) {
            *own += other;
        }
        for (own, other) in self.clusters.iter_mut().zip(&other.clusters) {
            own.add(other);
        }
        if let (Some(own), Some(other)) = (&mut self.latency_us, &other.latency_us) {
            // A histogram of its own grows as it needs to.
            let _ = own.add(other);
        }
    }
}

impl ClusterTally {
    fn add(&mut self, other: &ClusterTally) {
        self.attempts += other.attempts;
        self.retries += other.retries;
        self.callouts += other.callouts;
        self.failures += other.failures;
        self.overflows += other.overflows;
        self.serving_max = self.serving_max.max(other.serving_max);
        self.line_max = self.line_max.max(other.line_max);
    }
}
