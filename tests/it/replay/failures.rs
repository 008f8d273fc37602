//! Attempts without a response, clients that leave, and hosts that cannot send.

use std::time::Duration;

use serde_json::{Value, json};
use spillway_tests::{Client, eventually};
use tokio::net::TcpSocket;
use tokio::time::sleep;

use super::{FAIL, denied_are, get, nothing_is_left, retries_are, scene, setting};
use crate::scene::{outcomes_are, touchy};

/// Each row: the two scripts, the status and the body that the client receives, and the number of
/// attempts.
#[tokio::test]
async fn an_attempt_that_is_reset_is_retried() {
    let rows = [
        ("reset", "body=second", 200, "second", 2),
        ("status=503 hang_mid_body", "body=second", 200, "second", 2),
        // A truncated response does not count, so only the first one is left.
        (FAIL.1, "reset_mid_body", 503, "first", 3),
        (
            FAIL.1,
            "status=503 body=second reset_mid_body",
            503,
            "first",
            3,
        ),
    ];
    let (upstream, envoy) = scene(json!({})).await;
    for (number, (first, again, status, body, attempts)) in rows.into_iter().enumerate() {
        let path = format!("/{number}");
        let answer = get(&envoy, &path, first, again).await;
        assert_eq!(
            (answer.status, answer.text()),
            (status, body.into()),
            "{path}"
        );
        assert_eq!(upstream.hits_on(&path), attempts, "{path}");
    }
    let answer = get(&envoy, "/reset", FAIL.1, "reset").await;
    assert_eq!((answer.status, upstream.hits_on("/reset")), (503, 3));
    assert!(
        answer.text().starts_with("upstream connect error"),
        "{}",
        answer.text()
    );
    outcomes_are(&envoy, "p", [2, 3, 0]).await;
    nothing_is_left(&upstream, &envoy).await;
}

#[tokio::test]
async fn a_refused_connection_is_retried_at_another_host() {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket
        .bind(([127, 0, 0, 1], 0).into())
        .expect("a free port");
    let refusing = socket.local_addr().expect("a port").port();
    let (upstream, setting) = setting(json!({})).await;
    let endpoint = |port: u16| {
        let address = json!({"address": "127.0.0.1", "port_value": port});
        json!({"endpoint": {"address": {"socket_address": address}}})
    };
    let both = [endpoint(refusing), endpoint(upstream.address().port())];
    let hosts = json!({"cluster_name": "pair", "endpoints": [{"lb_endpoints": both}]});
    let envoy = setting
        .cluster("pair", upstream.address())
        .cluster_fields("pair", json!({"load_assignment": hosts}))
        .start()
        .await;
    for _ in 0..6 {
        assert_eq!(envoy.get_with("/", &[("x-to", "pair")]).await.status, 200);
    }
    assert_eq!(upstream.hits(), 6);
    assert!(upstream.hits_with("x-envoy-attempt-count", "2") > 0);
    outcomes_are(&envoy, "p", [6, 0, 0]).await;
    nothing_is_left(&upstream, &envoy).await;
}

#[tokio::test]
async fn a_request_that_timed_out_in_the_host_is_retried() {
    let (upstream, setting) = setting(json!({})).await;
    let envoy = setting
        .route_timeout(Duration::from_millis(300))
        .start()
        .await;
    for client in [envoy.client(), &Client::http2(envoy.address())] {
        let headers = [("x-script", "hang"), ("x-script-again", "body=second")];
        let answer = client.get_with("/", &headers).await;
        assert_eq!((answer.status, answer.text()), (200, "second".into()));
    }
    retries_are(&envoy, 2).await;
    nothing_is_left(&upstream, &envoy).await;
}

