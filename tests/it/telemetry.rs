//! What an OpenTelemetry collector receives: events from the filter, and spans from Envoy.

mod events;
mod traces;

use serde_json::Value;
use spillway_tests::Upstream;
use spillway_tests::envoy::bootstrap::cluster;

/// The cluster of a collector, which no route leads to.
fn collector(collects: &Upstream) -> Value {
    cluster("otel", collects.address(), false)
}
