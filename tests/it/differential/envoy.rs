//! Runs the rows in a real Envoy.

use std::fmt::Write as _;
use std::time::Duration;

use regex::Regex;
use serde_json::{Value, json};
use spillway_tests::envoy::Setting;
use spillway_tests::upstream::Seen;
use spillway_tests::{Envoy, Reply, Upstream, client, places};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::rows::Row;
use super::view::{Got, View};
use crate::scene::with;

/// Default body of a response.
const BODY: &str = "..";

/// Silence after which a body counts as one that never ends.
const SILENCE: Duration = Duration::from_millis(700);

/// Time between two looks at the log.
const POLL: Duration = Duration::from_millis(10);

/// How long a client waits before it leaves.
const PATIENCE: Duration = Duration::from_millis(60);

/// Sends the rows one after another to a changed setting and reads the log lines of each.
pub(super) async fn run(rows: &[Row], change: impl FnOnce(Setting) -> Setting) -> Vec<View> {
    let upstream = Upstream::start().await;
    upstream.reply(Reply::status(200).body(BODY));
    upstream.reply_on("/hang", Reply::hang());
    upstream.reply_on("/reset", Reply::reset());
    upstream.reply_on("/reset-mid-body", Reply::reset_mid_body());
    let envoy = change(world(&upstream)).start().await;
    let mut views = Vec::new();
    for row in rows {
        let client = send(&envoy, row).await;
        let ended = format!(r"witness {} done ", row.name);
        // A stream that does not end lacks this line, and so its row differs.
        let _ended = timeout(LONGEST, async {
            while envoy.log_lines(&ended).is_empty() {
                sleep(POLL).await;
            }
        })
        .await;
        views.push(View {
            row: row.name.to_owned(),
            log: Vec::new(),
            upstream: row
                .shows_request
                .then(|| got(&upstream, row.name))
                .flatten(),
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

/// The setting of all rows.
pub(super) fn world(upstream: &Upstream) -> Setting {
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
        }))
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

async fn send(envoy: &Envoy, row: &Row) -> Option<Got> {
    let mut headers = vec![("x-row", row.name), ("x-witness", row.probe)];
    if !row.to.is_empty() {
        headers.push(("x-to", row.to));
    }
    let script = format!("body={BODY} {}", row.upstream);
    headers.push(("x-script", &script));
    headers.extend(row.headers);
    if row.unfinished {
        return upload(envoy, row, &headers).await;
    }
    let request = client::request(row.method, "/path?query=1", &headers, row.body);
    let client = envoy.client();
    let sent = client.try_send_until_silent(request, SILENCE);
    let patience = if row.leaves { PATIENCE } else { LONGEST };
    let answer = timeout(patience, sent).await.ok()?.ok()?;
    let headers = answer.headers.iter();
    let headers = headers.map(|(name, value)| (name.as_str(), value.as_bytes()));
    Some(Got::new(
        answer.status,
        headers,
        &answer.body,
        answer.complete,
    ))
}

/// Sends a request with an endless body.
async fn upload(envoy: &Envoy, row: &Row, headers: &[(&str, &str)]) -> Option<Got> {
    let mut stream = TcpStream::connect(envoy.address()).await.ok()?;
    let mut bytes = format!(
        "{} /path?query=1 HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n",
        row.method
    );
    for (name, value) in headers {
        write!(bytes, "{name}: {value}\r\n").expect("a text");
    }
    write!(bytes, "\r\n{:x}\r\n{}\r\n", row.body.len(), row.body).expect("a text");
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
    Some(Got::new(status, headers, &answer[head..], true))
}

/// How long Envoy may take to answer, or to close a connection. It gives the client one second to
/// do so first.
const LONGEST: Duration = Duration::from_secs(15);

/// The body of the last request of a row, as the upstream read it. `None` if it got none.
fn got(upstream: &Upstream, row: &str) -> Option<String> {
    let of_row = |seen: &&Seen| seen.headers.get("x-row").is_some_and(|it| it == row);
    let requests = upstream.requests();
    let last = requests.iter().rev().find(of_row)?;
    Some(String::from_utf8_lossy(&last.body).into_owned())
}

/// The witness's log lines of one row, without Envoy's prefix.
fn lines(log: &str, row: &str) -> Vec<String> {
    let pattern = format!(r"witness {} (.*)$", regex::escape(row));
    let pattern = Regex::new(&pattern).expect("a regular expression");
    let found = log.lines().filter_map(|line| pattern.captures(line));
    found.map(|line| line[1].trim_end().to_owned()).collect()
}
