//! The rows in a real Envoy.

use std::time::Duration;

use regex::Regex;
use serde_json::json;
use spillway_tests::{Envoy, Reply, Upstream, client, eventually, places};

use super::rows::Row;
use super::view::{Got, View};

/// The body of every answer that is not given another.
const BODY: &str = "..";

/// How long a client that goes away has waited.
const PATIENCE: Duration = Duration::from_millis(60);

/// Sends the rows one after another, and reads what was logged of each.
pub async fn run(rows: &[Row]) -> Vec<View> {
    let upstream = Upstream::start().await;
    upstream.reply(Reply::status(200).body(BODY));
    upstream.reply_on("/hang", Reply::hang());
    upstream.reply_on("/reset", Reply::reset());
    upstream.reply_on("/reset-mid-body", Reply::reset_mid_body());
    let envoy = world(&upstream).await;
    let mut views = Vec::new();
    for row in rows {
        let client = send(&envoy, row).await;
        let ended = format!(r"witness {} done ", row.name);
        eventually(row.name, async || !envoy.log_lines(&ended).is_empty()).await;
        views.push(View {
            row: row.name.to_owned(),
            log: Vec::new(),
            client,
        });
    }
    // The last steps of a row are logged after the line that ends it.
    let end = envoy.get_with("/", &[("x-row", "end")]).await;
    assert_eq!(end.status, 200);
    let log = envoy.log();
    for view in &mut views {
        view.log = lines(&log, &view.row);
    }
    views
}

async fn world(upstream: &Upstream) -> Envoy {
    let to = |name: &str| {
        json!({"prefix": "/", "headers": [
        {"name": "x-to", "string_match": {"exact": name}}]})
    };
    Envoy::in_front_of(upstream.address())
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
        )
        .start()
        .await
}

async fn send(envoy: &Envoy, row: &Row) -> Option<Got> {
    let mut headers = vec![("x-row", row.name), ("x-witness", row.probe)];
    if !row.to.is_empty() {
        headers.push(("x-to", row.to));
    }
    let script = format!("body={BODY} {}", row.upstream);
    headers.push(("x-script", &script));
    headers.extend(row.headers);
    let request = client::request(row.method, "/path?query=1", &headers, row.body);
    let sent = envoy.client().try_send(request);
    let answer = if row.leaves {
        tokio::time::timeout(PATIENCE, sent).await.ok()?
    } else {
        sent.await
    };
    let answer = answer.ok()?;
    let headers = answer.headers.iter();
    let headers = headers.map(|(name, value)| (name.as_str(), value.as_bytes()));
    Some(Got::new(
        answer.status,
        headers,
        &answer.body,
        answer.complete,
    ))
}

/// The probe's lines about one row, without Envoy's prefix.
fn lines(log: &str, row: &str) -> Vec<String> {
    let pattern = format!(r"witness {} (.*)$", regex::escape(row));
    let pattern = Regex::new(&pattern).expect("a regular expression");
    let found = log.lines().filter_map(|line| pattern.captures(line));
    found.map(|line| line[1].trim_end().to_owned()).collect()
}
