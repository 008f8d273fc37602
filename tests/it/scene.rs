//! The common start of many tests: one policy, named `p`, and its metrics.

use std::time::Duration;

use serde_json::{Value, json};
use spillway_tests::{Answer, Envoy, Reply, Upstream, eventually};
use tokio::time::sleep;

/// First open time of a [`touchy`] circuit.
pub(crate) const OPEN: Duration = Duration::from_millis(200);

/// Fields of the connection manager that make clients internal. Envoy trusts only internal clients'
/// timeout headers.
pub(crate) fn own_network() -> Value {
    let cidr = json!({"address_prefix": "127.0.0.0", "prefix_len": 8});
    json!({
        "use_remote_address": true,
        "internal_address_config": {"cidr_ranges": [cidr]},
    })
}

/// A policy file.
pub(crate) fn file(policies: Value) -> Value {
    json!({ "policies": policies })
}

/// A policy file with one policy with these fields.
pub(crate) fn policy(fields: Value) -> Value {
    file(json!([with(json!({"name": "p"}), fields)]))
}

/// A policy with these fields for the requests whose header `x-policy` has its name.
pub(crate) fn named(name: &str, fields: Value) -> Value {
    let matched = json!({"headers": [{"name": "x-policy", "exact": name}]});
    with(json!({"name": name, "match": matched}), fields)
}

/// A breaker with these fields that one failure opens for exactly [`OPEN`].
pub(crate) fn touchy(fields: Value) -> Value {
    let breaker = json!({
        "failure_rate_threshold": 0,
        "consecutive_failures": 1,
        "open": {"duration": "200ms", "jitter": 0},
    });
    with(breaker, fields)
}

/// An object with its fields overwritten by those of another.
pub(crate) fn with(mut object: Value, fields: Value) -> Value {
    for (name, value) in fields.as_object().expect("fields") {
        object[name] = value.clone();
    }
    object
}

/// Starts a healthy upstream and an Envoy with one policy with these fields.
pub(crate) async fn scene(fields: Value) -> (Upstream, Envoy) {
    let upstream = Upstream::start().await;
    let setting = Envoy::in_front_of(upstream.address()).policy(policy(fields));
    (upstream, setting.start().await)
}

/// Like [`scene`], with a [`touchy`] breaker with these fields.
pub(crate) async fn touchy_scene(fields: Value) -> (Upstream, Envoy) {
    scene(json!({"circuit_breaker": touchy(fields)})).await
}

/// Makes one request fail; the upstream is healthy again afterwards.
pub(crate) async fn trip(upstream: &Upstream, envoy: &Envoy) {
    upstream.reply(Reply::status(503));
    assert_eq!(envoy.get("/trip").await.status, 503);
    upstream.reply(Reply::status(200));
    transitions_are(envoy, &["closed>open"]).await;
}

/// Waits until an open circuit would admit a probe.
pub(crate) async fn open_time_passes(open: Duration) {
    sleep(open + Duration::from_millis(10)).await;
}

/// Sends requests one after another and asserts that all have this status.
pub(crate) async fn all_get(envoy: &Envoy, path: &str, count: usize, status: u16) {
    for number in 0..count {
        let answer = envoy.get(path).await;
        assert_eq!(answer.status, status, "request {number} to {path}");
    }
}

/// Waits until the policy has counted exactly these numbers of successes, failures and ignored
/// requests.
pub(crate) async fn outcomes_are(envoy: &Envoy, policy: &str, expected: [u64; 3]) {
    for (outcome, count) in ["success", "failure", "ignored"].into_iter().zip(expected) {
        let labels = [("policy", policy), ("outcome", outcome)];
        envoy
            .expect_metric("spillway_requests_total", &labels, count)
            .await;
    }
}

/// One counter or gauge of the policy `p`, as it is now.
pub(crate) async fn count(envoy: &Envoy, name: &str) -> u64 {
    envoy.metrics().await.value(name, &[("policy", "p")])
}

/// Waits until a counter or gauge of the policy `p` has this value.
pub(crate) async fn count_is(envoy: &Envoy, name: &str, value: u64) {
    envoy.expect_metric(name, &[("policy", "p")], value).await;
}

/// Waits until the log has exactly these transitions, in order, as `from>to`.
pub(crate) async fn transitions_are(envoy: &Envoy, expected: &[&str]) {
    let steps = || -> Vec<String> { envoy.transitions().iter().map(step).collect() };
    eventually(&format!("{expected:?}"), async || {
        steps().len() >= expected.len()
    })
    .await;
    assert_eq!(steps(), expected);
}

fn step(transition: &Value) -> String {
    let state = |name: &str| transition[name].as_str().unwrap_or_default().to_owned();
    format!("{}>{}", state("from"), state("to"))
}

/// Asserts that the filter rejected a request in this state.
pub(crate) fn rejected(answer: &Answer, state: &str) {
    let labels = (
        answer.header("x-circuit-fallback"),
        answer.header("x-circuit-state"),
    );
    assert_eq!((answer.status, labels), (503, ("default", state)));
}

/// Asserts that a response came from the upstream unchanged.
pub(crate) fn untouched(answer: &Answer) {
    let marks = [
        "x-circuit-fallback",
        "x-circuit-state",
        "x-envoy-overloaded",
    ];
    for mark in marks {
        assert_eq!(answer.header(mark), "", "{mark}");
    }
}

/// A filter that adds this header to requests and responses.
pub(crate) fn marking(name: &str) -> Value {
    let code = format!(
        "function envoy_on_request(handle) handle:headers():add('{name}', 'request') end
         function envoy_on_response(handle) handle:headers():add('{name}', 'response') end"
    );
    json!({
        "name": format!("envoy.filters.http.lua.{name}"),
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua",
            "default_source_code": {"inline_string": code},
        },
    })
}

/// Waits until no request is in flight and asserts that the filter counted no internal error.
pub(crate) async fn nothing_is_left(upstream: &Upstream, envoy: &Envoy) {
    upstream.in_flight_reaches(0).await;
    let ingress = [("envoy_http_conn_manager_prefix", "ingress")];
    envoy
        .expect_metric("envoy_http_downstream_rq_active", &ingress, 0)
        .await;
    let errors = envoy
        .metrics()
        .await
        .value("spillway_internal_errors_total", &[]);
    assert_eq!(errors, 0, "{}", envoy.log());
    assert_eq!(envoy.log_lines("panicked|Uncaught"), [""; 0]);
}
