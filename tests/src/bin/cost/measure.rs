//! Measurement rounds in which the variants take turns.

use spillway_tests::{Envoy, Upstream};

use crate::Arguments;
use crate::load::Load;

/// Envoy's CPU time per request in microseconds, by variant and round.
pub(crate) async fn costs(
    envoy: &Envoy,
    upstream: &Upstream,
    loads: &[Load],
    arguments: &Arguments,
) -> Vec<Vec<f64>> {
    let mut costs = vec![Vec::new(); loads.len()];
    for load in loads {
        // The first turn of each variant is not counted: VMs compile, connections and tables grow.
        turn(envoy, upstream, load).await;
    }
    for round in 0..arguments.rounds as usize {
        for variant in order(round, loads.len()) {
            costs[variant].push(turn(envoy, upstream, &loads[variant]).await);
        }
    }
    costs
}

/// The order of the variants in a round. It rotates, so that no variant always runs first or always
/// follows the same one.
fn order(round: usize, variants: usize) -> Vec<usize> {
    let mut order: Vec<_> = (0..variants).collect();
    order.rotate_left(round / 2 % variants);
    if round % 2 == 1 {
        order.reverse();
    }
    order
}

async fn turn(envoy: &Envoy, upstream: &Upstream, load: &Load) -> f64 {
    let before = envoy.cpu_time();
    let requests = load.send().await;
    let used = envoy.cpu_time() - before;
    upstream.forget();
    used.as_secs_f64() * 1e6 / f64::from(requests)
}
