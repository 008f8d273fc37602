//! Plain requests: the callbacks of each kind of body.

use super::{GET, POST, Row};

pub(super) const ROWS: &[Row] = &[
    Row { name: "get", ..GET },
    Row {
        name: "post",
        ..POST
    },
    Row {
        name: "head",
        method: "HEAD",
        ..GET
    },
    Row {
        name: "no-body",
        upstream: "status=204",
        ..GET
    },
    Row {
        name: "not-modified",
        upstream: "status=304",
        ..GET
    },
    Row {
        name: "empty-body",
        upstream: "body=",
        ..GET
    },
];
