//! gRPC: the status of the call counts, in headers or in trailers.

use std::time::Duration;

use serde_json::{Value, json};
use spillway_tests::grpc::Code;
use spillway_tests::{Envoy, GrpcClient, GrpcReply, GrpcUpstream, Reply, Upstream, eventually};

use crate::scene::{count, count_is, file, outcomes_are, policy, touchy, transitions_are, with};

/// The path of the one method of the scripted service.
const PATH: &str = "/spillway.test.Echo/Say";

async fn scene(fields: Value) -> (GrpcUpstream, Envoy, GrpcClient) {
    let upstream = GrpcUpstream::start().await;
    let envoy = Envoy::in_front_of(upstream.address())
        .http2_upstream()
        .policy(policy(fields))
        .start()
        .await;
    let client = GrpcClient::new(envoy.address());
    (upstream, envoy, client)
}

/// A breaker that one failure opens for a long time.
fn lasting() -> Value {
    json!({"circuit_breaker": touchy(json!({"open": {"duration": "5s", "jitter": 0}}))})
}

#[tokio::test]
async fn a_failing_status_opens_the_circuit_from_headers_and_from_trailers() {
    let failures = [
        GrpcReply::fail_in_headers(Code::Unavailable),
        GrpcReply::fail_in_trailers(Code::Internal, 1),
    ];
    for failure in failures {
        let (upstream, envoy, client) = scene(lasting()).await;
        client.unary("fine").await.expect("an answer");
        upstream.reply(failure);
        client.unary("failing").await.expect_err("a failure");
        let rejection = client.unary("rejected").await.expect_err("a rejection");
        assert_eq!(rejection.code(), Code::Unavailable);
        assert_eq!(upstream.hits(), 2);
        transitions_are(&envoy, &["closed>open"]).await;
        outcomes_are(&envoy, "p", [1, 1, 0]).await;
        count_is(&envoy, "spillway_rejected_requests_total", 1).await;
    }
}

#[tokio::test]
async fn every_status_in_headers_or_trailers_counts_by_the_policy() {
    let rows = [
        (Code::Unknown, [0, 2, 0]),
        (Code::DeadlineExceeded, [0, 4, 0]),
        (Code::DataLoss, [0, 6, 0]),
        (Code::NotFound, [2, 6, 0]),
        (Code::ResourceExhausted, [4, 6, 0]),
        (Code::Cancelled, [4, 6, 2]),
    ];
    let (upstream, envoy, client) = scene(json!({})).await;
    for (code, counted) in rows {
        upstream.reply(GrpcReply::fail_in_headers(code));
        assert_eq!(client.unary("").await.expect_err("a failure").code(), code);
        upstream.reply(GrpcReply::fail_in_trailers(code, 2));
        assert_eq!(client.stream("").await.expect("headers").code, code);
        outcomes_are(&envoy, "p", counted).await;
    }
    upstream.reply(GrpcReply::ok(3));
    assert_eq!(client.stream("").await.expect("headers").code, Code::Ok);
    outcomes_are(&envoy, "p", [5, 6, 2]).await;
}

#[tokio::test]
async fn the_policy_may_choose_the_failure_codes() {
    let outcome = json!({"failure_grpc_status": ["NOT_FOUND"]});
    let (upstream, envoy, client) = scene(json!({"outcome": outcome})).await;
    for code in [Code::NotFound, Code::Unavailable] {
        upstream.reply(GrpcReply::fail_in_headers(code));
        client.unary("").await.expect_err("a failure");
    }
    outcomes_are(&envoy, "p", [1, 1, 0]).await;
}

#[tokio::test]
async fn a_call_that_its_client_cancels_is_ignored() {
    let (upstream, envoy, client) = scene(lasting()).await;
    upstream.reply(GrpcReply::ok(1).after(Duration::from_secs(60)));
    let call = tokio::spawn(async move { client.unary("cancelled").await });
    eventually("the call at the upstream", async || upstream.hits() == 1).await;
    call.abort();
    outcomes_are(&envoy, "p", [0, 0, 1]).await;
    assert_eq!(envoy.access(PATH).await["details"], "http2.remote_reset");
}

#[tokio::test]
async fn a_rejection_is_trailers_only_and_asks_not_to_be_retried() {
    let (_upstream, envoy, client) = scene(json!({"mode": "forced_open"})).await;
    // A status in trailers would not be an error of the call's headers.
    let status = client.stream("rejected").await.expect_err("a rejection");
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(status.message(), "circuit of policy p is forced_open");
    let metadata = |name: &str| {
        status
            .metadata()
            .get(name)
            .and_then(|value| value.to_str().ok())
    };
    assert_eq!(metadata("grpc-retry-pushback-ms"), Some("-1"));
    assert_eq!(metadata("x-circuit-fallback"), Some("default"));
    assert_eq!(metadata("x-circuit-state"), Some("forced_open"));
    assert_eq!(metadata("content-type"), Some("application/grpc"));
    assert_eq!(metadata("retry-after"), None);
    let entry = envoy.access(PATH).await;
    let seen = [&entry["code"], &entry["grpc_status"], &entry["details"]];
    assert_eq!(
        seen,
        [&json!(200), &json!(14), &json!("spillway_forced_open")]
    );
}

