//! Bodies around the buffer limit of a listener, which is [`LIMIT_BYTES`] here.

use super::{GET, POST, Row, UPLOAD};

/// `per_connection_buffer_limit_bytes`
pub(in crate::differential) const LIMIT_BYTES: u32 = 1_000;

const AT_LIMIT: &str = text(&[0; 1_000]);
const ABOVE_LIMIT: &str = text(&[0; 1_001]);
const LARGE: &str = text(&[0; 3_000]);

const ANSWER_AT_LIMIT: &str = text(&answer::<1_005>());
const ANSWER_ABOVE_LIMIT: &str = text(&answer::<1_006>());
const LARGE_ANSWER: &str = text(&answer::<3_005>());
/// Two chunks, which exceed the limit together.
const TWO_CHUNKS: &str = text(&chunks::<1_213>());

const fn text<const N: usize>(bytes: &'static [u8; N]) -> &'static str {
    match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(_) => panic!("no text"),
    }
}

/// The script of a response whose body has the rest of `N` bytes.
const fn answer<const N: usize>() -> [u8; N] {
    begin([b'.'; N], b"body=")
}

/// The script of a response that sends its body in two chunks.
const fn chunks<const N: usize>() -> [u8; N] {
    begin([b'.'; N], b"trickle body=")
}

const fn begin<const N: usize>(mut bytes: [u8; N], start: &[u8]) -> [u8; N] {
    let mut at = 0;
    while at < start.len() {
        bytes[at] = start[at];
        at += 1;
    }
    bytes
}

macro_rules! ending {
    ($steps:literal) => {
        concat!(
            $steps,
            ";resh get 2 :status;resh prop response.code_details;log get 2 :status;\
             log prop response.code;log prop response.code_details;log prop response.flags"
        )
    };
}

/// A request with a body.
macro_rules! request {
    ($name:literal, $body:ident, $steps:literal) => {
        Row {
            name: $name,
            body: $body,
            probe: ending!($steps),
            ..POST
        }
    };
}

/// A request whose response has a body.
macro_rules! response {
    ($name:literal, $upstream:ident, $steps:literal) => {
        Row {
            name: $name,
            upstream: $upstream,
            probe: ending!($steps),
            ..GET
        }
    };
}

pub(super) const ROWS: &[Row] = &[
    request!(
        "request-at-limit",
        AT_LIMIT,
        "reqb pause;reqb@2 resume request"
    ),
    request!(
        "request-above-limit",
        ABOVE_LIMIT,
        "reqb pause;reqb@2 resume request"
    ),
    request!("request-passes", LARGE, "reqb@1 body 0 0 1"),
    request!(
        "request-above-limit-during-call",
        ABOVE_LIMIT,
        "reqb pause;reqh call upstream /called 1000;call resume request"
    ),
    request!(
        "request-held-by-its-headers",
        LARGE,
        "reqh pause;reqh call upstream /called 1000;call resume request"
    ),
    Row {
        leaves: true,
        ..request!(
            "request-held-twice",
            LARGE,
            "reqb pause;reqh pause;reqh call upstream /called 1000;call resume request"
        )
    },
    request!("request-grown", AT_LIMIT, "reqb pause;reqb@1 grow 0 3000"),
    request!(
        "buffered-request-grown",
        AT_LIMIT,
        "reqb pause;reqb@2 grow 0 3000"
    ),
    request!(
        "request-grown-and-passed",
        AT_LIMIT,
        "reqh remove 0 content-length;reqb@1 grow 0 3000"
    ),
    Row {
        headers: &[("content-type", "application/grpc")],
        ..request!("grpc-request-above-limit", ABOVE_LIMIT, "reqb pause")
    },
    Row {
        body: ABOVE_LIMIT,
        unfinished: true,
        ..UPLOAD_PAUSED
    },
    response!(
        "response-at-limit",
        ANSWER_AT_LIMIT,
        "resb pause;resb@2 resume response"
    ),
    response!("response-above-limit", ANSWER_ABOVE_LIMIT, "resb pause"),
    response!("response-passes", LARGE_ANSWER, "resb@1 body 1 0 1"),
    response!("response-above-limit-in-chunks", TWO_CHUNKS, "resb pause"),
    response!("response-released-above-limit", TWO_CHUNKS, "resb@1 pause"),
    response!(
        "response-held-by-its-headers",
        LARGE_ANSWER,
        "resh pause;resh call gone /called 1000;call resume response"
    ),
    response!(
        "response-grown",
        ANSWER_AT_LIMIT,
        "resb pause;resb@1 grow 1 3000"
    ),
    Row {
        method: "HEAD",
        ..response!("head-above-limit", LARGE_ANSWER, "resb pause")
    },
];

const UPLOAD_PAUSED: Row = Row {
    name: "upload-above-limit",
    probe: ending!("reqb pause"),
    ..UPLOAD
};

/// With `allow_on_headers_stop_iteration`.
pub(super) const BEFORE_HEADERS: &[Row] = &[
    request!(
        "unsent-request-above-limit",
        ABOVE_LIMIT,
        "reqh pause;reqb pause"
    ),
    response!(
        "unsent-response-at-limit",
        ANSWER_AT_LIMIT,
        "resh pause;resb@1 pause"
    ),
    response!(
        "unsent-response-above-limit",
        ANSWER_ABOVE_LIMIT,
        "resh pause;resb pause"
    ),
    response!(
        "unsent-response-in-chunks",
        TWO_CHUNKS,
        "resh pause;resb pause"
    ),
    response!("unsent-response-released", ANSWER_ABOVE_LIMIT, "resh pause"),
    Row {
        headers: &[("content-type", "application/grpc")],
        ..response!(
            "unsent-response-to-grpc",
            ANSWER_ABOVE_LIMIT,
            "resh pause;resb pause"
        )
    },
];
