//! The form of a scenario file. Its JSON Schema is made from these types.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::spec::{Cluster, Fault, Route, Traffic};
use crate::proxy;
use crate::scenario::expect::Statement;
use crate::sim::span::Span;

/// A scenario: a policy, the world it meets, and what is expected of it.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// For editors.
    #[serde(default, rename = "$schema")]
    pub schema: Option<String>,
    /// What reports call it; the file's name if absent.
    #[serde(default)]
    pub name: Option<String>,
    #[serde(default)]
    pub description: Option<String>,
    /// The policy: the name of a file, relative to this one, or the policy itself. Absent: no
    /// filter, for comparison.
    #[serde(default)]
    pub policy: Option<serde_json::Value>,
    /// How the proxy runs the plugin, or another plugin than the shipped one.
    #[serde(default)]
    pub plugin: Option<PluginFile>,
    /// Worker threads of the proxy.
    #[serde(default = "one_worker")]
    pub workers: u32,
    /// All that is random comes from it.
    #[serde(default = "first_seed")]
    pub seed: u64,
    /// How long the traffic lasts. Requests that are on their way then are waited for.
    pub duration: Span,
    /// By name.
    pub clusters: BTreeMap<String, Cluster>,
    /// Absent: all requests go to the one cluster.
    #[serde(default)]
    pub routes: Vec<Route>,
    /// Whether the proxy tells services by `x-envoy-attempt-count` which attempt they got, as
    /// Envoy does if the virtual host says so. It replaces what came with the request.
    #[serde(default)]
    pub include_request_attempt_count: bool,
    /// Whether the router leaves out its own headers of responses, such as
    /// `x-envoy-upstream-service-time` (Envoy's option of that name, which Envoy Gateway sets).
    #[serde(default)]
    pub suppress_envoy_headers: bool,
    pub traffic: Vec<Traffic>,
    #[serde(default)]
    pub faults: Vec<Fault>,
    /// New policies that come while traffic flows.
    #[serde(default)]
    pub updates: Vec<Update>,
    /// What has to hold.
    #[serde(default)]
    pub expect: Vec<Statement>,
}

fn one_worker() -> u32 {
    1
}

fn first_seed() -> u64 {
    1
}

/// A new policy.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Update {
    pub at: Span,
    /// As in the scenario's own `policy`.
    pub policy: serde_json::Value,
}

/// How the proxy runs the plugin, in the words of Envoy's configuration.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PluginFile {
    /// A `.wasm` file, relative to this one; the shipped module if absent.
    pub module: Option<String>,
    /// Its configuration, for other modules than the shipped one. Not beside `policy`.
    pub configuration: Option<String>,
    pub name: String,
    pub root_id: String,
    pub vm_id: String,
    pub vm_configuration: String,
    pub failure_policy: FailurePolicyName,
    pub allow_on_headers_stop_iteration: bool,
}

impl Default for PluginFile {
    fn default() -> PluginFile {
        PluginFile {
            module: None,
            configuration: None,
            name: "spillway".into(),
            root_id: String::new(),
            vm_id: "spillway".into(),
            vm_configuration: String::new(),
            failure_policy: FailurePolicyName::Reload,
            allow_on_headers_stop_iteration: false,
        }
    }
}

/// What becomes of requests on a worker whose virtual machine has failed.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum FailurePolicyName {
    /// They are answered 503.
    Closed,
    /// They pass without the filter.
    Open,
    /// They are answered 503 until the machine is started anew, about a second later.
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

/// The JSON Schema of scenario files.
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(File).to_value()
}
