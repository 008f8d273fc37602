//! The same plugin and requests in a real Envoy and in the simulator: callbacks, statuses,
//! properties and the client's responses must be equal.

mod crashes;
mod decisions;
mod envoy;
mod lifecycles;
mod rows;
mod sim;
mod view;

use host_sim::model::world::Plan;
use rows::{Row, SUPPRESSED};
use serde_json::json;
use spillway_tests::envoy::Setting;

/// Rows in which the simulator is known to differ, as FIDELITY.md describes. A row that no longer
/// differs fails the test too.
const KNOWN: &[&str] = &[
    "local-resh",
    "local-grpc-in-resh",
    "close",
    "reroute-while-the-body-waits",
];

#[tokio::test]
async fn the_simulator_responds_like_envoy() {
    agree(&rows::all(), |setting| setting, |_| {}).await;
}

#[tokio::test]
async fn the_simulator_suppresses_the_routers_headers_like_envoy() {
    let silent = json!({"suppress_envoy_headers": true});
    let change = |setting: Setting| setting.router(silent);
    agree(SUPPRESSED, change, |plan| {
        plan.suppress_envoy_headers = true;
    })
    .await;
}

/// Runs the rows in both, each with its own change.
async fn agree(rows: &[Row], envoy: impl FnOnce(Setting) -> Setting, plan: impl Fn(&mut Plan)) {
    let real = envoy::run(rows, envoy).await;
    let simulated = sim::run(rows, plan);
    let mut different = Vec::new();
    for (real, simulated) in real.iter().zip(&simulated) {
        let same = real == simulated;
        if same == KNOWN.contains(&real.row.as_str()) {
            different.push(format!("--- Envoy\n{real}--- host-sim\n{simulated}"));
        }
    }
    let (count, all) = (different.len(), rows.len());
    assert!(
        different.is_empty(),
        "{count} of {all} rows:\n{}",
        different.join("\n")
    );
}
