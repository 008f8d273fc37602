//! Attempts at an upstream, and the jobs that they become there.

use slotmap::new_key_type;

use crate::headers::HeaderMap;
use crate::model::recorded::Ending;
use crate::model::response::UpstreamEvent;
use crate::sim::clock::Time;

new_key_type! {
    /// One attempt at an upstream.
    pub struct JobKey;
}

/// Jobs to wake, each with its time.
pub type Wakes = Vec<(Time, JobKey)>;

/// An attempt on its way to a cluster.
pub struct Attempt<O> {
    /// Who waits for the result.
    pub owner: O,
    pub grpc: bool,
    /// Whether the whole request is there. If not,
    /// `Upstream::complete` follows.
    pub whole: bool,
    /// Whether the codec can write it.
    pub writable: bool,
    /// Its headers, if the service needs them: see
    /// `Upstream::headers_to_forward`.
    pub headers: Option<HeaderMap>,
    /// How it ended in a recording.
    pub ending: Option<Ending>,
}

/// Why the proxy does not send an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    NoHealthyHost,
    /// The proxy's limit of requests that wait for a connection.
    PendingOverflow,
    /// The proxy's limit of requests.
    Overflow,
}

/// One attempt, as the upstream sees it.
pub(super) struct Job<O> {
    /// `None` once nobody waits for it.
    pub owner: Option<O>,
    pub state: JobState,
    /// The event of the next wake-up.
    pub next: UpstreamEvent,
    pub grpc: bool,
    pub whole: bool,
    pub writable: bool,
    /// How it ended in a recording.
    pub ending: Option<Ending>,
    /// Number of body chunks sent.
    pub chunks: u32,
    /// The request headers, until the service has called another one with them. `None` for a
    /// service that calls nobody.
    pub headers: Option<HeaderMap>,
}

/// Where a job is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum JobState {
    /// Waits in the proxy for a connection.
    Pending,
    /// The request body is still arriving.
    Receiving,
    /// The request body is still arriving, and the service will end the connection.
    Cut,
    /// Waits in the service's queue.
    Queued,
    /// A worker serves it.
    Served,
    /// Holds a worker and never ends.
    Hung,
    /// The response headers are sent, the body is not complete.
    Streaming,
    /// Rejected without taking a worker.
    Rejected,
}
