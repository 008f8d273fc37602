//! How often and when a request is replayed.

use std::time::{Duration, Instant};

use serde_json::json;
use spillway_tests::{Envoy, GrpcClient, GrpcReply, GrpcUpstream, Upstream, grpc::Code};

use super::{FAIL, denied_are, get, nothing_is_left, retries_are, retry, scene};
use crate::scene::{count_is, outcomes_are, own_network, policy, touchy, transitions_are};

#[tokio::test]
async fn the_policy_limits_retries_and_the_last_response_is_forwarded() {
    for (most, status, body) in [(0, 503, "first"), (1, 502, "again"), (3, 502, "again")] {
        let (upstream, envoy) = scene(json!({"max_retries": most})).await;
        let answer = get(&envoy, "/", FAIL.1, "status=502 body=again").await;
        assert_eq!((answer.status, answer.text()), (status, body.into()));
        assert_eq!(upstream.hits(), most + 1);
        let counts: Vec<_> = upstream.requests();
        for (number, seen) in counts.iter().enumerate().skip(1) {
            assert_eq!(
                seen.headers["x-envoy-attempt-count"],
                (number + 1).to_string()
            );
        }
        retries_are(&envoy, most as u64).await;
        outcomes_are(&envoy, "p", [0, 1, 0]).await;
        nothing_is_left(&upstream, &envoy).await;
    }
}

#[tokio::test]
async fn the_fallback_comes_after_the_last_retry() {
    let fallback = json!({"type": "respond", "on": ["failure"], "status": 203, "json": {"f": 1}});
    let fields = json!({"retry": retry(json!({})), "fallback": [fallback]});
    let (upstream, envoy) = crate::scene::scene(fields).await;
    let answer = get(&envoy, "/", FAIL.1, "status=502").await;
    assert_eq!((answer.status, answer.json()), (203, json!({"f": 1})));
    assert_eq!(upstream.hits(), 3);
    assert_eq!(envoy.access("/").await["details"], "spillway_failure");
    let answer = get(&envoy, "/again", FAIL.1, "status=200").await;
    assert_eq!(answer.status, 200);
    let entry = envoy.access("/again").await;
    assert_eq!(entry["spillway"], "policy=p state=closed decision=retry");
    retries_are(&envoy, 3).await;
    count_is(&envoy, "spillway_fallbacks_total", 1).await;
    nothing_is_left(&upstream, &envoy).await;
}

#[tokio::test]
async fn each_retry_is_withdrawn_from_the_budget() {
    let budget = json!({"percent": 0, "min_retry_rate": {"count": 3, "interval": "10s"}});
    let (upstream, envoy) = scene(json!({"max_retries": 2, "budget": budget})).await;
    for _ in 0..5 {
        get(&envoy, "/", "status=503", "status=503").await;
    }
    assert_eq!(upstream.hits(), 5 + 3);
    retries_are(&envoy, 3).await;
    denied_are(&envoy, "budget", 4).await;
    count_is(&envoy, "spillway_retry_budget", 0).await;
}

#[tokio::test]
async fn each_attempt_counts_for_the_circuit_and_none_is_made_when_it_opens() {
    let open = json!({"duration": "5s", "jitter": 0});
    let breaker = touchy(json!({"consecutive_failures": 2, "open": open}));
    let retry = retry(json!({"max_retries": 5}));
    let fields = json!({"circuit_breaker": breaker, "retry": retry});
    let (upstream, envoy) = crate::scene::scene(fields).await;
    let answer = get(&envoy, "/", FAIL.1, "status=503 body=second").await;
    assert_eq!((answer.status, answer.text()), (503, "second".into()));
    assert_eq!(upstream.hits(), 2);
    transitions_are(&envoy, &["closed>open"]).await;
    denied_are(&envoy, "circuit", 1).await;
    assert_eq!(envoy.get("/").await.header("x-circuit-state"), "open");
    assert_eq!(upstream.hits(), 2);
}

#[tokio::test]
async fn a_waiting_retry_is_not_made_when_the_circuit_opens() {
    let open = json!({"duration": "5s", "jitter": 0});
    let breaker = touchy(json!({"consecutive_failures": 2, "open": open}));
    let fields = json!({"circuit_breaker": breaker, "retry": retry(json!({}))});
    let (upstream, envoy) = crate::scene::scene(fields).await;
    let script = ("x-script", "status=503 retry-after=1 body=first");
    let waiting = envoy.client().begin("/waiting", &[script]);
    let failed = "cluster.upstream.upstream_rq_503";
    spillway_tests::eventually("the first failure", async || envoy.stat(failed).await == 1).await;
    let post = envoy
        .client()
        .post("/", &[("x-script", "status=503")], "")
        .await;
    assert_eq!(post.status, 503);
    let answer = waiting.answer().await;
    assert_eq!((answer.status, answer.text()), (503, "first".into()));
    assert_eq!(upstream.hits_on("/waiting"), 1);
    denied_are(&envoy, "circuit", 1).await;
    nothing_is_left(&upstream, &envoy).await;
}

