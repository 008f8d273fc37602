//! The kinds of pause and the events of the histories.

use super::model::{End, Kind};

pub(super) const RETRY: &str = r#""retry": {"engine": "filter", "replay": "as_received", "timeout": "60s",
    "max_retries": N, "backoff": {"base_interval": "100ms", "max_interval": "500ms"},
    "budget": {"percent": 0, "interval": "1s", "min_retry_rate": {"count": 100, "interval": "1s"}}}"#;

/// Each policy never trips by itself.
pub(super) const KINDS: [Kind; 7] = [
    Kind {
        name: "two retries",
        fields: r#"RETRY2"#,
        rejected: false,
        body_comes: false,
        bodiless: false,
        retries: 2,
        clusters: 0,
        last: End::Resumed,
    },
    Kind {
        name: "a retry, a cluster, a fixed response",
        fields: r#"RETRY1, "fallback": [CLUSTER, RESPOND]"#,
        retries: 1,
        clusters: 1,
        last: End::Answered,
        ..RETRIES
    },
    Kind {
        name: "two clusters for a failure",
        fields: r#""fallback": [CLUSTER, CLUSTER]"#,
        retries: 0,
        clusters: 2,
        ..RETRIES
    },
    Kind {
        name: "two clusters for a failure without a body",
        fields: r#""fallback": [CLUSTER, CLUSTER]"#,
        bodiless: true,
        retries: 0,
        clusters: 2,
        ..RETRIES
    },
    Kind {
        name: "two clusters for a complete request",
        fields: r#""mode": "forced_open", "fallback": [CLUSTER, CLUSTER]"#,
        rejected: true,
        retries: 0,
        clusters: 2,
        last: End::Answered,
        ..RETRIES
    },
    Kind {
        name: "a cluster for a request whose body comes",
        fields: r#""mode": "forced_open", "fallback": [CLUSTER, RESPOND]"#,
        body_comes: true,
        clusters: 1,
        ..REJECTED
    },
    Kind {
        name: "a cluster, then another route",
        fields: r#""mode": "forced_open", "fallback": [CLUSTER, ROUTE]"#,
        body_comes: true,
        clusters: 1,
        last: End::Diverted,
        ..REJECTED
    },
];

pub(super) const RETRIES: Kind = Kind {
    name: "",
    fields: "",
    rejected: false,
    body_comes: false,
    bodiless: false,
    retries: 2,
    clusters: 0,
    last: End::Resumed,
};

pub(super) const REJECTED: Kind = Kind {
    rejected: true,
    retries: 0,
    last: End::Answered,
    ..RETRIES
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Tick,
    /// The oldest call under way brings a response.
    Answered,
    /// The oldest call under way fails.
    Failed,
    Gone,
    /// A chunk of the paused side's body.
    Chunk,
    /// The last one.
    LastChunk,
    Trailers,
    /// The request's copy and fields make room for others.
    Evicted,
    /// A stream of another configuration is paused.
    Reconfigured,
}

pub(super) const STEPS: [Step; 9] = [
    Step::Tick,
    Step::Answered,
    Step::Failed,
    Step::Gone,
    Step::Chunk,
    Step::LastChunk,
    Step::Trailers,
    Step::Evicted,
    Step::Reconfigured,
];
