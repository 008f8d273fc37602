//! Which requests are replayed, and with which body.

use bytes::Bytes;
use http::Request;
use serde_json::json;
use spillway_tests::{Client, raw};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{FAIL, denied_are, nothing_is_left, retries_are, scene, setting};

/// Default limit on the body of a copy.
const MOST: usize = 65_536;

#[tokio::test]
async fn a_body_is_sent_again_byte_for_byte_up_to_the_limit() {
    let (upstream, envoy) = scene(json!({})).await;
    let http2 = Client::http2(envoy.address());
    let mut too_large = 0;
    for (protocol, client) in [("http1", envoy.client()), ("http2", &http2)] {
        for len in [0, 1, MOST, MOST + 1] {
            let path = format!("/{protocol}/{len}");
            let body: Bytes = (0..len).map(|at| (at % 251) as u8).collect();
            let request = Request::put(&path).header(FAIL.0, FAIL.1);
            let answer = client
                .send(request.body(body.clone()).expect("a request"))
                .await;
            let seen: Vec<_> = upstream.requests().into_iter().collect();
            let seen: Vec<_> = seen.iter().filter(|it| it.uri.path() == path).collect();
            let (status, attempts) = if len > MOST { (503, 1) } else { (200, 2) };
            assert_eq!((answer.status, seen.len()), (status, attempts), "{path}");
            assert!(seen.iter().all(|it| it.body == body), "{path}");
            let length = seen[seen.len() - 1].headers.get("content-length");
            assert_eq!(length.expect("a length"), &len.to_string(), "{path}");
            too_large += u64::from(len > MOST);
            denied_are(&envoy, "request_body", too_large).await;
        }
    }
    retries_are(&envoy, 6).await;
    nothing_is_left(&upstream, &envoy).await;
}

#[tokio::test]
async fn a_body_in_chunks_is_sent_again() {
    let (upstream, envoy) = scene(json!({})).await;
    let head = "PUT / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\
        x-script: status=503\r\n\r\n";
    let request = format!("{head}5\r\nhello\r\n7\r\n, world\r\n0\r\n\r\n");
    let answer = raw::exchange(envoy.address(), request.as_bytes()).await;
    assert_eq!(answer.status(), Some(200));
    let seen = upstream.requests();
    assert_eq!(seen.len(), 2);
    assert!(seen.iter().all(|it| it.body == "hello, world"), "{seen:?}");
    let framing = ["transfer-encoding", "content-length"].map(|it| seen[1].headers.get(it));
    assert!(framing[0].is_none(), "{framing:?}");
    assert_eq!(framing[1].expect("a length"), "12");
}

#[tokio::test]
async fn a_request_that_is_not_idempotent_is_not_replayed() {
    let (upstream, envoy) = scene(json!({})).await;
    let rows = [
        ("POST", &[][..], 1),
        ("POST", &[("idempotency-key", "7")], 2),
        ("PATCH", &[], 1),
        ("PUT", &[], 2),
        ("DELETE", &[], 2),
    ];
    for (number, (method, headers, attempts)) in rows.into_iter().enumerate() {
        let path = format!("/{number}");
        let headers = [&[FAIL], headers].concat();
        let request = spillway_tests::client::request(method, &path, &headers, "body");
        let status = if attempts == 1 { 503 } else { 200 };
        assert_eq!(envoy.client().send(request).await.status, status, "{path}");
        assert_eq!(upstream.hits_on(&path), attempts, "{path}");
    }
    let seen = upstream.requests();
    assert!(seen.iter().all(|it| it.body == "body"));
    denied_are(&envoy, "request_body", 0).await;
}

#[tokio::test]
async fn a_failure_before_the_end_of_the_body_is_forwarded() {
    let (upstream, setting) = setting(json!({})).await;
    let envoy = setting.refused_cluster("gone").start().await;
    let mut stream = TcpStream::connect(envoy.address())
        .await
        .expect("a connection");
    let head = b"PUT / HTTP/1.1\r\nhost: h\r\nx-to: gone\r\ncontent-length: 8\r\n\r\nhalf";
    stream.write_all(head).await.expect("a connection");
    let mut status = [0; 12];
    stream.read_exact(&mut status).await.expect("an answer");
    assert_eq!(&status, b"HTTP/1.1 503");
    drop(stream);
    denied_are(&envoy, "request_body", 1).await;
    nothing_is_left(&upstream, &envoy).await;
}

#[tokio::test]
async fn a_request_that_cannot_be_copied_passes_unchanged() {
    let script = b"host: h\r\nconnection: close\r\nx-script: status=503\r\n".as_slice();
    let upgrade =
        b"host: h\r\nconnection: upgrade\r\nupgrade: websocket\r\nx-script: status=503\r\n";
    let rows: [(&[u8], &[u8], &[u8]); 3] = [
        (
            b"PUT /trailers HTTP/1.1\r\ntransfer-encoding: chunked\r\n",
            script,
            b"\r\n2\r\nhi\r\n0\r\nx-end: 1\r\n\r\n",
        ),
        (
            b"GET /bytes HTTP/1.1\r\nx-odd: \xff\xfe\r\n",
            script,
            b"\r\n",
        ),
        (b"GET /upgrade HTTP/1.1\r\n", upgrade, b"\r\n"),
    ];
    let (upstream, setting) = setting(json!({})).await;
    let envoy = setting
        .manager(json!({
            "http_protocol_options": {"enable_trailers": true},
            "upgrade_configs": [{"upgrade_type": "websocket"}],
        }))
        .start()
        .await;
    for (number, row) in rows.into_iter().enumerate() {
        let request = [row.0, row.1, row.2].concat();
        let answer = raw::exchange(envoy.address(), &request).await;
        let text = String::from_utf8_lossy(&request).into_owned();
        assert_eq!(answer.status(), Some(503), "{text}");
        assert_eq!(upstream.hits(), number + 1, "{text}");
        denied_are(&envoy, "request_shape", number as u64 + 1).await;
    }
    nothing_is_left(&upstream, &envoy).await;
}
