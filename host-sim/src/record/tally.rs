//! Counts of a period.

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::sim::span::Span;

/// How a request ended for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// A response of the upstream below 500, with gRPC status 0.
    Success,
    /// A good response made by the filter.
    Fallback,
    /// An error made by the filter.
    Rejected,
    /// An error of the upstream or of the proxy.
    Error,
    /// No response before the client's timeout.
    GaveUp,
    /// A response that was reset.
    Broken,
}

impl Outcome {
    /// All outcomes, in the order of reports.
    pub const ALL: [Outcome; 6] = [
        Outcome::Success,
        Outcome::Fallback,
        Outcome::Rejected,
        Outcome::Error,
        Outcome::GaveUp,
        Outcome::Broken,
    ];

    /// Returns its name in reports.
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

    /// Returns whether the client got a usable response.
    pub fn is_good(self) -> bool {
        matches!(self, Outcome::Success | Outcome::Fallback)
    }
}

/// Counts of a period.
///
/// A *call* is made once by a user, a *request* is one try of the client, and an *attempt* is one
/// try of the proxy. Without retries there is one of each.
#[derive(Clone, Debug)]
pub struct Tally {
    /// Calls that began.
    pub calls: u64,
    /// Calls that ended.
    pub calls_ended: u64,
    /// Calls that ended with a usable response.
    pub calls_succeeded: u64,
    /// Requests that were sent to the proxy.
    pub requests: u64,
    /// Requests that ended, by [`Outcome`].
    pub outcomes: [u64; Outcome::ALL.len()],
    /// By cluster.
    pub clusters: Vec<ClusterTally>,
    /// Latencies of calls in microseconds, including those that the client gave up.
    latency_us: Option<Histogram<u32>>,
}

/// Counts of one cluster.
#[derive(Clone, Debug, Default)]
pub struct ClusterTally {
    /// Attempts of requests, and calls of plugins.
    pub attempts: u64,
    /// Attempts that were retries of the proxy.
    pub retries: u64,
    /// Attempts that were calls of plugins.
    pub callouts: u64,
    /// Attempts that ended without a response, or with a status of 500 or above.
    pub failures: u64,
    /// Attempts and retries rejected by the proxy's limits for the cluster.
    pub overflows: u64,
    /// Maximum number of requests being served at once.
    pub serving_max: u32,
    /// Maximum number of requests in its queue.
    pub line_max: u32,
}

impl Tally {
    /// Creates an empty tally. Percentiles are exact to `digits`, at most 5.
    pub fn new(clusters: usize, digits: u8) -> Tally {
        Tally {
            calls: 0,
            calls_ended: 0,
            calls_succeeded: 0,
            requests: 0,
            outcomes: [0; Outcome::ALL.len()],
            clusters: vec![ClusterTally::default(); clusters],
            // Fails for more than five digits only.
            latency_us: Histogram::new(digits).ok(),
        }
    }

    /// Counts a call that ended after `took`.
    pub fn end_call(&mut self, good: bool, took: Span) {
        self.calls_ended += 1;
        self.calls_succeeded += u64::from(good);
        if let Some(histogram) = &mut self.latency_us {
            // The histogram resizes itself, so this cannot fail.
            let _ = histogram.record(took.as_ns() / 1_000);
        }
    }

    /// Returns a percentile of the latency of calls. `None` if no call has ended.
    pub fn percentile(&self, percent: f64) -> Option<Span> {
        let histogram = self.latencies()?;
        Some(Span::from_ns(
            histogram.value_at_quantile(percent / 100.0) * 1_000,
        ))
    }

    /// Returns the latency of the slowest call. `None` if no call has ended.
    pub fn latency_max(&self) -> Option<Span> {
        Some(Span::from_ns(self.latencies()?.max() * 1_000))
    }

    fn latencies(&self) -> Option<&Histogram<u32>> {
        self.latency_us
            .as_ref()
            .filter(|histogram| !histogram.is_empty())
    }

    /// Returns the number of requests with this outcome.
    pub fn outcome(&self, outcome: Outcome) -> u64 {
        self.outcomes[outcome as usize]
    }

    /// Returns the percentage of ended calls with a usable response. 100 if none has ended.
    pub fn success_percent(&self) -> f64 {
        match self.calls_ended {
            0 => 100.0,
            ended => self.calls_succeeded as f64 * 100.0 / ended as f64,
        }
    }

    /// Returns the attempts at all clusters.
    pub fn attempts(&self) -> u64 {
        self.clusters.iter().map(|it| it.attempts).sum()
    }

    /// Returns the proxy's retries at all clusters.
    pub fn retries(&self) -> u64 {
        self.clusters.iter().map(|it| it.retries).sum()
    }

    /// Returns the attempts per call. 0 if there are no calls.
    pub fn amplification(&self) -> f64 {
        self.per_call(self.attempts() as f64)
    }

    /// Returns `number` divided by the number of calls. 0 if there are no calls.
    pub fn per_call(&self, number: f64) -> f64 {
        match self.calls {
            0 => 0.0,
            calls => number / calls as f64,
        }
    }

    /// Updates the maximum load of a cluster.
    pub fn load(&mut self, cluster: usize, serving: u32, line: u32) {
        if let Some(cluster) = self.clusters.get_mut(cluster) {
            cluster.serving_max = cluster.serving_max.max(serving);
            cluster.line_max = cluster.line_max.max(line);
        }
    }

    /// Adds the counts of `other`.
    pub fn add(&mut self, other: &Tally) {
        self.calls += other.calls;
        self.calls_ended += other.calls_ended;
        self.calls_succeeded += other.calls_succeeded;
        self.requests += other.requests;
        for (sum, other) in self.outcomes.iter_mut().zip(other.outcomes) {
            *sum += other;
        }
        for (sum, other) in self.clusters.iter_mut().zip(&other.clusters) {
            sum.add(other);
        }
        if let (Some(sum), Some(other)) = (&mut self.latency_us, &other.latency_us) {
            // The histogram resizes itself, so this cannot fail.
            let _ = sum.add(other);
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
