//! Filters in front that transcode other requests to gRPC.

use std::io::Write;

use prost::Message;
use serde_json::{Value, json};
use spillway_tests::grpc::Code;
use spillway_tests::{Answer, Envoy, GrpcClient, GrpcReply, GrpcUpstream};
use tempfile::NamedTempFile;

use crate::scene::{outcomes_are, policy, with};

/// The parts of protobuf's `descriptor.proto` that the test service needs.
#[derive(Clone, PartialEq, Message)]
struct FileSet {
    #[prost(message, repeated, tag = "1")]
    file: Vec<File>,
}

#[derive(Clone, PartialEq, Message)]
struct File {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    package: String,
    #[prost(message, repeated, tag = "4")]
    message_type: Vec<Type>,
    #[prost(message, repeated, tag = "6")]
    service: Vec<Service>,
    #[prost(string, tag = "12")]
    syntax: String,
}

#[derive(Clone, PartialEq, Message)]
struct Type {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, repeated, tag = "2")]
    field: Vec<Field>,
}

#[derive(Clone, PartialEq, Message)]
struct Field {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(int32, tag = "3")]
    number: i32,
    #[prost(int32, tag = "4")]
    label: i32,
    #[prost(int32, tag = "5")]
    kind: i32,
}

#[derive(Clone, PartialEq, Message)]
struct Service {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, repeated, tag = "2")]
    method: Vec<Method>,
}

#[derive(Clone, PartialEq, Message)]
struct Method {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    input_type: String,
    #[prost(string, tag = "3")]
    output_type: String,
}

const LABEL_OPTIONAL: i32 = 1;
const TYPE_STRING: i32 = 9;

/// The descriptor of the harness's service, as protoc would write it.
fn description() -> NamedTempFile {
    let text = Field {
        name: "text".into(),
        number: 1,
        label: LABEL_OPTIONAL,
        kind: TYPE_STRING,
    };
    let said = ".spillway.test.Said";
    let method = Method {
        name: "Say".into(),
        input_type: said.into(),
        output_type: said.into(),
    };
    let file = File {
        name: "echo.proto".into(),
        package: "spillway.test".into(),
        message_type: vec![Type {
            name: "Said".into(),
            field: vec![text],
        }],
        service: vec![Service {
            name: "Echo".into(),
            method: vec![method],
        }],
        syntax: "proto3".into(),
    };
    let mut written = NamedTempFile::new().expect("a file");
    let set = FileSet { file: vec![file] };
    written
        .write_all(&set.encode_to_vec())
        .expect("a description");
    written
}

const PATH: &str = "/spillway.test.Echo/Say";

/// Starts a gRPC service and an Envoy with one of these filters before Spillway.
async fn scene(filter: Value, fields: Value) -> (GrpcUpstream, Envoy) {
    let upstream = GrpcUpstream::start().await;
    let envoy = Envoy::in_front_of(upstream.address())
        .http2_upstream()
        .before(filter)
        .policy(policy(fields))
        .start()
        .await;
    (upstream, envoy)
}

fn transcoder(description: &NamedTempFile) -> Value {
    let kind = "envoy.extensions.filters.http.grpc_json_transcoder.v3.GrpcJsonTranscoder";
    json!({"name": "envoy.filters.http.grpc_json_transcoder", "typed_config": {
        "@type": format!("type.googleapis.com/{kind}"),
        "proto_descriptor": description.path(),
        "services": ["spillway.test.Echo"],
        "auto_mapping": true,
        "convert_grpc_status": true,
    }})
}

