//! `host-sim serve`: the built program as a process, with real clients, upstreams, browsers and a
//! real Prometheus around it.

mod load;
mod metrics;
mod operators;
mod start;

use serde_json::{Value, json};
use spillway_tests::client::request;
use spillway_tests::grpc::Code;
use spillway_tests::{
    Client, GrpcClient, GrpcReply, GrpcUpstream, Reply, Serve, Upstream, eventually, places,
};

use crate::scene::{policy, rejected, touchy, untouched};

/// A breaker that one failure opens for longer than a test.
fn lasting() -> Value {
    let breaker = touchy(json!({"open": {"duration": "10m", "jitter": 0}}));
    policy(json!({ "circuit_breaker": breaker }))
}

/// Starts a healthy upstream and a proxy with this policy file.
async fn scene(policy: &Value) -> (Upstream, Serve) {
    let upstream = Upstream::start().await;
    let serve = Serve::start(&format!("http://{}", upstream.address()), policy).await;
    (upstream, serve)
}

/// Waits until a metric of the policy `p` has this value.
async fn count_is(serve: &Serve, name: &str, value: u64) {
    eventually(&format!("{name} {value}"), async || {
        serve.metrics().await.value(name, &[("policy", "p")]) == value
    })
    .await;
}

#[tokio::test]
async fn requests_and_responses_pass_whole_by_http1_and_http2() {
    let (upstream, serve) = scene(&policy(json!({"circuit_breaker": {}}))).await;
    let long = "b".repeat(300_000);
    for client in [serve.client(), Client::http2(serve.address())] {
        upstream.forget();
        upstream.reply(
            Reply::status(207)
                .header("x-one", "1")
                .header("x-one", "2")
                .body(long.clone()),
        );
        let headers = [("x-two", "a, b"), ("content-type", "text/x")];
        let answer = client.send(request("PATCH", "/a%20b?c=d", &headers, &long));
        let answer = answer.await;
        assert_eq!((answer.status, answer.complete), (207, true));
        assert_eq!(answer.body, long.as_bytes());
        let ones: Vec<_> = answer.headers.get_all("x-one").iter().collect();
        assert_eq!(ones, ["1", "2"]);
        untouched(&answer);
        let seen = upstream.requests();
        assert_eq!(seen.len(), 1);
        assert_eq!(seen[0].method, "PATCH");
        assert_eq!(seen[0].uri.path_and_query().expect("a path"), "/a%20b?c=d");
        assert_eq!(seen[0].headers["x-two"], "a, b");
        assert_eq!(seen[0].body, long.as_bytes());

        upstream.reply(Reply::status(204).body(""));
        for method in ["HEAD", "DELETE", "OPTIONS"] {
            let answer = client.send(request(method, "/", &[], "")).await;
            assert_eq!((answer.status, answer.body.len()), (204, 0), "{method}");
        }
        upstream.reply(Reply::status(200).body(long.clone()).chunked());
        assert_eq!(client.get("/chunked").await.body, long.as_bytes());
    }
}

#[tokio::test]
async fn an_open_circuit_answers_with_the_fallback_until_a_probe_succeeds() {
    let fallback = json!([{"type": "respond", "on": ["open"], "status": 203, "body": "later"}]);
    let breaker = touchy(json!({"recovery": {"duration": "10ms"}}));
    let fields = json!({"circuit_breaker": breaker, "fallback": fallback});
    let (upstream, serve) = scene(&policy(fields)).await;
    for client in [serve.client(), Client::http2(serve.address())] {
        assert_eq!(client.get("/").await.status, 200);
        let script = [("x-script", "status=503")];
        assert_eq!(client.get_with("/", &script).await.status, 503);
        let hits = upstream.hits();
        let answer = client.get("/").await;
        assert_eq!((answer.status, answer.text().as_str()), (203, "later"));
        assert_eq!(answer.header("x-circuit-state"), "open");
        assert_eq!(upstream.hits(), hits);
        eventually("a closed circuit", async || {
            client.get("/").await.status == 200
                && serve
                    .metrics()
                    .await
                    .value("spillway_open_circuits", &[("policy", "p")])
                    == 0
        })
        .await;
    }
}

