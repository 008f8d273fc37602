//! Many concurrent requests: each gets its own response.

use serde_json::json;
use spillway_tests::{Client, Envoy};
use tokio::task::JoinSet;

use super::{nothing_is_left, retries_are, setting};
use crate::scene::outcomes_are;

const REQUESTS: usize = 200;

#[tokio::test]
async fn concurrent_requests_get_their_own_responses() {
    let (upstream, setting) = setting(json!({})).await;
    let envoy = setting.concurrency(4).start().await;
    crowd(&envoy, &Client::unpooled(envoy.address())).await;
    assert_eq!(upstream.hits(), REQUESTS + REQUESTS / 2);
    retries_are(&envoy, REQUESTS as u64 / 2).await;
    outcomes_are(&envoy, "p", [REQUESTS as u64, 0, 0]).await;
    nothing_is_left(&upstream, &envoy).await;
}

#[tokio::test]
async fn streams_of_one_connection_get_their_own_responses() {
    let (upstream, setting) = setting(json!({})).await;
    let envoy = setting.start().await;
    crowd(&envoy, &Client::connected(envoy.address()).await).await;
    retries_are(&envoy, REQUESTS as u64 / 2).await;
    nothing_is_left(&upstream, &envoy).await;
}

/// Sends all at once. The first attempt of every second one fails.
async fn crowd(envoy: &Envoy, client: &Client) {
    let mut callers = JoinSet::new();
    for number in 0..REQUESTS {
        let client = client.clone();
        callers.spawn(async move { (number, ask(&client, number).await) });
    }
    for (number, (status, text)) in callers.join_all().await {
        assert_eq!((status, text), (200, format!("answer-{number}")));
    }
    assert_eq!(envoy.log_lines("panicked|Uncaught"), [""; 0]);
}

async fn ask(client: &Client, number: usize) -> (u16, String) {
    let good = format!("body=answer-{number}");
    let bad = format!("status=503 body=failure-{number}");
    let first = if number.is_multiple_of(2) {
        &bad
    } else {
        &good
    };
    let headers = [("x-script", first.as_str()), ("x-script-again", &good)];
    let answer = client.get_with(&format!("/{number}"), &headers).await;
    (answer.status, answer.text())
}
