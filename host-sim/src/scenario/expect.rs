//! What has to hold in a run.
//!
//! A statement is about a moment (`at`), a stretch of time (`between`) or the whole
//! run, and says something of a circuit, of what clients saw, of what reached the
//! upstreams, or of a metric of the plugin.

mod around;
mod compile;
mod judge;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use crate::record::State;
use crate::sim::clock::Time;
use crate::sim::span::Span;

pub use compile::compile;
pub use judge::{Judge, Verdict};

/// One statement, as a file has it.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Statement {
    /// The moment that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Span>,
    /// The stretch of time that it is about, the end not included. Without `at` and `between`
    /// it is about the whole run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub between: Option<(Span, Span)>,
    /// The circuits of this policy.
    #[serde(skip_serializing_if = "Option::is_none", alias = "policy")]
    pub circuit: Option<String>,
    /// With `circuit`: the one with this key, and not all of the policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<Vec<String>>,
    /// With `circuit` and `at`: it is in this state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<State>,
    /// With `circuit`: how often it went into this state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enters: Option<State>,
    /// A number about the upstreams (`upstream_requests`, `upstream_retries`,
    /// `upstream_failures`, `upstream_overflows`, `callouts`, `serving_max`, `line_max`), the
    /// memory that the plugin takes at the end (names and bytes in the data that workers share:
    /// `shared_data_names`, `shared_data_bytes`; the largest worker's own: `machine_bytes`), or
    /// a metric of the plugin by its full name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metric: Option<String>,
    /// With `metric` or `amplification`: this upstream alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// Something that clients see.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<ClientMeasure>,
    /// With `client`: the group of clients with this name alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Attempts at upstreams for each call of a client: at most or at least `value`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub amplification: Option<Limit>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<Amount>,
    /// A number, or a duration where time is measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min: Option<Amount>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<Amount>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub equals: Option<Amount>,
}

/// Which end of a range a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Limit {
    Min,
    Max,
}

/// Something that clients see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClientMeasure {
    /// Percent of the calls that ended with a good answer.
    SuccessRate,
    /// Calls that began.
    Calls,
    /// Requests that were sent for them.
    Requests,
    /// Requests with a good answer of the upstream.
    Success,
    /// Requests with a good answer of the filter.
    Fallback,
    /// Requests with an error of the filter.
    Rejected,
    /// Requests with another error.
    Error,
    /// Requests that the client gave up.
    GaveUp,
    /// Requests whose answer broke off.
    Broken,
    /// What half of the calls were faster than.
    P50,
    P90,
    P95,
    P99,
    P999,
    /// The slowest call.
    Slowest,
}

/// A number or a duration.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Amount {
    Number(f64),
    Span(Span),
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Amount, D::Error> {
        struct Either;
        impl serde::de::Visitor<'_> for Either {
            type Value = Amount;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a number, or a duration such as 250ms")
            }

            fn visit_f64<E>(self, number: f64) -> Result<Amount, E> {
                Ok(Amount::Number(number))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Amount, E> {
                Ok(Amount::Number(number as f64))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Amount, E> {
                Ok(Amount::Number(number as f64))
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Amount, E> {
                let span = text.parse();
                span.map(Amount::Span)
                    .map_err(|error| E::custom(format!("{text:?} is no number and {error}")))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

/// A statement that makes sense.
#[derive(Clone, Debug)]
pub struct Expectation {
    /// As the file has it, on one line.
    pub text: String,
    pub subject: Subject,
    /// From and to; none for the whole run.
    pub window: Option<(Time, Time)>,
    /// The group of clients that it is about; all if missing.
    pub source: Option<String>,
    pub bounds: Bounds,
}

/// What an expectation is about.
#[derive(Clone, Debug, PartialEq)]
pub enum Subject {
    /// The state of circuits at a moment.
    State {
        at: Time,
        policy: String,
        key: Option<Vec<String>>,
        state: State,
    },
    /// How often circuits went into a state.
    Enters {
        policy: String,
        key: Option<Vec<String>>,
        state: State,
    },
    Client(ClientMeasure),
    Upstream {
        metric: UpstreamMetric,
        cluster: Option<String>,
    },
    /// A metric of the plugin: how far it moved.
    Plugin(String),
    /// What the plugin takes at the end.
    Memory(Memory),
    /// Attempts for each call, at all clusters or at one.
    Amplification(Option<String>),
}

/// What a plugin takes of a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// Names in the data that workers share.
    SharedNames,
    /// Bytes of the values there.
    SharedBytes,
    /// The linear memory of the worker that has the most.
    Machine,
}

/// A number about upstreams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpstreamMetric {
    Requests,
    Retries,
    Failures,
    Overflows,
    Callouts,
    ServingMax,
    LineMax,
}

/// The range that a value has to lie in; durations in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Bounds {
    pub min: Option<f64>,
    pub max: Option<f64>,
}

impl Subject {
    /// Whether its values are durations.
    pub fn is_time(&self) -> bool {
        use ClientMeasure::{P50, P90, P95, P99, P999, Slowest};
        matches!(
            self,
            Subject::Client(P50 | P90 | P95 | P99 | P999 | Slowest)
        )
    }
}

/// The moments at which a run has to be looked at, for [`Judge`].
pub fn marks(expectations: &[Expectation]) -> Vec<Time> {
    let of = |it: &Expectation| match &it.subject {
        Subject::State { at, .. } => vec![*at],
        Subject::Plugin(_) => it.window.map_or(vec![], |(from, to)| vec![from, to]),
        _ => vec![],
    };
    let mut marks: Vec<_> = expectations.iter().flat_map(of).collect();
    marks.sort();
    marks.dedup();
    marks
}