#[tokio::test]
async fn a_retry_that_the_host_cannot_send_resumes_the_first_response() {
    let rows = [("empty", "no healthy upstream"), ("unknown", "")];
    for (case, body) in rows {
        let (upstream, setting) = setting(json!({})).await;
        let envoy = setting
            .cluster("empty", upstream.address())
            .cluster_fields(
                "empty",
                json!({"load_assignment": {"cluster_name": "empty"}}),
            )
            .route(unknown_cluster())
            .start()
            .await;
        let answer = envoy.get_with("/", &[("x-to", case)]).await;
        assert_eq!((answer.status, answer.text()), (503, body.into()), "{case}");
        assert_eq!(upstream.hits(), 0);
        denied_are(&envoy, "host", 1).await;
        retries_are(&envoy, 0).await;
        nothing_is_left(&upstream, &envoy).await;
    }
}

fn unknown_cluster() -> Value {
    let unknown = json!({"name": "x-to", "string_match": {"exact": "unknown"}});
    json!({
        "match": {"prefix": "/", "headers": [unknown]},
        "route": {"cluster_header": "x-to"},
    })
}

/// An attempt that was never made is not a failure of the upstream.
#[tokio::test]
async fn a_retry_that_the_host_cannot_send_is_not_counted_by_the_circuit() {
    let breaker = touchy(json!({"consecutive_failures": 2}));
    let fields = json!({"circuit_breaker": breaker, "retry": super::retry(json!({}))});
    let upstream = spillway_tests::Upstream::start().await;
    let envoy = spillway_tests::Envoy::in_front_of(upstream.address())
        .policy(crate::scene::policy(fields))
        .cluster("empty", upstream.address())
        .cluster_fields(
            "empty",
            json!({"load_assignment": {"cluster_name": "empty"}}),
        )
        .start()
        .await;
    envoy.get_with("/", &[("x-to", "empty")]).await;
    denied_are(&envoy, "host", 1).await;
    outcomes_are(&envoy, "p", [0, 1, 0]).await;
    assert_eq!(envoy.transitions(), [json!(null); 0]);
}

#[tokio::test]
async fn no_retry_is_made_for_a_client_that_disconnected_during_the_backoff() {
    let (upstream, envoy) = scene(json!({})).await;
    for client in [Client::new(envoy.address()), Client::http2(envoy.address())] {
        upstream.forget();
        let failed = "cluster.upstream.upstream_rq_503";
        let before = envoy.stat(failed).await;
        let waiting = client.begin("/", &[("x-script", "status=503 retry-after=1")]);
        eventually("the first failure", async || {
            envoy.stat(failed).await > before
        })
        .await;
        waiting.abandon().await;
        nothing_is_left(&upstream, &envoy).await;
        // Longer than the backoff: there is no event to wait for if nothing happens.
        sleep(Duration::from_millis(1_200)).await;
        assert_eq!(upstream.hits(), 1);
    }
    retries_are(&envoy, 0).await;
    assert_eq!(
        get(&envoy, "/", FAIL.1, "body=second").await.text(),
        "second"
    );
}

#[tokio::test]
async fn a_client_that_disconnects_during_an_attempt_is_harmless() {
    let (upstream, envoy) = scene(json!({"per_try_timeout": "500ms"})).await;
    for client in [Client::new(envoy.address()), Client::http2(envoy.address())] {
        upstream.forget();
        let scripts = [FAIL, ("x-script-again", "hang")];
        let request = client.begin("/", &scripts);
        eventually("the second attempt", async || upstream.hits() == 2).await;
        request.abandon().await;
        nothing_is_left(&upstream, &envoy).await;
        assert_eq!(upstream.hits(), 2);
    }
    retries_are(&envoy, 2).await;
    assert_eq!(
        get(&envoy, "/", FAIL.1, "body=second").await.text(),
        "second"
    );
}

/// The paused response depends on the upstream's connection. When that closes, the host ends the
/// stream before the backoff is over.
#[tokio::test]
async fn a_paused_first_response_that_is_reset_ends_the_request() {
    let (upstream, envoy) = scene(json!({})).await;
    let script = "status=503 retry-after=1 reset_mid_body";
    let request = spillway_tests::client::request("GET", "/", &[("x-script", script)], "");
    // What the client sees is up to the host.
    let _ended = envoy.client().try_send(request).await;
    nothing_is_left(&upstream, &envoy).await;
    assert_eq!(upstream.hits(), 1);
    retries_are(&envoy, 0).await;
}