#[tokio::test]
async fn an_upstream_that_fails_by_itself_counts_like_one_that_answers_503() {
    let upstream = Upstream::start().await;
    let url = format!("http://{}", upstream.address());
    for script in ["reset", "status=503"] {
        let serve = Serve::start(&url, &lasting()).await;
        let client = serve.client();
        let answer = client.get_with("/", &[("x-script", script)]).await;
        assert_eq!(answer.status, 503, "{script}");
        rejected(&client.get("/").await, "open");
        count_is(&serve, "spillway_rejected_requests_total", 1).await;
    }
    let address = upstream.address();
    drop(upstream);
    let serve = Serve::start(&format!("http://{address}"), &lasting()).await;
    assert_eq!(serve.client().get("/").await.status, 503);
    rejected(&serve.client().get("/").await, "open");
}

#[tokio::test]
async fn a_failure_is_retried_within_the_budget() {
    let budget = json!({"percent": 0, "min_retry_rate": {"count": 1, "interval": "10s"}});
    let fields = json!({"retry": {"retry_on": ["5xx"], "budget": budget}});
    let upstream = Upstream::start().await;
    let url = format!("http://{}", upstream.address());
    let text = policy(fields).to_string();
    let arguments = ["--workers", "1"];
    let serve = Serve::start_with(&places::module_for(&text), &url, &text, &arguments).await;
    upstream.reply(Reply::status(503));
    let client = serve.client();
    for hits in [2, 3] {
        assert_eq!(client.get("/").await.status, 503);
        assert_eq!(upstream.hits(), hits);
    }
    count_is(&serve, "spillway_retries_total", 1).await;
    count_is(&serve, "spillway_retries_denied_total", 1).await;
}

#[tokio::test]
async fn grpc_calls_pass_and_their_failures_open_the_circuit() {
    for failure in [
        GrpcReply::fail_in_headers(Code::Unavailable),
        GrpcReply::fail_in_trailers(Code::Internal, 1),
    ] {
        let upstream = GrpcUpstream::start().await;
        let serve = Serve::start(&format!("http://{}", upstream.address()), &lasting()).await;
        let client = GrpcClient::new(serve.address());
        let said = client.unary("hello").await.expect("an answer").into_inner();
        assert_eq!(said.text, "hello");
        upstream.reply(GrpcReply::ok(100).apart());
        let streamed = client.stream("again").await.expect("headers");
        assert_eq!((streamed.messages.len(), streamed.code), (100, Code::Ok));

        upstream.reply(failure);
        client.unary("failing").await.expect_err("a failure");
        let rejection = client.unary("rejected").await.expect_err("a rejection");
        assert_eq!(rejection.code(), Code::Unavailable);
        assert_eq!(rejection.message(), "circuit of policy p is open");
        assert_eq!(upstream.hits(), 3);
    }
}

#[tokio::test]
async fn a_grpc_call_has_messages_before_either_side_has_ended() {
    let upstream = Upstream::start().await;
    upstream.reply(
        Reply::hang_mid_body()
            .early()
            .header("content-type", "application/grpc")
            .body(&b"\0\0\0\0\x04\x0a\x02ok"[..]),
    );
    let serve = Serve::start(&format!("http://{}", upstream.address()), &lasting()).await;
    let client = GrpcClient::new(serve.address());
    let mut call = client.converse("hello", &[]).await.expect("headers");
    let message = call.message().await.expect("a message");
    assert_eq!(message.as_deref(), Some("ok"));
    assert_eq!(upstream.hits(), 1);
}

#[tokio::test]
async fn a_client_that_leaves_ends_the_request_at_the_upstream() {
    let (upstream, serve) = scene(&lasting()).await;
    upstream.reply(Reply::hang());
    for client in [serve.client(), Client::http2(serve.address())] {
        let request = client.begin("/left", &[]);
        upstream.in_flight_reaches(1).await;
        request.abandon().await;
        upstream.in_flight_reaches(0).await;
    }
    let labels = [("policy", "p"), ("outcome", "ignored")];
    eventually("two ignored requests", async || {
        serve
            .metrics()
            .await
            .value("spillway_requests_total", &labels)
            == 2
    })
    .await;
}
