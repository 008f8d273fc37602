//! The filter sends requests again by itself: what arrives, what comes back, and what is left
//! alone.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use spillway_tests::client::request;
use spillway_tests::{Answer, Envoy, Reply, Upstream, eventually};

use crate::scene::{policy, with};

/// A policy whose retries the filter makes, with these fields besides.
fn replaying(fields: Value) -> Value {
    let retry = json!({"engine": "filter", "replay": "as_received"});
    policy(json!({"retry": with(retry, fields)}))
}

async fn scene(fields: Value) -> (Upstream, Envoy) {
    let upstream = Upstream::start().await;
    let setting = Envoy::in_front_of(upstream.address()).policy(replaying(fields));
    (upstream, setting.start().await)
}

/// Sends a request whose first attempt gets one reply, and the second another.
async fn twice(
    upstream: &Upstream,
    envoy: &Envoy,
    request: http::Request<Bytes>,
    replies: [Reply; 2],
) -> Answer {
    upstream.close_gate();
    let before = upstream.hits();
    let client = envoy.client().clone();
    let answer = tokio::spawn(async move { client.send(request).await });
    for (number, reply) in replies.into_iter().enumerate() {
        eventually("an attempt", async || upstream.hits() > before + number).await;
        upstream.reply(reply);
        upstream.release(1);
    }
    let answer = answer.await.expect("an answer");
    upstream.open_gate();
    answer
}

async fn denied(envoy: &Envoy, reason: &str, count: u64) {
    let labels = [("policy", "p"), ("reason", reason)];
    envoy
        .expect_metric("spillway_retries_denied_total", &labels, count)
        .await;
}

#[tokio::test]
async fn the_second_attempt_is_the_same_request_and_its_answer_is_the_callers() {
    let (upstream, envoy) = scene(json!({})).await;
    let headers = [
        ("x-twice", "a"),
        ("x-twice", "b"),
        ("x-envoy-upstream-alt-stat-name", "other"),
        ("connection", "x-hop"),
        ("x-hop", "1"),
    ];
    let fine = Reply::status(201)
        .body("the second")
        .header("x-from", "two");
    let asked = request("PUT", "/a/b?c=d", &headers, "content");
    let answer = twice(&upstream, &envoy, asked, [Reply::status(503), fine]).await;
    assert_eq!((answer.status, answer.text().as_str()), (201, "the second"));
    assert_eq!(answer.header("x-from"), "two");
    assert_eq!(answer.header("content-length"), "10");
    let seen = upstream.requests();
    let [first, second] = &seen[..] else {
        panic!("{seen:?}");
    };
    assert_eq!(first.method, second.method);
    assert_eq!(first.uri.path_and_query(), second.uri.path_and_query());
    assert_eq!(
        (&*first.body, &*second.body),
        (&b"content"[..], &b"content"[..])
    );
    for name in ["host", "x-twice", "x-request-id", "content-length"] {
        let values = |seen: &spillway_tests::upstream::Seen| {
            let all = seen.headers.get_all(name).iter();
            all.map(|it| it.to_str().unwrap().to_owned())
                .collect::<Vec<_>>()
                .join(",")
        };
        assert_eq!(values(first), values(second), "{name}");
    }
    assert_eq!(second.headers["x-envoy-attempt-count"], "2");
    assert!(!second.headers.contains_key("x-hop"));
    let line = envoy.access("/a/b?c=d").await;
    assert_eq!(line["details"], "spillway_retry", "{line}");
}