/// Each row: the first response, the number of attempts, and why there are no more.
#[tokio::test]
async fn retry_hints_of_a_response_are_obeyed() {
    let rows = [
        ("status=503 grpc-retry-pushback-ms=-1", 1, "pushback"),
        ("status=503 grpc-retry-pushback-ms=1", 2, ""),
        ("status=503 x-envoy-ratelimited=true", 1, ""),
        ("status=503 retry-after=16", 1, "deadline"),
        ("status=500 retry-after=16", 2, ""),
        ("status=404", 1, ""),
    ];
    for (script, attempts, reason) in rows {
        let (upstream, envoy) = scene(json!({})).await;
        get(&envoy, "/", script, "").await;
        assert_eq!(upstream.hits(), attempts, "{script}");
        denied_are(&envoy, reason, u64::from(!reason.is_empty())).await;
    }
}

#[tokio::test]
async fn a_retry_waits_as_long_as_the_upstream_asks_for() {
    let (upstream, envoy) = scene(json!({})).await;
    let begin = Instant::now();
    let answer = get(&envoy, "/", "status=503 retry-after=1", "body=second").await;
    assert_eq!(answer.text(), "second");
    let took = begin.elapsed();
    assert!(took >= Duration::from_secs(1), "{took:?}");
    nothing_is_left(&upstream, &envoy).await;
}

#[tokio::test]
async fn no_retry_is_made_after_the_callers_deadline_or_for_a_caller_that_retries() {
    let rows = [
        ("x-envoy-expected-rq-timeout-ms", "50", "deadline"),
        ("x-envoy-attempt-count", "2", "nested"),
        ("grpc-previous-rpc-attempts", "1", "nested"),
    ];
    for (name, value, reason) in rows {
        let (upstream, setting) = super::setting(json!({})).await;
        let envoy = setting.manager(own_network()).start().await;
        let script = "status=503 delay_ms=60";
        let scripts = [("x-script", script), ("x-script-again", script)];
        let headers = [&scripts[..], &[(name, value)]].concat();
        assert_eq!(envoy.get_with("/", &headers).await.status, 503);
        assert_eq!(upstream.hits(), 1, "{name}");
        denied_are(&envoy, reason, 1).await;
    }
}

#[tokio::test]
async fn an_attempt_ends_at_its_timeout() {
    let rows = [
        (
            json!({"per_try_timeout": "200ms", "max_retries": 2}),
            3,
            400,
        ),
        (json!({"timeout": "300ms", "max_retries": 2}), 2, 250),
    ];
    for (fields, attempts, least_ms) in rows {
        let (upstream, envoy) = scene(fields).await;
        let begin = Instant::now();
        let answer = get(&envoy, "/", FAIL.1, "hang").await;
        let took = begin.elapsed();
        assert_eq!((answer.status, upstream.hits()), (504, attempts));
        assert!(took >= Duration::from_millis(least_ms), "{took:?}");
        assert!(took < Duration::from_secs(10), "{took:?}");
        assert_eq!(envoy.access("/").await["details"], "spillway_retry");
        nothing_is_left(&upstream, &envoy).await;
    }
}

#[tokio::test]
async fn in_shadow_mode_nothing_is_replayed() {
    let fields = json!({"mode": "shadow", "retry": retry(json!({}))});
    let (upstream, envoy) = crate::scene::scene(fields).await;
    let answer = get(&envoy, "/", FAIL.1, "").await;
    assert_eq!((answer.status, answer.text()), (503, "first".into()));
    assert_eq!(upstream.hits(), 1);
    retries_are(&envoy, 0).await;
}

#[tokio::test]
async fn grpc_calls_are_left_to_the_hosts_router() {
    let upstream = GrpcUpstream::start().await;
    let retry = retry(json!({"grpc_retry_on": ["unavailable"]}));
    let envoy = Envoy::in_front_of(upstream.address())
        .http2_upstream()
        .policy(policy(json!({"retry": retry})))
        .start()
        .await;
    upstream.reply(GrpcReply::fail_in_headers(Code::Unavailable));
    let client = GrpcClient::new(envoy.address());
    client.unary("failing").await.expect_err("a failure");
    assert_eq!(upstream.hits(), 3);
    let entry = envoy.access("/spillway.test.Echo/Say").await;
    assert_eq!(
        (&entry["attempts"], &entry["details"]),
        (&json!(3), &json!("via_upstream"))
    );
    retries_are(&envoy, 2).await;
}

/// One worker uses what another learned from retries.
#[tokio::test]
async fn a_healthy_upstream_sees_no_retry() {
    let upstream = Upstream::start().await;
    let envoy = Envoy::in_front_of(upstream.address())
        .policy(policy(json!({"retry": retry(json!({}))})))
        .start()
        .await;
    for _ in 0..20 {
        assert_eq!(envoy.get("/").await.status, 200);
    }
    assert_eq!(upstream.hits(), 20);
    assert_eq!(upstream.hits_with("x-envoy-max-retries", "0"), 0);
    retries_are(&envoy, 0).await;
}
