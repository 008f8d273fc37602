//! One budget for all workers of a proxy.

use serde_json::json;
use spillway_tests::{Envoy, Reply, Upstream};

use super::{budget, retries_are, retrying};
use crate::scene::policy;

#[tokio::test]
async fn four_workers_spend_one_budget() {
    let upstream = Upstream::start().await;
    let fields = retrying(json!({"max_retries": 1, "budget": budget(0, 10)}));
    let envoy = Envoy::in_front_of(upstream.address())
        .concurrency(4)
        .balanced()
        .policy(policy(fields))
        .start()
        .await;
    upstream.reply(Reply::status(503));
    let clients = envoy.client_per_worker().await;
    upstream.forget();
    for round in 0..25 {
        for client in &clients {
            assert_eq!(client.get("/").await.status, 503, "{round}");
        }
    }
    let made = upstream.hits() - 25 * clients.len();
    assert!(made <= 10, "{made} retries");
    assert!(made >= 8, "{made} retries");
}

#[tokio::test]
async fn successes_deposit_what_retries_withdraw() {
    let (upstream, envoy) = super::scene(json!({"max_retries": 2, "budget": budget(50, 0)})).await;
    for _ in 0..20 {
        assert_eq!(envoy.get("/").await.status, 200);
    }
    upstream.reply(Reply::status(503));
    // The worker learns of deposits within the sync interval.
    tokio::time::sleep(std::time::Duration::from_millis(250)).await;
    upstream.forget();
    for _ in 0..10 {
        assert_eq!(envoy.get("/").await.status, 503);
    }
    assert_eq!(upstream.hits(), 10 + 10);
    retries_are(&envoy, "p", "failure", 10).await;
}

#[tokio::test]
async fn disconnecting_clients_withdraw_nothing_from_the_budget() {
    let (upstream, envoy) = super::scene(json!({"max_retries": 2, "budget": budget(0, 2)})).await;
    for _ in 0..20 {
        upstream.close_gate();
        let request = envoy.client().begin("/", &[]);
        upstream.in_flight_reaches(1).await;
        request.abandon().await;
        upstream.open_gate();
        upstream.in_flight_reaches(0).await;
    }
    tokio::time::sleep(std::time::Duration::from_millis(250)).await;
    upstream.reply(Reply::status(503));
    upstream.forget();
    assert_eq!(envoy.get("/").await.status, 503);
    assert_eq!(upstream.hits(), 3);
}
