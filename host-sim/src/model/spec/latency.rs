//! Durations, fixed or drawn from a distribution.

use std::fmt;

use schemars::JsonSchema;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

use crate::sim::span::Span;

/// A duration such as `20ms`, or a distribution to draw from each time, such as
/// `{lognormal: {median: 20ms, p99: 200ms}}`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(transparent)]
#[schemars(with = "LatencySchema")]
pub struct Latency(pub Shape);

/// A distribution of durations.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Shape {
    /// Always the same.
    Constant(Span),
    /// Uniform between the two.
    Uniform { min: Span, max: Span },
    /// Like the time between independent events: often short, sometimes very long.
    Exponential { mean: Span },
    /// Like the latency of most services: half are below `median`, one in a hundred is above
    /// `p99`.
    Lognormal { median: Span, p99: Span },
}

impl fmt::Display for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Shape::Constant(span) => span.fmt(f),
            Shape::Uniform { min, max } => write!(f, "{min} to {max}"),
            Shape::Exponential { mean } => write!(f, "{mean} on average"),
            Shape::Lognormal { median, p99 } => write!(f, "{median}, p99 {p99}"),
        }
    }
}

#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
enum LatencySchema {
    Constant(Span),
    Drawn(Shape),
}

impl<'de> Deserialize<'de> for Latency {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Latency, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Latency;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a duration such as 20ms, or uniform, exponential or lognormal")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Latency, E> {
                let span = text.parse::<Span>();
                let span = span.map_err(|error| E::custom(format!("{text:?} is {error}")))?;
                Ok(Latency(Shape::Constant(span)))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Latency, A::Error> {
                Shape::deserialize(MapAccessDeserializer::new(map)).map(Latency)
            }
        }
        deserializer.deserialize_any(Either)
    }
}
