//! Streams: server-sent events, WebSocket, and bidirectional gRPC. Each can end in three ways: its
//! client leaves, its server stops, or the proxy rotates it.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};
use spillway_tests::envoy::Setting;
use spillway_tests::grpc::Conversation;
use spillway_tests::{Client, Envoy, GrpcClient, Reply, Upstream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

use super::{FAILURE, IGNORED, SUCCESS, http_options, policy_of};
use crate::scene::{
    OPEN, count_is, file, open_time_passes, outcomes_are, policy, touchy, transitions_are, trip,
    with,
};

/// An endless event stream.
const EVENTS: &str = "hang_mid_body content-type=text/event-stream";

fn by_headers() -> Value {
    json!({"outcome": {"judge_at": "headers"}})
}

/// One policy per case, and a second one judged by headers.
fn both_ways(cases: &[&str]) -> Value {
    let policies = cases.iter().flat_map(|case| {
        let name = format!("{case}_headers");
        [policy_of(case), with(policy_of(&name), by_headers())]
    });
    file(json!(policies.collect::<Vec<_>>()))
}

/// A server that upgrades every connection and closes it after this time.
async fn upgrading(open: Duration) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut head = vec![0; 4_096];
                let _request = stream.read(&mut head).await;
                let upgraded = b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\
                    connection: upgrade\r\n\r\n";
                let _caller_gone = stream.write_all(upgraded).await;
                sleep(open).await;
            });
        }
    });
    address
}

fn websocket(setting: Setting) -> Setting {
    setting.manager(json!({"upgrade_configs": [{"upgrade_type": "websocket"}]}))
}

/// An upgraded connection.
async fn upgraded(envoy: &Envoy, case: &str, to: &str) -> TcpStream {
    let mut stream = TcpStream::connect(envoy.address())
        .await
        .expect("a connection");
    let head = format!(
        "GET /{case} HTTP/1.1\r\nhost: h\r\nx-case: {case}\r\nx-to: {to}\r\n\
         connection: upgrade\r\nupgrade: websocket\r\n\r\n"
    );
    stream
        .write_all(head.as_bytes())
        .await
        .expect("a connection");
    let mut start = [0; 12];
    stream.read_exact(&mut start).await.expect("a response");
    assert_eq!(&start, b"HTTP/1.1 101");
    stream
}

fn conversation() -> Reply {
    let message: &[u8] = &[0, 0, 0, 0, 2, 0x0a, 0];
    let reply = Reply::hang_mid_body().early().body(message);
    reply.header("content-type", "application/grpc")
}

async fn talking(client: &GrpcClient, case: &str) -> Conversation {
    let call = client.converse("hello", &[("x-case", case)]).await;
    let mut call = call.expect("headers");
    call.message().await.expect("a message");
    call
}

#[tokio::test]
async fn a_stream_that_its_client_leaves_is_a_success() {
    let upstream = Upstream::start().await;
    let cases = ["sse1", "sse2", "socket"];
    let setting = Envoy::in_front_of(upstream.address())
        .cluster("socket", upgrading(Duration::from_secs(60)).await)
        .policy(both_ways(&cases));
    let envoy = websocket(setting).start().await;
    for suffix in ["", "_headers"] {
        let clients = [
            ("sse1", Client::new(envoy.address())),
            ("sse2", Client::http2(envoy.address())),
        ];
        for (case, client) in clients {
            let case = format!("{case}{suffix}");
            let headers = [("x-case", case.as_str()), ("x-script", EVENTS)];
            let stream = client.head_of("/", &headers).await;
            if suffix.is_empty() {
                stream.abandon();
                outcomes_are(&envoy, &case, SUCCESS).await;
            } else {
                // Settled while the stream is still open.
                outcomes_are(&envoy, &case, SUCCESS).await;
                stream.abandon();
            }
        }
        let case = format!("socket{suffix}");
        drop(upgraded(&envoy, &case, "socket").await);
        outcomes_are(&envoy, &case, SUCCESS).await;
    }
    upstream.in_flight_reaches(0).await;
    outcomes_are(&envoy, "sse1_headers", SUCCESS).await;
}

#[tokio::test]
async fn a_bidirectional_stream_that_its_client_leaves_is_a_success() {
    let upstream = Upstream::start().await;
    let envoy = Envoy::in_front_of(upstream.address())
        .http2_upstream()
        .policy(both_ways(&["talk"]))
        .start()
        .await;
    upstream.reply(conversation());
    let client = GrpcClient::new(envoy.address());
    for case in ["talk", "talk_headers"] {
        drop(talking(&client, case).await);
        outcomes_are(&envoy, case, SUCCESS).await;
    }
}

#[tokio::test]
async fn a_stream_cut_by_its_server_counts_unless_the_headers_decide() {
    let upstream = Upstream::start().await;
    let setting = Envoy::in_front_of(upstream.address())
        .cluster("socket", upgrading(Duration::from_millis(100)).await)
        .policy(both_ways(&["sse", "socket"]));
    let envoy = websocket(setting).start().await;
    for (case, counted) in [("sse", FAILURE), ("sse_headers", SUCCESS)] {
        let script = "reset_mid_body content-type=text/event-stream";
        let answer = envoy
            .get_with("/", &[("x-case", case), ("x-script", script)])
            .await;
        assert!(!answer.complete);
        outcomes_are(&envoy, case, counted).await;
    }
    // The server closes a WebSocket first.
    for case in ["socket", "socket_headers"] {
        let mut stream = upgraded(&envoy, case, "socket").await;
        let mut rest = Vec::new();
        let _end = stream.read_to_end(&mut rest).await;
        outcomes_are(&envoy, case, SUCCESS).await;
    }
}

