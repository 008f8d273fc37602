//! Lengths: what a client and an upstream get of a message whose `content-length`, status or
//! encoding does not fit its body.

use super::{GET, POST, Row};

const HEAD: Row = Row {
    method: "HEAD",
    ..GET
};

pub(super) const ROWS: &[Row] = &[
    // Responses whose length the plugin leaves wrong, or sets.
    Row {
        name: "response-shorter",
        probe: "resb@1 setbody 1 0 99 s",
        ..GET
    },
    Row {
        name: "response-length-above",
        probe: "resh set 2 content-length 9",
        ..GET
    },
    Row {
        name: "response-length-below",
        probe: "resh set 2 content-length 1",
        ..GET
    },
    Row {
        name: "response-length-zero",
        probe: "resh set 2 content-length 0",
        ..GET
    },
    Row {
        name: "response-length-removed",
        probe: "resh remove 2 content-length",
        ..GET
    },
    Row {
        name: "response-length-twice",
        probe: "resh add 2 content-length 2",
        ..GET
    },
    Row {
        name: "response-lengths-differ",
        probe: "resh add 2 content-length 5",
        ..GET
    },
    Row {
        name: "response-length-no-number",
        probe: "resh set 2 content-length abc",
        ..GET
    },
    Row {
        name: "response-length-negative",
        probe: "resh set 2 content-length -2",
        ..GET
    },
    Row {
        name: "response-length-signed",
        probe: "resh set 2 content-length +2",
        ..GET
    },
    Row {
        name: "response-length-fraction",
        probe: "resh set 2 content-length 2.0",
        ..GET
    },
    Row {
        name: "response-length-huge",
        probe: "resh set 2 content-length 99999999999999999999999",
        ..GET
    },
    Row {
        name: "response-length-zeros",
        probe: "resh set 2 content-length 0002",
        ..GET
    },
    Row {
        name: "response-length-of-nothing",
        upstream: "body=",
        probe: "resh set 2 content-length 3",
        ..GET
    },
    Row {
        name: "response-length-without-one-above",
        upstream: "trickle",
        probe: "resh set 2 content-length 9",
        ..GET
    },
    Row {
        name: "response-length-without-one",
        upstream: "trickle body=....",
        probe: "resh set 2 content-length 4",
        ..GET
    },
    Row {
        name: "response-encoded",
        probe: "resh set 2 transfer-encoding chunked",
        ..GET
    },
    Row {
        name: "response-encoded-without-length",
        probe: "resh remove 2 content-length;resh set 2 transfer-encoding chunked",
        ..GET
    },
    // Statuses without a body, and no statuses at all.
    Row {
        name: "response-made-204",
        probe: "resh set 2 :status 204;log get 2 :status",
        ..GET
    },
    Row {
        name: "response-made-204-without-length",
        probe: "resh set 2 :status 204;resh remove 2 content-length",
        ..GET
    },
    Row {
        name: "response-made-304",
        probe: "resh set 2 :status 304;log get 2 :status",
        ..GET
    },
    Row {
        name: "response-made-304-without-length",
        probe: "resh set 2 :status 304;resh remove 2 content-length",
        ..GET
    },
    Row {
        name: "response-made-200",
        upstream: "status=204",
        probe: "resh set 2 :status 200",
        ..GET
    },
    Row {
        name: "response-made-200-with-length",
        upstream: "status=204",
        probe: "resh set 2 :status 200;resh set 2 content-length 3",
        ..GET
    },
    Row {
        name: "response-made-99",
        probe: "resh set 2 :status 99",
        ..GET
    },
    Row {
        name: "response-made-103",
        probe: "resh set 2 :status 103",
        ..GET
    },
    Row {
        name: "response-made-199",
        probe: "resh set 2 :status 199",
        ..GET
    },
    Row {
        name: "response-made-600",
        probe: "resh set 2 :status 600",
        ..GET
    },
    Row {
        name: "response-made-999",
        probe: "resh set 2 :status 999",
        ..GET
    },
    Row {
        name: "response-made-1000",
        probe: "resh set 2 :status 1000",
        ..GET
    },
    // Responses to HEAD.
    Row {
        name: "head-length",
        probe: "resh set 2 content-length 9",
        ..HEAD
    },
    Row {
        name: "head-length-removed",
        probe: "resh remove 2 content-length",
        ..HEAD
    },
    Row {
        name: "head-made-204",
        probe: "resh set 2 :status 204",
        ..HEAD
    },
    Row {
        name: "head-local-204",
        probe: "reqh local 204 why short -1",
        ..HEAD
    },
    // Local replies.
    Row {
        name: "local-204",
        probe: "reqh local 204 why short -1",
        ..GET
    },
    Row {
        name: "local-304",
        probe: "reqh local 304 why short -1",
        ..GET
    },
    Row {
        name: "local-103",
        probe: "reqh local 103 why short -1",
        ..GET
    },
    Row {
        name: "local-600",
        probe: "reqh local 600 why short -1",
        ..GET
    },
    Row {
        name: "local-1000",
        probe: "reqh local 1000 why short -1",
        ..GET
    },
    Row {
        name: "local-resh-204",
        probe: "resh local 204 why short -1",
        ..GET
    },
    Row {
        name: "local-resh-304",
        probe: "resh local 304 why short -1",
        ..GET
    },
    Row {
        name: "local-own-length",
        probe: "reqh local 418 why short -1;resh set 2 content-length 2",
        ..GET
    },
    Row {
        name: "local-own-longer",
        probe: "reqh local 418 why short -1;resb@1 setbody 1 0 99 much-longer",
        ..GET
    },
    Row {
        name: "local-own-shorter",
        probe: "reqh local 418 why short -1;resb@1 setbody 1 0 99 s",
        ..GET
    },
    // Requests, as the upstream reads them.
    Row {
        name: "request-plain",
        shows_request: true,
        ..POST
    },
    Row {
        name: "request-longer",
        probe: "reqb@1 setbody 0 0 99 much-longer",
        shows_request: true,
        ..POST
    },
    Row {
        name: "request-length-below",
        probe: "reqh set 0 content-length 2",
        shows_request: true,
        ..POST
    },
    Row {
        name: "request-length-removed",
        probe: "reqh remove 0 content-length",
        shows_request: true,
        ..POST
    },
    Row {
        name: "request-length-removed-and-longer",
        probe: "reqh remove 0 content-length;reqb@1 setbody 0 0 99 much-longer",
        shows_request: true,
        ..POST
    },
    Row {
        name: "request-length-corrected",
        probe: "reqh set 0 content-length 11;reqb@1 setbody 0 0 99 much-longer",
        shows_request: true,
        ..POST
    },
    Row {
        name: "request-length-no-number",
        probe: "reqh set 0 content-length abc",
        ..POST
    },
    Row {
        name: "request-lengths-differ",
        probe: "reqh add 0 content-length 7",
        ..POST
    },
    Row {
        name: "request-length-of-nothing-zero",
        probe: "reqh set 0 content-length 0",
        shows_request: true,
        ..GET
    },
    Row {
        name: "request-shorter",
        to: "hurried",
        probe: "reqb@1 setbody 0 0 99 s;log prop response.code_details;\
        log prop response.flags",
        ..POST
    },
    Row {
        name: "request-length-above",
        to: "hurried",
        probe: "reqh set 0 content-length 9;log prop response.code_details;\
        log prop response.flags",
        ..POST
    },
    Row {
        name: "request-length-of-nothing",
        to: "hurried",
        probe: "reqh set 0 content-length 3;log prop response.code_details;\
        log prop response.flags",
        ..GET
    },
    Row {
        name: "request-encoded",
        probe: "reqh set 0 transfer-encoding chunked;log prop response.code_details",
        ..POST
    },
    Row {
        name: "request-encoded-without-length",
        probe: "reqh remove 0 content-length;reqh set 0 transfer-encoding chunked;\
        log prop response.code_details",
        shows_request: true,
        ..POST
    },
    Row {
        name: "request-http2-plain",
        to: "http2",
        upstream: "body=",
        shows_request: true,
        ..POST
    },
    Row {
        name: "request-http2-longer",
        to: "http2",
        upstream: "body=",
        probe: "reqb@1 setbody 0 0 99 much-longer",
        ..POST
    },
    Row {
        name: "request-http2-length-below",
        to: "http2",
        upstream: "body=",
        probe: "reqh set 0 content-length 2",
        ..POST
    },
    Row {
        name: "request-http2-length-removed",
        to: "http2",
        upstream: "body=",
        probe: "reqh remove 0 content-length",
        shows_request: true,
        ..POST
    },
    Row {
        name: "request-http2-length-removed-and-longer",
        to: "http2",
        upstream: "body=",
        probe: "reqh remove 0 content-length;reqb@1 setbody 0 0 99 much-longer",
        shows_request: true,
        ..POST
    },
    Row {
        name: "request-http2-length-corrected",
        to: "http2",
        upstream: "body=",
        probe: "reqh set 0 content-length 11;reqb@1 setbody 0 0 99 much-longer",
        shows_request: true,
        ..POST
    },
    Row {
        name: "request-http2-length-no-number",
        to: "http2",
        upstream: "body=",
        probe: "reqh set 0 content-length abc",
        ..POST
    },
    Row {
        name: "request-http2-lengths-differ",
        to: "http2",
        upstream: "body=",
        probe: "reqh add 0 content-length 7",
        ..POST
    },
    Row {
        name: "request-http2-length-of-nothing-zero",
        to: "http2",
        upstream: "body=",
        probe: "reqh set 0 content-length 0",
        shows_request: true,
        ..GET
    },
    Row {
        name: "request-http2-shorter",
        to: "http2",
        upstream: "body=",
        probe: "reqb@1 setbody 0 0 99 s;log prop response.code_details;\
        log prop response.flags",
        ..POST
    },
    Row {
        name: "request-http2-length-above",
        to: "http2",
        upstream: "body=",
        probe: "reqh set 0 content-length 9;log prop response.code_details;\
        log prop response.flags",
        ..POST
    },
    Row {
        name: "request-http2-length-of-nothing",
        to: "http2",
        upstream: "body=",
        probe: "reqh set 0 content-length 3;log prop response.code_details;\
        log prop response.flags",
        ..GET
    },
    Row {
        name: "request-http2-encoded",
        to: "http2",
        upstream: "body=",
        probe: "reqh set 0 transfer-encoding chunked;log prop response.code_details",
        ..POST
    },
    Row {
        name: "request-http2-encoded-without-length",
        to: "http2",
        upstream: "body=",
        probe: "reqh remove 0 content-length;reqh set 0 transfer-encoding chunked;\
        log prop response.code_details",
        ..POST
    },
];
