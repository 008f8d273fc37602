//! The format of scenario files. Their JSON Schema is derived from these types.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::spec::{Cluster, Fault, Route, Traffic};
use crate::proxy;
use crate::scenario::expect::Statement;
use crate::sim::span::Span;

/// A scenario: a policy, the world around it, and expectations.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// Location of the schema, for editors.
    #[serde(default, rename = "$schema")]
    pub schema: Option<String>,
    /// Its name in reports. Defaults to the name of the file.
    #[serde(default)]
    pub name: Option<String>,
    #[serde(default)]
    pub description: Option<String>,
    /// The policy: the name of a file, relative to this one, or an inline policy. If missing, the
    /// proxy has no filter, for comparison.
    #[serde(default)]
    pub policy: Option<serde_json::Value>,
    /// How the proxy runs the plugin, or a plugin other than the shipped one.
    #[serde(default)]
    pub plugin: Option<PluginFile>,
    /// Number of worker threads of the proxy.
    #[serde(default = "default_workers")]
    pub workers: u32,
    /// Seed of all random numbers.
    #[serde(default = "default_seed")]
    pub seed: u64,
    /// How long the traffic lasts. The run ends after all requests in flight have ended.
    pub duration: Span,
    /// Clusters by name.
    pub clusters: BTreeMap<String, Cluster>,
    /// Routes, in matching order. If missing, all requests go to the only cluster.
    #[serde(default)]
    pub routes: Vec<Route>,
    /// Whether the proxy sends the number of the attempt to upstreams in `x-envoy-attempt-count`
    /// (Envoy's option of a virtual host). It replaces the header of the request.
    #[serde(default)]
    pub include_request_attempt_count: bool,
    /// Whether the router omits its own response headers, such as `x-envoy-upstream-service-time`
    /// (Envoy's option of this name, which Envoy Gateway sets).
    #[serde(default)]
    pub suppress_envoy_headers: bool,
    /// How much of a message a pause of the plugin may buffer (Envoy's option of a listener). 0 is
    /// no limit.
    #[serde(default = "default_buffer_limit")]
    pub per_connection_buffer_limit_bytes: u32,
    pub traffic: Vec<Traffic>,
    #[serde(default)]
    pub faults: Vec<Fault>,
    /// Policy updates during the traffic.
    #[serde(default)]
    pub updates: Vec<Update>,
    /// Expectations of the run.
    #[serde(default)]
    pub expect: Vec<Statement>,
}

impl File {
    /// Returns the routes. Without routes, all requests go to the only cluster.
    pub(super) fn routes(&self) -> Vec<Route> {
        if !self.routes.is_empty() {
            return self.routes.clone();
        }
        vec![Route {
            name: "default".into(),
            cluster: self.clusters.keys().next().cloned(),
            ..Route::default()
        }]
    }
}

fn default_workers() -> u32 {
    1
}

fn default_seed() -> u64 {
    1
}

fn default_buffer_limit() -> u32 {
    proxy::BUFFER_LIMIT_BYTES
}

/// A policy update.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Update {
    pub at: Span,
    /// In the format of the scenario's `policy`.
    pub policy: serde_json::Value,
}

/// How the proxy runs the plugin. The fields are named as in Envoy's configuration.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PluginFile {
    /// A `.wasm` file, relative to this one. Defaults to the shipped module.
    pub module: Option<String>,
    /// Its configuration, for modules other than the shipped one: a text, `@` and the name of a
    /// file, or a value, which the plugin gets as JSON. Cannot be combined with `policy`.
    pub configuration: Option<serde_json::Value>,
    /// Defaults to the name of the module's file.
    pub name: Option<String>,
    pub root_id: String,
    /// Defaults to `name`.
    pub vm_id: Option<String>,
    /// In the format of `configuration`.
    pub vm_configuration: Option<serde_json::Value>,
    /// Defaults to `reload` for the shipped module, and otherwise to `closed`, as in Envoy.
    pub failure_policy: Option<FailurePolicyName>,
    pub allow_on_headers_stop_iteration: bool,
    /// Limit of one callback, in wasm instructions. The default ends only endless loops.
    pub fuel: Option<u64>,
    /// Environment variables of the VM.
    pub environment: BTreeMap<String, String>,
}

/// What happens to requests on a worker whose VM has failed.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum FailurePolicyName {
    /// They get a 503.
    Closed,
    /// They pass without the filter.
    Open,
    /// They get a 503 until the VM is restarted, about a second later.
    Reload,
}

impl From<FailurePolicyName> for proxy::FailurePolicy {
    fn from(name: FailurePolicyName) -> proxy::FailurePolicy {
        match name {
            FailurePolicyName::Closed => proxy::FailurePolicy::Closed,
            FailurePolicyName::Open => proxy::FailurePolicy::Open,
            FailurePolicyName::Reload => proxy::FailurePolicy::Reload,
        }
    }
}

/// Returns the JSON Schema of scenario files.
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(File).to_value()
}
