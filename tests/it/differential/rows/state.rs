//! State that outlives a callback: filter state, shared data, queues, metrics; and hostcalls about
//! contexts.

use super::{Row, get, post};

pub(super) const ROWS: &[Row] = &[
    post(
        "filter-state-in-later-phases",
        "reqh setprop mine one;reqb@1 prop mine;reqb@1 setprop mine two;resh prop mine;\
                resb@1 prop mine;resb@1 setprop mine three;log prop mine;done prop mine",
    ),
    get(
        "filter-state-by-other-paths",
        "reqh setprop mine one;reqh prop wasm.mine;reqh prop filter_state.wasm.mine;\
         reqh prop filter_state.mine;reqh prop mine.more",
    ),
    get(
        "filter-state-with-segments",
        "reqh setprop a.b one;reqh prop a.b;reqh prop a;resh prop a.b;reqh setprop a two;\
         reqh prop a;reqh prop a.b",
    ),
    get(
        "properties-of-the-host-written",
        "reqh setprop request.path /x;reqh prop request.path;reqh setprop plugin_name x;\
         reqh prop plugin_name;reqh setprop response.code x;resh prop response.code",
    ),
    get(
        "filter-state-empty",
        "reqh setprop mine %;reqh prop mine;reqh setprop % v;reqh prop %",
    ),
    get(
        "filter-state-in-a-call",
        "reqh pause;reqh setprop mine one;reqh call upstream /called 1000;call prop mine;\
         call setprop mine two;call resume request;resh prop mine",
    ),
    get(
        "properties-of-headers",
        "reqh prop request.headers.x-row;reqh prop request.headers.X-Row;\
         reqh prop request.headers.x-none;reqh add 0 x-t-a 1;reqh add 0 x-t-a 2;\
         reqh prop request.headers.x-t-a;reqh prop request.useragent;reqh prop request.referer;\
         reqh prop request.scheme;resh prop response.headers.x-none;log prop request.headers.x-row",
    ),
    get(
        "properties-of-sizes",
        "reqh prop request.size;resh prop request.size;resh prop response.size;\
         log prop response.size;log prop request.size;log prop response.headers.content-length",
    ),
    get(
        "shared-swapped-twice",
        "reqh share d1 v 0;reqh swap d1 w;reqh swap d1 x;reqh shared d1;resh shared d1;log shared d1",
    ),
    get(
        "shared-empty",
        "reqh shared d2;reqh share d2 % 0;reqh shared d2;reqh share % v 0;reqh shared %",
    ),
    get(
        "shared-overwritten-without-a-token",
        "reqh share d3 v 0;reqh share d3 w 0;reqh shared d3;reqh share d3 x 4294967294;\
         reqh shared d3",
    ),
    get(
        "queue-resolved",
        "reqh resolve witness q1;reqh queue q1;reqh resolve witness q1;reqh resolve other q1;\
         reqh resolve % q1;reqh resolve witness %",
    ),
    get(
        "queue-by-a-wrong-number",
        "reqh enqueueid 4000000 v;reqh dequeueid 4000000;reqh dequeueid 0",
    ),
    get(
        "queue-empty-values",
        "reqh enqueue q2 %;reqh dequeue q2;reqh dequeue q2;reqh queue %;resh dequeue q2",
    ),
    get(
        "metric-of-another-kind",
        "reqh metric 0 m1 inc 1;reqh metric 1 m1 inc 1;reqh metric 0 m1 inc 1;resh metric 0 m1 inc 1",
    ),
    get(
        "metrics-by-wrong-numbers",
        "reqh incrementid 4000000;reqh recordid 4000000;reqh metricid 4000000;\
         reqh incrementid 4000001;reqh recordid 4000002;reqh metricid 4000003",
    ),
    get(
        "metrics-at-the-edges",
        "reqh metric 0 m2 inc 9223372036854775807;reqh metric 0 m2 inc 1;reqh metric 1 m3 inc -1;\
         reqh metric 1 m3 record 18446744073709551615;reqh metric 1 m3 inc 1;reqh metric 0 % inc 1",
    ),
    get("log-level", "reqh loglevel;log loglevel"),
    get(
        "ticks-of-a-stream",
        "reqh tick 100000;resh tick 0;log tick 0",
    ),
    get("finished-too-early", "reqh finish;resh finish;log finish"),
    get(
        "effective-contexts",
        "reqh effective 4000000;reqh effective 0;resh effective 1",
    ),
];
