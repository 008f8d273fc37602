//! Bodies larger than the listener's buffer limit that arrive while the message is paused. Envoy
//! then sends a local reply, 413 or 500, unless the filter moves the body out of the buffer.

use std::time::Duration;

use serde_json::{Value, json};
use spillway_tests::{Envoy, Reply, Strict, Upstream, raw};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::real::setting;
use crate::scene::{nothing_is_left, policy, with};

/// A common buffer limit at the edge.
const LISTENER_BYTES: u32 = 32_768;

/// Larger than the buffer limit, and within the copy limit.
const BODY_BYTES: usize = 60_000;

async fn scene(upstream: &Upstream, other: &Upstream, fields: Value) -> Envoy {
    let limits = json!({"replay_body_bytes": 65_536, "replay_answer_bytes": 200_000});
    let host = json!({"headers_stop_iteration": true, "buffer_limit_bytes": LISTENER_BYTES});
    let file = with(policy(fields), json!({"host": host, "limits": limits}));
    setting(upstream, other)
        .plugin(json!({"allow_on_headers_stop_iteration": true}))
        .buffer_limit(LISTENER_BYTES)
        .policy(file)
        .start()
        .await
}

fn ladder(last: Value) -> Value {
    json!({
        "mode": "forced_open",
        "fallback": [{"type": "cluster", "cluster": "other", "timeout": "2s"}, last],
    })
}

fn fixed() -> Value {
    json!({"type": "respond", "status": 299, "body": "last"})
}

