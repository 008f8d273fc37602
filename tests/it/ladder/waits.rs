//! Rejected requests with a body, and what sending them to another cluster requires.

use std::time::{Duration, Instant};

use host_sim::headers::HeaderMap;
use host_sim::proxy::{Effect, Part};
use serde_json::{Value, json};
use spillway_tests::{Envoy, Reply, Strict, Upstream, raw};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::real::setting;
use super::simulated::{Does, Stage};
use crate::scene::{count_is, nothing_is_left, policy, with};

/// A policy that rejects everything, calls another cluster with a timeout of half a second, and
/// ends with a fixed response.
fn rejecting(stops_iteration: bool) -> Value {
    let ladder = json!([
        {"type": "cluster", "cluster": "other", "timeout": "500ms"},
        {"type": "cluster", "cluster": "unknown"},
        {"type": "respond", "status": 299, "body": "last"},
    ]);
    let file = policy(json!({"mode": "forced_open", "fallback": ladder}));
    with(
        file,
        json!({
            "host": {"headers_stop_iteration": stops_iteration},
            "limits": {"replay_body_bytes": 65_536},
        }),
    )
}

/// Starts an Envoy whose plugin has the flag or not, with a policy that declares it or not.
async fn scene(has: bool, says: bool) -> (Upstream, Upstream, Envoy) {
    let (upstream, other) = (Upstream::start().await, Upstream::start().await);
    other.reply(Reply::status(200).body("other!"));
    let envoy = setting(&upstream, &other)
        .plugin(json!({"allow_on_headers_stop_iteration": has}))
        .policy(rejecting(says))
        .start()
        .await;
    (upstream, other, envoy)
}

async fn skipped_are(envoy: &Envoy, reason: &str, count: u64) {
    let labels = [("policy", "p"), ("type", "cluster"), ("reason", reason)];
    envoy
        .expect_metric("spillway_fallbacks_skipped_total", &labels, count)
        .await;
}

#[tokio::test]
async fn a_body_that_arrives_during_the_pause_is_sent_with_the_request() {
    let (upstream, other, envoy) = scene(true, true).await;
    for size in [1, 65_535, 65_536] {
        let body = "b".repeat(size);
        let answer = envoy.client().post("/", &[], &body).await;
        let labels = answer.header("x-circuit-fallback");
        assert_eq!(
            (answer.status, &*answer.text(), labels),
            (200, "other!", "cluster"),
            "{size}"
        );
        assert_eq!(other.requests().pop().expect("a request").body.len(), size);
    }
    let answer = envoy.client().post("/", &[], &"b".repeat(65_537)).await;
    assert_eq!((answer.status, &*answer.text()), (299, "last"));
    // By both entries.
    skipped_are(&envoy, "request_body", 2).await;
    assert_eq!((envoy.get("/").await.status, other.hits()), (200, 4));
    assert_eq!(upstream.hits(), 0);
    nothing_is_left(&upstream, &envoy).await;
}

