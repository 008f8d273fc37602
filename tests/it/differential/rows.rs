//! The table of requests. Each row exercises one host behaviour, observed in the witness's log and
//! in the client's response.

mod body_edges;
mod buffers;
mod call_edges;
mod calls;
mod endings;
mod hostcalls;
mod lengths;
mod limits;
mod map_edges;
mod maps;
mod pauses;
mod plain;
mod properties;
mod refused;
mod replies;
mod reply_edges;
mod rerouting;
mod retries;
mod state;
mod streams;
mod targets;

pub(super) use limits::LIMIT_BYTES;

/// One request and the witness's script for it.
#[derive(Clone)]
pub(super) struct Row {
    /// Name of the row; also the request header `x-row`.
    pub name: &'static str,
    pub method: &'static str,
    /// Target in the request line.
    pub target: &'static str,
    /// Route of the request, by the request header `x-to`.
    pub to: &'static str,
    /// Upstream behaviour: the request header `x-script`.
    pub upstream: &'static str,
    pub headers: &'static [(&'static str, &'static str)],
    pub body: &'static str,
    /// Script of the witness: the request header `x-witness`.
    pub probe: &'static str,
    /// Whether the client leaves instead of waiting.
    pub leaves: bool,
    /// Whether the client never ends the body.
    pub unfinished: bool,
    /// Whether the body that the upstream got is compared.
    pub shows_request: bool,
    /// Whether the proxy rejects the request before the witness learns its row.
    pub unseen: bool,
}

/// The target of most requests.
pub(super) const TARGET: &str = "/path?query=1";

/// The host that most requests name, as far as it is compared.
pub(super) const AUTHORITY: &str = "127.0.0.1:10000";

pub(super) const GET: Row = Row {
    name: "",
    method: "GET",
    target: TARGET,
    to: "",
    upstream: "",
    headers: &[],
    body: "",
    probe: "",
    leaves: false,
    unfinished: false,
    shows_request: false,
    unseen: false,
};

pub(super) const POST: Row = Row {
    method: "POST",
    // What the simulator sends; it models bodies only by size.
    body: "\0\0\0\0\0",
    ..GET
};

/// Properties that describe an ending: in the response headers, at the end, and after it.
macro_rules! ending {
    () => {
        "resh get 2 :status;resh prop response.code;resh prop response.code_details;\
         resh prop response.flags;resh prop upstream.request_attempt_count;\
         resh proplen upstream.address;resh prop response.grpc_status;\
         log get 2 :status;log get 0 :path;log prop response.code;\
         log prop response.code_details;log prop response.flags;\
         log prop upstream.request_attempt_count;log proplen upstream.address;\
         log proplen response.backend_latency;log proplen request.duration;\
         done prop response.code;done get 0 :path;done get 2 :status"
    };
}
use ending;

/// A request with an endless body.
const UPLOAD: Row = Row {
    unfinished: true,
    ..POST
};

/// Headers of a gRPC call without a deadline.
pub(super) const GRPC_STREAM: &[(&str, &str)] =
    &[("content-type", "application/grpc"), ("te", "trailers")];

/// A GET and the witness's script.
const fn get(name: &'static str, probe: &'static str) -> Row {
    Row { name, probe, ..GET }
}

/// A POST and the witness's script.
const fn post(name: &'static str, probe: &'static str) -> Row {
    Row {
        name,
        probe,
        ..POST
    }
}

/// A slow gRPC call, which ends with trailers.
const fn streaming(name: &'static str, probe: &'static str) -> Row {
    Row {
        to: "http2",
        upstream: streams::CALL,
        headers: GRPC_STREAM,
        ..post(name, probe)
    }
}

/// All rows, in sending order.
pub(super) fn all() -> Vec<Row> {
    [
        plain::ROWS,
        maps::ROWS,
        buffers::ROWS,
        lengths::ROWS,
        replies::ROWS,
        calls::ROWS,
        properties::ROWS,
        endings::ROWS,
        streams::ROWS,
        retries::ROWS,
        hostcalls::ROWS,
        map_edges::ROWS,
        body_edges::ROWS,
        pauses::ROWS,
        reply_edges::ROWS,
        call_edges::ROWS,
        state::ROWS,
        rerouting::ROWS,
        refused::IN_SCENARIOS,
    ]
    .concat()
}

/// Requests and responses that are refused, and calls as the called service sees them. Plugin tests
/// play them too.
pub(super) fn refused() -> Vec<Row> {
    [refused::ROWS, targets::CALLS].concat()
}

/// Requests with odd targets. Only plugin tests can send them.
pub(super) const TARGETS: &[Row] = targets::ROWS;

/// Bodies around a buffer limit.
pub(super) const LIMITS: &[Row] = limits::ROWS;

/// The same for a plugin that sees bodies while it pauses on headers.
pub(super) const LIMITS_BEFORE_HEADERS: &[Row] = limits::BEFORE_HEADERS;

/// The rows that differ if the router adds no headers of its own.
pub(super) const SUPPRESSED: &[Row] = &[
    Row {
        name: "service-time-of-nobody",
        probe: "resh get 2 x-envoy-upstream-service-time",
        ..GET
    },
    Row {
        name: "service-time-of-the-upstream",
        upstream: "x-envoy-upstream-service-time=4000",
        probe: "resh get 2 x-envoy-upstream-service-time",
        ..GET
    },
];
