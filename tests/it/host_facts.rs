//! Behaviours of Envoy without the filter, on which the filter and all other tests rely. An Envoy
//! that changes one fails here, with a clear message, and not somewhere else.

use std::time::Duration;

use serde_json::json;
use spillway_tests::client::request;
use spillway_tests::envoy::Update;
use spillway_tests::grpc::Code;
use spillway_tests::{Client, Envoy, GrpcClient, GrpcReply, GrpcUpstream, Reply, Upstream};
use spillway_tests::{eventually, raw};

#[tokio::test]
async fn a_refused_connection_is_503_with_the_flag_uf() {
    let upstream = Upstream::start().await;
    let envoy = Envoy::in_front_of(upstream.address())
        .refused_cluster("gone")
        .start()
        .await;
    assert_eq!(
        envoy.get_with("/refused", &[("x-to", "gone")]).await.status,
        503
    );
    let entry = envoy.access("/refused").await;
    assert_eq!(
        (&entry["flags"], &entry["cluster"]),
        (&json!("UF"), &json!("gone"))
    );
    assert_details(
        &entry,
        "upstream_reset_before_response_started{remote_connection_failure",
    );
}

#[tokio::test]
async fn a_reset_before_headers_is_503_with_the_flag_uc() {
    let (upstream, envoy) = plain().await;
    upstream.reply(Reply::reset());
    assert_eq!(envoy.get("/reset").await.status, 503);
    let entry = envoy.access("/reset").await;
    assert_eq!(entry["flags"], "UC");
    assert_details(
        &entry,
        "upstream_reset_before_response_started{connection_termination",
    );
}

#[tokio::test]
async fn a_reset_in_mid_body_is_seen_by_the_caller_and_only_at_the_end() {
    let (upstream, envoy) = plain().await;
    upstream.reply(Reply::reset_mid_body().body("half"));
    let answer = envoy.get("/cut").await;
    assert_eq!(
        (answer.status, answer.text().as_str(), answer.complete),
        (200, "half", false)
    );
    let entry = envoy.access("/cut").await;
    assert_eq!(
        (&entry["code"], &entry["flags"]),
        (&json!(200), &json!("UPE"))
    );
    assert_details(
        &entry,
        "upstream_reset_after_response_started{protocol_error}",
    );
}

#[tokio::test]
async fn a_route_timeout_is_504_with_the_flag_ut() {
    let upstream = Upstream::start().await;
    let setting = Envoy::in_front_of(upstream.address()).route_timeout(Duration::from_millis(200));
    let envoy = setting.start().await;
    upstream.reply(Reply::hang());
    assert_eq!(envoy.get("/slow").await.status, 504);
    let entry = envoy.access("/slow").await;
    assert_eq!(
        (&entry["flags"], &entry["details"]),
        (&json!("UT"), &json!("response_timeout"))
    );
}

#[tokio::test]
async fn a_client_disconnect_has_the_flag_dc_and_cancels_the_upstream_request() {
    let (upstream, envoy) = plain().await;
    upstream.reply(Reply::hang());
    let request = envoy.client().begin("/left", &[]);
    upstream.in_flight_reaches(1).await;
    request.abandon().await;
    upstream.in_flight_reaches(0).await;
    let entry = envoy.access("/left").await;
    assert_eq!(entry["flags"], "DC");
    assert_eq!(entry["details"], "downstream_remote_disconnect");
}

#[tokio::test]
async fn a_request_with_a_local_reply_of_an_earlier_filter_never_reaches_the_upstream() {
    let upstream = Upstream::start().await;
    let envoy = Envoy::in_front_of(upstream.address())
        .before(json!({
            "name": "envoy.filters.http.fault",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault",
                "abort": {"http_status": 429, "percentage": {"numerator": 100}},
            },
        }))
        .start()
        .await;
    assert_eq!(envoy.get("/limited").await.status, 429);
    assert_eq!(
        envoy.access("/limited").await["details"],
        "fault_filter_abort"
    );
    assert_eq!(upstream.hits(), 0);
}

