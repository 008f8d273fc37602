//! gRPC is retried only by its own conditions, and only if the headers have the status.

use serde_json::{Value, json};
use spillway_tests::grpc::Code;
use spillway_tests::{Envoy, GrpcClient, GrpcReply, GrpcUpstream};

use super::{generous, retrying};
use crate::scene::policy;

#[tokio::test]
async fn a_grpc_status_in_headers_is_retried_if_the_policy_names_it() {
    let unavailable = || GrpcReply::fail_in_headers(Code::Unavailable);
    let rows: [(Value, GrpcReply, usize); 5] = [
        (json!({"grpc_retry_on": ["unavailable"]}), unavailable(), 3),
        (json!({"grpc_retry_on": ["internal"]}), unavailable(), 1),
        // Neither the HTTP conditions nor the route's own policy apply to it then.
        (json!({}), unavailable(), 1),
        (
            json!({"grpc_retry_on": ["unavailable"], "max_retries": 0}),
            unavailable(),
            1,
        ),
        // The response has already started when its trailers arrive.
        (
            json!({"grpc_retry_on": ["unavailable"]}),
            GrpcReply::fail_in_trailers(Code::Unavailable, 1),
            1,
        ),
    ];
    for (fields, reply, attempts) in rows {
        let upstream = GrpcUpstream::start().await;
        let envoy = Envoy::in_front_of(upstream.address())
            .http2_upstream()
            .route(generous("/"))
            .policy(policy(retrying(fields.clone())))
            .start()
            .await;
        upstream.reply(reply);
        let client = GrpcClient::new(envoy.address());
        let failure = client.unary("hello").await.expect_err("a failure");
        assert_eq!(failure.code(), Code::Unavailable);
        assert_eq!(upstream.hits(), attempts, "{fields}");
    }
}
