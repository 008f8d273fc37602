//! Runs the rows in a real Envoy.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use http::HeaderValue;
use regex::Regex;
use serde_json::{Value, json};
use spillway_tests::client::Client;
use spillway_tests::envoy::Setting;
use spillway_tests::upstream::Seen;
use spillway_tests::{Envoy, Reply, Upstream, client, places};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::Conditions;
use super::rows::{AUTHORITY, Row, TARGET};
use super::view::{Got, View, request_line};
use crate::scene::with;

/// Default body of a response.
const BODY: &str = "..";

/// Silence after which a body counts as one that never ends.
const SILENCE: Duration = Duration::from_millis(700);

/// Time between two looks at the log.
pub(super) const POLL: Duration = Duration::from_millis(10);

/// How long a client waits before it leaves.
const PATIENCE: Duration = Duration::from_millis(60);

/// Sends the rows one after another to a changed setting and reads the log lines of each.
pub(super) async fn run(rows: &[Row], conditions: Conditions) -> Vec<View> {
    let upstream = upstream().await;
    let envoy = world(&upstream, conditions).start().await;
    let address = envoy.address();
    let mut views = Vec::new();
    for row in rows {
        upstream.forget();
        let client = send(envoy.client(), address, row).await;
        let ended = format!(r"witness {} done ", row.name);
        if !row.unseen {
            // A stream that does not end lacks this line, and so its row differs.
            let _ended = timeout(LONGEST, async {
                while envoy.log_lines(&ended).is_empty() {
                    sleep(POLL).await;
                }
            })
            .await;
        }
        views.push(View {
            row: row.name.to_owned(),
            log: Vec::new(),
            upstream: seen(&upstream, envoy.address()),
            upstream_body: shown(&upstream, row),
            client,
        });
    }
    // A row's last steps are logged after the line that ends it.
    let end = envoy.get_with("/", &[("x-row", "end")]).await;
    assert_eq!(end.status, 200);
    let log = envoy.log();
    for view in &mut views {
        view.log = lines(&log, &view.row);
    }
    views
}

/// Returns the requests of an upstream as text.
fn seen(upstream: &Upstream, envoy: SocketAddr) -> Vec<String> {
    let line = |request: &Seen| {
        let host = request.headers.get("host").map(HeaderValue::as_bytes);
        let host = host.or(request.uri.authority().map(|it| it.as_str().as_bytes()));
        let host = String::from_utf8_lossy(host.unwrap_or_default());
        let host = host.replace(&envoy.to_string(), AUTHORITY);
        let path = request.uri.path_and_query().map_or("", |it| it.as_str());
        let headers = request.headers.iter();
        let headers = headers.map(|(name, value)| (name.as_str(), value.as_bytes()));
        request_line([request.method.as_str(), &host, path], headers)
    };
    upstream.requests().iter().map(line).collect()
}

/// Starts the upstream of all rows.
pub(super) async fn upstream() -> Upstream {
    let upstream = Upstream::start().await;
    let answer = Reply::status(200).header("content-type", "application/grpc");
    let answer = answer.body(&b"\0\0\0\0\x02ok"[..]);
    upstream.reply_on("/pkg.Service/Method", answer.trailer("grpc-status", "0"));
    upstream.reply(Reply::status(200).body(BODY));
    upstream.reply_on("/hang", Reply::hang());
    upstream.reply_on("/reset", Reply::reset());
    upstream.reply_on("/reset-mid-body", Reply::reset_mid_body());
    upstream
}

/// The setting of all rows.
pub(super) fn world(upstream: &Upstream, conditions: Conditions) -> Setting {
    let to = |name: &str| {
        json!({"prefix": "/", "headers": [
        {"name": "x-to", "string_match": {"exact": name}}]})
    };
    let setting = Envoy::in_front_of(upstream.address())
        .policy_text("")
        .plugin(json!({
            "vm_config": {
                "vm_id": "witness",
                "runtime": "envoy.wasm.runtime.v8",
                "code": {"local": {"filename": places::witness()}},
            },
            "allow_on_headers_stop_iteration": conditions.allow_on_headers_stop_iteration,
        }))
        .router(json!({"suppress_envoy_headers": conditions.suppress_envoy_headers}))
        .cluster("other", upstream.address())
        .cluster("hung", upstream.address())
        .cluster("resetting", upstream.address())
        .cluster("breaking", upstream.address())
        .refused_cluster("gone")
        .refused_cluster("empty")
        .cluster_fields(
            "empty",
            json!({"load_assignment": {"cluster_name": "empty"}}),
        )
        .route(
            json!({"name": "none", "match": to("none"), "route": {"cluster_header": "x-cluster"}}),
        )
        .route(json!({"name": "hurried", "match": to("hurried"),
            "route": {"cluster": "upstream", "timeout": "0.05s"}}))
        .route(json!({"name": "direct", "match": to("direct"),
            "direct_response": {"status": 201, "body": {"inline_string": "direct"}}}))
        .route(
            json!({"name": "retrying", "match": to("retrying"), "route": {
            "cluster": "upstream", "retry_policy": {"retry_on": "5xx", "num_retries": 2}}}),
        );
    let setting = match conditions.per_connection_buffer_limit_bytes {
        Some(bytes) => setting.buffer_limit(bytes),
        None => setting,
    };
    limited(setting, upstream)
}