#[tokio::test]
async fn a_fixed_response_has_the_policys_status_and_message() {
    let respond = json!({
        "type": "respond",
        "status": 200,
        "grpc_status": "RESOURCE_EXHAUSTED",
        "grpc_message": "{policy} rests, not {path}",
        "headers": {"content-type": "application/json", "x-kind": "fixed"},
        "json": {"for": "http alone"},
    });
    let fields = json!({"mode": "forced_open", "fallback": [respond]});
    let (upstream, _envoy, client) = scene(fields).await;
    let status = client.unary("").await.expect_err("a rejection");
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert_eq!(status.message(), "p rests, not /spillway.test.Echo/Say");
    assert_eq!(status.metadata().get("x-kind").expect("a header"), "fixed");
    assert_eq!(
        status
            .metadata()
            .get("x-circuit-fallback")
            .expect("a header"),
        "respond"
    );
    assert_eq!(upstream.hits(), 0);
}

#[tokio::test]
async fn a_failure_in_headers_can_be_replaced_but_not_one_in_trailers() {
    let respond = json!({
        "type": "respond",
        "on": ["failure"],
        "grpc_status": "ABORTED",
        "grpc_message": "instead",
    });
    let (upstream, envoy, client) = scene(json!({"fallback": [respond]})).await;
    upstream.reply(GrpcReply::fail_in_headers(Code::Internal));
    let status = client.unary("").await.expect_err("an answer instead");
    assert_eq!(
        (status.code(), status.message()),
        (Code::Aborted, "instead")
    );
    outcomes_are(&envoy, "p", [0, 1, 0]).await;
    count_is(&envoy, "spillway_fallbacks_total", 1).await;

    upstream.reply(GrpcReply::fail_in_trailers(Code::Internal, 2));
    let streamed = client.stream("").await.expect("headers");
    assert_eq!(
        (streamed.messages.len(), streamed.code),
        (2, Code::Internal)
    );
    outcomes_are(&envoy, "p", [0, 2, 0]).await;
    count_is(&envoy, "spillway_fallbacks_too_late_total", 1).await;
    assert_eq!(count(&envoy, "spillway_fallbacks_total").await, 1);
}

#[tokio::test]
async fn a_pushback_of_the_service_lengthens_the_open_duration() {
    let pushed = |reply: GrpcReply, ms: &str| reply.metadata("grpc-retry-pushback-ms", ms);
    let rows = [
        (
            pushed(GrpcReply::fail_in_headers(Code::Unavailable), "20000"),
            20_000,
        ),
        (
            pushed(GrpcReply::fail_in_trailers(Code::Unavailable, 1), "20000"),
            20_000,
        ),
        (
            pushed(GrpcReply::fail_in_headers(Code::Unavailable), "-1"),
            5_000,
        ),
    ];
    let fields = with(lasting(), json!({"key": [{"header": "x-tenant"}]}));
    let (upstream, envoy, client) = scene(fields).await;
    for (tenant, (reply, open_ms)) in rows.into_iter().enumerate() {
        upstream.reply(reply);
        let tenant = tenant.to_string();
        client
            .unary_with("", &[("x-tenant", &tenant)])
            .await
            .expect_err("a failure");
        eventually("a transition", async || {
            envoy
                .transitions()
                .last()
                .is_some_and(|line| line["key"] == json!([tenant]))
        })
        .await;
        let line = envoy.transitions().pop().expect("a transition");
        assert_eq!(line["open_ms"], open_ms, "{tenant}");
    }
}

#[tokio::test]
async fn one_header_of_a_client_does_not_open_a_healthy_circuit() {
    let upstream = Upstream::start().await;
    let breaker = json!({"circuit_breaker": {"minimum_requests": 5}});
    let envoy = Envoy::in_front_of(upstream.address())
        .policy(policy(breaker))
        .start()
        .await;
    for _ in 0..20 {
        let claim = [("content-type", "application/grpc")];
        assert_eq!(envoy.get_with("/", &claim).await.status, 200);
    }
    assert_eq!(envoy.get("/").await.status, 200);
    outcomes_are(&envoy, "p", [21, 0, 0]).await;
}

/// Responses that proxies and dying servers send, but gRPC servers do not. Each row: a case, the
/// response, and the expected counts.
#[tokio::test]
async fn a_response_without_a_grpc_status_is_judged_by_how_it_ended() {
    let grpc = |reply: Reply| reply.header("content-type", "application/grpc");
    let message: &[u8] = &[0, 0, 0, 0, 2, 0x0a, 0];
    let rows = [
        ("missing", grpc(Reply::status(200)).body(message), [0, 1, 0]),
        ("unavailable", Reply::status(503), [0, 1, 0]),
        ("unimplemented", Reply::status(404), [1, 0, 0]),
        ("reset", Reply::reset(), [0, 1, 0]),
        (
            "reset_mid_stream",
            grpc(Reply::reset_mid_body()).body(message),
            [0, 1, 0],
        ),
        ("timeout", Reply::hang(), [0, 1, 0]),
    ];
    let upstream = Upstream::start().await;
    let cases = rows.clone().map(|(case, ..)| {
        json!({"name": case, "match": {"headers": [{"name": "x-case", "exact": case}]}})
    });
    let envoy = Envoy::in_front_of(upstream.address())
        .http2_upstream()
        .full_module()
        .route_timeout(Duration::from_millis(500))
        .policy(file(json!(cases)))
        .start()
        .await;
    let client = GrpcClient::new(envoy.address());
    for (case, reply, counted) in rows {
        upstream.reply(reply);
        client
            .unary_with("", &[("x-case", case)])
            .await
            .expect_err(case);
        outcomes_are(&envoy, case, counted).await;
    }
}
