//! Resources for Istio: the filter in sidecars, metric tags, and the operators' listener.
//!
//! Istio names a plugin by its namespace and name, and gives it no `vm_id`. The operators' plugin
//! has the same name and none either, so both see the same records. From 1.30 on this holds for a
//! `TrafficExtension` alone: Istio makes one of a `WasmPlugin`, under another name.

use super::arguments::Arguments;
use super::envoy::{code, stats_tags};
use super::module::Module;
use super::policy::Policy;
use super::template::{fill, scalar};

const WASM_PLUGIN: &str = include_str!("istio/wasm_plugin.yaml");
const TRAFFIC_EXTENSION: &str = include_str!("istio/traffic_extension.yaml");
const PROXIES: &str = include_str!("istio/proxies.yaml");

/// Returns all resources, to be applied together.
pub(super) fn resources(arguments: &Arguments, module: &Module, policy: &Policy) -> String {
    let plugin = match arguments.traffic_extension {
        true => TRAFFIC_EXTENSION,
        false => WASM_PLUGIN,
    };
    let namespace = arguments.namespace.as_deref().unwrap_or("default");
    let selector = arguments.selector.as_deref().unwrap_or("app=CALLER");
    let (key, value) = selector.split_once('=').unwrap_or((selector, ""));
    let values = [
        ("mode", policy.mode().to_owned()),
        ("namespace", scalar(namespace)),
        ("labels", format!("{{{}: {}}}", scalar(key), scalar(value))),
        ("url", scalar(&module.place.to_string())),
        ("sha256", module.checksum()),
        ("policy", policy.yaml()),
        ("tags", stats_tags()),
        ("plugin", scalar(&format!("{namespace}.spillway"))),
        // The agent fetches the module, and Envoy sees a local file.
        ("code", code(module, "_")),
        ("operators", policy.operators()),
    ];
    fill(&format!("{plugin}{PROXIES}"), &values)
}
