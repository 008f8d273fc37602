//! Deadlines set by clients.

use std::time::Duration;

use serde_json::json;
use spillway_tests::{Envoy, Reply, Upstream};

use super::{FAILURE, IGNORED, SUCCESS, cased, policy_of, route_of};
use crate::scene::{file, outcomes_are, own_network, with};

const WHOLE: &str = "x-envoy-upstream-rq-timeout-ms";
const EACH: &str = "x-envoy-upstream-rq-per-try-timeout-ms";

#[tokio::test]
async fn an_expired_deadline_of_the_caller_is_no_failure_of_the_upstream() {
    // More than 300 ms is slow.
    let rows = [
        ("whole", WHOLE, "100", "response_timeout", IGNORED, 0),
        ("whole_slow", WHOLE, "450", "response_timeout", SUCCESS, 1),
        ("each", EACH, "100", "upstream_per_try_timeout", IGNORED, 0),
        (
            "each_slow",
            EACH,
            "450",
            "upstream_per_try_timeout",
            SUCCESS,
            1,
        ),
        // The route's timeout and no client deadline.
        ("route", "x-none", "100", "response_timeout", FAILURE, 1),
    ];
    let upstream = Upstream::start().await;
    let setting = Envoy::in_front_of(upstream.address())
        .manager(own_network())
        .route_timeout(Duration::from_millis(700));
    let envoy = cased(setting, &rows.map(|row| row.0)).await;
    for (case, name, value, details, counted, slow) in rows {
        let path = format!("/{case}");
        let headers = [("x-case", case), ("x-script", "hang"), (name, value)];
        assert_eq!(envoy.get_with(&path, &headers).await.status, 504, "{case}");
        assert_eq!(envoy.access(&path).await["details"], details, "{case}");
        outcomes_are(&envoy, case, counted).await;
        let labels = [("policy", case)];
        let seen = envoy
            .metrics()
            .await
            .value("spillway_slow_requests_total", &labels);
        assert_eq!(seen, slow, "{case}");
    }
}

#[tokio::test]
async fn callers_with_deadlines_of_a_millisecond_do_not_open_the_circuit() {
    let upstream = Upstream::start().await;
    let breaker = json!({"circuit_breaker": {"minimum_requests": 5}});
    let envoy = Envoy::in_front_of(upstream.address())
        .manager(own_network())
        .policy(file(json!([with(json!({"name": "p"}), breaker)])))
        .start()
        .await;
    upstream.reply(Reply::status(200).after(Duration::from_millis(100)));
    for _ in 0..20 {
        assert_eq!(envoy.get_with("/", &[(WHOLE, "1")]).await.status, 504);
    }
    assert_eq!(envoy.get("/").await.status, 200);
    outcomes_are(&envoy, "p", [1, 0, 20]).await;
}

#[tokio::test]
async fn at_the_edge_clients_have_no_deadlines() {
    let upstream = Upstream::start().await;
    let envoy = cased(Envoy::in_front_of(upstream.address()), &["edge"]).await;
    let headers = [
        ("x-case", "edge"),
        ("x-script", "delay_ms=200"),
        (WHOLE, "50"),
    ];
    assert_eq!(envoy.get_with("/", &headers).await.status, 200);
    outcomes_are(&envoy, "edge", SUCCESS).await;
}

#[tokio::test]
async fn a_per_try_timeout_set_by_the_policy_is_not_the_callers() {
    let upstream = Upstream::start().await;
    let retry =
        json!({"retry": {"per_try_timeout": "100ms", "max_retries": 1, "retry_on": ["reset"]}});
    let envoy = Envoy::in_front_of(upstream.address())
        .manager(own_network())
        .policy(file(json!([with(policy_of("own"), retry)])))
        .start()
        .await;
    let headers = [("x-case", "own"), ("x-script", "hang"), (EACH, "50")];
    assert_eq!(envoy.get_with("/own", &headers).await.status, 504);
    assert_eq!(
        envoy.access("/own").await["details"],
        "upstream_per_try_timeout"
    );
    outcomes_are(&envoy, "own", FAILURE).await;
}

#[tokio::test]
async fn a_grpc_deadline_enforced_by_host_or_service_is_the_callers() {
    let upstream = Upstream::start().await;
    let enforced = json!({"max_stream_duration": {"grpc_timeout_header_max": "0.5s"}});
    let own = json!({"max_stream_duration": {"max_stream_duration": "0.5s"}});
    let setting = Envoy::in_front_of(upstream.address())
        .http2_upstream()
        .route(route_of("host", enforced.clone()))
        .route(route_of("bound", enforced))
        .route(route_of("own", own));
    let cases = ["host", "bound", "own", "service", "early"];
    let envoy = cased(setting, &cases).await;
    let exceeded = "delay_ms=200 content-type=application/grpc grpc-status=4";
    let rows = [
        ("host", "hang", "100m", "max_duration_timeout", IGNORED),
        // Envoy writes the effective timeout into the header of every gRPC request before any
        // filter sees it, so the filter cannot tell whose deadline expired. It assumes the
        // client's, and the upstream had longer than the slow threshold.
        ("bound", "hang", "9S", "max_duration_timeout", SUCCESS),
        ("own", "hang", "", "max_duration_timeout", SUCCESS),
        ("service", exceeded, "200m", "via_upstream", IGNORED),
        ("early", exceeded, "9S", "via_upstream", FAILURE),
    ];
    for (case, script, deadline, details, counted) in rows {
        let path = format!("/{case}");
        let mut headers = vec![
            ("x-case", case),
            ("x-script", script),
            ("content-type", "application/grpc"),
        ];
        headers.extend((!deadline.is_empty()).then_some(("grpc-timeout", deadline)));
        assert_eq!(envoy.get_with(&path, &headers).await.status, 200, "{case}");
        assert_eq!(envoy.access(&path).await["details"], details, "{case}");
        outcomes_are(&envoy, case, counted).await;
    }
}
