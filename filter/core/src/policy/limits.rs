//! What a file says besides its policies: bounds on memory, sharing, the host, metrics,
//! events, the endpoint for operators.

use alloc::boxed::Box;

use crate::time::Span;

/// Most keys of one policy.
pub(crate) const KEYS_MAX: u32 = 100_000;

/// Envoy's default for `per_connection_buffer_limit_bytes`.
pub(crate) const BUFFER_LIMIT_BYTES: u32 = 1_048_576;

/// Bounds on the filter's memory.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// Keys with a circuit of their own, per policy.
    pub keys: u32,
    /// Keys that one worker holds, over all policies.
    pub keys_total: u32,
    /// Largest request body that is copied for a retry.
    pub replay_body_bytes: u32,
    /// Memory for copies of requests, per VM and over all policies.
    pub copies_bytes: u32,
    /// Largest response to a retry, or from another cluster, that is passed on.
    pub replay_answer_bytes: u32,
    /// Memory for stale responses, for the whole proxy.
    pub stale_bytes: u32,
    /// Memory for responses while they are recorded, per VM and over all policies.
    pub recording_bytes: u32,
}

/// What the host does not report by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Host {
    /// Whether the host delivers a request's body while its headers are paused.
    pub headers_stop_iteration: bool,
    /// How much of a paused message the host buffers before it sends an error reply.
    pub buffer_limit_bytes: u32,
}

impl Default for Host {
    fn default() -> Host {
        Host {
            headers_stop_iteration: false,
            buffer_limit_bytes: BUFFER_LIMIT_BYTES,
        }
    }
}

/// How workers share their circuits.
#[derive(Clone, Debug, PartialEq)]
pub struct Sync {
    /// How old a worker's view of a circuit may get, and the least time between two merges of
    /// its counts into the shared record; 10ms to 5s.
    pub interval: Span,
}

/// Metrics beyond those that every file has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metrics {
    /// Number of circuits that have a series for each state.
    pub circuits: u32,
}

/// Where changes of state and operators' actions are reported, besides the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Events {
    /// The host's cluster of the collector.
    pub cluster: Box<str>,
    /// The path of its requests.
    pub path: Box<str>,
}

/// The endpoint for operators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admin {
    /// The path under which it responds. It starts with `/` and does not end with it, and no
    /// segment is empty, `.` or `..`.
    pub path_prefix: Box<str>,
}