#[tokio::test]
async fn the_routes_own_retries_do_not_multiply_the_filters() {
    let upstream = Upstream::start().await;
    let route = json!({"retry_policy": {"retry_on": "5xx", "num_retries": 3}});
    let envoy = Envoy::in_front_of(upstream.address())
        .policy(replaying(json!({"max_retries": 2})))
        .route(
            json!({"match": {"prefix": "/"}, "route": with(json!({"cluster": "upstream"}), route)}),
        )
        .start()
        .await;
    upstream.reply(Reply::status(503).body("still not"));
    let answer = envoy.get("/").await;
    assert_eq!((answer.status, answer.text().as_str()), (503, "still not"));
    assert_eq!(upstream.hits(), 3);
    let labels = [("policy", "p"), ("outcome", "failure")];
    envoy
        .expect_metric("spillway_retries_total", &labels, 2)
        .await;
}

#[tokio::test]
async fn bodies_are_sent_again_up_to_the_limit() {
    let (upstream, envoy) = scene(json!({"max_retries": 1})).await;
    upstream.reply(Reply::status(503));
    for (size, attempts) in [(0, 2), (1, 2), (65_536, 2), (65_537, 1)] {
        upstream.forget();
        let body: String = "spillway".chars().cycle().take(size).collect();
        let answer = envoy.client().send(request("PUT", "/", &[], &body)).await;
        assert_eq!(answer.status, 503);
        let seen = upstream.requests();
        assert_eq!(seen.len(), attempts, "{size}");
        assert!(seen.iter().all(|it| *it.body == *body.as_bytes()), "{size}");
    }
    denied(&envoy, "request_body", 1).await;
}

#[tokio::test]
async fn a_post_is_sent_again_only_with_a_key() {
    let (upstream, envoy) = scene(json!({"max_retries": 1})).await;
    upstream.reply(Reply::status(503));
    let key = [("idempotency-key", "1")];
    for (headers, attempts) in [(&[][..], 1), (&key[..], 2)] {
        upstream.forget();
        assert_eq!(envoy.client().post("/", headers, "x").await.status, 503);
        assert_eq!(upstream.hits(), attempts);
    }
}

#[tokio::test]
async fn a_head_keeps_the_length_it_asked_for() {
    let (upstream, envoy) = scene(json!({})).await;
    let fine = Reply::status(200)
        .body("eleven byte")
        .header("x-from", "two");
    let asked = request("HEAD", "/", &[], "");
    let answer = twice(&upstream, &envoy, asked, [Reply::status(503), fine]).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("x-from"), "two");
    assert_eq!(answer.header("content-length"), "11");
    assert!(answer.body.is_empty());
}

#[tokio::test]
async fn answers_without_a_body_and_those_that_cannot_be_handed_on() {
    let (upstream, envoy) = scene(json!({})).await;
    let get = || request("GET", "/", &[], "");
    for status in [204, 304] {
        let fine = Reply::status(status).body("");
        let answer = twice(&upstream, &envoy, get(), [Reply::status(503), fine]).await;
        assert_eq!((answer.status, answer.text().as_str()), (status, ""));
    }
    let large = Reply::status(200).body(vec![b'x'; 1_048_577]);
    let failed = Reply::status(503).body("no");
    let answer = twice(&upstream, &envoy, get(), [failed.clone(), large]).await;
    assert_eq!((answer.status, answer.text().as_str()), (503, "no"));
    denied(&envoy, "answer_shape", 1).await;
}

#[tokio::test]
async fn an_answer_with_trailers_is_not_handed_on() {
    let upstream = Upstream::start().await;
    let envoy = Envoy::in_front_of(upstream.address())
        .http2_upstream()
        .policy(replaying(json!({})))
        .start()
        .await;
    let replies = [
        Reply::status(503).body("no"),
        Reply::status(200).trailer("x-end", "1"),
    ];
    let answer = twice(&upstream, &envoy, request("GET", "/", &[], ""), replies).await;
    assert_eq!((answer.status, answer.text().as_str()), (503, "no"));
    denied(&envoy, "answer_shape", 1).await;
}

