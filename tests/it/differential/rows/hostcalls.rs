//! Metrics, shared data, queues and other hostcalls.

use super::{GET, Row};

pub(super) const ROWS: &[Row] = &[
    Row {
        name: "metrics",
        probe: "reqh metric 0 c inc 2;reqh metric 0 c inc 0;reqh metric 0 c inc -1;\
        reqh metric 1 g inc 3;reqh metric 1 g inc -5;reqh metric 1 g record 7;reqh metric 0 c record 5;\
        reqh metric 2 h record 4;reqh metric 2 h inc 1;reqh metric 9 x inc 1",
        ..GET
    },
    Row {
        name: "shared-data",
        probe: "reqh shared k;reqh share k v 0;reqh shared k;reqh swap k w;reqh shared k;\
        reqh share k x 4294967295;reqh share new n 4294967295;reqh shared new;reqh share new m 4294967295",
        ..GET
    },
    Row {
        name: "queue",
        probe: "reqh dequeue q;reqh enqueue q a;reqh enqueue q b;reqh dequeue q;reqh dequeue q;reqh dequeue q",
        ..GET
    },
    Row {
        name: "foreign",
        probe: "reqh foreign no_such x;reqh foreign clear_route_cache x",
        ..GET
    },
    Row {
        name: "streams",
        probe: "reqh resume 0;reqh resume 3;reqh resume 9",
        ..GET
    },
];
