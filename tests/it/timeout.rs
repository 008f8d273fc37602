//! The policy's `timeout`, kept by the real router.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use spillway_tests::envoy::Setting;
use spillway_tests::{Answer, Envoy, Reply, Upstream, eventually};

use crate::scene::{outcomes_are, own_network, policy, scene, with};

const WHOLE: &str = "x-envoy-upstream-rq-timeout-ms";
const EXPECTED: &str = "x-envoy-expected-rq-timeout-ms";

/// A policy with a timeout that is far from all others of these tests, and these fields.
fn limited(fields: Value) -> Value {
    policy(with(json!({"timeout": "300ms"}), fields))
}

/// The longest time that these tests take for 300 ms: far below all other timeouts.
const SOON: Duration = Duration::from_secs(5);

/// Asks an upstream that hangs, and returns the response and the details of its access log.
async fn hangs(envoy: &Envoy, path: &str, headers: &[(&str, &str)]) -> (Answer, Value) {
    let started = Instant::now();
    let answer = envoy.get_with(path, headers).await;
    assert!(started.elapsed() < SOON, "{path}");
    let entry = envoy.access(path).await;
    (answer, entry["details"].clone())
}

#[tokio::test]
async fn a_request_ends_at_the_policys_timeout_and_counts_as_a_failure() {
    let (upstream, envoy) = scene(json!({"timeout": "300ms"})).await;
    upstream.reply(Reply::hang());
    let (answer, details) = hangs(&envoy, "/hang", &[]).await;
    assert_eq!((answer.status, details), (504, json!("response_timeout")));
    upstream.reply(Reply::hang_mid_body());
    let (answer, details) = hangs(&envoy, "/cut", &[]).await;
    assert_eq!((answer.status, answer.complete), (200, false));
    assert_eq!(details, "response_timeout");
    upstream.reply(Reply::status(200));
    assert_eq!(envoy.get("/fine").await.status, 200);
    outcomes_are(&envoy, "p", [1, 2, 0]).await;
    let seen = upstream.requests();
    let headers = &seen.last().expect("a request").headers;
    assert_eq!(headers.get(WHOLE), None);
    assert_eq!(headers.get(EXPECTED).expect("a limit"), "300");
}

#[tokio::test]
async fn the_timeout_fallback_answers_http_and_grpc() {
    let fallback = json!([{
        "type": "respond", "on": ["timeout"], "status": 299, "grpc_status": "DEADLINE_EXCEEDED",
    }]);
    let upstream = Upstream::start().await;
    let setting = Envoy::in_front_of(upstream.address()).http2_upstream();
    let plain = policy_named("plain", json!({"timeout": "300ms"}));
    let named = policy_named("named", json!({"timeout": "300ms", "fallback": fallback}));
    let envoy = setting
        .policy(json!({"policies": [plain, named]}))
        .start()
        .await;
    upstream.reply(Reply::hang());
    let grpc = ("content-type", "application/grpc");
    let rows = [
        ("plain", false, 504, ""),
        ("named", false, 299, ""),
        // The proxy's own translation of 504, as for a route's timeout.
        ("plain", true, 200, "14"),
        ("named", true, 200, "4"),
    ];
    for (case, is_grpc, status, code) in rows {
        let mut headers = vec![("x-case", case)];
        headers.extend(is_grpc.then_some(grpc));
        let path = format!("/{case}/{is_grpc}");
        let (answer, _) = hangs(&envoy, &path, &headers).await;
        let seen = (answer.status, answer.header("grpc-status"));
        assert_eq!(seen, (status, code), "{path}");
    }
    outcomes_are(&envoy, "plain", [0, 2, 0]).await;
    outcomes_are(&envoy, "named", [0, 2, 0]).await;
}

fn policy_named(name: &str, fields: Value) -> Value {
    let header = json!([{"name": "x-case", "exact": name}]);
    with(json!({"name": name, "match": {"headers": header}}), fields)
}

#[tokio::test]
async fn retries_of_router_and_filter_are_within_the_timeout() {
    let filter = json!({"engine": "filter", "replay": "as_received", "max_retries": 10});
    for retry in [json!({"max_retries": 10}), filter] {
        let fallback = json!([{"type": "respond", "on": ["timeout"], "status": 299}]);
        let fields = json!({"timeout": "1s", "retry": retry, "fallback": fallback});
        let (upstream, envoy) = scene(fields).await;
        upstream.reply(Reply::status(503));
        upstream.close_gate();
        let request = envoy.client().begin("/again", &[]);
        upstream.in_flight_reaches(1).await;
        upstream.release(1);
        eventually("a second attempt", async || upstream.hits() == 2).await;
        upstream.reply(Reply::hang());
        upstream.open_gate();
        assert_eq!(request.answer().await.status, 299, "{retry}");
    }
}

#[tokio::test]
async fn a_shorter_limit_of_the_caller_stays_and_is_no_failure() {
    let upstream = Upstream::start().await;
    let envoy = Envoy::in_front_of(upstream.address())
        .manager(own_network())
        .policy(limited(json!({})))
        .start()
        .await;
    upstream.reply(Reply::hang());
    let rows = [
        ("100", [0, 0, 1]),
        // A longer one, none at all, and nonsense do not count.
        ("60000", [0, 1, 1]),
        ("0", [0, 2, 1]),
        ("soon", [0, 3, 1]),
    ];
    for (ms, expected) in rows {
        let (answer, details) = hangs(&envoy, &format!("/{ms}"), &[(WHOLE, ms)]).await;
        assert_eq!((answer.status, details), (504, json!("response_timeout")));
        outcomes_are(&envoy, "p", expected).await;
    }
}

#[tokio::test]
async fn the_limit_of_a_proxy_before_is_no_way_around_the_timeout() {
    let upstream = Upstream::start().await;
    let envoy = Envoy::in_front_of(upstream.address())
        .manager(own_network())
        .router(json!({"respect_expected_rq_timeout": true}))
        .policy(limited(json!({})))
        .start()
        .await;
    upstream.reply(Reply::hang());
    for ms in ["60000", "0"] {
        let (answer, details) = hangs(&envoy, &format!("/{ms}"), &[(EXPECTED, ms)]).await;
        assert_eq!((answer.status, details), (504, json!("response_timeout")));
    }
    outcomes_are(&envoy, "p", [0, 2, 0]).await;
}

/// Starts an Envoy whose routes have a timeout of 100 ms.
async fn brief_route(fields: Value) -> (Upstream, Envoy) {
    let upstream = Upstream::start().await;
    let setting: Setting = Envoy::in_front_of(upstream.address())
        .route_timeout(Duration::from_millis(100))
        .policy(policy(fields));
    upstream.reply(Reply::status(200).after(Duration::from_millis(300)));
    (upstream, setting.start().await)
}

/// A limit of the host, which the documentation names.
#[tokio::test]
async fn the_timeout_replaces_that_of_the_route_also_if_it_is_longer() {
    let rows = [
        (json!({"timeout": "5s"}), 200),
        (json!({}), 504),
        (json!({"timeout": "5s", "mode": "shadow"}), 504),
    ];
    for (fields, status) in rows {
        let shown = fields.to_string();
        let (_upstream, envoy) = brief_route(fields).await;
        assert_eq!(envoy.get("/").await.status, status, "{shown}");
    }
}
