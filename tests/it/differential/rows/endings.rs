//! How streams end: limits, deadlines, failures and clients that leave.

use super::{GET, Row, UPLOAD, ending};

/// Headers of a gRPC call with a deadline of 50 ms.
const GRPC: &[(&str, &str)] = &[
    ("content-type", "application/grpc"),
    ("grpc-timeout", "50m"),
];

/// Headers of an internal client, whose deadline Envoy trusts.
const DEADLINE: &[(&str, &str)] = &[
    ("x-forwarded-for", "10.1.1.1"),
    ("x-envoy-upstream-rq-timeout-ms", "50"),
];

/// Headers of an internal client with a deadline per attempt.
const TRY_DEADLINE: &[(&str, &str)] = &[
    ("x-forwarded-for", "10.1.1.1"),
    ("x-envoy-upstream-rq-per-try-timeout-ms", "50"),
];

pub(super) const ROWS: &[Row] = &[
    // Stream endings.
    Row {
        name: "end-failure",
        upstream: "status=503",
        probe: ending!(),
        ..GET
    },
    Row {
        name: "end-refused",
        to: "gone",
        probe: ending!(),
        ..GET
    },
    Row {
        name: "end-reset",
        upstream: "reset",
        probe: ending!(),
        ..GET
    },
    Row {
        name: "end-reset-mid-body",
        upstream: "reset_mid_body",
        probe: ending!(),
        ..GET
    },
    Row {
        name: "end-route-timeout",
        to: "hurried",
        upstream: "hang",
        probe: ending!(),
        ..GET
    },
    Row {
        name: "end-no-host",
        to: "empty",
        probe: ending!(),
        ..GET
    },
    Row {
        name: "end-no-cluster",
        to: "none",
        headers: &[("x-cluster", "none")],
        probe: ending!(),
        ..GET
    },
    Row {
        name: "end-direct",
        to: "direct",
        probe: ending!(),
        ..GET
    },
    Row {
        name: "end-client-leaves",
        upstream: "hang",
        probe: ending!(),
        leaves: true,
        ..GET
    },
    Row {
        name: "end-client-leaves-mid-body",
        upstream: "hang_mid_body body=",
        probe: ending!(),
        leaves: true,
        ..GET
    },
    // Timeouts, before and after the response headers.
    Row {
        name: "end-duration",
        to: "lasting",
        upstream: "hang",
        probe: ending!(),
        ..GET
    },
    Row {
        name: "end-duration-mid-body",
        to: "lasting",
        upstream: "hang_mid_body body=",
        probe: ending!(),
        ..GET
    },
    Row {
        name: "end-duration-of-attempt",
        to: "brief",
        upstream: "hang",
        probe: ending!(),
        ..GET
    },
    Row {
        name: "end-duration-of-attempt-mid-body",
        to: "brief",
        upstream: "hang_mid_body body=",
        probe: ending!(),
        ..GET
    },
    Row {
        name: "end-duration-of-attempts",
        to: "brief-again",
        upstream: "hang",
        probe: ending!(),
        ..GET
    },
    Row {
        name: "end-idle",
        to: "quiet",
        upstream: "hang",
        probe: ending!(),
        ..GET
    },
    Row {
        name: "end-idle-mid-body",
        to: "quiet",
        upstream: "hang_mid_body body=",
        probe: ending!(),
        ..GET
    },
    Row {
        name: "end-route-timeout-mid-body",
        to: "hurried",
        upstream: "hang_mid_body body=",
        probe: ending!(),
        ..GET
    },
    // Client deadlines.
    Row {
        name: "deadline-grpc",
        to: "grpc",
        upstream: "hang",
        headers: GRPC,
        probe: ending!(),
        ..GET
    },
    Row {
        name: "deadline-grpc-of-stream",
        to: "grpc-stream",
        upstream: "hang",
        headers: GRPC,
        probe: ending!(),
        ..GET
    },
    Row {
        name: "deadline-grpc-of-stream-without-grpc",
        to: "grpc-stream",
        upstream: "hang",
        headers: &[("grpc-timeout", "50m")],
        probe: ending!(),
        ..GET
    },
    Row {
        name: "deadline-grpc-unheeded",
        to: "hurried",
        upstream: "hang",
        headers: &[
            ("content-type", "application/grpc"),
            ("grpc-timeout", "10m"),
        ],
        probe: ending!(),
        ..GET
    },
    Row {
        name: "deadline",
        upstream: "hang",
        headers: DEADLINE,
        probe: ending!(),
        ..GET
    },
    Row {
        name: "deadline-of-try",
        upstream: "hang",
        headers: TRY_DEADLINE,
        probe: ending!(),
        ..GET
    },
    // Reasons why a request reaches no upstream.
    Row {
        name: "end-unresolved",
        to: "forward",
        probe: ending!(),
        ..GET
    },
    Row {
        name: "end-silent",
        to: "silent",
        probe: ending!(),
        ..GET
    },
    Row {
        name: "end-overflow",
        to: "crowded",
        probe: ending!(),
        ..GET
    },
    Row {
        name: "end-overflow-pending",
        to: "unqueued",
        probe: ending!(),
        ..GET
    },
    // Endless uploads.
    Row {
        name: "upload-answered-early",
        upstream: "early status=401",
        probe: ending!(),
        ..UPLOAD
    },
    Row {
        name: "upload-cut",
        upstream: "early reset",
        probe: ending!(),
        ..UPLOAD
    },
    Row {
        name: "upload-idle",
        to: "quiet",
        probe: ending!(),
        ..UPLOAD
    },
    Row {
        name: "upload-duration",
        to: "lasting",
        probe: ending!(),
        ..UPLOAD
    },
    Row {
        name: "upload-duration-of-attempt",
        to: "brief",
        probe: ending!(),
        ..UPLOAD
    },
    Row {
        name: "upload-client-leaves",
        probe: ending!(),
        leaves: true,
        ..UPLOAD
    },
];