#[tokio::test]
async fn body_chunks_are_joined() {
    let (upstream, other, envoy) = scene(true, true).await;
    let head = "POST / HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\
        transfer-encoding: chunked\r\n\r\n";
    let mut stream = TcpStream::connect(envoy.address())
        .await
        .expect("a connection");
    for piece in [head, "2\r\nab\r\n", "1\r\nc\r\n", "0\r\n\r\n"] {
        stream
            .write_all(piece.as_bytes())
            .await
            .expect("a request sent");
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.expect("an answer");
    let answer = Strict::parse("POST", &bytes).expect("a strict answer");
    assert_eq!((answer.status, &*answer.body), (200, &b"other!"[..]));
    assert_eq!(&*other.requests().pop().expect("a request").body, b"abc");
    nothing_is_left(&upstream, &envoy).await;
}

#[tokio::test]
async fn without_the_flag_a_request_with_a_body_skips_the_cluster_at_once() {
    for (has, says) in [(false, false), (true, false)] {
        let (upstream, other, envoy) = scene(has, says).await;
        let answer = envoy.client().post("/", &[], "body").await;
        assert_eq!(
            (answer.status, &*answer.text()),
            (299, "last"),
            "{has} {says}"
        );
        // By both entries.
        skipped_are(&envoy, "request_body", 2).await;
        assert_eq!((envoy.get("/").await.status, other.hits()), (200, 1));
        nothing_is_left(&upstream, &envoy).await;
    }
}

/// The policy declares that bodies arrive, and none does: the request waits for the cluster's
/// timeout and not forever.
#[tokio::test]
async fn a_declared_flag_that_the_host_lacks_costs_only_the_timeout() {
    let (upstream, other, envoy) = scene(false, true).await;
    let begun = Instant::now();
    let answer = envoy.client().post("/", &[], "body").await;
    assert_eq!((answer.status, &*answer.text()), (299, "last"));
    assert!(begun.elapsed() >= Duration::from_millis(500));
    // By both entries.
    skipped_are(&envoy, "request_body", 2).await;
    assert_eq!(other.hits(), 0);
    nothing_is_left(&upstream, &envoy).await;
}

#[tokio::test]
async fn a_client_that_disconnects_during_its_upload_leaks_nothing() {
    let (upstream, other, envoy) = scene(true, true).await;
    let mut stream = TcpStream::connect(envoy.address())
        .await
        .expect("a connection");
    let request = "POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 100\r\n\r\nhalf";
    stream.write_all(request.as_bytes()).await.expect("sent");
    count_is(&envoy, "spillway_rejected_requests_total", 1).await;
    drop(stream);
    nothing_is_left(&upstream, &envoy).await;
    assert_eq!(other.hits(), 0);
    let whole = b"GET / HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n";
    let answer = raw::closing(envoy.address(), whole).await;
    assert_eq!(answer.status(), Some(200));
}

/// With the flag, response bodies also arrive while their headers are paused.
#[tokio::test]
async fn a_failed_response_is_replaced_even_if_its_body_arrives_during_the_pause() {
    let (upstream, other) = (Upstream::start().await, Upstream::start().await);
    upstream.reply(Reply::status(503).body("b".repeat(10_000)).chunked());
    other.reply(
        Reply::status(200)
            .body("other!")
            .after(Duration::from_millis(100)),
    );
    let ladder = json!([{"type": "cluster", "on": ["failure"], "cluster": "other"}]);
    let envoy = setting(&upstream, &other)
        .plugin(json!({"allow_on_headers_stop_iteration": true}))
        .policy(policy(json!({"fallback": ladder})))
        .start()
        .await;
    let request = b"GET / HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n";
    let answer = raw::closing(envoy.address(), request).await;
    let strict = Strict::parse("GET", &answer.0).expect("a strict answer");
    assert_eq!((strict.status, &*strict.body), (200, &b"other!"[..]));
    nothing_is_left(&upstream, &envoy).await;
}

/// Calls cannot carry trailers, which plain HTTP/1.1 requests rarely have.
#[test]
fn a_cluster_fallback_skips_a_request_with_trailers() {
    let mut stage = Stage::start(&rejecting(true).to_string(), true);
    let stream = stage.open();
    let head = [
        (":method", "POST"),
        (":path", "/"),
        (":scheme", "http"),
        (":authority", "site"),
    ];
    let map = HeaderMap::from(head);
    stage
        .host
        .request(stream, Part::Headers { map, end: false });
    let data = bytes::Bytes::from_static(b"body");
    stage.host.request(stream, Part::Body { data, end: false });
    let map = HeaderMap::from([("x-end", "1")]);
    stage.host.request(stream, Part::Trailers { map });
    let seen = stage.run(stream, |_| Does::Nothing);
    assert_eq!((seen.status, &*seen.body), (299, "last"));
    let skipped = "spillway.policy.p.reason.request_shape.type.cluster.fallbacks_skipped_total";
    assert_eq!(stage.host.metrics().value(skipped), 2);
    stage.host.close(stream);
    stage.nothing_is_left();
}

/// The same in the simulator, where time is exact to the millisecond.
#[test]
fn the_wait_for_a_body_ends_in_the_simulator_too() {
    for has in [true, false] {
        let mut stage = Stage::start(&rejecting(true).to_string(), has);
        let stream = stage.open();
        let map = HeaderMap::from([
            (":method", "POST"),
            (":path", "/"),
            (":scheme", "http"),
            (":authority", "site"),
        ]);
        stage
            .host
            .request(stream, Part::Headers { map, end: false });
        stage.run_to(400);
        let data = bytes::Bytes::from_static(b"body");
        stage.host.request(stream, Part::Body { data, end: true });
        let called = |stage: &mut Stage| {
            let mut called = None;
            let mut answered = false;
            while let Some(effect) = stage.host.next_effect() {
                match effect {
                    Effect::Call(call) => called = Some(call.body),
                    Effect::ToClient { .. } => answered = true,
                    _ => {}
                }
            }
            (called, answered)
        };
        let expected = has.then(|| bytes::Bytes::from_static(b"body"));
        assert_eq!(called(&mut stage), (expected, false), "{has}");
        stage.run_to(505);
        assert_eq!(called(&mut stage), (None, !has), "{has}");
        stage.host.close(stream);
        stage.nothing_is_left();
    }
}
