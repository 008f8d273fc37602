//! What a circuit survives: VMs that trap, and configuration changes.

use serde_json::{Value, json};
use spillway_tests::envoy::Update;
use spillway_tests::{Client, Envoy, Reply, Upstream, eventually};

use super::{
    each_transition_is_counted_once, every_worker_passes, every_worker_rejects, lasting,
    on_all_workers,
};
use crate::scene::{count, count_is, file, policy, untouched, with};

#[tokio::test]
async fn a_reloaded_vm_finds_the_circuit_open() {
    let upstream = Upstream::start().await;
    let fields = json!({
        "match": {"paths": [{"prefix": "/shop"}]},
        "circuit_breaker": lasting(json!({})),
    });
    let setting = on_all_workers(&upstream).http2_upstream();
    let setting = setting.policy(policy(fields));
    let envoy = setting.trap_in("proxy_on_response_trailers").start().await;
    let workers = envoy.client_per_worker().await;
    fail(&upstream, &workers[0], "/shop").await;
    count_is(&envoy, "spillway_open_circuits", 1).await;
    every_worker_rejects(&upstream, &workers, "/shop", "open").await;
    upstream.forget();

    for victim in [&workers[0], &workers[1]] {
        let trailers = [("x-script", "trailer=x-end")];
        assert!(!victim.get_with("/elsewhere", &trailers).await.complete);
        eventually("a machine that is loaded again", async || {
            let answer = victim.get("/shop").await;
            assert_eq!(answer.status, 503);
            answer.header("x-circuit-state") == "open"
        })
        .await;
    }
    assert_eq!(envoy.stat("wasm.spillway.vm_reload_success").await, 2);
    every_worker_rejects(&upstream, &workers, "/shop", "open").await;
    assert_eq!(upstream.hits_on("/shop"), 0);
    each_transition_is_counted_once(&envoy, &[("closed", "open")]).await;
    for gauge in ["spillway_open_circuits", "spillway_keys"] {
        assert_eq!(count(&envoy, gauge).await, 1, "{gauge}");
    }
}

#[tokio::test]
async fn an_open_circuit_survives_new_thresholds_and_windows() {
    let breakers = [
        lasting(json!({"consecutive_failures": 5})),
        lasting(json!({"consecutive_failures": 2})),
        lasting(json!({"consecutive_failures": 2, "window": {"type": "count", "size": 50}})),
        lasting(json!({"consecutive_failures": 2, "window": {"type": "time", "duration": "30s"}})),
    ];
    let [first, changed @ ..] = breakers.map(|breaker| one("p", breaker));
    let (upstream, mut envoy) = updatable(first).await;
    let mut workers = envoy.client_per_worker().await;
    for worker in workers.iter().cycle().take(5) {
        fail(&upstream, worker, "/").await;
    }
    count_is(&envoy, "spillway_open_circuits", 1).await;
    every_worker_rejects(&upstream, &workers, "/", "open").await;
    upstream.forget();
    for file in changed {
        workers = updated(&mut envoy, file).await;
        every_worker_rejects(&upstream, &workers, "/", "open").await;
        assert_eq!(upstream.hits(), 0);
        count_is(&envoy, "spillway_open_circuits", 1).await;
    }
    each_transition_is_counted_once(&envoy, &[("closed", "open")]).await;

    upstream.reply(Reply::status(503));
    let tenant = [("x-tenant", "new")];
    for worker in &workers[..2] {
        untouched(&worker.get_with("/", &tenant).await);
    }
    count_is(&envoy, "spillway_open_circuits", 2).await;
    eventually("the new threshold", async || {
        let answer = workers[2].get_with("/", &tenant).await;
        answer.header("x-circuit-state") == "open"
    })
    .await;
}

/// Number of requests that pass a removed breaker.
const PASSING: usize = 2_000;

#[tokio::test]
async fn a_removed_breaker_rejects_nothing() {
    let (upstream, mut envoy) = updatable(one("p", lasting(json!({})))).await;
    let workers = envoy.client_per_worker().await;
    fail(&upstream, &workers[0], "/").await;
    count_is(&envoy, "spillway_open_circuits", 1).await;
    every_worker_rejects(&upstream, &workers, "/", "open").await;
    upstream.forget();

    let key = json!([{"header": "x-tenant"}]);
    let without = file(json!([{"name": "p", "key": key, "retry": {}}]));
    let workers = updated(&mut envoy, without).await;
    upstream.reply(Reply::status(503));
    for worker in workers.iter().cycle().take(PASSING) {
        // Requests with this method are not retried.
        let answer = worker.post("/", &[], "").await;
        untouched(&answer);
        assert_eq!(answer.status, 503);
    }
    assert_eq!(upstream.hits(), PASSING);
    count_is(&envoy, "spillway_open_circuits", 0).await;

    // Enabled again, it starts afresh.
    let workers = updated(&mut envoy, one("p", lasting(json!({})))).await;
    upstream.reply(Reply::status(200));
    every_worker_passes(&workers, "/").await;
}

#[tokio::test]
async fn a_removed_policy_removes_its_circuits() {
    let (upstream, mut envoy) = updatable(one("p", lasting(json!({})))).await;
    let workers = envoy.client_per_worker().await;
    fail(&upstream, &workers[0], "/").await;
    count_is(&envoy, "spillway_open_circuits", 1).await;
    every_worker_rejects(&upstream, &workers, "/", "open").await;

    let workers = updated(&mut envoy, one("other", lasting(json!({})))).await;
    every_worker_passes(&workers, "/").await;
    for gauge in ["spillway_open_circuits", "spillway_keys"] {
        count_is(&envoy, gauge, 0).await;
    }
    let workers = updated(&mut envoy, one("p", lasting(json!({})))).await;
    every_worker_passes(&workers, "/").await;
    count_is(&envoy, "spillway_keys", 1).await;
    assert_eq!(count(&envoy, "spillway_open_circuits").await, 0);
}

/// A policy file with one policy that has a breaker per tenant.
fn one(name: &str, breaker: Value) -> Value {
    let key = json!([{"header": "x-tenant"}]);
    file(json!([with(
        json!({ "name": name }),
        json!({"key": key, "circuit_breaker": breaker}),
    )]))
}

async fn updatable(file: Value) -> (Upstream, Envoy) {
    let upstream = Upstream::start().await;
    let setting = on_all_workers(&upstream).policy(file).listener_on_disk();
    let envoy = setting.start().await;
    (upstream, envoy)
}

/// Gives Envoy another configuration. Returns clients whose workers apply it.
async fn updated(envoy: &mut Envoy, file: Value) -> Vec<Client> {
    let update = envoy.update(|setting| setting.policy(file)).await;
    assert_eq!(update, Update::Accepted);
    envoy.old_connections_end().await;
    envoy.client_per_worker().await
}

/// Makes one request fail; the upstream is healthy again afterwards.
async fn fail(upstream: &Upstream, worker: &Client, path: &str) {
    upstream.reply(Reply::status(503));
    let answer = worker.get(path).await;
    untouched(&answer);
    assert_eq!(answer.status, 503);
    upstream.reply(Reply::status(200));
}
