//! Workers of an Envoy one by one: how a test chooses them.

use serde_json::json;
use spillway_tests::envoy::Setting;
use spillway_tests::{Envoy, Upstream};

use crate::scene::policy;

const WORKERS: usize = 4;

fn on_all_workers(upstream: &Upstream) -> Setting {
    Envoy::in_front_of(upstream.address())
        .policy(policy(json!({})))
        .concurrency(WORKERS)
        .balanced()
}

#[tokio::test]
async fn each_client_stays_with_a_worker_of_its_own() {
    let upstream = Upstream::start().await;
    let envoy = on_all_workers(&upstream).start().await;
    let mut clients = Vec::new();
    for round in 1..=2 {
        clients.extend(envoy.client_per_worker().await);
        for client in &clients {
            for _ in 0..3 {
                assert_eq!(client.get("/").await.status, 200);
            }
        }
        for worker in 0..WORKERS {
            let name = format!("listener.ingress.worker_{worker}.downstream_cx_total");
            assert_eq!(envoy.stat(&name).await, round, "worker {worker}");
        }
    }
}
