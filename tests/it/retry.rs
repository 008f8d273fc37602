//! Retries that the host's router makes, as many as the filter grants.
//!
//! The upstream counts the attempts, and a gate before it lets a test choose what the next one
//! gets. Where many cases share an Envoy, each is a policy of its own, chosen by `x-case`.

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

/// A budget of so many retries each minute, and of a share of the successes.
fn budget(percent: u32, count: u32) -> Value {
    let least = json!({"count": count, "interval": "60s"});
    json!({"percent": percent, "interval": "60s", "min_retry_rate": least})
}

/// A healthy upstream, and an Envoy in front of it with one policy of these fields of `retry`.
async fn scene(fields: Value) -> (Upstream, Envoy) {
    crate::scene::scene(retrying(fields)).await
}

/// A policy for requests with this `x-case`.
fn policy_of(case: &str, fields: Value) -> Value {
    let matched = json!({"headers": [{"name": "x-case", "exact": case}]});
    with(json!({"name": case, "match": matched}), retrying(fields))
}

/// Starts Envoy with a policy for each case.
async fn cased(setting: Setting, cases: impl IntoIterator<Item = (&str, Value)>) -> Envoy {
    let cases = cases.into_iter();
    let policies: Vec<Value> = cases.map(|(case, it)| policy_of(case, it)).collect();
    setting.policy(file(json!(policies))).start().await
}

/// A route with these fields for all paths that begin so.
fn route(prefix: &str, fields: Value) -> Value {
    let route = with(json!({"cluster": "upstream"}), fields);
    json!({"name": prefix, "match": {"prefix": prefix}, "route": route})
}

/// A route of paths that begin so, with a retry policy of its own: three retries after any 5xx.
fn generous(prefix: &str) -> Value {
    let retries = json!({"retry_on": "5xx", "num_retries": 3});
    route(prefix, json!({ "retry_policy": retries }))
}

/// Sends one request to a failing upstream; returns how many attempts that makes.
async fn attempts(upstream: &Upstream, envoy: &Envoy, method: &str, case: &str) -> usize {
    failing(upstream, envoy, method, &[("x-case", case)]).await
}

/// As [`attempts`], with headers.
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

/// Sends a GET whose first attempt gets one reply, and its second another.
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

/// Waits until so many retries have been denied for this reason.
async fn denied_is(envoy: &Envoy, policy: &str, reason: &str, count: u64) {
    let labels = [("policy", policy), ("reason", reason)];
    envoy
        .expect_metric("spillway_retries_denied_total", &labels, count)
        .await;
}

/// Waits until requests of this outcome have been tried again so many times.
async fn retries_are(envoy: &Envoy, policy: &str, outcome: &str, count: u64) {
    let labels = [("policy", policy), ("outcome", outcome)];
    envoy
        .expect_metric("spillway_retries_total", &labels, count)
        .await;
}
