//! gRPC calls, and streams that the server ends.

use super::{GET, GRPC_STREAM, POST, Row, ending};

/// A slow gRPC response.
pub(super) const CALL: &str = "trickle content-type=application/grpc trailer=grpc-status:0";

/// Properties by which a filter recognises a gRPC response.
macro_rules! grpc {
    () => {
        "resh get 2 content-type;resh get 2 grpc-status;log get 2 content-type;\
         log get 2 grpc-status;log get 3 grpc-status;log prop response.grpc_status;\
         log get 2 :status;log prop response.code_details"
    };
}

pub(super) const ROWS: &[Row] = &[
    // Streams that the server ends.
    Row {
        name: "stream-server-ends",
        upstream: "trickle",
        probe: ending!(),
        ..GET
    },
    Row {
        name: "grpc-server-ends",
        to: "http2",
        upstream: CALL,
        headers: GRPC_STREAM,
        probe: ending!(),
        ..POST
    },
    Row {
        name: "grpc-server-ends-badly",
        to: "http2",
        upstream: "trickle content-type=application/grpc trailer=grpc-status:13",
        headers: GRPC_STREAM,
        probe: ending!(),
        ..POST
    },
    Row {
        name: "grpc-client-leaves",
        to: "http2",
        upstream: "hang_mid_body content-type=application/grpc body=",
        headers: GRPC_STREAM,
        probe: ending!(),
        leaves: true,
        ..POST
    },
    Row {
        name: "grpc-rotated",
        to: "http2-lasting",
        upstream: "hang_mid_body content-type=application/grpc body=",
        headers: GRPC_STREAM,
        probe: ending!(),
        ..POST
    },
    // gRPC and non-gRPC responses, and the origin of their deadlines.
    Row {
        name: "grpc-claimed",
        headers: &[("content-type", "application/grpc")],
        probe: grpc!(),
        ..GET
    },
    Row {
        name: "grpc-answered",
        upstream: "content-type=application/grpc grpc-status=14",
        headers: &[("content-type", "application/grpc")],
        probe: grpc!(),
        ..GET
    },
    Row {
        name: "grpc-claimed-client-leaves",
        upstream: "hang_mid_body body= content-type=application/grpc",
        headers: &[("content-type", "application/grpc")],
        probe: grpc!(),
        leaves: true,
        ..GET
    },
    Row {
        name: "deadline-in-on-log",
        upstream: "hang",
        headers: &[("grpc-timeout", "5S")],
        probe: "reqh set 0 x-envoy-upstream-rq-timeout-ms 50;log get 0 grpc-timeout;\
        log get 0 x-envoy-upstream-rq-timeout-ms;log prop response.code_details",
        ..GET
    },
    Row {
        name: "router-headers-in-on-log",
        headers: &[("x-envoy-other", "stays")],
        probe: "reqh set 0 x-envoy-retry-on 5xx;reqh set 0 x-envoy-max-retries 1;\
        reqh set 0 x-envoy-retry-grpc-on unavailable;reqh set 0 x-envoy-retriable-status-codes 418;\
        reqh set 0 x-envoy-upstream-rq-per-try-timeout-ms 5000;log get 0 x-envoy-retry-on;\
        log get 0 x-envoy-max-retries;log get 0 x-envoy-retry-grpc-on;\
        log get 0 x-envoy-retriable-status-codes;\
        log get 0 x-envoy-upstream-rq-per-try-timeout-ms;log get 0 x-envoy-other",
        ..GET
    },
];
