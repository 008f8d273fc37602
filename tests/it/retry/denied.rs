//! Retries that the filter denies are not made, whatever the route allows.

use serde_json::json;
use spillway_tests::client::request;
use spillway_tests::{Envoy, Reply, Upstream};

use super::{budget, calm, cased, denied_is, failing, generous, retries_are};
use crate::scene::{
    OPEN, all_get, count, count_is, open_time_passes, outcomes_are, own_network, policy, touchy,
    transitions_are, trip,
};

/// Each row: a case, its fields, the headers of a GET, its number of attempts on a route that
/// allows four, and why no more are granted.
#[tokio::test]
async fn the_retry_policy_of_the_route_does_not_make_denied_retries() {
    let rows = [
        ("granted", json!({}), vec![], 3, None),
        ("once", json!({"methods": []}), vec![], 1, None),
        ("none", json!({"max_retries": 0}), vec![], 1, None),
        (
            "spent",
            json!({"budget": budget(0, 0)}),
            vec![],
            1,
            Some("budget"),
        ),
        (
            "nested",
            json!({}),
            vec![("x-envoy-attempt-count", "2")],
            1,
            Some("nested"),
        ),
        (
            "first",
            json!({}),
            vec![("x-envoy-attempt-count", "1")],
            3,
            None,
        ),
        (
            "previous",
            json!({}),
            vec![("grpc-previous-rpc-attempts", "1")],
            1,
            Some("nested"),
        ),
        (
            "even_so",
            json!({"nested": true}),
            vec![("x-envoy-attempt-count", "2")],
            3,
            None,
        ),
        (
            "brief",
            json!({"per_try_timeout": "500ms"}),
            vec![("x-envoy-expected-rq-timeout-ms", "500")],
            1,
            Some("deadline"),
        ),
        (
            "one_fits",
            json!({"per_try_timeout": "500ms"}),
            vec![("x-envoy-expected-rq-timeout-ms", "501")],
            2,
            None,
        ),
        (
            "grpc_brief",
            json!({"per_try_timeout": "500ms"}),
            vec![("grpc-timeout", "400m")],
            1,
            Some("deadline"),
        ),
        (
            "unhurried",
            json!({}),
            vec![("x-envoy-expected-rq-timeout-ms", "1000")],
            3,
            None,
        ),
    ];
    let upstream = Upstream::start().await;
    let setting = Envoy::in_front_of(upstream.address())
        .manager(own_network())
        .route(generous("/"));
    let cases = rows.iter().map(|row| (row.0, row.1.clone()));
    let envoy = cased(setting, cases).await;
    for (case, _, mut headers, expected, reason) in rows {
        headers.push(("x-case", case));
        let made = failing(&upstream, &envoy, "GET", &headers).await;
        assert_eq!(made, expected, "{case}");
        outcomes_are(&envoy, case, [0, 1, 0]).await;
        retries_are(&envoy, case, "failure", expected as u64 - 1).await;
        if let Some(reason) = reason {
            denied_is(&envoy, case, reason, 1).await;
        }
        let labels = [("policy", case)];
        let metrics = envoy.metrics().await;
        let all = metrics.value("spillway_retries_denied_total", &labels);
        assert_eq!(all, u64::from(reason.is_some()), "{case}");
    }
}

#[tokio::test]
async fn the_retry_policy_of_the_route_does_not_retry_a_post() {
    let upstream = Upstream::start().await;
    let envoy = Envoy::in_front_of(upstream.address())
        .route(generous("/"))
        .policy(policy(super::retrying(json!({}))))
        .start()
        .await;
    assert_eq!(failing(&upstream, &envoy, "POST", &[]).await, 1);
    assert_eq!(failing(&upstream, &envoy, "GET", &[]).await, 3);
}

#[tokio::test]
async fn a_policy_without_retry_keeps_the_retry_policy_of_the_route() {
    let upstream = Upstream::start().await;
    let envoy = Envoy::in_front_of(upstream.address())
        .route(generous("/"))
        .policy(policy(json!({"circuit_breaker": calm()})))
        .start()
        .await;
    assert_eq!(failing(&upstream, &envoy, "POST", &[]).await, 4);
}

#[tokio::test]
async fn a_probe_is_attempted_once() {
    let upstream = Upstream::start().await;
    let breaker = touchy(json!({"half_open": {"permits": 2}}));
    let envoy = Envoy::in_front_of(upstream.address())
        .route(generous("/"))
        .policy(policy(json!({"circuit_breaker": breaker, "retry": {}})))
        .start()
        .await;
    trip(&upstream, &envoy).await;
    assert_eq!(upstream.hits(), 3);
    upstream.forget();
    open_time_passes(OPEN).await;
    upstream.reply(Reply::status(503));
    all_get(&envoy, "/", 1, 503).await;
    assert_eq!(upstream.hits(), 1);
    let expected = ["closed>open", "open>half_open", "half_open>open"];
    transitions_are(&envoy, &expected).await;
    denied_is(&envoy, "p", "circuit", 1).await;
    count_is(&envoy, "spillway_probes_total", 1).await;
}

#[tokio::test]
async fn a_rejected_request_asks_for_no_retries() {
    let fields = json!({"mode": "forced_open", "retry": {"budget": budget(0, 0)}});
    let (upstream, envoy) = crate::scene::scene(fields).await;
    all_get(&envoy, "/", 3, 503).await;
    count_is(&envoy, "spillway_rejected_requests_total", 3).await;
    assert_eq!(upstream.hits(), 0);
    assert_eq!(count(&envoy, "spillway_retries_denied_total").await, 0);
}

/// The flag URX means that a route's retries are exhausted. Without a route policy and without
/// granted retries no flag mentions retries; with a route policy, Envoy also sets the flag for
/// denied retries. Each row: a path, a method, the attempts, and the flags.
#[tokio::test]
async fn response_flags_mention_retries_only_if_retries_were_possible() {
    let rows = [
        ("/plain/post", "POST", 1, json!("-")),
        ("/plain/get", "GET", 3, json!("URX")),
        ("/own/post", "POST", 1, json!("URX")),
        ("/own/get", "GET", 3, json!("URX")),
    ];
    let upstream = Upstream::start().await;
    upstream.reply(Reply::status(503));
    let envoy = Envoy::in_front_of(upstream.address())
        .route(generous("/own"))
        .policy(policy(super::retrying(json!({}))))
        .start()
        .await;
    for (path, method, attempts, flags) in rows {
        let sent = envoy.client().send(request(method, path, &[], ""));
        assert_eq!(sent.await.status, 503);
        assert_eq!(upstream.hits_on(path), attempts, "{path}");
        let entry = envoy.access(path).await;
        assert_eq!(entry["flags"], flags, "{path}");
        assert_eq!(entry["details"], "via_upstream");
        assert_eq!(entry["spillway"], json!(null));
    }
    let exceeded = "cluster.upstream.upstream_rq_retry_limit_exceeded";
    assert_eq!(envoy.stat(exceeded).await, 3);
}
