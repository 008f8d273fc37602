//! Header maps by phase, and the status of missing ones.

use super::{GET, POST, Row};

/// Reads every header map in a phase.
macro_rules! maps {
    ($phase:literal) => {
        concat!(
            $phase,
            " get 0 :path;",
            $phase,
            " get 1 x-t;",
            $phase,
            " get 2 :status;",
            $phase,
            " get 3 x-t;",
            $phase,
            " get 6 :status;",
            $phase,
            " pairs 1;",
            $phase,
            " pairs 3;",
            $phase,
            " add 1 x-t v;",
            $phase,
            " add 3 x-t v;",
            $phase,
            " remove 1 x-t;",
            $phase,
            " remove 3 x-t"
        )
    };
}

pub(super) const ROWS: &[Row] = &[
    Row {
        name: "maps-reqh",
        probe: maps!("reqh"),
        ..GET
    },
    Row {
        name: "maps-reqb",
        probe: maps!("reqb@1"),
        ..POST
    },
    Row {
        name: "maps-resh",
        probe: maps!("resh"),
        ..GET
    },
    Row {
        name: "maps-resb",
        probe: maps!("resb@1"),
        ..GET
    },
    Row {
        name: "maps-log",
        probe: maps!("log"),
        ..GET
    },
    Row {
        name: "maps-done",
        probe: maps!("done"),
        ..GET
    },
    Row {
        name: "write-reqh",
        probe: "reqh add 0 x-a 1;reqh add 0 x-a 2;reqh set 0 x-b 3;\
        reqh get 0 x-a;reqh pairs 0;reqh remove 0 x-none;reqh remove 0 x-a;reqh get 0 x-a",
        ..GET
    },
    Row {
        name: "write-resh",
        probe: "resh add 2 x-a 1;resh add 2 x-a 2;resh set 2 x-b 3;\
        resh get 2 x-a;resh set 2 :status 418;resh remove 2 x-none;resh set 0 x-c 4",
        ..GET
    },
    Row {
        name: "write-log",
        probe: "log set 2 x-a 1;log set 0 x-a 1",
        ..GET
    },
    Row {
        name: "no-such-map",
        probe: "reqh get 9 x;reqh pairs 9;reqh add 9 x y",
        ..GET
    },
    Row {
        name: "status-removed",
        probe: "resh remove 2 :status",
        ..GET
    },
];
