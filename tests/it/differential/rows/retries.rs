//! Router retries.

use super::{GET, Row, ending};

pub(super) const ROWS: &[Row] = &[
    Row {
        name: "retry-asked-for",
        upstream: "status=503",
        probe: "reqh set 0 x-envoy-retry-on 5xx;log prop upstream.request_attempt_count;log prop response.flags",
        ..GET
    },
    Row {
        name: "retry-asked-for-thrice",
        upstream: "status=503",
        probe: "reqh set 0 x-envoy-retry-on 5xx;reqh set 0 x-envoy-max-retries 3;log prop upstream.request_attempt_count;log prop response.flags",
        ..GET
    },
    Row {
        name: "retry-by-route",
        to: "retrying",
        upstream: "status=503",
        probe: ending!(),
        ..GET
    },
    Row {
        name: "retry-by-route-forbidden",
        to: "retrying",
        upstream: "status=503",
        probe: concat!("reqh set 0 x-envoy-max-retries 0;", ending!()),
        ..GET
    },
    Row {
        name: "retry-not-asked-for",
        upstream: "status=503",
        probe: "reqh set 0 x-envoy-max-retries 3;log prop upstream.request_attempt_count;log prop response.flags",
        ..GET
    },
    Row {
        name: "retry-of-success",
        to: "retrying",
        probe: ending!(),
        ..GET
    },
    Row {
        name: "retry-per-try-timeout",
        upstream: "hang",
        probe: concat!(
            "reqh set 0 x-envoy-retry-on 5xx;reqh set 0 x-envoy-upstream-rq-per-try-timeout-ms 40;",
            ending!()
        ),
        ..GET
    },
    Row {
        name: "timeout-by-header",
        upstream: "hang",
        probe: concat!("reqh set 0 x-envoy-upstream-rq-timeout-ms 50;", ending!()),
        ..GET
    },
];
