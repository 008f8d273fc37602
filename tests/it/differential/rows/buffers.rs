//! Buffers: what a plugin reads of bodies and writes into them.

use super::{GET, POST, Row};

pub(super) const ROWS: &[Row] = &[
    Row {
        name: "buffers-reqh",
        probe: "reqh body 0 0 9;reqh body 1 0 9;reqh body 4 0 9;\
        reqh body 6 0 9;reqh body 7 0 5;reqh body 99 0 9",
        ..GET
    },
    Row {
        name: "buffers-reqb",
        probe: "reqb@1 body 0 0 3;reqb@1 body 0 2 99;reqb@1 body 0 99 1;\
        reqb@1 body 1 0 9",
        ..POST
    },
    Row {
        name: "buffers-resb",
        probe: "resb@1 body 1 0 1;resb@1 body 0 0 9;resb@1 body 1 9 9",
        ..GET
    },
    Row {
        name: "request-body-replaced",
        probe: "reqh remove 0 content-length;\
        reqb@1 setbody 0 0 99 bye",
        ..POST
    },
    Row {
        name: "body-replaced",
        probe: "resh remove 2 content-length;resb@1 setbody 1 0 99 replaced",
        ..GET
    },
    Row {
        name: "body-prepended",
        probe: "resh remove 2 content-length;resb@1 setbody 1 0 0 pre-",
        ..GET
    },
    Row {
        name: "body-appended",
        probe: "resh remove 2 content-length;resb@1 setbody 1 99 0 -post",
        ..GET
    },
    Row {
        name: "body-set-inside",
        probe: "resb@1 setbody 1 1 1 x",
        ..GET
    },
    Row {
        name: "length-left-in-place",
        upstream: "body=four",
        probe: "resb@1 setbody 1 0 99 longer",
        ..GET
    },
    Row {
        name: "setbody-too-early",
        probe: "resh setbody 1 0 0 x;reqh setbody 0 0 0 x",
        ..GET
    },
];