/// The attempt count distinguishes an upstream response from a local reply.
#[tokio::test]
async fn attempts_are_counted_only_where_the_router_tried() {
    let upstream = Upstream::start().await;
    let direct = json!({"path": "/direct"});
    let envoy = Envoy::in_front_of(upstream.address())
        .route(json!({"name": "d", "match": direct, "direct_response": {"status": 503}}))
        .cluster("empty", upstream.address())
        .cluster_fields(
            "empty",
            json!({"load_assignment": {"cluster_name": "empty"}}),
        )
        .refused_cluster("gone")
        .after(json!({
            "name": "envoy.filters.http.fault",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault",
                "abort": {"header_abort": {}, "percentage": {"numerator": 100}},
            },
        }))
        .start()
        .await;
    let rows = [
        ("/plain", ("x-none", ""), 200, 1, "via_upstream"),
        ("/direct", ("x-none", ""), 503, 0, "direct_response"),
        (
            "/fault",
            ("x-envoy-fault-abort-request", "503"),
            503,
            0,
            "fault_filter_abort",
        ),
        ("/empty", ("x-to", "empty"), 503, 1, "no_healthy_upstream"),
        (
            "/gone",
            ("x-to", "gone"),
            503,
            1,
            "upstream_reset_before_response_started",
        ),
        (
            "/failed",
            ("x-script", "status=503"),
            503,
            1,
            "via_upstream",
        ),
    ];
    for (path, header, status, attempts, details) in rows {
        assert_eq!(
            envoy.get_with(path, &[header]).await.status,
            status,
            "{path}"
        );
        let entry = envoy.access(path).await;
        assert_eq!(
            entry["attempts"].as_u64(),
            Some(attempts),
            "{path}: {entry}"
        );
        assert_details(&entry, details);
    }
}

#[tokio::test]
async fn an_http2_stream_that_its_client_resets_is_the_flag_dr_and_not_dc() {
    let (upstream, envoy) = plain().await;
    upstream.reply(Reply::hang());
    let request = Client::http2(envoy.address()).begin("/left", &[]);
    upstream.in_flight_reaches(1).await;
    request.abandon().await;
    let entry = envoy.access("/left").await;
    assert_eq!(
        (&entry["flags"], &entry["details"]),
        (&json!("DR"), &json!("http2.remote_reset"))
    );
}

#[tokio::test]
async fn a_stream_that_lives_longer_than_the_host_allows_has_no_flag_at_all() {
    let upstream = Upstream::start().await;
    let brief =
        json!({"max_stream_duration": {"max_stream_duration": "0.3s"}, "cluster": "upstream"});
    let envoy = Envoy::in_front_of(upstream.address())
        .route(json!({"name": "brief", "match": {"prefix": "/"}, "route": brief}))
        .start()
        .await;
    upstream.reply(Reply::hang_mid_body());
    assert!(!envoy.get("/brief").await.complete);
    let entry = envoy.access("/brief").await;
    assert_eq!(
        (&entry["flags"], &entry["details"]),
        (&json!("-"), &json!("max_duration_timeout"))
    );
}

#[tokio::test]
async fn an_unset_filter_state_has_no_value() {
    let (_upstream, envoy) = plain().await;
    envoy.get("/").await;
    assert_eq!(envoy.access("/").await["spillway"], json!(null));
}

#[tokio::test]
async fn a_grpc_call_succeeds_unary_and_streamed() {
    let (upstream, envoy) = grpc().await;
    let client = GrpcClient::new(envoy.address());
    assert_eq!(
        client
            .unary("hello")
            .await
            .expect("an answer")
            .into_inner()
            .text,
        "hello"
    );
    upstream.reply(GrpcReply::ok(3));
    let streamed = client.stream("again").await.expect("an answer");
    assert_eq!((streamed.messages.len(), streamed.code), (3, Code::Ok));
    assert_eq!(upstream.hits(), 2);
}

#[tokio::test]
async fn a_grpc_failure_in_headers_keeps_its_metadata() {
    let (upstream, envoy) = grpc().await;
    let failure = GrpcReply::fail_in_headers(Code::Unavailable);
    upstream.reply(failure.metadata("grpc-retry-pushback-ms", "700"));
    let status = GrpcClient::new(envoy.address())
        .unary("hello")
        .await
        .expect_err("a failure");
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(
        status
            .metadata()
            .get("grpc-retry-pushback-ms")
            .expect("a pushback"),
        "700"
    );
}

