//! The format of plugin tests. Their JSON Schema is derived from these types.

mod expect;
mod values;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::scenario::file::PluginFile;
use crate::sim::span::Span;

pub use expect::{
    BodyForms, Callout, Expect, HeaderForms, LineForms, Upstream, WantedBody, WantedHeader,
    WantedLine,
};
pub use values::{Level, OneOrMore, Pairs, Scalar};

/// A plugin test: plugins, what surrounds them, and requests with expectations.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct File {
    /// Location of the schema, for editors.
    #[serde(rename = "$schema")]
    pub schema: Option<String>,
    /// Its name, for readers of the file.
    pub name: Option<String>,
    pub description: Option<String>,
    /// The plugin.
    pub plugin: Option<PluginFile>,
    /// Several plugins, from the client to the upstream. Replaces `plugin`.
    pub plugins: Vec<PluginFile>,
    /// Number of worker threads of the proxy. Defaults to 1.
    pub workers: Option<u32>,
    /// Seed of all random numbers. Defaults to 1.
    pub seed: Option<u64>,
    /// The wall clock at the start, such as `2026-01-01T00:00:00Z`, which is the default.
    pub start: Option<String>,
    /// Lines below this level are dropped. Defaults to `trace`.
    pub log_level: Option<Level>,
    /// Properties by their path, whose segments are separated by dots (`\.` is a dot within a
    /// segment). Numbers and booleans have the encoding that Envoy gives them.
    pub properties: BTreeMap<String, serde_json::Value>,
    /// Statuses of hostcalls that are not modelled, by the name of the function.
    pub stubs: BTreeMap<String, String>,
    /// How much of a message a pause of a plugin may buffer (Envoy's option of a listener). 0 is no
    /// limit. Defaults to 1048576, as in Envoy.
    pub per_connection_buffer_limit_bytes: Option<u32>,
    /// What the upstream and called clusters answer. The first one that fits a request is used.
    pub mocks: Vec<Mock>,
    /// What happens, in order.
    pub requests: Vec<Step>,
}

/// What a cluster answers.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Mock {
    /// The cluster. Defaults to `upstream`, to which the proxy routes requests.
    pub cluster: Option<String>,
    /// The path, with or without its query. A `*` at the end stands for any rest. Defaults to
    /// any path.
    pub path: Option<String>,
    /// Only the request with this number, counted from 1 for each cluster.
    pub call: Option<u64>,
    pub answer: Answer,
}

/// An answer of a cluster.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Answer {
    /// Defaults to 200.
    pub status: Option<u16>,
    pub headers: Pairs,
    /// A text, `@` and the name of a file, or a value, which is sent as JSON.
    pub body: Option<serde_json::Value>,
    /// Number of parts in which the body arrives at the proxy. Defaults to 1.
    pub chunks: Option<usize>,
    pub trailers: Pairs,
    /// Time from the end of the request to the answer.
    pub delay: Span,
    /// Ends the connection at this point.
    pub reset: Option<Reset>,
    /// Makes it a gRPC answer with this status.
    pub grpc_status: Option<u32>,
    pub grpc_message: Option<String>,
    /// Messages of a gRPC answer, in the format of `body`.
    pub messages: Vec<serde_json::Value>,
}

/// Where a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reset {
    /// It is refused.
    Connect,
    /// Before the headers of the answer.
    BeforeHeaders,
    /// After the headers of the answer.
    AfterHeaders,
}

/// A request, or only time that passes.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Step {
    /// Its name in reports.
    pub name: Option<String>,
    /// Time that passes before the request, for ticks and expiry.
    pub wait: Span,
    /// A new configuration, which the plugin gets before the request, as in an update of the
    /// proxy. In the format of the plugin's first one.
    pub configuration: Option<serde_json::Value>,
    /// The plugin that gets `configuration`, counted from 0. Defaults to the first one.
    pub plugin: Option<usize>,
    /// Defaults to `GET`, and to `POST` with a body.
    pub method: Option<String>,
    /// The target of the request: a path, or an absolute URL such as `http://host/path`. Without a
    /// path there is no request.
    pub path: Option<String>,
    /// `host` and `:authority` are the same.
    pub headers: Pairs,
    /// A text, `@` and the name of a file, or a value, which is sent as JSON.
    pub body: Option<serde_json::Value>,
    /// Number of parts in which the body arrives at the proxy. Defaults to 1.
    pub chunks: Option<usize>,
    pub trailers: Pairs,
    /// The worker thread that gets the request, counted from 0.
    pub worker: usize,
    pub expect: Expect,
}

/// Returns the JSON Schema of plugin tests.
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(File).to_value()
}

/// Plugins, each with its path in the file.
pub(super) type PluginList = Vec<(String, PluginFile)>;

impl File {
    /// Takes the plugins. Without any, the list has the shipped one.
    pub(super) fn plugin_list(self) -> PluginList {
        let path = |(at, plugin)| (format!("plugins[{at}]"), plugin);
        match self.plugins.is_empty() {
            false => self.plugins.into_iter().enumerate().map(path).collect(),
            true => vec![("plugin".into(), self.plugin.unwrap_or_default())],
        }
    }
}
