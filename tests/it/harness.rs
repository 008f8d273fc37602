//! The harness itself, without the filter: scripted replies, the gate, clients and metrics.

use spillway_tests::{Client, Envoy, Reply, Upstream};

use crate::host_facts::plain;

#[tokio::test]
async fn the_upstreams_status_headers_and_body_reach_the_caller() {
    let (upstream, envoy) = plain().await;
    upstream.reply(
        Reply::status(418)
            .header("x-kind", "teapot")
            .body("short and stout"),
    );
    let answer = envoy.get("/tea").await;
    assert_eq!((answer.status, answer.header("x-kind")), (418, "teapot"));
    assert_eq!(
        (answer.text().as_str(), answer.complete),
        ("short and stout", true)
    );
}

#[tokio::test]
async fn the_upstream_records_its_requests() {
    let (upstream, envoy) = plain().await;
    envoy
        .client()
        .post("/order?n=1", &[("x-tenant", "a")], "two loaves")
        .await;
    envoy.get("/other").await;
    let first = &upstream.requests()[0];
    assert_eq!(
        (first.method.as_str(), &first.body[..]),
        ("POST", &b"two loaves"[..])
    );
    assert_eq!(upstream.hits_on("/order"), 1);
    assert_eq!(upstream.hits_with("x-tenant", "a"), 1);
    assert_eq!(upstream.hits(), 2);
    upstream.forget();
    assert_eq!(upstream.hits(), 0);
}

#[tokio::test]
async fn a_reply_is_chosen_by_header_then_by_path() {
    let (upstream, envoy) = plain().await;
    upstream.reply(Reply::status(500));
    upstream.reply_on("/fine", Reply::status(200));
    assert_eq!(envoy.get("/any").await.status, 500);
    assert_eq!(envoy.get("/fine").await.status, 200);
    let scripted = envoy
        .get_with("/fine", &[("x-script", "status=429 retry-after=7")])
        .await;
    assert_eq!(
        (scripted.status, scripted.header("retry-after")),
        (429, "7")
    );
}

#[tokio::test]
async fn the_gate_admits_the_given_number_of_requests() {
    let (upstream, envoy) = plain().await;
    upstream.close_gate();
    let waiting: Vec<_> = (0..3).map(|_| envoy.client().begin("/", &[])).collect();
    upstream.in_flight_reaches(3).await;
    upstream.release(2);
    upstream.in_flight_reaches(1).await;
    upstream.open_gate();
    for request in waiting {
        assert_eq!(request.answer().await.status, 200);
    }
}

#[tokio::test]
async fn requests_spread_over_workers_when_each_has_its_own_connection() {
    let upstream = Upstream::start().await;
    let envoy = Envoy::in_front_of(upstream.address())
        .concurrency(2)
        .start()
        .await;
    let client = Client::unpooled(envoy.address());
    for _ in 0..40 {
        assert_eq!(client.get("/").await.status, 200);
    }
    for worker in 0..2 {
        let name = format!("listener.ingress.worker_{worker}.downstream_cx_total");
        assert!(
            envoy.stat(&name).await > 0,
            "worker {worker} had no connection"
        );
    }
}

#[tokio::test]
async fn metrics_are_read_with_their_labels() {
    let (upstream, envoy) = plain().await;
    upstream.reply(Reply::status(503));
    envoy.get("/").await;
    let labels = [
        ("envoy_cluster_name", "upstream"),
        ("envoy_response_code", "503"),
    ];
    envoy
        .expect_metric("envoy_cluster_upstream_rq", &labels, 1)
        .await;
    assert_eq!(
        envoy.metrics().await.value("envoy_cluster_nonsense", &[]),
        0
    );
}
