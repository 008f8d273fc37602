//! The format of expectations. A missing field expects nothing.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::values::{Level, Scalar};

/// What must hold at the end of a request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Expect {
    /// Whether the plugin refuses the new configuration of this step, so that the old one stays.
    /// Defaults to `false`.
    pub refused: bool,
    /// Status that the client got.
    pub status: Option<u16>,
    /// Headers that the client got.
    pub headers: BTreeMap<String, WantedHeader>,
    /// Body that the client got.
    pub body: Option<WantedBody>,
    /// Trailers that the client got.
    pub trailers: BTreeMap<String, WantedHeader>,
    /// Whether the client has no whole response: its stream was reset, or it cannot read it.
    pub reset: Option<bool>,
    /// Whether the messages that the client and the upstream got fit their headers, such as
    /// `content-length`. If anything is expected, they have to, unless this is false. A response
    /// that is expected to be broken need not fit.
    pub fits: Option<bool>,
    /// Lines that the plugin logged since the previous step.
    pub log: Vec<WantedLine>,
    /// What the upstream got.
    pub upstream: Option<Upstream>,
    /// All calls of plugins to clusters since the previous step, in order.
    pub callouts: Option<Vec<Callout>>,
    /// Counters and gauges of plugins, by name. One that is not defined is 0.
    pub metrics: BTreeMap<String, i64>,
}

/// A header: its value, its values in order, or a rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum WantedHeader {
    Value(Scalar),
    Values(Vec<Scalar>),
    Rule(HeaderForms),
}

/// Rules for a header.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HeaderForms {
    /// Whether there must be no such header.
    pub absent: bool,
    /// A regular expression that fits a part of the value.
    pub regex: Option<String>,
    /// A part of the value.
    pub contains: Option<String>,
}

/// A body: its text, or rules.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum WantedBody {
    Text(String),
    Rule(BodyForms),
}

/// Rules for a body.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BodyForms {
    /// A part of it.
    pub contains: Option<String>,
    /// A regular expression that fits a part of it.
    pub regex: Option<String>,
    /// JSON that it includes: of objects the named fields, and arrays item by item.
    pub json: Option<serde_json::Value>,
    /// Its length in bytes.
    pub bytes: Option<usize>,
}

/// A line of the log: a part of it, or rules.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum WantedLine {
    Part(String),
    Rule(LineForms),
}

/// Rules for a line of the log.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LineForms {
    /// Its level.
    pub level: Option<Level>,
    /// A part of it.
    pub contains: Option<String>,
    /// A regular expression that fits a part of it.
    pub regex: Option<String>,
    /// Whether there must be no such line.
    pub absent: bool,
}

/// What the upstream must have got.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Upstream {
    /// Number of requests, 0 or 1.
    pub requests: Option<usize>,
    pub method: Option<String>,
    pub path: Option<String>,
    pub headers: BTreeMap<String, WantedHeader>,
    pub body: Option<WantedBody>,
    pub trailers: BTreeMap<String, WantedHeader>,
}

/// A call that a plugin must have made.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Callout {
    pub cluster: Option<String>,
    pub method: Option<String>,
    pub path: Option<String>,
    pub headers: BTreeMap<String, WantedHeader>,
    /// The body, or the message of a gRPC call.
    pub body: Option<WantedBody>,
}
