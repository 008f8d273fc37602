//! The table of requests. Each row exercises one host behaviour, observed in the witness's log and
//! in the client's response.

/// One request and the witness's script for it.
pub(super) struct Row {
    /// Name of the row; also the request header `x-row`.
    pub name: &'static str,
    pub method: &'static str,
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
}

const GET: Row = Row {
    name: "",
    method: "GET",
    to: "",
    upstream: "",
    headers: &[],
    body: "",
    probe: "",
    leaves: false,
    unfinished: false,
};

const POST: Row = Row {
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

/// A request with an endless body.
const UPLOAD: Row = Row {
    unfinished: true,
    ..POST
};

/// Headers of a gRPC call with a deadline of 50 ms.
const GRPC: &[(&str, &str)] = &[
    ("content-type", "application/grpc"),
    ("grpc-timeout", "50m"),
];

/// Headers of a gRPC call without a deadline.
pub(super) const GRPC_STREAM: &[(&str, &str)] =
    &[("content-type", "application/grpc"), ("te", "trailers")];

/// A slow gRPC response.
const CALL: &str = "trickle content-type=application/grpc trailer=grpc-status:0";

/// Headers of an internal client, whose deadline Envoy trusts.
const DEADLINE: &[(&str, &str)] = &[
    ("x-forwarded-for", "10.1.1.1"),
    ("x-envoy-upstream-rq-timeout-ms", "50"),
];

/// Headers of an internal client with a deadline per attempt.
const TRY_DEADLINE: &[(&str, &str)] = &[
    ("x-forwarded-for", "10.1.1.1"),
    ("x-envoy-upstream-rq-per-try-timeout-ms", "50"),
];

/// Properties by which a filter recognises a gRPC response.
macro_rules! grpc {
    () => {
        "resh get 2 content-type;resh get 2 grpc-status;log get 2 content-type;\
         log get 2 grpc-status;log get 3 grpc-status;log prop response.grpc_status;\
         log get 2 :status;log prop response.code_details"
    };
}

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

/// Properties whose values depend on the phase.
macro_rules! properties {
    ($phase:literal) => {
        concat!(
            $phase,
            " prop xds.cluster_name;",
            $phase,
            " prop xds.route_name;",
            $phase,
            " prop xds.virtual_host_name;",
            $phase,
            " prop cluster_name;",
            $phase,
            " prop route_name;",
            $phase,
            " prop node.id;",
            $phase,
            " prop request.path;",
            $phase,
            " prop request.url_path;",
            $phase,
            " prop request.method;",
            $phase,
            " proplen request.host;",
            $phase,
            " prop request.headers.x-row;",
            $phase,
            " prop request.protocol;",
            $phase,
            " proplen request.time;",
            $phase,
            " proplen request.duration;",
            $phase,
            " prop request.size;",
            $phase,
            " prop response.code;",
            $phase,
            " prop response.size;",
            $phase,
            " prop response.flags;",
            $phase,
            " prop response.code_details;",
            $phase,
            " proplen upstream.address;",
            $phase,
            " proplen upstream.port;",
            $phase,
            " prop upstream.transport_failure_reason;",
            $phase,
            " prop upstream.request_attempt_count;",
            $phase,
            " proplen upstream.cx_pool_ready_duration;",
            $phase,
            " proplen connection.id;",
            $phase,
            " prop connection.mtls;",
            $phase,
            " prop plugin_name;",
            $phase,
            " prop plugin_root_id;",
            $phase,
            " prop plugin_vm_id;",
            $phase,
            " prop no.such.thing;",
            $phase,
            " prop response.headers.x-none"
        )
    };
}

/// All rows, in sending order.
pub(super) const ROWS: &[Row] = &[
    // Plain requests.
    Row { name: "get", ..GET },
    Row {
        name: "post",
        ..POST
    },
    Row {
        name: "head",
        method: "HEAD",
        ..GET
    },
    Row {
        name: "no-body",
        upstream: "status=204",
        ..GET
    },
    Row {
        name: "not-modified",
        upstream: "status=304",
        ..GET
    },
    Row {
        name: "empty-body",
        upstream: "body=",
        ..GET
    },
    // Header maps by phase, and the status of missing ones.
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
    // Buffers.
    Row {
        name: "buffers-reqh",
        probe: "reqh body 0 0 9;reqh body 1 0 9;reqh body 4 0 9;\
        reqh body 6 0 9;reqh body 7 0 5;reqh body 99 0 9",
        ..GET
    },
    Row {
        name: "buffers-reqb",
        probe: "reqb@1 body 0 0 3;reqb@1 body 0 2 99;reqb@1 body 0 99 1;\
        reqb@1 body 1 0 9",
        ..POST
    },
    Row {
        name: "buffers-resb",
        probe: "resb@1 body 1 0 1;resb@1 body 0 0 9;resb@1 body 1 9 9",
        ..GET
    },
    Row {
        name: "request-body-replaced",
        probe: "reqh remove 0 content-length;\
        reqb@1 setbody 0 0 99 bye",
        ..POST
    },
    Row {
        name: "body-replaced",
        probe: "resh remove 2 content-length;resb@1 setbody 1 0 99 replaced",
        ..GET
    },
    Row {
        name: "body-prepended",
        probe: "resh remove 2 content-length;resb@1 setbody 1 0 0 pre-",
        ..GET
    },
    Row {
        name: "body-appended",
        probe: "resh remove 2 content-length;resb@1 setbody 1 99 0 -post",
        ..GET
    },
    Row {
        name: "body-set-inside",
        probe: "resb@1 setbody 1 1 1 x",
        ..GET
    },
    Row {
        name: "length-left-in-place",
        upstream: "body=four",
        probe: "resb@1 setbody 1 0 99 longer",
        ..GET
    },
    Row {
        name: "setbody-too-early",
        probe: "resh setbody 1 0 0 x;reqh setbody 0 0 0 x",
        ..GET
    },
    // Local replies.
    Row {
        name: "local-reqh",
        probe: concat!("reqh local 418 why short -1;", ending!()),
        ..GET
    },
    Row {
        name: "local-reqh-empty",
        probe: "reqh local 503 why - -1",
        ..GET
    },
    Row {
        name: "local-reqh-twice",
        probe: "reqh local 418 why short -1;reqh local 419 why2 other -1",
        ..GET
    },
    Row {
        name: "local-reqh-again-in-resh",
        probe: "reqh local 418 why short -1;resh@1 local 419 why2 other -1",
        ..GET
    },
    Row {
        name: "local-reqh-head",
        method: "HEAD",
        probe: "reqh local 418 why short -1",
        ..GET
    },
    Row {
        name: "local-reqb",
        probe: "reqb@1 local 418 why short -1",
        ..POST
    },
    Row {
        name: "local-resh",
        probe: concat!("resh local 418 why short -1;", ending!()),
        ..GET
    },
    Row {
        name: "local-resh-of-failure",
        upstream: "status=503",
        probe: "resh local 200 why short -1;log get 2 :status",
        ..GET
    },
    Row {
        name: "local-resh-head",
        method: "HEAD",
        probe: "resh local 418 why short -1",
        ..GET
    },
    Row {
        name: "local-resb",
        probe: concat!("resb@1 local 418 why short -1;", ending!()),
        ..GET
    },
    Row {
        name: "local-grpc",
        headers: &[("content-type", "application/grpc")],
        probe: concat!("reqh local 503 why short 14;resh get 2 :status;", ending!()),
        ..GET
    },
    Row {
        name: "local-grpc-mapped",
        headers: &[("content-type", "application/grpc")],
        probe: "reqh local 503 why short -1;resh get 2 grpc-status",
        ..GET
    },
    Row {
        name: "close",
        probe: concat!("reqh close 0;", ending!()),
        ..GET
    },
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
    // Properties by phase.
    Row {
        name: "properties-reqh",
        probe: properties!("reqh"),
        ..GET
    },
    Row {
        name: "properties-resh",
        probe: properties!("resh"),
        ..GET
    },
    Row {
        name: "properties-log",
        probe: properties!("log"),
        ..GET
    },
    Row {
        name: "properties-done",
        probe: properties!("done"),
        ..GET
    },
    Row {
        name: "property-set",
        probe: "reqh setprop mine value;reqh prop mine;\
        resh prop filter_state.wasm.mine;log prop mine;log setprop mine later;log prop mine",
        ..GET
    },
    // Routes.
    Row {
        name: "reroute",
        probe: "reqh prop xds.cluster_name;reqh set 0 x-to other;\
        reqh prop xds.cluster_name;resh prop xds.cluster_name;log prop xds.route_name",
        ..GET
    },
    // Stream endings.
    Row {
        name: "end-failure",
        upstream: "status=503",
        probe: ending!(),
        ..GET
    },
    Row {
        name: "end-refused",
        to: "gone",
        probe: ending!(),
        ..GET
    },
    Row {
        name: "end-reset",
        upstream: "reset",
        probe: ending!(),
        ..GET
    },
    Row {
        name: "end-reset-mid-body",
        upstream: "reset_mid_body",
        probe: ending!(),
        ..GET
    },
    Row {
        name: "end-route-timeout",
        to: "hurried",
        upstream: "hang",
        probe: ending!(),
        ..GET
    },
    Row {
        name: "end-no-host",
        to: "empty",
        probe: ending!(),
        ..GET
    },
    Row {
        name: "end-no-cluster",
        to: "none",
        headers: &[("x-cluster", "none")],
        probe: ending!(),
        ..GET
    },
    Row {
        name: "end-direct",
        to: "direct",
        probe: ending!(),
        ..GET
    },
    Row {
        name: "end-client-leaves",
        upstream: "hang",
        probe: ending!(),
        leaves: true,
        ..GET
    },
    Row {
        name: "end-client-leaves-mid-body",
        upstream: "hang_mid_body body=",
        probe: ending!(),
        leaves: true,
        ..GET
    },
    // Timeouts, before and after the response headers.
    Row {
        name: "end-duration",
        to: "lasting",
        upstream: "hang",
        probe: ending!(),
        ..GET
    },
    Row {
        name: "end-duration-mid-body",
        to: "lasting",
        upstream: "hang_mid_body body=",
        probe: ending!(),
        ..GET
    },
    Row {
        name: "end-duration-of-attempt",
        to: "brief",
        upstream: "hang",
        probe: ending!(),
        ..GET
    },
    Row {
        name: "end-duration-of-attempt-mid-body",
        to: "brief",
        upstream: "hang_mid_body body=",
        probe: ending!(),
        ..GET
    },
    Row {
        name: "end-duration-of-attempts",
        to: "brief-again",
        upstream: "hang",
        probe: ending!(),
        ..GET
    },
    Row {
        name: "end-idle",
        to: "quiet",
        upstream: "hang",
        probe: ending!(),
        ..GET
    },
    Row {
        name: "end-idle-mid-body",
        to: "quiet",
        upstream: "hang_mid_body body=",
        probe: ending!(),
        ..GET
    },
    Row {
        name: "end-route-timeout-mid-body",
        to: "hurried",
        upstream: "hang_mid_body body=",
        probe: ending!(),
        ..GET
    },
    // Client deadlines.
    Row {
        name: "deadline-grpc",
        to: "grpc",
        upstream: "hang",
        headers: GRPC,
        probe: ending!(),
        ..GET
    },
    Row {
        name: "deadline-grpc-of-stream",
        to: "grpc-stream",
        upstream: "hang",
        headers: GRPC,
        probe: ending!(),
        ..GET
    },
    Row {
        name: "deadline-grpc-of-stream-without-grpc",
        to: "grpc-stream",
        upstream: "hang",
        headers: &[("grpc-timeout", "50m")],
        probe: ending!(),
        ..GET
    },
    Row {
        name: "deadline-grpc-unheeded",
        to: "hurried",
        upstream: "hang",
        headers: &[
            ("content-type", "application/grpc"),
            ("grpc-timeout", "10m"),
        ],
        probe: ending!(),
        ..GET
    },
    Row {
        name: "deadline",
        upstream: "hang",
        headers: DEADLINE,
        probe: ending!(),
        ..GET
    },
    Row {
        name: "deadline-of-try",
        upstream: "hang",
        headers: TRY_DEADLINE,
        probe: ending!(),
        ..GET
    },
    // Reasons why a request reaches no upstream.
    Row {
        name: "end-unresolved",
        to: "forward",
        probe: ending!(),
        ..GET
    },
    Row {
        name: "end-silent",
        to: "silent",
        probe: ending!(),
        ..GET
    },
    Row {
        name: "end-overflow",
        to: "crowded",
        probe: ending!(),
        ..GET
    },
    Row {
        name: "end-overflow-pending",
        to: "unqueued",
        probe: ending!(),
        ..GET
    },
    // Endless uploads.
    Row {
        name: "upload-answered-early",
        upstream: "early status=401",
        probe: ending!(),
        ..UPLOAD
    },
    Row {
        name: "upload-cut",
        upstream: "early reset",
        probe: ending!(),
        ..UPLOAD
    },
    Row {
        name: "upload-idle",
        to: "quiet",
        probe: ending!(),
        ..UPLOAD
    },
    Row {
        name: "upload-duration",
        to: "lasting",
        probe: ending!(),
        ..UPLOAD
    },
    Row {
        name: "upload-duration-of-attempt",
        to: "brief",
        probe: ending!(),
        ..UPLOAD
    },
    Row {
        name: "upload-client-leaves",
        probe: ending!(),
        leaves: true,
        ..UPLOAD
    },
    // Streams that the server ends. Rotation and leaving clients are above.
    Row {
        name: "stream-server-ends",
        upstream: "trickle",
        probe: ending!(),
        ..GET
    },
    Row {
        name: "grpc-server-ends",
        to: "http2",
        upstream: CALL,
        headers: GRPC_STREAM,
        probe: ending!(),
        ..POST
    },
    Row {
        name: "grpc-server-ends-badly",
        to: "http2",
        upstream: "trickle content-type=application/grpc trailer=grpc-status:13",
        headers: GRPC_STREAM,
        probe: ending!(),
        ..POST
    },
    Row {
        name: "grpc-client-leaves",
        to: "http2",
        upstream: "hang_mid_body content-type=application/grpc body=",
        headers: GRPC_STREAM,
        probe: ending!(),
        leaves: true,
        ..POST
    },
    Row {
        name: "grpc-rotated",
        to: "http2-lasting",
        upstream: "hang_mid_body content-type=application/grpc body=",
        headers: GRPC_STREAM,
        probe: ending!(),
        ..POST
    },
    // gRPC and non-gRPC responses, and the origin of their deadlines.
    Row {
        name: "grpc-claimed",
        headers: &[("content-type", "application/grpc")],
        probe: grpc!(),
        ..GET
    },
    Row {
        name: "grpc-answered",
        upstream: "content-type=application/grpc grpc-status=14",
        headers: &[("content-type", "application/grpc")],
        probe: grpc!(),
        ..GET
    },
    Row {
        name: "grpc-claimed-client-leaves",
        upstream: "hang_mid_body body= content-type=application/grpc",
        headers: &[("content-type", "application/grpc")],
        probe: grpc!(),
        leaves: true,
        ..GET
    },
    Row {
        name: "deadline-in-on-log",
        upstream: "hang",
        headers: &[("grpc-timeout", "5S")],
        probe: "reqh set 0 x-envoy-upstream-rq-timeout-ms 50;log get 0 grpc-timeout;\
        log get 0 x-envoy-upstream-rq-timeout-ms;log prop response.code_details",
        ..GET
    },
    Row {
        name: "router-headers-in-on-log",
        headers: &[("x-envoy-other", "stays")],
        probe: "reqh set 0 x-envoy-retry-on 5xx;reqh set 0 x-envoy-max-retries 1;\
        reqh set 0 x-envoy-retry-grpc-on unavailable;reqh set 0 x-envoy-retriable-status-codes 418;\
        reqh set 0 x-envoy-upstream-rq-per-try-timeout-ms 5000;log get 0 x-envoy-retry-on;\
        log get 0 x-envoy-max-retries;log get 0 x-envoy-retry-grpc-on;\
        log get 0 x-envoy-retriable-status-codes;\
        log get 0 x-envoy-upstream-rq-per-try-timeout-ms;log get 0 x-envoy-other",
        ..GET
    },
    // Router retries.
    Row {
        name: "retry-asked-for",
        upstream: "status=503",
        probe: "reqh set 0 x-envoy-retry-on 5xx;log prop upstream.request_attempt_count;log prop response.flags",
        ..GET
    },
    Row {
        name: "retry-asked-for-thrice",
        upstream: "status=503",
        probe: "reqh set 0 x-envoy-retry-on 5xx;reqh set 0 x-envoy-max-retries 3;log prop upstream.request_attempt_count;log prop response.flags",
        ..GET
    },
    Row {
        name: "retry-by-route",
        to: "retrying",
        upstream: "status=503",
        probe: ending!(),
        ..GET
    },
    Row {
        name: "retry-by-route-forbidden",
        to: "retrying",
        upstream: "status=503",
        probe: concat!("reqh set 0 x-envoy-max-retries 0;", ending!()),
        ..GET
    },
    Row {
        name: "retry-not-asked-for",
        upstream: "status=503",
        probe: "reqh set 0 x-envoy-max-retries 3;log prop upstream.request_attempt_count;log prop response.flags",
        ..GET
    },
    Row {
        name: "retry-of-success",
        to: "retrying",
        probe: ending!(),
        ..GET
    },
    Row {
        name: "retry-per-try-timeout",
        upstream: "hang",
        probe: concat!(
            "reqh set 0 x-envoy-retry-on 5xx;reqh set 0 x-envoy-upstream-rq-per-try-timeout-ms 40;",
            ending!()
        ),
        ..GET
    },
    Row {
        name: "timeout-by-header",
        upstream: "hang",
        probe: concat!("reqh set 0 x-envoy-upstream-rq-timeout-ms 50;", ending!()),
        ..GET
    },
    // Metrics, shared data, queues and other hostcalls.
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
