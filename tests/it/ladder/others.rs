//! Other filters around Spillway, real gRPC services, other clusters that fail too, and clients
//! that know the route table.

use serde_json::{Value, json};
use spillway_tests::grpc::Code;
use spillway_tests::{Envoy, GrpcClient, GrpcReply, GrpcUpstream, Reply, Upstream};

use super::real::setting;
use crate::scene::{count_is, file, marking, nothing_is_left, policy, touchy, with};

/// A policy that rejects everything, with these fallbacks.
fn closed_off(ladder: Value) -> Value {
    policy(json!({"mode": "forced_open", "fallback": ladder}))
}

fn to_other() -> Value {
    json!({"type": "cluster", "on": ["open", "failure"], "cluster": "other"})
}

/// Each row: the fallbacks, whether the request is rejected or fails, the status, and which filters
/// mark the response: those closer to the client, and those behind Spillway.
///
/// A rejection passes through the chain like any local reply. A fallback that overwrites a failed
/// response passes the filters in front. Another cluster's response goes straight to the client. A
/// diverted request passes all filters.
#[tokio::test]
async fn filters_before_and_after_spillway_still_run() {
    let fixed =
        json!({"type": "respond", "on": ["open", "failure"], "status": 298, "body": "fixed"});
    let route = json!({"type": "route", "header": {"name": "x-fallback", "value": "yes"}});
    let stale = json!({"type": "stale", "on": ["open", "failure"], "shared": true});
    let rows = [
        (json!([fixed]), true, 298, ["response", "response"]),
        (json!([stale]), true, 200, ["response", "response"]),
        (json!([to_other()]), true, 200, ["response", "response"]),
        (json!([route]), true, 200, ["response", "response"]),
        // Marks of the filters behind Spillway do not belong to the failed response itself.
        (json!([fixed]), false, 298, ["response", "response"]),
        (json!([stale]), false, 200, ["response", "response"]),
        (json!([to_other()]), false, 200, ["", ""]),
    ];
    for (ladder, rejected, status, marks) in rows {
        let (upstream, other) = (Upstream::start().await, Upstream::start().await);
        let breaker = touchy(json!({"open": {"duration": "1h", "max_duration": "1h"}}));
        let fields = match rejected {
            true => json!({"circuit_breaker": breaker, "fallback": ladder}),
            false => json!({"fallback": ladder}),
        };
        let envoy = setting(&upstream, &other)
            .before(marking("x-before"))
            .after(marking("x-behind"))
            .policy(policy(fields))
            .start()
            .await;
        assert_eq!(envoy.get("/").await.status, 200);
        upstream.reply(Reply::status(503));
        if rejected {
            envoy.get("/trip").await;
            let tripped = r#""to":"open""#;
            spillway_tests::eventually(tripped, async || !envoy.log_lines(tripped).is_empty())
                .await;
        }
        let answer = envoy.get("/").await;
        let row = format!("{ladder} {rejected}");
        assert_eq!(answer.status, status, "{row}");
        let seen = ["x-before", "x-behind"].map(|name| answer.header(name));
        assert_eq!(seen, marks, "{row}");
        if let Some(asked) = other.requests().first() {
            assert!(asked.headers.contains_key("x-before"), "{row}");
        }
        nothing_is_left(&upstream, &envoy).await;
    }
}

