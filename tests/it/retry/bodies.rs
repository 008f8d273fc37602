//! Bodies: the router resends the body with every attempt if it fits its buffer.

use serde_json::json;
use spillway_tests::{Envoy, Reply, Upstream};

use super::{retrying, route};
use crate::scene::{count, outcomes_are, policy};

const KEY: [(&str, &str); 1] = [("idempotency-key", "1")];

/// Envoy's default buffer limit of a route.
const BUFFER: usize = 1024 * 1024;

/// Each row: a path, the length of its body, and the attempts. The router does not retry a body
/// longer than its buffer.
#[tokio::test]
async fn a_body_is_sent_again_completely_or_not_at_all() {
    let rows = [
        ("/", 0, 3),
        ("/", 1, 3),
        ("/", 65_536, 3),
        ("/", 65_537, 3),
        ("/", BUFFER, 3),
        ("/", BUFFER + 1, 1),
        ("/small", 65_536, 3),
        ("/small", 65_537, 1),
    ];
    let upstream = Upstream::start().await;
    let small = route("/small", json!({}));
    let small = crate::scene::with(small, json!({"request_body_buffer_limit": 65_536}));
    let envoy = Envoy::in_front_of(upstream.address())
        .route(small)
        .policy(policy(retrying(json!({}))))
        .start()
        .await;
    upstream.reply(Reply::status(503));
    let mut failures = 0;
    for (path, length, attempts) in rows {
        upstream.forget();
        let body = "x".repeat(length);
        let answer = envoy.client().post(path, &KEY, &body).await;
        assert_eq!(answer.status, 503);
        let seen = upstream.requests();
        assert_eq!(seen.len(), attempts, "{path} {length}");
        assert!(seen.iter().all(|seen| seen.body.len() == length));
        failures += 1;
        outcomes_are(&envoy, "p", [0, failures, 0]).await;
    }
    assert_eq!(count(&envoy, "spillway_retries_total").await, 2 * 6);
    assert_eq!(count(&envoy, "spillway_retries_denied_total").await, 0);
    let abandoned = envoy.stat("cluster.upstream.retry_or_shadow_abandoned");
    assert_eq!(abandoned.await, 2);
}

#[tokio::test]
async fn a_post_without_a_key_is_sent_once() {
    let (upstream, envoy) = super::scene(json!({})).await;
    upstream.reply(Reply::status(503));
    for (number, length) in (1..).zip([0, 1, 65_536, 65_537]) {
        let body = "x".repeat(length);
        assert_eq!(envoy.client().post("/", &[], &body).await.status, 503);
        assert_eq!(upstream.hits(), number);
    }
    assert_eq!(count(&envoy, "spillway_retries_denied_total").await, 0);
}
