//! Local replies in each phase, with statuses, bodies, trailers and details at the edges.

use super::{GET, Row, get, post, streaming};

const CLAIMED: &[(&str, &str)] = &[("content-type", "application/grpc")];

pub(super) const ROWS: &[Row] = &[
    get(
        "local-without-details",
        "reqh local 418 % short -1;log prop response.code_details;log prop response.code",
    ),
    get(
        "local-details-with-spaces",
        "reqh local 418 a%20b%09c short -1;log prop response.code_details",
    ),
    get(
        "local-with-grpc-status-for-http",
        "reqh local 418 why short 5;resh get 2 grpc-status",
    ),
    get(
        "local-ok",
        "reqh local 200 why short -1;log prop response.flags",
    ),
    get(
        "local-unheard-of-status",
        "reqh local 799 why short -1;log prop response.code",
    ),
    get(
        "local-headers-changed",
        "reqh local 418 why short -1;resh set 2 x-t-a 1;resh remove 2 x-local;\
         resh set 2 content-type text/x;resh order 2;resb body 1 0 9;resb setbody 1 0 9 other",
    ),
    get(
        "local-paused",
        "reqh local 418 why short -1;resh pause;resh call upstream /called 1000;\
         call resume response",
    ),
    get(
        "local-in-a-call",
        "reqh pause;reqh call upstream /called 1000;call local 418 why short -1;\
         call resume request;log prop response.code_details",
    ),
    get(
        "local-in-a-failed-call",
        "reqh pause;reqh call gone /called 1000;call local 503 why short -1;\
         log prop response.code_details;log prop response.flags",
    ),
    get(
        "local-after-a-call-that-is-not-made",
        "reqh call none /x 1000;reqh local 503 why short -1;log prop response.code",
    ),
    get(
        "local-in-a-call-of-the-response-body",
        "resb@1 pause;resb@1 call upstream /called 1000;call local 418 why short -1;\
         log prop response.code;log prop response.code_details",
    ),
    post(
        "local-in-a-call-of-the-request-body",
        "reqb pause;reqb@2 call upstream /called 1000;call local 418 why short -1;\
                log prop response.code_details",
    ),
    post(
        "local-at-the-end-of-the-request-body",
        "reqb@2 local 418 why short -1;log prop response.code",
    ),
    streaming(
        "local-rest",
        "rest local 503 why short 14;log prop response.code;log prop response.grpc_status;\
                log prop response.code_details",
    ),
    Row {
        name: "local-grpc-in-resh",
        headers: CLAIMED,
        probe: "resh local 503 why short 14;log prop response.grpc_status;\
                log prop response.code_details",
        ..GET
    },
    Row {
        name: "local-grpc-message-with-signs",
        headers: CLAIMED,
        probe: "reqh local 503 why a%20b%0ac%25d 8;resh get 2 grpc-message;resh get 2 grpc-status",
        ..GET
    },
    Row {
        name: "local-grpc-without-a-body",
        headers: CLAIMED,
        probe: "reqh local 503 why % 0;resh get 2 grpc-message;resh get 2 grpc-status",
        ..GET
    },
    Row {
        name: "local-grpc-mapped-from-404",
        headers: CLAIMED,
        probe: "reqh local 404 why short -1;resh get 2 grpc-status;resh get 2 :status",
        ..GET
    },
    Row {
        name: "local-grpc-mapped-from-429",
        headers: CLAIMED,
        probe: "reqh local 429 why short -1;resh get 2 grpc-status",
        ..GET
    },
];
