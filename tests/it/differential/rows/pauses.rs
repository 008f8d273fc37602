//! Pausing and resuming, in each callback and in each direction.

use super::{Row, get, post, streaming};

pub(super) const ROWS: &[Row] = &[
    post(
        "pause-the-end-of-chunks-until-call",
        "reqh remove 0 content-length;reqb@2 pause;reqb@2 call upstream /called 1000;\
         call body 0 0 9;call resume request",
    ),
    post(
        "pause-each-part-until-call",
        "reqb pause;reqb@2 call upstream /called 1000;call body 0 0 9;call length 0;\
         call resume request",
    ),
    post(
        "pause-headers-and-body",
        "reqh pause;reqh call upstream /a 1000;reqb@1 pause;reqb@1 call upstream /b 1000;\
         call@1 resume request;call@2 resume request",
    ),
    get(
        "pause-response-body-until-call",
        "resb@1 pause;resb@1 call upstream /called 1000;call body 1 0 9;call resume response",
    ),
    get(
        "pause-the-end-of-the-response-until-call",
        "resb@2 pause;resb@2 call upstream /called 1000;call resume response",
    ),
    get(
        "pause-response-headers-and-body",
        "resh pause;resh call upstream /a 1000;resb@1 pause;resb@1 call upstream /b 1000;\
         call@1 resume response;call@2 resume response",
    ),
    streaming(
        "pause-response-trailers-until-call",
        "rest pause;rest call gone /called 1000;call get 3 grpc-status;\
                call add 3 x-t-a 1;call resume response",
    ),
    get(
        "resume-twice",
        "reqh pause;reqh call upstream /called 1000;call resume request;call resume request",
    ),
    get(
        "resume-the-request-of-a-paused-response",
        "resh pause;resh call upstream /called 1000;call resume request;call resume response",
    ),
    get(
        "pause-until-the-second-call",
        "reqh pause;reqh call upstream /a 1000;reqh call hung /hang 60;call@2 get 6 :status;\
         call@2 resume request",
    ),
    Row {
        leaves: true,
        ..get(
            "pause-headers-for-ever",
            "reqh pause;log prop response.code;log prop response.flags;\
             log prop response.code_details",
        )
    },
    Row {
        leaves: true,
        ..get(
            "pause-response-for-ever",
            "resh pause;log prop response.code;log prop response.flags",
        )
    },
    get(
        "close-in-a-call",
        "reqh pause;reqh call upstream /called 1000;call close 0;log prop response.code;\
         log prop response.code_details;log prop response.flags",
    ),
    get(
        "close-the-response",
        "resh close 1;log prop response.code;log prop response.code_details;\
         log prop response.flags",
    ),
    get(
        "headers-written-in-a-call",
        "reqh pause;reqh call upstream /called 1000;call add 0 x-t-a 1;call order 0;\
         call set 6 :status 201;call get 6 :status;call resume request;resh get 0 x-t-a",
    ),
    get(
        "response-written-in-a-call",
        "resh pause;resh call upstream /called 1000;call set 2 :status 418;call add 2 x-t-a 1;\
         call order 2;call resume response;log get 2 :status",
    ),
];
