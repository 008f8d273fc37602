//! Local replies, and closed streams.

use super::{GET, POST, Row, ending};

pub(super) const ROWS: &[Row] = &[
    Row {
        name: "local-reqh",
        probe: concat!("reqh local 418 why short -1;", ending!()),
        ..GET
    },
    Row {
        name: "local-reqh-empty",
        probe: "reqh local 503 why - -1",
        ..GET
    },
    Row {
        name: "local-reqh-twice",
        probe: "reqh local 418 why short -1;reqh local 419 why2 other -1",
        ..GET
    },
    Row {
        name: "local-reqh-again-in-resh",
        probe: "reqh local 418 why short -1;resh@1 local 419 why2 other -1",
        ..GET
    },
    Row {
        name: "local-reqh-head",
        method: "HEAD",
        probe: "reqh local 418 why short -1",
        ..GET
    },
    Row {
        name: "local-reqb",
        probe: "reqb@1 local 418 why short -1",
        ..POST
    },
    Row {
        name: "local-resh",
        probe: concat!("resh local 418 why short -1;", ending!()),
        ..GET
    },
    Row {
        name: "local-resh-of-failure",
        upstream: "status=503",
        probe: "resh local 200 why short -1;log get 2 :status",
        ..GET
    },
    Row {
        name: "local-resh-head",
        method: "HEAD",
        probe: "resh local 418 why short -1",
        ..GET
    },
    Row {
        name: "local-resb",
        probe: concat!("resb@1 local 418 why short -1;", ending!()),
        ..GET
    },
    Row {
        name: "local-grpc",
        headers: &[("content-type", "application/grpc")],
        probe: concat!("reqh local 503 why short 14;resh get 2 :status;", ending!()),
        ..GET
    },
    Row {
        name: "local-grpc-mapped",
        headers: &[("content-type", "application/grpc")],
        probe: "reqh local 503 why short -1;resh get 2 grpc-status",
        ..GET
    },
    Row {
        name: "close",
        probe: concat!("reqh close 0;", ending!()),
        ..GET
    },
];
