//! Calls of clusters in each phase, and how they fail.

use super::{Row, get, streaming};

pub(super) const ROWS: &[Row] = &[
    get(
        "call-in-response-headers",
        "resh call upstream /called 1000;call get 6 :status;call get 2 :status",
    ),
    get(
        "call-in-response-body",
        "resb@1 pause;resb@1 call upstream /called 1000;call get 6 :status;call get 2 :status;\
         call get 0 :path;call resume response",
    ),
    streaming(
        "call-in-response-trailers",
        "rest pause;rest call gone /called 1000;call get 6 :status;call resume response",
    ),
    get(
        "call-in-log",
        "log call upstream /called 1000;log call none /called 1000",
    ),
    get("call-in-done", "done call upstream /called 1000"),
    get(
        "call-after-a-call",
        "reqh pause;reqh call upstream /a 1000;call@1 call upstream /b 1000;\
         call@2 get 6 :status;call@2 resume request",
    ),
    get(
        "call-that-nobody-waits-for",
        "reqh call hung /hang 60;log prop response.code",
    ),
    get(
        "call-timeout-in-response",
        "resh pause;resh call hung /hang 60;call get 6 :status;call body 4 0 99;\
         call resume response",
    ),
    get(
        "call-body-read",
        "reqh pause;reqh call upstream /called 1000;call body 4 1 1;call body 4 2 1;\
         call body 4 0 4294967295;call length 4;call setbody 4 0 0 x;call body 4 0 9;\
         call resume request;resh body 4 0 9",
    ),
    get(
        "call-headers-read",
        "reqh pause;reqh call upstream /called 1000;call get 6 :status;call size 7;\
         call get 7 x-t;call add 7 x-t v;call remove 6 x-none;call resume request;\
         resh get 6 :status",
    ),
    get(
        "call-with-a-body-and-trailers",
        "reqh pause;reqh callwith upstream :method~POST,:path~/c,:authority~w abc x-t~1 1000;\
         call get 6 :status;call resume request",
    ),
    get(
        "call-without-path",
        "reqh callwith upstream :method~GET,:authority~w % % 1000",
    ),
    get(
        "call-without-method",
        "reqh callwith upstream :path~/c,:authority~w % % 1000",
    ),
    get(
        "call-without-authority",
        "reqh callwith upstream :method~GET,:path~/c % % 1000",
    ),
    get("call-without-headers", "reqh callwith upstream % % % 1000"),
    get(
        "call-without-timeout",
        "reqh pause;reqh call upstream /called 0;call get 6 :status;call resume request",
    ),
    get("call-of-an-empty-name", "reqh call % /called 1000"),
    get("grpc-unknown-cluster", "reqh grpc none a.B C 1000"),
    get(
        "grpc-refused",
        "reqh pause;reqh grpc gone a.B C 1000;grpc status;grpc body 5 0 9;grpc resume request",
    ),
    get(
        "call-properties",
        "reqh pause;reqh call upstream /called 1000;call prop xds.cluster_name;\
         call prop xds.route_name;call prop request.path;call prop request.method;\
         call prop request.headers.x-row;call prop response.code;call prop response.flags;\
         call prop response.code_details;call proplen upstream.address;\
         call prop upstream.request_attempt_count;call proplen connection.id;\
         call prop plugin_name;call resume request",
    ),
    get(
        "call-properties-of-the-response",
        "resh pause;resh call upstream /called 1000;call prop xds.cluster_name;\
         call prop request.path;call prop response.code;call prop response.headers.content-length;\
         call prop response.flags;call prop response.code_details;call proplen upstream.address;\
         call prop upstream.request_attempt_count;call prop response.size;\
         call resume response",
    ),
];
