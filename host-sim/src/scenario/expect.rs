//! Expectations of a run.
//!
//! A statement covers a moment (`at`), a period (`between`) or the whole run. Its subject is a
//! circuit, what clients saw, what reached the upstreams, or a metric of the plugin.

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

/// One statement of a scenario file.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Statement {
    /// The moment that it covers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Span>,
    /// The period that it covers, without its end. Without `at` and `between`, it covers the whole
    /// run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub between: Option<(Span, Span)>,
    /// The circuits of this policy.
    #[serde(skip_serializing_if = "Option::is_none", alias = "policy")]
    pub circuit: Option<String>,
    /// With `circuit`: only the circuit with this key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<Vec<String>>,
    /// With `circuit` and `at`: the expected state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<State>,
    /// With `circuit`: counts the transitions to this state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enters: Option<State>,
    /// A number about the upstreams (`upstream_requests`, `upstream_retries`,
    /// `upstream_failures`, `upstream_overflows`, `callouts`, `serving_max`, `line_max`), the
    /// plugin's memory at the end (`shared_data_names` and `shared_data_bytes` for keys and bytes
    /// in shared data, `machine_bytes` for the largest VM), or a metric of the plugin by its full
    /// name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metric: Option<String>,
    /// With `metric` or `amplification`: only this upstream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// A measure of the clients.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<ClientMeasure>,
    /// With `client`: only the group of clients with this name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Bounds the attempts at upstreams per call of a client: at most or at least `value`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub amplification: Option<Limit>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<Amount>,
    /// A number, or a duration for measures of time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min: Option<Amount>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<Amount>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub equals: Option<Amount>,
}

/// Which bound of a range a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Limit {
    Min,
    Max,
}

/// A measure of the clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClientMeasure {
    /// Percentage of ended calls with a usable response.
    SuccessRate,
    /// Calls that began.
    Calls,
    /// Requests sent, including retries of clients.
    Requests,
    /// Requests with a usable response of the upstream.
    Success,
    /// Requests with a usable response of the filter.
    Fallback,
    /// Requests with an error of the filter.
    Rejected,
    /// Requests with another error.
    Error,
    /// Requests that the client gave up.
    GaveUp,
    /// Requests whose response was reset.
    Broken,
    /// Median latency of calls. The others are further percentiles.
    P50,
    P90,
    P95,
    P99,
    P999,
    /// Latency of the slowest call.
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
                    .map_err(|error| E::custom(format!("{text:?} is not a number and {error}")))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

/// A checked statement.
#[derive(Clone, Debug)]
pub struct Expectation {
    /// The statement on one line.
    pub text: String,
    pub subject: Subject,
    /// Begin and end. `None` for the whole run.
    pub window: Option<(Time, Time)>,
    /// The group of clients. `None` for all clients.
    pub source: Option<String>,
    pub bounds: Bounds,
}

/// The subject of an expectation.
#[derive(Clone, Debug, PartialEq)]
pub enum Subject {
    /// The state of circuits at a moment.
    State {
        at: Time,
        policy: String,
        key: Option<Vec<String>>,
        state: State,
    },
    /// The number of transitions to a state.
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
    /// The increase of a metric of the plugin.
    Plugin(String),
    /// The plugin's memory at the end.
    Memory(Memory),
    /// Attempts per call, at all clusters or at one.
    Amplification(Option<String>),
}

/// Memory of a plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// Number of keys in shared data.
    SharedNames,
    /// Bytes of the values in shared data.
    SharedBytes,
    /// Linear memory of the largest VM.
    Vm,
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

/// The allowed range of a value. Durations are in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Bounds {
    pub min: Option<f64>,
    pub max: Option<f64>,
}

impl Subject {
    /// Returns whether its values are durations.
    pub fn is_time(&self) -> bool {
        use ClientMeasure::{P50, P90, P95, P99, P999, Slowest};
        matches!(
            self,
            Subject::Client(P50 | P90 | P95 | P99 | P999 | Slowest)
        )
    }
}

/// Returns the times at which a [`Judge`] needs to observe the run.
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
