//! What many tests begin with: one policy, named `p`, and what its metrics say.

use std::time::Duration;

use serde_json::{Value, json};
use spillway_tests::{Answer, Envoy, Reply, Upstream, eventually};
use tokio::time::sleep;

/// How long a [`touchy`] circuit stays open the first time.
pub const OPEN: Duration = Duration::from_millis(200);

/// Fields of the connection manager by which callers are of the proxy's own network: it believes
/// what these alone say of their time-outs.
pub fn own_network() -> Value {
    let cidr = json!({"address_prefix": "127.0.0.0", "prefix_len": 8});
    json!({
        "use_remote_address": true,
        "internal_address_config": {"cidr_ranges": [cidr]},
    })
}

/// Policies as a file.
pub fn file(policies: Value) -> Value {
    json!({ "policies": policies })
}

/// A file of one policy with these fields besides its name.
pub fn policy(fields: Value) -> Value {
    file(json!([with(json!({"name": "p"}), fields)]))
}

/// A breaker that one failure opens, for [`OPEN`] to the millisecond, with these fields besides.
pub fn touchy(fields: Value) -> Value {
    let breaker = json!({
        "failure_rate_threshold": 0,
        "consecutive_failures": 1,
        "open": {"duration": "200ms", "jitter": 0},
    });
    with(breaker, fields)
}

/// An object with the fields of another written over its own.
pub fn with(mut object: Value, fields: Value) -> Value {
    for (name, value) in fields.as_object().expect("fields") {
        object[name] = value.clone();
    }
    object
}

/// A healthy upstream, and an Envoy in front of it with one policy of these fields.
pub async fn scene(fields: Value) -> (Upstream, Envoy) {
    let upstream = Upstream::start().await;
    let setting = Envoy::in_front_of(upstream.address()).policy(policy(fields));
    (upstream, setting.start().await)
}

/// [`scene`] with a [`touchy`] breaker of these fields.
pub async fn touchy_scene(fields: Value) -> (Upstream, Envoy) {
    scene(json!({"circuit_breaker": touchy(fields)})).await
}

/// Lets one request fail, and the upstream be healthy again.
pub async fn trip(upstream: &Upstream, envoy: &Envoy) {
    upstream.reply(Reply::status(503));
    assert_eq!(envoy.get("/trip").await.status, 503);
    upstream.reply(Reply::status(200));
    transitions_are(envoy, &["closed>open"]).await;
}

/// Waits until an open circuit would let a probe through.
pub async fn open_time_passes(open: Duration) {
    sleep(open + Duration::from_millis(10)).await;
}

/// Sends requests one after the other, which all end with this status.
pub async fn all_get(envoy: &Envoy, path: &str, count: usize, status: u16) {
    for number in 0..count {
        let answer = envoy.get(path).await;
        assert_eq!(answer.status, status, "request {number} to {path}");
    }
}

/// Waits until the policy has counted exactly so many successes, failures and ignored requests.
pub async fn outcomes_are(envoy: &Envoy, policy: &str, expected: [u64; 3]) {
    for (outcome, count) in ["success", "failure", "ignored"].into_iter().zip(expected) {
        let labels = [("policy", policy), ("outcome", outcome)];
        envoy
            .expect_metric("spillway_requests_total", &labels, count)
            .await;
    }
}

/// One counter or gauge of the policy `p`, as it is now.
pub async fn count(envoy: &Envoy, name: &str) -> u64 {
    envoy.metrics().await.value(name, &[("policy", "p")])
}

/// Waits until a counter or gauge of the policy `p` has this value.
pub async fn count_is(envoy: &Envoy, name: &str, value: u64) {
    envoy.expect_metric(name, &[("policy", "p")], value).await;
}

/// Waits until the log tells exactly these changes of state, in order, as `from>to`.
pub async fn transitions_are(envoy: &Envoy, expected: &[&str]) {
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

/// Asserts that the filter rejected a request, and in which state.
pub fn rejected(answer: &Answer, state: &str) {
    let labels = (
        answer.header("x-circuit-fallback"),
        answer.header("x-circuit-state"),
    );
    assert_eq!((answer.status, labels), (503, ("default", state)));
}

/// Asserts that an answer came from the upstream, as it sent it.
pub fn untouched(answer: &Answer) {
    let marks = [
        "x-circuit-fallback",
        "x-circuit-state",
        "x-envoy-overloaded",
    ];
    for mark in marks {
        assert_eq!(answer.header(mark), "", "{mark}");
    }
}

/// A filter that marks requests and answers by headers of this name.
pub fn marking(name: &str) -> Value {
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

/// Waits until no request is under way, and asserts that the filter met nothing unforeseen.
pub async fn nothing_is_left(upstream: &Upstream, envoy: &Envoy) {
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
