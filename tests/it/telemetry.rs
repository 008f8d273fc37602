//! What an OpenTelemetry collector receives: events from the filter, and spans from Envoy.

mod events;
mod traces;

use std::net::SocketAddr;

use serde_json::{Value, json};

/// A cluster without a route, as the collector has it.
fn collector(address: SocketAddr) -> Value {
    let address = json!({"address": "127.0.0.1", "port_value": address.port()});
    let endpoint = json!({"endpoint": {"address": {"socket_address": address}}});
    json!({
        "name": "otel",
        "connect_timeout": "1s",
        "load_assignment": {
            "cluster_name": "otel",
            "endpoints": [{"lb_endpoints": [endpoint]}],
        },
    })
}