/// The `grpc-status-details-bin` that a client library reads.
#[derive(Clone, PartialEq, prost::Message)]
struct RpcStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<Any>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Any {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ErrorInfo {
    #[prost(string, tag = "1")]
    reason: String,
    #[prost(string, tag = "2")]
    domain: String,
    #[prost(btree_map = "string, string", tag = "3")]
    metadata: std::collections::BTreeMap<String, String>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct RetryInfo {
    #[prost(message, tag = "1")]
    retry_delay: Option<ProtoDuration>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ProtoDuration {
    #[prost(int64, tag = "1")]
    seconds: i64,
}

/// A service over HTTP/2, and a second one reached by a cluster and a route.
async fn services(policy: Value) -> (GrpcUpstream, GrpcUpstream, Envoy, GrpcClient) {
    let (service, lite) = (GrpcUpstream::start().await, GrpcUpstream::start().await);
    let by = json!({"prefix": "/", "headers": [
        {"name": "x-fallback", "string_match": {"exact": "yes"}}]});
    let http2 = json!({"typed_extension_protocol_options": {
    "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": {"http2_protocol_options": {}},
    }}});
    let envoy = Envoy::in_front_of(service.address())
        .http2_upstream()
        .cluster("other", lite.address())
        .cluster_fields("other", http2)
        .route(json!({"name": "fallback", "match": by, "route": {"cluster": "other"}}))
        .policy(policy)
        .start()
        .await;
    let client = GrpcClient::new(envoy.address());
    (service, lite, envoy, client)
}

#[tokio::test]
async fn a_grpc_client_gets_details_that_its_library_reads() {
    let ladder = json!([{"type": "respond", "grpc_status": "RESOURCE_EXHAUSTED",
        "grpc_message": "{policy} rests"}]);
    let (service, _lite, _envoy, client) = services(closed_off(ladder)).await;
    let status = client.unary("rejected").await.expect_err("a rejection");
    assert_eq!(
        (status.code(), status.message()),
        (Code::ResourceExhausted, "p rests")
    );
    let details: RpcStatus = prost::Message::decode(status.details()).expect("a status");
    assert_eq!((details.code, &*details.message), (8, "p rests"));
    let [info, retry] = &details.details[..] else {
        panic!("{details:?}");
    };
    assert_eq!(info.type_url, "type.googleapis.com/google.rpc.ErrorInfo");
    let info: ErrorInfo = prost::Message::decode(&*info.value).expect("an ErrorInfo");
    assert_eq!((&*info.reason, &*info.domain), ("CIRCUIT_OPEN", "spillway"));
    let metadata = [("policy", "p"), ("state", "forced_open")];
    assert_eq!(
        info.metadata,
        metadata.map(|(k, v)| (k.into(), v.into())).into()
    );
    assert_eq!(retry.type_url, "type.googleapis.com/google.rpc.RetryInfo");
    let retry: RetryInfo = prost::Message::decode(&*retry.value).expect("a RetryInfo");
    assert_eq!(retry.retry_delay, Some(ProtoDuration { seconds: 5 }));
    assert_eq!(service.hits(), 0);
}

#[tokio::test]
async fn a_grpc_call_is_diverted_and_unsuitable_entries_are_skipped() {
    let route = json!({"type": "route", "header": {"name": "x-fallback", "value": "yes"}});
    let ladder =
        json!([{"type": "stale", "shared": true}, {"type": "cluster", "cluster": "other"}, route]);
    let (service, lite, envoy, client) = services(closed_off(ladder)).await;
    let answer = client.unary("elsewhere").await.expect("an answer");
    assert_eq!(
        answer
            .metadata()
            .get("x-circuit-fallback")
            .map(|it| it.as_bytes()),
        Some(&b"route"[..])
    );
    lite.reply(GrpcReply::ok(3));
    let streamed = client.stream("elsewhere").await.expect("an answer");
    assert_eq!((streamed.messages.len(), streamed.code), (3, Code::Ok));
    // Its failures do not matter here.
    lite.reply(GrpcReply::fail_in_trailers(Code::Internal, 0));
    assert_eq!(
        client.stream("elsewhere").await.expect("headers").code,
        Code::Internal
    );
    assert_eq!((service.hits(), lite.hits()), (0, 3));
    for (kind, reason) in [("stale", "not_kept"), ("cluster", "request_shape")] {
        let labels = [("policy", "p"), ("type", kind), ("reason", reason)];
        envoy
            .expect_metric("spillway_fallbacks_skipped_total", &labels, 3)
            .await;
    }
    assert_eq!(
        envoy.metrics().await.value("spillway_requests_total", &[]),
        0
    );
}

/// Each row: what is wrong with the other cluster, and why it is skipped.
#[tokio::test]
async fn a_failing_fallback_cluster_is_skipped_for_the_next_entry() {
    let last = json!({"type": "respond", "on": ["open", "failure"], "status": 299, "body": "last"});
    let rows = [
        ("other", Reply::status(500), "failure"),
        ("other", Reply::reset(), "failure"),
        ("other", Reply::hang(), "failure"),
        ("other", Reply::reset_mid_body(), "failure"),
        (
            "other",
            Reply::status(200).body("b".repeat(2_000)),
            "answer_shape",
        ),
        ("gone", Reply::status(200), "failure"),
        ("empty", Reply::status(200), "host"),
        ("unknown", Reply::status(200), "host"),
    ];
    let (upstream, other) = (Upstream::start().await, Upstream::start().await);
    let entry = |name: &str| json!({"type": "cluster", "on": ["open", "failure"], "cluster": name, "timeout": "300ms"});
    let of = |name: &str, mode: &str| {
        json!({
            "name": format!("{name}-{mode}"),
            "mode": mode,
            "match": {"headers": [{"name": "x-case", "exact": format!("{name}-{mode}")}]},
            "fallback": [entry(name), last],
        })
    };
    let names = ["other", "gone", "empty", "unknown"];
    let policies: Vec<Value> = names
        .iter()
        .flat_map(|name| [of(name, "enforce"), of(name, "forced_open")])
        .collect();
    let mut all = file(json!(policies));
    all["limits"] = json!({"replay_answer_bytes": 1_000});
    let envoy = setting(&upstream, &other)
        .refused_cluster("gone")
        .cluster("empty", other.address())
        .cluster_fields(
            "empty",
            json!({"load_assignment": {"cluster_name": "empty"}}),
        )
        .policy(all)
        .start()
        .await;
    upstream.reply(Reply::status(503).body("bad"));
    let mut expected = std::collections::BTreeMap::new();
    for (name, reply, reason) in rows {
        other.reply(reply);
        for mode in ["enforce", "forced_open"] {
            let case = format!("{name}-{mode}");
            let answer = envoy.get_with("/", &[("x-case", &case)]).await;
            assert_eq!(
                (answer.status, &*answer.text()),
                (299, "last"),
                "{case} {reason}"
            );
            *expected.entry((case, reason)).or_insert(0) += 1;
        }
    }
    for ((case, reason), count) in expected {
        let labels = [("policy", &*case), ("type", "cluster"), ("reason", reason)];
        envoy
            .expect_metric("spillway_fallbacks_skipped_total", &labels, count)
            .await;
    }
    nothing_is_left(&upstream, &envoy).await;
}

#[tokio::test]
async fn another_cluster_gets_the_request_unchanged_except_for_host_headers() {
    let target = json!({"path": "/lite", "authority": "lite.example.com:81"});
    let ladder = json!([with(to_other(), target)]);
    let (upstream, other) = (Upstream::start().await, Upstream::start().await);
    upstream.reply(Reply::status(503));
    other.reply(
        Reply::status(404)
            .body("none")
            .header("connection", "x-hop")
            .header("x-hop", "1")
            .header("x-circuit-fallback", "stale")
            .header("x-end", "yes"),
    );
    let envoy = setting(&upstream, &other)
        .policy(policy(json!({"fallback": ladder})))
        .start()
        .await;
    let headers = [
        ("x-own", "1"),
        ("authorization", "Bearer a"),
        ("keep-alive", "5"),
    ];
    let answer = envoy.client().post("/a/b?c=d", &headers, "sent").await;
    assert_eq!((answer.status, &*answer.text()), (404, "none"));
    let has = ["x-hop", "x-end", "x-circuit-fallback", "content-length"];
    assert_eq!(
        has.map(|name| answer.header(name)),
        ["", "yes", "cluster", "4"]
    );
    let asked = other.requests().pop().expect("a request");
    assert_eq!(asked.uri.to_string(), "/lite?c=d");
    assert_eq!(
        (&asked.method, &*asked.body),
        (&http::Method::POST, &b"sent"[..])
    );
    let value = |name: &str| {
        asked
            .headers
            .get(name)
            .map_or("", |it| it.to_str().expect("text"))
    };
    assert_eq!(
        (value("x-own"), value("authorization"), value("keep-alive")),
        ("1", "Bearer a", "")
    );
    assert_eq!(value("host"), "lite.example.com:81");
    for name in ["x-envoy-attempt-count", "x-envoy-max-retries"] {
        assert_eq!(value(name), "", "{name}");
    }
    nothing_is_left(&upstream, &envoy).await;
}

/// The circuit counts the failure whatever replaced it, and the replacement is requested once.
#[tokio::test]
async fn a_fallback_changes_no_outcome_and_is_not_retried() {
    let retry = json!({"engine": "filter", "replay": "as_received", "max_retries": 2,
        "backoff": {"base_interval": "1ms", "max_interval": "1ms"}});
    let (upstream, other) = (Upstream::start().await, Upstream::start().await);
    upstream.reply(Reply::status(503));
    other.reply(Reply::status(502));
    let breaker = json!({"failure_rate_threshold": 0, "consecutive_failures": 6});
    let fields = json!({"circuit_breaker": breaker, "retry": retry, "fallback": [to_other()]});
    let envoy = setting(&upstream, &other)
        .policy(policy(fields))
        .start()
        .await;
    assert_eq!(envoy.get("/").await.status, 503);
    assert_eq!((upstream.hits(), other.hits()), (3, 1));
    other.reply(Reply::status(200));
    assert_eq!(envoy.get("/").await.status, 200);
    assert_eq!((upstream.hits(), other.hits()), (6, 2));
    // Six failures in a row.
    assert_eq!(envoy.get("/").await.header("x-circuit-state"), "open");
    count_is(&envoy, "spillway_rejected_requests_total", 1).await;
    nothing_is_left(&upstream, &envoy).await;
}

/// Clients cannot choose the route of a fallback, whatever the policy's mode.
///
/// The host still selected its route by their header and reports no other until it routes again: a
/// policy that matches by cluster does not see such a request. A host that removes the header
/// before routing avoids this.
#[tokio::test]
async fn a_client_cannot_select_the_fallback_route() {
    let route = json!([{"type": "route", "header": {"name": "x-fallback", "value": "yes"}}]);
    let rows = [
        ("enforce", false, 1),
        ("shadow", false, 1),
        ("disabled", false, 0),
        ("enforce", true, 2),
    ];
    for (mode, internal, counted) in rows {
        let fields = json!({"mode": mode, "match": {"clusters": ["upstream"]},
            "circuit_breaker": touchy(json!({})), "fallback": route});
        let (upstream, other) = (Upstream::start().await, Upstream::start().await);
        let mut setting = setting(&upstream, &other).full_module();
        if internal {
            setting = setting.internal_header("x-fallback");
        }
        let envoy = setting.policy(policy(fields)).start().await;
        for value in ["yes", "no"] {
            let answer = envoy.get_with("/", &[("x-fallback", value)]).await;
            assert_eq!(answer.status, 200, "{mode}");
        }
        assert_eq!((upstream.hits(), other.hits()), (2, 0), "{mode}");
        for asked in upstream.requests() {
            assert!(!asked.headers.contains_key("x-fallback"), "{mode}");
        }
        let labels = [("policy", "p")];
        envoy
            .expect_metric("spillway_requests_total", &labels, counted)
            .await;
        if mode == "enforce" {
            upstream.reply(Reply::status(503));
            envoy.get("/").await;
            let answer = envoy.get_with("/", &[("x-fallback", "no")]).await;
            let label = answer.header("x-circuit-fallback");
            assert_eq!((answer.status, label, other.hits()), (200, "route", 1));
        }
        nothing_is_left(&upstream, &envoy).await;
    }
}