/// Sends a POST of this many bytes, with its length or in chunks of this size.
async fn post(envoy: &Envoy, bytes: usize, chunk: Option<usize>) -> (u16, String) {
    let head = match chunk {
        Some(_) => String::from("transfer-encoding: chunked"),
        None => format!("content-length: {bytes}"),
    };
    let head = format!("POST / HTTP/1.1\r\nhost: h\r\nconnection: close\r\n{head}\r\n\r\n");
    let stream = TcpStream::connect(envoy.address())
        .await
        .expect("a connection");
    let (mut from, mut to) = stream.into_split();
    let sending = tokio::spawn(async move {
        let body = body(bytes);
        to.write_all(head.as_bytes()).await.expect("a head sent");
        for piece in body.as_bytes().chunks(chunk.unwrap_or(8_192)) {
            // Each chunk must arrive alone. A server that has already responded may close.
            tokio::time::sleep(Duration::from_millis(3)).await;
            let framed = match chunk {
                Some(_) => [format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat(),
                None => piece.to_vec(),
            };
            if to.write_all(&framed).await.is_err() {
                return to;
            }
        }
        if chunk.is_some() {
            let _ = to.write_all(b"0\r\n\r\n").await;
        }
        to
    });
    let mut answer = Vec::new();
    let _ = from.read_to_end(&mut answer).await;
    drop(sending.await);
    let strict = Strict::parse("POST", &answer).expect("a strict answer");
    (
        strict.status,
        String::from_utf8_lossy(&strict.body).into_owned(),
    )
}

/// Bytes in an order that reveals missing ones.
fn body(bytes: usize) -> String {
    let numbers = (0..).flat_map(|number: u32| format!("{number},").into_bytes());
    String::from_utf8(numbers.take(bytes).collect()).expect("ASCII")
}

#[tokio::test]
async fn a_request_larger_than_the_buffer_goes_to_the_other_cluster() {
    let (upstream, other) = (Upstream::start().await, Upstream::start().await);
    other.reply(Reply::status(200).body("other!"));
    let envoy = scene(&upstream, &other, ladder(fixed())).await;
    for chunk in [None, Some(1_000), Some(16_000)] {
        let answer = post(&envoy, BODY_BYTES, chunk).await;
        assert_eq!(answer, (200, "other!".into()), "{chunk:?}");
        let asked = other.requests().pop().expect("a request");
        assert!(asked.body == body(BODY_BYTES).as_bytes(), "{chunk:?}");
    }
    nothing_is_left(&upstream, &envoy).await;
}

#[tokio::test]
async fn a_request_larger_than_any_copy_gets_the_next_entry() {
    let (upstream, other) = (Upstream::start().await, Upstream::start().await);
    let envoy = scene(&upstream, &other, ladder(fixed())).await;
    for chunk in [None, Some(1_000), Some(16_000)] {
        assert_eq!(
            post(&envoy, 200_000, chunk).await,
            (299, "last".into()),
            "{chunk:?}"
        );
    }
    assert_eq!((upstream.hits(), other.hits()), (0, 0));
    nothing_is_left(&upstream, &envoy).await;
}

/// Each row: the size of the body, its chunks, and whether the other cluster was called before the
/// request was diverted.
#[tokio::test]
async fn a_paused_request_that_may_resume_is_forwarded_complete() {
    let (upstream, other) = (Upstream::start().await, Upstream::start().await);
    other.reply(Reply::status(503));
    let route = json!({"type": "route", "header": {"name": "x-fallback", "value": "yes"}});
    let envoy = scene(&upstream, &other, ladder(route)).await;
    let rows = [
        (10_000, None, true),
        (10_000, Some(1_000), true),
        (30_000, None, false),
        (BODY_BYTES, None, false),
        (BODY_BYTES, Some(1_000), false),
        (200_000, Some(1_000), false),
    ];
    for (bytes, chunk, called) in rows {
        let before = other.hits();
        let answer = post(&envoy, bytes, chunk).await;
        assert_eq!(answer.0, 503, "{bytes} {chunk:?}");
        assert_eq!(
            other.hits() - before,
            1 + usize::from(called),
            "{bytes} {chunk:?}"
        );
        let asked = other.requests().pop().expect("a request");
        assert!(asked.body == body(bytes).as_bytes(), "{bytes} {chunk:?}");
    }
    assert_eq!(upstream.hits(), 0);
    nothing_is_left(&upstream, &envoy).await;
}

/// Each row: the size of the failed response, the status of the other cluster, and the client's
/// response.
#[tokio::test]
async fn a_failed_response_is_replaced_or_passes_complete() {
    let rows = [(10_000, 200, 200), (10_000, 503, 503), (150_000, 200, 503)];
    for (bytes, status, expected) in rows {
        let (upstream, other) = (Upstream::start().await, Upstream::start().await);
        upstream.reply(Reply::status(503).body(body(bytes)));
        let late = Reply::status(status).body("other!");
        other.reply(late.after(Duration::from_millis(200)));
        let entry = json!({"type": "cluster", "on": ["failure"], "cluster": "other"});
        let envoy = scene(&upstream, &other, json!({"fallback": [entry]})).await;
        let strict = get(&envoy).await;
        assert_eq!(strict.status, expected, "{bytes} {status}");
        let whole = match expected {
            503 => body(bytes),
            _ => "other!".into(),
        };
        assert!(strict.body == whole.as_bytes(), "{bytes} {status}");
        nothing_is_left(&upstream, &envoy).await;
    }
}

/// What replaces a response may be larger than the buffer, whether the failed response waited in
/// it or not.
#[tokio::test]
async fn a_replacement_may_be_larger_than_the_buffer() {
    let large = body(BODY_BYTES);
    let fixed = json!({"type": "respond", "on": ["failure"], "status": 299, "body": large});
    let called = json!({"type": "cluster", "on": ["failure"], "cluster": "other"});
    for (entry, status) in [(fixed, 299), (called, 200)] {
        for bytes in [10, 10_000] {
            let (upstream, other) = (Upstream::start().await, Upstream::start().await);
            upstream.reply(Reply::status(503).body(body(bytes)));
            let late = Reply::status(200).body(body(BODY_BYTES));
            other.reply(late.after(Duration::from_millis(200)));
            let envoy = scene(&upstream, &other, json!({"fallback": [entry]})).await;
            let strict = get(&envoy).await;
            assert_eq!(strict.status, status, "{bytes}");
            assert!(strict.body == large.as_bytes(), "{bytes}");
            nothing_is_left(&upstream, &envoy).await;
        }
    }
}

#[tokio::test]
async fn a_failed_response_larger_than_the_buffer_is_not_retried() {
    let (upstream, other) = (Upstream::start().await, Upstream::start().await);
    upstream.reply(Reply::status(503).body(body(150_000)));
    let retry = json!({"engine": "filter", "replay": "as_received", "max_retries": 1,
        "backoff": {"base_interval": "1s", "max_interval": "1s"}});
    let envoy = scene(&upstream, &other, json!({"retry": retry})).await;
    let strict = get(&envoy).await;
    assert_eq!((strict.status, upstream.hits()), (503, 1));
    assert!(strict.body == body(150_000).as_bytes());
    let labels = [("policy", "p"), ("reason", "answer_shape")];
    envoy
        .expect_metric("spillway_retries_denied_total", &labels, 1)
        .await;
    nothing_is_left(&upstream, &envoy).await;
}

async fn get(envoy: &Envoy) -> Strict {
    let request = b"GET / HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n";
    let answer = raw::closing(envoy.address(), request).await;
    Strict::parse("GET", &answer.0).expect("a strict answer")
}