async fn rest(envoy: &Envoy) -> Answer {
    let headers = [("content-type", "application/json")];
    envoy
        .client()
        .post(PATH, &headers, r#"{"text":"said"}"#)
        .await
}

/// Each row: the policy's mode, its entries, and the response to a REST client whose request the
/// transcoder converts to gRPC: status, content type and body.
#[tokio::test]
async fn a_rest_caller_gets_the_http_half_of_an_entry() {
    let entry = |on: &str, fields: Value| {
        json!([with(
            json!({"type": "respond", "on": [on], "grpc_status": "ABORTED"}),
            fields
        )])
    };
    let list = json!({"status": 200, "json": []});
    let plain = json!({"status": 298, "body": "said"});
    let rows = [
        (
            "forced_open",
            entry("open", list.clone()),
            200,
            "application/json",
            "[]",
        ),
        (
            "forced_open",
            entry("open", plain.clone()),
            298,
            "text/plain; charset=utf-8",
            "said",
        ),
        (
            "enforce",
            entry("failure", list),
            200,
            "application/json",
            "[]",
        ),
        (
            "enforce",
            entry("failure", plain),
            298,
            "text/plain; charset=utf-8",
            "said",
        ),
    ];
    let description = description();
    for (mode, fallback, status, kind, body) in rows {
        let fields = json!({"mode": mode, "fallback": fallback});
        let (upstream, envoy) = scene(transcoder(&description), fields).await;
        upstream.reply(GrpcReply::fail_in_headers(Code::Unavailable));
        let answer = rest(&envoy).await;
        let seen = (
            answer.status,
            answer.header("content-type"),
            &*answer.text(),
        );
        assert_eq!(seen, (status, kind, body), "{mode}");
        assert_eq!(answer.header("x-circuit-fallback"), "respond");
        // A gRPC client gets the gRPC half of the policy.
        let client = GrpcClient::new(envoy.address());
        let refused = client.unary("said").await.expect_err("a fallback");
        assert_eq!(refused.code(), Code::Aborted, "{mode}");
        if mode == "enforce" {
            // The upstream was called by gRPC and is judged by its gRPC status.
            outcomes_are(&envoy, "p", [0, 2, 0]).await;
        }
    }
}

#[tokio::test]
async fn a_rest_client_gets_transcoded_responses_and_the_default_for_rejections() {
    let description = description();
    let (upstream, envoy) = scene(transcoder(&description), json!({})).await;
    let answer = rest(&envoy).await;
    assert_eq!(
        (answer.status, answer.json()),
        (200, json!({"text": "said"}))
    );
    upstream.reply(GrpcReply::fail_in_headers(Code::NotFound));
    assert_eq!(rest(&envoy).await.status, 404);
    let (_upstream, envoy) = scene(transcoder(&description), json!({"mode": "forced_open"})).await;
    let answer = rest(&envoy).await;
    let kind = answer.header("content-type");
    assert_eq!((answer.status, kind), (503, "application/problem+json"));
    assert_eq!(answer.json()["policy"], "p");
    assert_eq!(answer.header("retry-after"), "5");
}

/// A gRPC-Web page gets the gRPC half, encoded as gRPC-Web.
#[tokio::test]
async fn a_grpc_web_caller_gets_the_grpc_half() {
    let kind = "type.googleapis.com/envoy.extensions.filters.http.grpc_web.v3.GrpcWeb";
    let filter = json!({"name": "envoy.filters.http.grpc_web", "typed_config": {"@type": kind}});
    let entry = json!({"type": "respond", "on": ["open", "failure"], "status": 200, "json": [],
        "grpc_status": "ABORTED", "grpc_message": "rests: 5%"});
    for mode in ["forced_open", "enforce"] {
        let fields = json!({"mode": mode, "fallback": [entry]});
        let (upstream, envoy) = scene(filter.clone(), fields).await;
        upstream.reply(GrpcReply::fail_in_headers(Code::Unavailable));
        let headers = [("content-type", "application/grpc-web+proto")];
        let answer = envoy.client().post(PATH, &headers, "\0\0\0\0\0").await;
        let names = ["grpc-status", "grpc-message", "x-circuit-fallback"];
        assert_eq!((answer.status, &*answer.text()), (200, ""), "{mode}");
        assert_eq!(
            names.map(|it| answer.header(it)),
            ["10", "rests: 5%25", "respond"],
            "{mode}"
        );
        if mode == "enforce" {
            assert_eq!(answer.header("content-type"), "application/grpc-web+proto");
        }
    }
}
