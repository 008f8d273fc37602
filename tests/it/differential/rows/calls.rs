//! Pausing, and the calls that a paused stream waits for.

use super::{GET, POST, Row};

pub(super) const ROWS: &[Row] = &[
    // Pausing.
    Row {
        name: "pause-until-call",
        probe: "reqh pause;reqh call upstream /called 1000;\
        call get 6 :status;call body 4 0 9;call resume request",
        ..GET
    },
    Row {
        name: "pause-headers-holds-body",
        probe: "reqh pause;reqh call upstream /called 1000;\
        call resume request",
        ..POST
    },
    Row {
        name: "pause-response-until-call",
        probe: "resh pause;resh call upstream /called 1000;\
        call resume response",
        ..GET
    },
    Row {
        name: "pause-response-then-local",
        upstream: "status=503",
        probe: "resh pause;\
        resh call upstream /called 1000;call local 200 why short -1;log get 2 :status",
        ..GET
    },
    Row {
        name: "pause-body-buffers",
        probe: "resb@1 pause",
        ..GET
    },
    // Callouts.
    Row {
        name: "call-unknown-cluster",
        probe: "reqh call none /x 1000",
        ..GET
    },
    Row {
        name: "call-no-host",
        probe: "reqh call empty /x 1000",
        ..GET
    },
    Row {
        name: "call-refused",
        probe: "reqh pause;reqh call gone /x 1000;call get 6 :status;\
        call body 4 0 20;call status;call resume request",
        ..GET
    },
    Row {
        name: "call-timeout",
        probe: "reqh pause;reqh call hung /hang 60;call get 6 :status;\
        call body 4 0 99;call resume request",
        ..GET
    },
    Row {
        name: "call-reset",
        probe: "reqh pause;reqh call resetting /reset 1000;call get 6 :status;\
        call resume request",
        ..GET
    },
    Row {
        name: "call-reset-mid-body",
        probe: "reqh pause;reqh call breaking /reset-mid-body 1000;\
        call get 6 :status;call status;call resume request",
        ..GET
    },
];