#[tokio::test]
async fn resets_are_tried_again_and_pushback_is_obeyed() {
    let (upstream, envoy) = scene(json!({"max_retries": 1})).await;
    let get = || request("GET", "/", &[], "");
    let answer = twice(
        &upstream,
        &envoy,
        get(),
        [Reply::reset(), Reply::status(200)],
    )
    .await;
    assert_eq!(answer.status, 200);
    let limited = Reply::status(503).header("x-envoy-ratelimited", "true");
    let pushed = Reply::status(503).header("grpc-retry-pushback-ms", "-1");
    for reply in [limited, pushed] {
        upstream.forget();
        upstream.reply(reply);
        assert_eq!(envoy.get("/").await.status, 503);
        assert_eq!(upstream.hits(), 1);
    }
    denied(&envoy, "pushback", 1).await;
}

#[tokio::test]
async fn each_attempt_is_paid_for_and_counts_for_the_breaker() {
    let budget = json!({"percent": 0, "min_retry_rate": {"count": 3, "interval": "10s"}});
    let (upstream, envoy) = scene(json!({"max_retries": 1, "budget": budget})).await;
    upstream.reply(Reply::status(503));
    for _ in 0..10 {
        assert_eq!(envoy.get("/").await.status, 503);
    }
    assert_eq!(upstream.hits(), 13);
    denied(&envoy, "budget", 7).await;
    let upstream = Upstream::start().await;
    let mut file = replaying(json!({"max_retries": 5}));
    file["policies"][0]["circuit_breaker"] =
        json!({"failure_rate_threshold": 0, "consecutive_failures": 3});
    let envoy = Envoy::in_front_of(upstream.address())
        .policy(file)
        .start()
        .await;
    upstream.reply(Reply::status(503));
    assert_eq!(envoy.get("/").await.status, 503);
    assert_eq!(upstream.hits(), 3);
    denied(&envoy, "circuit", 1).await;
}

#[tokio::test]
async fn a_client_that_leaves_takes_its_retry_with_it() {
    let (upstream, envoy) = scene(json!({"backoff": {"base_interval": "1s"}})).await;
    // While it waits: the answer says that it will be long.
    upstream.reply(Reply::status(503).header("retry-after", "1"));
    let waiting = envoy.client().begin("/", &[]);
    eventually("the first attempt", async || upstream.hits() == 1).await;
    waiting.abandon().await;
    // While it is under way.
    upstream.reply(Reply::status(503));
    upstream.reply_on("/held", Reply::status(503));
    let held = envoy.client().begin("/held", &[]);
    eventually("the first attempt", async || upstream.hits_on("/held") == 1).await;
    upstream.close_gate();
    eventually("the second attempt", async || {
        upstream.hits_on("/held") == 2
    })
    .await;
    held.abandon().await;
    upstream.open_gate();
    tokio::time::sleep(Duration::from_millis(1_300)).await;
    assert_eq!(upstream.hits() - upstream.hits_on("/held"), 1);
    upstream.reply(Reply::status(200));
    assert_eq!(envoy.get("/after").await.status, 200);
    envoy
        .expect_metric("spillway_internal_errors_total", &[], 0)
        .await;
}

#[tokio::test]
async fn every_caller_gets_its_own_answer() {
    let upstream = Upstream::start().await;
    let budget = json!({"percent": 100, "min_retry_rate": {"count": 1_000}});
    let envoy = Envoy::in_front_of(upstream.address())
        .policy(replaying(json!({"max_retries": 1, "budget": budget})))
        .concurrency(4)
        .start()
        .await;
    let paths: BTreeSet<String> = (0..200).map(|number| format!("/{number}")).collect();
    for path in &paths {
        upstream.reply_on(path, Reply::status(503).body(path.clone()));
    }
    let asked: Vec<_> = paths
        .iter()
        .map(|path| (path, envoy.client().begin(path, &[])))
        .collect();
    for (path, answer) in asked {
        let answer = answer.answer().await;
        assert_eq!((answer.status, answer.text()), (503, path.clone()));
        assert_eq!(upstream.hits_on(path), 2, "{path}");
    }
}
