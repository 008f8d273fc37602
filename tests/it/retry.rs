//! Retries that the host's router makes, up to the number that the filter grants.
//!
//! The upstream counts attempts, and its gate lets a test choose the reply to the next one. Cases
//! that share an Envoy each have their own policy, selected by `x-case`.

mod attempts;
mod bodies;
mod budget;
mod denied;
mod grpc;
mod outage;
mod shadow;
mod times;

use serde_json::{Value, json};
use spillway_tests::client::request;
use spillway_tests::envoy::Setting;
use spillway_tests::{Answer, Envoy, Reply, Upstream};

use crate::scene::{file, with};

/// A breaker that never trips.
fn calm() -> Value {
    json!({"failure_rate_threshold": 0})
}

/// Fields of a policy that grants retries, and whose breaker never trips.
fn retrying(fields: Value) -> Value {
    json!({"circuit_breaker": calm(), "retry": fields})
}

/// A budget of this many retries per minute plus a share of the successes.
fn budget(percent: u32, count: u32) -> Value {
    let least = json!({"count": count, "interval": "60s"});
    json!({"percent": percent, "interval": "60s", "min_retry_rate": least})
}

/// Starts a healthy upstream and an Envoy with one policy with these fields of `retry`.
async fn scene(fields: Value) -> (Upstream, Envoy) {
    crate::scene::scene(retrying(fields)).await
}

/// A policy for requests with this `x-case`.
fn policy_of(case: &str, fields: Value) -> Value {
    let matched = json!({"headers": [{"name": "x-case", "exact": case}]});
    with(json!({"name": case, "match": matched}), retrying(fields))
}

/// Starts Envoy with one policy per case.
async fn cased(setting: Setting, cases: impl IntoIterator<Item = (&str, Value)>) -> Envoy {
    let cases = cases.into_iter();
    let policies: Vec<Value> = cases.map(|(case, it)| policy_of(case, it)).collect();
    setting.policy(file(json!(policies))).start().await
}

/// A route with these fields for all paths with this prefix.
fn route(prefix: &str, fields: Value) -> Value {
    let route = with(json!({"cluster": "upstream"}), fields);
    json!({"name": prefix, "match": {"prefix": prefix}, "route": route})
}

/// A route for paths with this prefix, with its own retry policy: three retries after any 5xx.
fn generous(prefix: &str) -> Value {
    let retries = json!({"retry_on": "5xx", "num_retries": 3});
    route(prefix, json!({ "retry_policy": retries }))
}

/// Sends one request to a failing upstream. Returns the number of attempts.
async fn attempts(upstream: &Upstream, envoy: &Envoy, method: &str, case: &str) -> usize {
    failing(upstream, envoy, method, &[("x-case", case)]).await
}

/// Like [`attempts`], with headers.
async fn failing(
    upstream: &Upstream,
    envoy: &Envoy,
    method: &str,
    headers: &[(&str, &str)],
) -> usize {
    let before = upstream.hits();
    upstream.reply(Reply::status(503));
    let sent = envoy.client().send(request(method, "/", headers, ""));
    assert_eq!(sent.await.status, 503, "{method} {headers:?}");
    upstream.hits() - before
}

/// Sends a GET whose first and second attempts get different replies.
async fn second_attempt(upstream: &Upstream, envoy: &Envoy, first: Reply, then: Reply) -> Answer {
    upstream.reply(first);
    upstream.forget();
    upstream.close_gate();
    let request = envoy.client().begin("/", &[]);
    upstream.in_flight_reaches(1).await;
    upstream.release(1);
    second_arrives(upstream).await;
    upstream.reply(then);
    upstream.open_gate();
    request.answer().await
}

async fn second_arrives(upstream: &Upstream) {
    spillway_tests::eventually("a second attempt", async || upstream.hits() == 2).await;
}

/// Waits until this many retries have been denied for this reason.
async fn denied_is(envoy: &Envoy, policy: &str, reason: &str, count: u64) {
    let labels = [("policy", policy), ("reason", reason)];
    envoy
        .expect_metric("spillway_retries_denied_total", &labels, count)
        .await;
}

/// Waits until requests with this outcome have been retried this many times.
async fn retries_are(envoy: &Envoy, policy: &str, outcome: &str, count: u64) {
    let labels = [("policy", policy), ("outcome", outcome)];
    envoy
        .expect_metric("spillway_retries_total", &labels, count)
        .await;
}
