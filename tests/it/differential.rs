//! The same plugin and requests in a real Envoy, in the simulator and in `host-sim serve`: callbacks,
//! statuses, properties and the client's responses must be equal.

mod crashes;
mod decisions;
mod envoy;
mod lifecycles;
mod rows;
mod served;
mod sim;
mod trial;
mod view;

use rows::{LIMITS, LIMITS_BEFORE_HEADERS, Row, SUPPRESSED, TARGETS};
use view::View;

/// Rows in which the simulator is known to differ, as FIDELITY.md describes. A row that no longer
/// differs fails the test too.
const KNOWN: &[&str] = &[
    "local-resh",
    "local-grpc-in-resh",
    "close",
    "reroute-while-the-body-waits",
];

/// Rows in which `host-sim serve` differs: it speaks HTTP by a library, calls gRPC by HTTP/2, and
/// names the VM after the plugin.
const KNOWN_SERVED: &[&str] = &[
    "local-resh",
    "local-grpc-in-resh",
    "close",
    "grpc-claimed",
    "grpc-answered",
    "response-length-twice",
    "response-length-of-nothing",
    "response-made-200-with-length",
    "request-length-no-number",
    "request-lengths-differ",
    "request-encoded",
    "refused-upload",
    "queue-resolved",
];

/// What differs from the defaults of the proxy, in both.
#[derive(Clone, Copy, Default)]
struct Conditions {
    suppress_envoy_headers: bool,
    per_connection_buffer_limit_bytes: Option<u32>,
    allow_on_headers_stop_iteration: bool,
}

#[tokio::test]
async fn the_simulator_responds_like_envoy() {
    agree(&rows::all(), Conditions::default()).await;
}

#[tokio::test]
async fn the_simulator_suppresses_the_routers_headers_like_envoy() {
    let suppress_envoy_headers = true;
    let conditions = Conditions {
        suppress_envoy_headers,
        ..Conditions::default()
    };
    agree(SUPPRESSED, conditions).await;
}

#[tokio::test]
async fn the_simulator_limits_buffers_like_envoy() {
    let limited = Conditions {
        per_connection_buffer_limit_bytes: Some(rows::LIMIT_BYTES),
        ..Conditions::default()
    };
    agree(LIMITS, limited).await;
    let before_headers = Conditions {
        allow_on_headers_stop_iteration: true,
        ..limited
    };
    agree(LIMITS_BEFORE_HEADERS, before_headers).await;
}

#[tokio::test]
async fn scenarios_and_plugin_tests_refuse_like_envoy() {
    let rows = rows::refused();
    let real = envoy::run(&rows, Conditions::default()).await;
    let simulated = sim::run(&rows, Conditions::default());
    compare(&real, &simulated, View::without_upstream);
    compare(&real, &trial::run(&rows), View::clone);
}

#[tokio::test]
async fn plugin_tests_read_targets_like_envoy() {
    let real = envoy::run(TARGETS, Conditions::default()).await;
    compare(&real, &trial::run(TARGETS), View::clone);
}

/// Whether a row needs one route to one cluster, and no client that Envoy trusts.
fn is_served(row: &Row) -> bool {
    let trusted = |(name, _): &(&str, &str)| *name == "x-forwarded-for";
    let routed = !row.to.is_empty() || row.probe.contains("x-to");
    !routed && !row.headers.iter().any(trusted) && !row.probe.contains("empty")
}

#[tokio::test]
async fn the_local_proxy_responds_like_envoy() {
    let rows = [rows::all(), rows::refused()].concat();
    let rows: Vec<Row> = rows.into_iter().filter(is_served).collect();
    let real = envoy::run(&rows, Conditions::default()).await;
    let served = served::run(&rows).await;
    report(&real, &served, KNOWN_SERVED, View::without_upstream);
}

/// Runs the rows in both.
async fn agree(rows: &[Row], conditions: Conditions) {
    let real = envoy::run(rows, conditions).await;
    compare(&real, &sim::run(rows, conditions), View::without_upstream);
}

/// Compares the part of the views that `part` leaves.
fn compare(real: &[View], simulated: &[View], part: impl Fn(&View) -> View) {
    report(real, simulated, KNOWN, part);
}

fn report(real: &[View], other: &[View], known: &[&str], part: impl Fn(&View) -> View) {
    let mut different = Vec::new();
    for (real, other) in real.iter().zip(other) {
        let (real, other) = (part(real), part(other));
        let same = real == other;
        if same == known.contains(&real.row.as_str()) {
            different.push(format!("--- Envoy\n{real}--- host-sim\n{other}"));
        }
    }
    let (count, all) = (different.len(), real.len());
    assert!(
        different.is_empty(),
        "{count} of {all} rows:\n{}",
        different.join("\n")
    );
}
