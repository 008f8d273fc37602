//! Facts about Envoy's workers that the tests in `workers.rs` rely on: how a test selects one,
//! takes one down, and reconfigures all.

use serde_json::json;
use spillway_tests::envoy::{ADMIN, Setting, Update};
use spillway_tests::{Client, Envoy, Reply, Upstream, eventually};

use crate::scene::{count_is, policy, rejected, touchy, untouched};

const WORKERS: usize = 4;

/// A request whose response has trailers.
const TRAILERS: [(&str, &str); 1] = [("x-script", "trailer=x-end")];

fn on_all_workers(upstream: &Upstream) -> Setting {
    Envoy::in_front_of(upstream.address())
        .http2_upstream()
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
async fn trailers_follow_a_complete_response_and_cause_no_trap() {
    let upstream = Upstream::start().await;
    let envoy = on_all_workers(&upstream).start().await;
    upstream.reply(Reply::status(200).body("whole").trailer("x-end", "yes"));
    for client in envoy.client_per_worker().await {
        let answer = client.get("/").await;
        assert_eq!((answer.text().as_str(), answer.complete), ("whole", true));
        assert_eq!(client.get_with("/", &TRAILERS).await.status, 200);
    }
    assert_eq!(envoy.stat("wasm.spillway.vm_reload_backoff").await, 0);
}

#[tokio::test]
async fn a_trap_fails_one_worker_until_its_vm_restarts() {
    let upstream = Upstream::start().await;
    let setting = on_all_workers(&upstream).trap_in("proxy_on_response_trailers");
    let envoy = setting.start().await;
    let workers = envoy.client_per_worker().await;
    let (victim, others) = workers.split_first().expect("workers");
    assert!(!victim.get_with("/", &TRAILERS).await.complete);
    assert_eq!(envoy.log_lines("unreachable").len(), 1);
    for other in others {
        assert_eq!(other.get("/").await.status, 200);
    }
    eventually("traffic", async || victim.get("/").await.status == 200).await;
    assert_eq!(envoy.stat("wasm.spillway.vm_reload_success").await, 1);
    assert_eq!(envoy.stat("wasm.spillway.vm_reload_failure").await, 0);
}

#[tokio::test]
async fn the_admin_listener_has_its_own_configuration_in_the_same_vms() {
    let upstream = Upstream::start().await;
    let breaker = touchy(json!({"open": {"duration": "60s"}}));
    let mut envoy = on_all_workers(&upstream)
        .policy(policy(json!({"circuit_breaker": breaker})))
        .admin_listener(json!({"policies": [{"name": "other", "mode": "forced_open"}]}))
        .listener_on_disk()
        .start()
        .await;
    // One per worker, one for the main thread, and the base VM that they were cloned from.
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
    count_is(&envoy, "spillway_rejected_requests_total", 1).await;
}