#[tokio::test]
async fn a_grpc_failure_in_trailers_comes_after_the_messages() {
    let (upstream, envoy) = grpc().await;
    upstream.reply(GrpcReply::fail_in_trailers(Code::Internal, 2));
    let streamed = GrpcClient::new(envoy.address())
        .stream("hello")
        .await
        .expect("headers");
    assert_eq!(
        (streamed.messages.len(), streamed.code),
        (2, Code::Internal)
    );
    let entry = envoy.access("/spillway.test.Echo/Say").await;
    assert_eq!(
        (&entry["code"], &entry["grpc_status"]),
        (&json!(200), &json!(13))
    );
}

#[tokio::test]
async fn a_rejected_bootstrap_is_reported_in_the_log() {
    let upstream = Upstream::start().await;
    let refused = Envoy::in_front_of(upstream.address()).after(json!({"name": "no.such.filter"}));
    let refusal = refused.try_start().await.err().expect("a refusal");
    assert!(refusal.log.contains("no.such.filter"), "{}", refusal.log);
}

#[tokio::test]
async fn an_update_applies_to_new_connections_and_a_rejected_one_changes_nothing() {
    let upstream = Upstream::start().await;
    let mut envoy = Envoy::in_front_of(upstream.address())
        .listener_on_disk()
        .start()
        .await;
    assert_eq!(envoy.get("/").await.status, 200);
    let (address, client) = (envoy.address(), Client::unpooled(envoy.address()));

    let answer =
        json!({"name": "closed", "match": {"path": "/"}, "direct_response": {"status": 410}});
    assert_eq!(
        envoy.update(|old| old.route(answer)).await,
        Update::Accepted
    );
    eventually("the new route", async || {
        client.get("/").await.status == 410
    })
    .await;
    let nonsense = json!({"name": "no.such.filter"});
    assert_eq!(
        envoy.update(|old| old.after(nonsense)).await,
        Update::Refused
    );
    assert_eq!(client.get("/").await.status, 410);
    assert_eq!(envoy.address(), address);
    assert!(
        !envoy
            .log_lines(r"config rejected: .*no\.such\.filter")
            .is_empty()
    );
    envoy.old_connections_end().await;
    assert_eq!(envoy.get("/").await.status, 410);
}

#[tokio::test]
async fn hostile_bytes_are_rejected_and_the_next_client_is_served() {
    let (upstream, envoy) = plain().await;
    let wide = raw::get_with_header("/wide", "x-wide", &[b'a'; 60 * 1024]);
    assert_eq!(
        raw::exchange(envoy.address(), &wide).await.status(),
        Some(200)
    );
    let bytes = raw::get_with_header("/bytes", "x-bytes", b"\xff\xfe");
    assert_eq!(
        raw::exchange(envoy.address(), &bytes).await.status(),
        Some(200)
    );
    let connect = b"CONNECT host:443 HTTP/1.1\r\nhost: host:443\r\n\r\n";
    assert_eq!(
        raw::exchange(envoy.address(), connect).await.status(),
        Some(404)
    );
    assert_eq!(
        raw::exchange(envoy.address(), b"\0\0garbage\r\n\r\n")
            .await
            .status(),
        Some(400)
    );
    assert_eq!(envoy.get("/next").await.status, 200);
    assert_eq!(upstream.hits(), 3);
}

#[tokio::test]
async fn a_request_with_any_method_is_forwarded() {
    let (upstream, envoy) = plain().await;
    envoy
        .client()
        .send(request("DELETE", "/thing", &[], ""))
        .await;
    assert_eq!(upstream.requests()[0].method, "DELETE");
}

pub(crate) async fn plain() -> (Upstream, Envoy) {
    let upstream = Upstream::start().await;
    let envoy = Envoy::in_front_of(upstream.address()).start().await;
    (upstream, envoy)
}

async fn grpc() -> (GrpcUpstream, Envoy) {
    let upstream = GrpcUpstream::start().await;
    let envoy = Envoy::in_front_of(upstream.address())
        .http2_upstream()
        .start()
        .await;
    (upstream, envoy)
}

fn assert_details(entry: &serde_json::Value, beginning: &str) {
    let details = entry["details"].as_str().unwrap_or_default();
    assert!(details.starts_with(beginning), "{details}");
}
