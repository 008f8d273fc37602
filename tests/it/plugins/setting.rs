//! Envoy's configuration for a plugin test.

use host_sim::proxy::FailurePolicy;
use host_sim::scenario::PluginSpec;
use host_sim::trial::{Trial, UPSTREAM};
use serde_json::{Value, json};
use spillway_tests::Envoy;
use spillway_tests::envoy::Setting;
use spillway_tests::envoy::bootstrap::{cluster, string_value};

use super::cluster::Mocked;

/// Returns an Envoy with the plugins and clusters of a plugin test.
pub(super) fn of(trial: &Trial, clusters: &Mocked) -> Setting {
    let address = |wanted: &str| {
        let mut found = clusters.addresses();
        found
            .find(|(name, _)| *name == wanted)
            .expect("a cluster")
            .1
    };
    let mut setting = Envoy::in_front_of(address(UPSTREAM))
        .http2_upstream()
        .listener_on_disk()
        .concurrency(trial.workers)
        .buffer_limit(trial.per_connection_buffer_limit_bytes);
    for (name, address) in clusters.addresses().filter(|(name, _)| *name != UPSTREAM) {
        setting = setting.clusters(cluster(name, address, true));
    }
    for (path, value) in &trial.properties {
        setting = setting.after(metadata(path, value));
    }
    trial
        .plugins
        .iter()
        .fold(setting, |setting, plugin| setting.after(filter(plugin)))
}

fn filter(plugin: &PluginSpec) -> Value {
    let text = |bytes: &[u8]| string_value(&String::from_utf8_lossy(bytes));
    let variables = plugin
        .environment
        .iter()
        .filter_map(|it| it.split_once('='));
    let variables: serde_json::Map<_, _> = variables
        .map(|(name, value)| (name.to_owned(), json!(value)))
        .collect();
    let failure_policy = match plugin.failure_policy {
        FailurePolicy::Closed => "FAIL_CLOSED",
        FailurePolicy::Open => "FAIL_OPEN",
        FailurePolicy::Reload => "FAIL_RELOAD",
    };
    json!({
        "name": plugin.name,
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
            "config": {
                "name": plugin.name,
                "root_id": plugin.root_id,
                "failure_policy": failure_policy,
                "allow_on_headers_stop_iteration": plugin.allow_on_headers_stop_iteration,
                "configuration": text(&plugin.configuration),
                "vm_config": {
                    "vm_id": plugin.vm_id,
                    "runtime": "envoy.wasm.runtime.v8",
                    "code": {"local": {"filename": plugin.module}},
                    "configuration": text(&plugin.vm_configuration),
                    "environment_variables": {"key_values": variables},
                },
            },
        },
    })
}

/// Returns a filter that sets the dynamic metadata that a property reads.
fn metadata(path: &[u8], value: &[u8]) -> Value {
    let path = String::from_utf8_lossy(path);
    let segments: Vec<_> = path.split('\0').collect();
    let ["metadata", "filter_metadata", namespace, key] = segments.as_slice() else {
        panic!("a test cannot set {segments:?} in Envoy");
    };
    let fields = json!({*key: String::from_utf8_lossy(value)});
    json!({
        "name": "metadata",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.set_metadata.v3.Config",
            "metadata": [{"metadata_namespace": namespace, "value": fields}],
        },
    })
}