#[tokio::test]
async fn a_bidirectional_stream_cut_by_its_server_may_be_a_rejected_upload() {
    let upstream = Upstream::start().await;
    let envoy = Envoy::in_front_of(upstream.address())
        .http2_upstream()
        .policy(both_ways(&["talk"]))
        .start()
        .await;
    let message: &[u8] = &[0, 0, 0, 0, 2, 0x0a, 0];
    let cut = Reply::reset_mid_body().early().body(message);
    upstream.reply(cut.header("content-type", "application/grpc"));
    let client = GrpcClient::new(envoy.address());
    for (case, counted) in [("talk", IGNORED), ("talk_headers", SUCCESS)] {
        let mut call = talking(&client, case).await;
        call.message().await.expect_err("a reset");
        outcomes_are(&envoy, case, counted).await;
    }
}

#[tokio::test]
async fn a_stream_that_the_proxy_rotates_is_a_success() {
    let brief = json!({"max_stream_duration": "0.3s"});
    let upstream = Upstream::start().await;
    let options = http_options(json!({"common_http_protocol_options": brief}));
    let setting = Envoy::in_front_of(upstream.address())
        .cluster("brief", upstream.address())
        .cluster_fields("brief", options.clone())
        .cluster("socket", upgrading(Duration::from_secs(60)).await)
        .cluster_fields("socket", options)
        .policy(both_ways(&["sse", "socket"]));
    let envoy = websocket(setting).start().await;
    for case in ["sse", "sse_headers"] {
        let headers = [("x-case", case), ("x-to", "brief"), ("x-script", EVENTS)];
        assert!(!envoy.get_with("/", &headers).await.complete);
        outcomes_are(&envoy, case, SUCCESS).await;
    }
    for case in ["socket", "socket_headers"] {
        let mut stream = upgraded(&envoy, case, "socket").await;
        let mut rest = Vec::new();
        let _end = stream.read_to_end(&mut rest).await;
        outcomes_are(&envoy, case, SUCCESS).await;
    }
}

#[tokio::test]
async fn a_bidirectional_stream_that_the_proxy_rotates_is_a_success() {
    let upstream = Upstream::start().await;
    let brief = json!({"max_stream_duration": "0.3s"});
    let envoy = Envoy::in_front_of(upstream.address())
        .http2_upstream()
        .manager(json!({"common_http_protocol_options": brief}))
        .policy(both_ways(&["talk"]))
        .start()
        .await;
    upstream.reply(conversation());
    let client = GrpcClient::new(envoy.address());
    for case in ["talk", "talk_headers"] {
        let mut call = talking(&client, case).await;
        call.message().await.expect_err("an end of the stream");
        outcomes_are(&envoy, case, SUCCESS).await;
    }
}

#[tokio::test]
async fn probes_that_are_streams_close_the_circuit() {
    for fields in [json!({}), by_headers()] {
        let half_open = json!({"half_open": {"permits": 2}});
        let breaker = json!({"circuit_breaker": touchy(half_open)});
        let upstream = Upstream::start().await;
        let setting = Envoy::in_front_of(upstream.address())
            .cluster("socket", upgrading(Duration::from_secs(60)).await)
            .policy(policy(with(
                with(breaker, json!({"key": []})),
                fields.clone(),
            )));
        let envoy = websocket(setting).start().await;
        trip(&upstream, &envoy).await;
        open_time_passes(OPEN).await;
        let stream = envoy.client().head_of("/", &[("x-script", EVENTS)]).await;
        let socket = upgraded(&envoy, "probe", "socket").await;
        if fields == json!({}) {
            stream.abandon();
            drop(socket);
        } else {
            // Settled while both are still open.
            transitions_are(
                &envoy,
                &["closed>open", "open>half_open", "half_open>closed"],
            )
            .await;
        }
        transitions_are(
            &envoy,
            &["closed>open", "open>half_open", "half_open>closed"],
        )
        .await;
        count_is(&envoy, "spillway_probes_total", 2).await;
    }
}

#[tokio::test]
async fn a_restart_that_cuts_healthy_streams_does_not_open_the_circuit_by_headers() {
    let upstream = Upstream::start().await;
    let fields = json!({"circuit_breaker": {"minimum_requests": 5}});
    let envoy = Envoy::in_front_of(upstream.address())
        .policy(policy(with(fields, by_headers())))
        .start()
        .await;
    for _ in 0..20 {
        let cut = [("x-script", "reset_mid_body content-type=text/event-stream")];
        assert!(!envoy.get_with("/", &cut).await.complete);
    }
    assert_eq!(envoy.get("/").await.status, 200);
    outcomes_are(&envoy, "p", [21, 0, 0]).await;
}
