//! Workers of an Envoy one by one: how a test chooses them, and asks all of them for something
//! else.

use serde_json::json;
use spillway_tests::envoy::{ADMIN, Setting, Update};
use spillway_tests::{Client, Envoy, Upstream, eventually};

use crate::scene::{count_is, policy, rejected, touchy, untouched};

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

#[tokio::test]
async fn the_admin_listener_has_a_configuration_of_its_own_in_the_same_machines() {
    let upstream = Upstream::start().await;
    let breaker = touchy(json!({"open": {"duration": "60s"}}));
    let mut envoy = on_all_workers(&upstream)
        .policy(policy(json!({"circuit_breaker": breaker})))
        .admin_listener(json!({"policies": [{"name": "other", "mode": "forced_open"}]}))
        .listener_on_disk()
        .start()
        .await;
    // One for each worker, one for the main thread, and the one that they were copied from.
    let machines = envoy.stat("wasm.envoy.wasm.runtime.v8.active").await;
    assert_eq!(machines, WORKERS as u64 + 2);
    let admin = Client::unpooled(envoy.listener(ADMIN));
    rejected(&admin.get("/").await, "forced_open");
    untouched(&envoy.get("/").await);
    assert_eq!(upstream.hits(), 1);

    let next = json!({"policies": [{"name": "p", "mode": "forced_open"}]});
    assert_eq!(
        envoy.update(|setting| setting.policy(next)).await,
        Update::Accepted
    );
    let client = Client::unpooled(envoy.address());
    eventually("the new policy", async || {
        client.get("/").await.status == 503
    })
    .await;
    rejected(&admin.get("/").await, "forced_open");
    count_is(&envoy, "spillway_rejected_total", 1).await;
}
