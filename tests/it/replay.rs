//! Requests that the filter itself replays: what the upstream and the client receive.
//!
//! The upstream's reply to the first attempt comes from `x-script`, that to further attempts from
//! `x-script-again` or from the test.

mod answers;
mod chain;
mod crowd;
mod failures;
mod requests;
mod rules;

use serde_json::{Value, json};
use spillway_tests::envoy::Setting;
use spillway_tests::{Answer, Envoy, Upstream};

pub(crate) use crate::scene::nothing_is_left;
use crate::scene::{policy, with};

/// A script that makes the first attempt fail.
const FAIL: (&str, &str) = ("x-script", "status=503 body=first");

/// A `retry` of the filter engine with these fields, the shortest backoff, and budget for a whole
/// test.
fn retry(fields: Value) -> Value {
    let quick = json!({
        "engine": "filter",
        "replay": "as_received",
        "backoff": {"base_interval": "1ms", "max_interval": "1ms"},
        "budget": {"min_retry_rate": {"count": 1000}},
    });
    with(quick, fields)
}

/// A healthy upstream, and the setting of an Envoy with one policy with a [`retry`] of these
/// fields.
async fn setting(fields: Value) -> (Upstream, Setting) {
    let upstream = Upstream::start().await;
    let policy = policy(json!({"retry": retry(fields)}));
    let setting = Envoy::in_front_of(upstream.address()).policy(policy);
    (upstream, setting)
}

/// Like [`setting`], started.
async fn scene(fields: Value) -> (Upstream, Envoy) {
    let (upstream, setting) = setting(fields).await;
    (upstream, setting.start().await)
}

/// Sends a GET whose attempts get these scripted replies.
async fn get(envoy: &Envoy, path: &str, first: &str, again: &str) -> Answer {
    let headers = [("x-script", first), ("x-script-again", again)];
    envoy.get_with(path, &headers).await
}

/// Waits until the policy has counted this many retries of any outcome.
async fn retries_are(envoy: &Envoy, count: u64) {
    let labels = [("policy", "p")];
    envoy
        .expect_metric("spillway_retries_total", &labels, count)
        .await;
}

/// Waits until this many retries were denied for this reason, and asserts that none was denied for
/// another.
async fn denied_are(envoy: &Envoy, reason: &str, count: u64) {
    let name = "spillway_retries_denied_total";
    let labels = [("policy", "p"), ("reason", reason)];
    envoy.expect_metric(name, &labels, count).await;
    envoy.expect_metric(name, &[("policy", "p")], count).await;
}
