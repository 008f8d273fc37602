//! Clients that leave, and clients that never finish their requests.

use serde_json::json;
use spillway_tests::{Client, Envoy, Upstream, raw};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::sleep;

use super::{FAILURE, IGNORED, SLOW, SUCCESS, cased, route_of};
use crate::scene::outcomes_are;

#[tokio::test]
async fn a_disconnect_before_a_response_is_ignored() {
    let upstream = Upstream::start().await;
    let cases = [
        "http1",
        "http1_mid_body",
        "http2",
        "http2_mid_body",
        "upload",
        "garbage",
    ];
    let envoy = cased(Envoy::in_front_of(upstream.address()), &cases).await;
    for (http, client) in [
        ("http1", Client::new(envoy.address())),
        ("http2", Client::http2(envoy.address())),
    ] {
        let request = client.begin("/", &[("x-case", http), ("x-script", "hang")]);
        upstream.in_flight_reaches(1).await;
        request.abandon().await;
        outcomes_are(&envoy, http, IGNORED).await;

        let case = format!("{http}_mid_body");
        let headers = [("x-case", case.as_str()), ("x-script", "hang_mid_body")];
        client.head_of("/", &headers).await.abandon();
        outcomes_are(&envoy, &case, SUCCESS).await;
        upstream.in_flight_reaches(0).await;
    }
    let mut stream = upload(&envoy, "upload").await;
    stream.write_all(b"half").await.expect("a connection");
    drop(stream);
    outcomes_are(&envoy, "upload", IGNORED).await;

    let garbage = b"POST / HTTP/1.1\r\nhost: h\r\nx-case: garbage\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n";
    raw::exchange(envoy.address(), garbage).await;
    outcomes_are(&envoy, "garbage", IGNORED).await;
}

#[tokio::test]
async fn a_failure_seen_by_the_client_counts_even_if_it_then_disconnects() {
    let upstream = Upstream::start().await;
    let envoy = cased(Envoy::in_front_of(upstream.address()), &["seen"]).await;
    let headers = [("x-case", "seen"), ("x-script", "status=503 hang_mid_body")];
    let begun = envoy.client().head_of("/", &headers).await;
    assert_eq!(begun.status, 503);
    begun.abandon();
    outcomes_are(&envoy, "seen", FAILURE).await;
}

#[tokio::test]
async fn a_disconnect_after_the_slow_threshold_counts_as_slow_if_the_request_was_complete() {
    let upstream = Upstream::start().await;
    let envoy = cased(
        Envoy::in_front_of(upstream.address()),
        &["patient", "complete", "half"],
    )
    .await;
    let slow = async |case: &str| {
        envoy
            .metrics()
            .await
            .value("spillway_slow_requests_total", &[("policy", case)])
    };

    let hang = |case| {
        envoy
            .client()
            .begin("/", &[("x-case", case), ("x-script", "hang")])
    };
    let request = hang("patient");
    upstream.in_flight_reaches(1).await;
    request.abandon().await;
    outcomes_are(&envoy, "patient", IGNORED).await;
    assert_eq!(slow("patient").await, 0);

    let request = hang("complete");
    upstream.in_flight_reaches(1).await;
    sleep(SLOW + SLOW / 2).await;
    request.abandon().await;
    outcomes_are(&envoy, "complete", SUCCESS).await;
    assert_eq!(slow("complete").await, 1);

    let stream = upload(&envoy, "half").await;
    sleep(SLOW + SLOW / 2).await;
    drop(stream);
    outcomes_are(&envoy, "half", IGNORED).await;
    assert_eq!(slow("half").await, 0);
}

#[tokio::test]
async fn an_unfinished_request_that_the_host_ends_is_ignored() {
    let upstream = Upstream::start().await;
    let setting = Envoy::in_front_of(upstream.address())
        .manager(json!({"request_timeout": "0.2s"}))
        .route(route_of("idle", json!({"idle_timeout": "0.1s"})));
    let envoy = cased(setting, &["whole", "idle"]).await;
    for (case, details) in [
        ("whole", "request_overall_timeout"),
        ("idle", "stream_idle_timeout"),
    ] {
        let stream = upload(&envoy, case).await;
        assert_eq!(envoy.access(&format!("/{case}")).await["details"], details);
        outcomes_are(&envoy, case, IGNORED).await;
        drop(stream);
    }
}

/// Opens a connection and sends a request without its body.
async fn upload(envoy: &Envoy, case: &str) -> TcpStream {
    let mut stream = TcpStream::connect(envoy.address())
        .await
        .expect("a connection");
    let head =
        format!("POST /{case} HTTP/1.1\r\nhost: h\r\nx-case: {case}\r\ncontent-length: 9\r\n\r\n");
    stream
        .write_all(head.as_bytes())
        .await
        .expect("a connection");
    stream
}