/// Adds clusters and routes whose limits end requests, and the headers by which clients may change
/// these limits.
fn limited(setting: Setting, upstream: &Upstream) -> Setting {
    let route = |name: &str, cluster: &str, fields: Value| {
        let matches = json!({"prefix": "/", "headers": [
            {"name": "x-to", "string_match": {"exact": name}}]});
        let route = with(json!({"cluster": cluster}), fields);
        json!({"name": name, "match": matches, "route": route})
    };
    let narrow = |limit: Value| json!({"circuit_breakers": {"thresholds": [limit]}});
    let options = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
    let brief = json!({"typed_extension_protocol_options": {options: {
        "@type": format!("type.googleapis.com/{options}"),
        "common_http_protocol_options": {"max_stream_duration": "0.05s"},
        "explicit_http_config": {"http_protocol_options": {}},
    }}});
    let own = json!({"cidr_ranges": [{"address_prefix": "10.0.0.0", "prefix_len": 8}]});
    let setting = setting
        .manager(json!({"internal_address_config": own}))
        .cluster("brief", upstream.address())
        .cluster_fields("brief", brief)
        .cluster("crowded", upstream.address())
        .cluster_fields("crowded", narrow(json!({"max_requests": 0})))
        .cluster("unqueued", upstream.address())
        .cluster_fields("unqueued", narrow(json!({"max_pending_requests": 0})))
        .silent_cluster("silent", "0.1s")
        .route(route(
            "lasting",
            "upstream",
            json!({
            "timeout": "0.02s", "max_stream_duration": {"max_stream_duration": "0.05s"}}),
        ))
        .route(route(
            "brief-again",
            "brief",
            json!({
            "retry_policy": {"retry_on": "5xx", "num_retries": 1}}),
        ))
        .route(route("quiet", "upstream", json!({"idle_timeout": "0.05s"})))
        .route(route("grpc", "upstream", json!({"max_grpc_timeout": "0s"})))
        .route(route(
            "grpc-stream",
            "upstream",
            json!({
            "max_stream_duration": {"grpc_timeout_header_max": "0s"}}),
        ));
    let streaming = json!({"typed_extension_protocol_options": {options: {
        "@type": format!("type.googleapis.com/{options}"),
        "explicit_http_config": {"http2_protocol_options": {}},
    }}});
    let lasting = json!({"max_stream_duration": {"max_stream_duration": "0.05s"}});
    let setting = setting
        .cluster("http2", upstream.address())
        .cluster_fields("http2", streaming)
        .route(route("http2-lasting", "http2", lasting));
    forwarding(setting, route("forward", "forward", json!({})))
}

/// Adds a dynamic forward proxy behind the filter whose hosts no name server resolves.
fn forwarding(setting: Setting, route: Value) -> Setting {
    let cares = "envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig";
    let nobody = json!({"socket_address": {"address": "127.0.0.1", "port_value": 1}});
    let cache = json!({
        "name": "forward",
        "dns_lookup_family": "V4_ONLY",
        "typed_dns_resolver_config": {
            "name": "envoy.network.dns_resolver.cares",
            "typed_config": {
                "@type": format!("type.googleapis.com/{cares}"),
                "resolvers": [nobody],
                "query_timeout_seconds": 1,
                "query_tries": 1,
            },
        },
    });
    let extension = |kind: &str| format!("type.googleapis.com/envoy.extensions.{kind}");
    let cluster = json!({"name": "envoy.clusters.dynamic_forward_proxy", "typed_config": {
        "@type": extension("clusters.dynamic_forward_proxy.v3.ClusterConfig"),
        "dns_cache_config": cache,
    }});
    let filter = "envoy.filters.http.dynamic_forward_proxy";
    let host = json!({
        "@type": extension("filters.http.dynamic_forward_proxy.v3.PerRouteConfig"),
        "host_rewrite_literal": "nowhere.invalid",
    });
    setting
        .clusters(json!({
            "name": "forward",
            "connect_timeout": "1s",
            "lb_policy": "CLUSTER_PROVIDED",
            "cluster_type": cluster,
        }))
        .route(with(
            route,
            json!({"typed_per_filter_config": {filter: host}}),
        ))
        .after(json!({"name": filter, "typed_config": {
            "@type": extension("filters.http.dynamic_forward_proxy.v3.FilterConfig"),
            "dns_cache_config": cache,
        }}))
}

