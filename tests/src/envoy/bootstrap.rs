//! Envoy's configuration: the shipped bootstrap with the test's settings written over it.
//!
//! It is not built from scratch, since a mistake in the file that users copy would then go
//! unnoticed. Ports, paths and clusters are the test's; the filter's stanza, the metric tags and
//! the access log format are the shipped ones.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::setting::{INGRESS, Setting, UPSTREAM};
use crate::places;

/// Allows a header of 60 KiB, which Envoy's default would reject before any filter sees it.
const REQUEST_HEADERS_KB_MAX: u64 = 96;

/// How long a client with a truncated response waits for the connection to close. Envoy's default
/// is one second, for the benefit of distant clients.
const DELAYED_CLOSE: &str = "0.1s";

/// The file of the trapping module, in the folder of its Envoy.
pub const TRAPPING: &str = "trapping.wasm";

/// Builds the bootstrap of a setting, with its files in `folder`.
pub fn bootstrap(setting: &Setting, folder: &Path) -> Value {
    let mut shipped = places::shipped_bootstrap();
    shipped["admin"]["address"] = free_port();
    shipped["static_resources"]["clusters"] = json!(setting.clusters);
    shipped["node"] = json!({"id": "test", "cluster": "test"});
    if setting.listener_on_disk {
        shipped["static_resources"]
            .as_object_mut()
            .expect("resources")
            .remove("listeners");
        shipped["dynamic_resources"] = json!({"lds_config": {
            "resource_api_version": "V3",
            "path_config_source": {"path": folder.join("listeners.json")},
        }});
    } else {
        shipped["static_resources"]["listeners"] = json!(listeners(setting, folder));
    }
    shipped
}

fn listeners(setting: &Setting, folder: &Path) -> Vec<Value> {
    let further = setting.listeners.iter();
    let further = further.map(|(name, setting)| listener(name, setting, folder));
    [listener(INGRESS, setting, folder)]
        .into_iter()
        .chain(further)
        .collect()
}

fn listener(name: &str, setting: &Setting, folder: &Path) -> Value {
    let mut listener = places::shipped_bootstrap()["static_resources"]["listeners"][0].take();
    listener["name"] = json!(name);
    // Without a prefix, statistics are named by the address, which is the same for all free ports.
    listener["stat_prefix"] = json!(name);
    listener["address"] = free_port();
    if setting.balanced {
        listener["connection_balance_config"] = json!({"exact_balance": {}});
    }
    if let Some(bytes) = setting.buffer_limit {
        listener["per_connection_buffer_limit_bytes"] = json!(bytes);
    }
    let http = &mut listener["filter_chains"][0]["filters"][0]["typed_config"];
    http["max_request_headers_kb"] = json!(REQUEST_HEADERS_KB_MAX);
    http["delayed_close_timeout"] = json!(DELAYED_CLOSE);
    let access_log = &mut http["access_log"][0]["typed_config"];
    access_log["path"] = json!(folder.join("access.log"));
    access_log["log_format"]["json_format"]["attempts"] = json!("%UPSTREAM_REQUEST_ATTEMPT_COUNT%");
    http["http_filters"] = filters(setting, folder, http["http_filters"].take());
    http["route_config"]["internal_only_headers"] = json!(setting.internal_headers);
    let virtual_host = &mut http["route_config"]["virtual_hosts"][0];
    overwrite(virtual_host, &setting.virtual_host);
    let routes = &mut virtual_host["routes"];
    *routes = json!(self::routes(setting, routes[0].take()));
    overwrite(http, &setting.manager);
    listener
}

/// Builds the listeners file from which Envoy takes updates.
pub fn discovery(setting: &Setting, folder: &Path, version: u64) -> Value {
    let mut listeners = listeners(setting, folder);
    for listener in &mut listeners {
        listener["@type"] = json!("type.googleapis.com/envoy.config.listener.v3.Listener");
    }
    json!({"version_info": version.to_string(), "resources": listeners})
}

/// Builds a cluster with one endpoint.
pub fn cluster(name: &str, address: SocketAddr, http2: bool) -> Value {
    let mut cluster = json!({
        "name": name,
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [
            {"endpoint": {"address": socket(&address.ip().to_string(), address.port())}},
        ]}]},
    });
    if http2 {
        cluster["typed_extension_protocol_options"] = json!({
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": {"http2_protocol_options": {}},
            },
        });
    }
    cluster
}

/// Builds the message in which Envoy takes a plugin's configuration as text.
pub fn string_value(text: &str) -> Value {
    json!({"@type": "type.googleapis.com/google.protobuf.StringValue", "value": text})
}

fn filters(setting: &Setting, folder: &Path, mut shipped: Value) -> Value {
    let (mut spillway, mut router) = (shipped[0].take(), shipped[1].take());
    let mut chain = setting.before.clone();
    if let Some(policy) = &setting.policy {
        let config = &mut spillway["typed_config"]["config"];
        config["vm_config"]["code"]["local"]["filename"] = json!(module(setting, policy, folder));
        config["configuration"]["value"] = json!(policy);
        overwrite(config, &setting.plugin);
        chain.push(spillway);
    }
    chain.extend(setting.after.iter().cloned());
    overwrite(&mut router["typed_config"], &setting.router);
    chain.push(router);
    json!(chain)
}

fn module(setting: &Setting, policy: &str, folder: &Path) -> PathBuf {
    match setting.trap_in {
        Some(_) => folder.join(TRAPPING),
        None if setting.suits_lite => places::module_for(policy),
        None => places::module(),
    }
}

fn routes(setting: &Setting, mut default: Value) -> Vec<Value> {
    default["route"]["cluster"] = json!(UPSTREAM);
    default["route"]["timeout"] = json!(format!("{}s", setting.route_timeout.as_secs_f64()));
    setting.routes.iter().cloned().chain([default]).collect()
}

pub(super) fn overwrite(target: &mut Value, fields: &Value) {
    for (name, value) in fields.as_object().expect("an object's fields") {
        target[name] = value.clone();
    }
}

fn free_port() -> Value {
    socket("127.0.0.1", 0)
}

fn socket(address: &str, port: u16) -> Value {
    json!({"socket_address": {"address": address, "port_value": port}})
}