/// Sends the request of a row, and returns the response if the client waits for it.
pub(super) async fn send(client: &Client, address: SocketAddr, row: &Row) -> Option<Got> {
    let mut headers = vec![("x-row", row.name), ("x-witness", row.probe)];
    if !row.to.is_empty() {
        headers.push(("x-to", row.to));
    }
    let script = format!("body={BODY} {}", row.upstream);
    headers.push(("x-script", &script));
    headers.extend(row.headers);
    if row.unfinished || row.target != TARGET {
        return send_bytes(address, row, &headers).await;
    }
    let request = client::request(row.method, row.target, &headers, row.body);
    let sent = client.try_send_until_silent(request, SILENCE);
    let patience = if row.leaves { PATIENCE } else { LONGEST };
    let answer = timeout(patience, sent).await.ok()?.ok()?;
    let headers = answer.headers.iter();
    let headers = headers.map(|(name, value)| (name.as_str(), value.as_bytes()));
    Some(Got::new(
        answer.status.into(),
        headers,
        &answer.body,
        answer.complete,
    ))
}

/// Sends a request with an odd target or an endless body.
async fn send_bytes(address: SocketAddr, row: &Row, headers: &[(&str, &str)]) -> Option<Got> {
    let mut stream = TcpStream::connect(address).await.ok()?;
    let mut bytes = format!("{} {} HTTP/1.1\r\nhost: h\r\n", row.method, row.target);
    for (name, value) in headers {
        write!(bytes, "{name}: {value}\r\n").expect("a text");
    }
    if row.unfinished {
        let (len, body) = (row.body.len(), row.body);
        write!(
            bytes,
            "transfer-encoding: chunked\r\n\r\n{len:x}\r\n{body}\r\n"
        )
        .expect("a text");
    } else {
        bytes.push_str("connection: close\r\n\r\n");
    }
    stream.write_all(bytes.as_bytes()).await.ok()?;
    if row.leaves {
        sleep(PATIENCE).await;
        return None;
    }
    let mut answer = Vec::new();
    // Envoy closes a connection after it responds to an incomplete request.
    let ended = timeout(LONGEST, stream.read_to_end(&mut answer)).await;
    ended.expect("an end of the connection").ok()?;
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut response = httparse::Response::new(&mut headers);
    let parsed = response.parse(&answer).expect("an answer");
    let httparse::Status::Complete(head) = parsed else {
        panic!("half an answer: {}", String::from_utf8_lossy(&answer));
    };
    let headers = response.headers.iter().map(|it| (it.name, it.value));
    let status = response.code.expect("a status");
    Some(Got::new(status.into(), headers, &answer[head..], true))
}

/// How long Envoy may take to answer, or to close a connection. It gives the client one second to
/// do so first.
pub(super) const LONGEST: Duration = Duration::from_secs(15);

/// The body of the last request of a row, as the upstream read it. `None` if it got none, or if the
/// row does not compare it.
pub(super) fn shown(upstream: &Upstream, row: &Row) -> Option<String> {
    let of_row = |seen: &&Seen| seen.headers.get("x-row").is_some_and(|it| it == row.name);
    let requests = upstream.requests();
    let last = requests.iter().rev().find(of_row);
    let last = last.filter(|_| row.shows_request)?;
    Some(String::from_utf8_lossy(&last.body).into_owned())
}

/// The witness's log lines of one row, without the proxy's prefix.
pub(super) fn lines(log: &str, row: &str) -> Vec<String> {
    let pattern = format!(r"witness {} (.*)$", regex::escape(row));
    let pattern = Regex::new(&pattern).expect("a regular expression");
    let found = log.lines().filter_map(|line| pattern.captures(line));
    found.map(|line| line[1].trim_end().to_owned()).collect()
}
