//! Requests and responses that a plugin has made invalid.

use super::{GET, POST, Row};

/// What describes a refusal in the response headers and at the end.
macro_rules! refusal {
    ($change:literal) => {
        concat!(
            $change,
            ";resh get 2 :status;resh prop response.code;resh prop response.code_details;\
             resh prop response.flags;resh prop xds.route_name;\
             resh prop upstream.request_attempt_count;log get 0 :path;log get 2 :status;\
             log prop response.code;log prop response.code_details;log prop response.flags;\
             log prop xds.route_name"
        )
    };
}

/// A GET whose headers the plugin changes, or the response to it.
macro_rules! changed {
    ($name:literal, $change:literal) => {
        Row {
            name: $name,
            probe: refusal!($change),
            ..GET
        }
    };
}

/// The same for a client that does not wait for the response.
macro_rules! unread {
    ($name:literal, $change:literal) => {
        Row {
            leaves: true,
            ..changed!($name, $change)
        }
    };
}

pub(super) const ROWS: &[Row] = &[
    // Requests without a route.
    changed!("no-path", "reqh remove 0 :path"),
    changed!("empty-path", "reqh set 0 :path \\x"),
    changed!("path-without-slash", "reqh set 0 :path path"),
    changed!("path-is-a-url", "reqh set 0 :path http://other/path"),
    changed!("path-is-a-star", "reqh set 0 :path *"),
    changed!("no-forwarded-proto", "reqh remove 0 x-forwarded-proto"),
    changed!("empty-forwarded-proto", "reqh set 0 x-forwarded-proto \\x"),
    changed!(
        "connect-without-path",
        "reqh set 0 :method CONNECT;reqh remove 0 :path"
    ),
    // Requests that the codec does not write.
    changed!("no-method", "reqh remove 0 :method"),
    changed!("connect-with-path", "reqh set 0 :method CONNECT"),
    changed!(
        "connect-without-authority",
        "reqh set 0 :method CONNECT;reqh remove 0 :authority"
    ),
    changed!("newline-in-path", "reqh set 0 :path /a\\x0ab"),
    changed!("nul-in-path", "reqh set 0 :path /a\\x00b"),
    changed!("newline-in-value", "reqh set 0 x-a a\\x0ab"),
    changed!("nul-in-value", "reqh set 0 x-a a\\x00b"),
    changed!("delete-in-value", "reqh set 0 x-a a\\x7fb"),
    changed!("control-in-authority", "reqh set 0 :authority a\\x01"),
    changed!("space-in-name", "reqh set 0 x\\x20a b"),
    changed!("colon-in-name", "reqh set 0 x:a b"),
    changed!("newline-in-name", "reqh set 0 x\\x0aa b"),
    changed!("nul-in-name", "reqh set 0 x\\x00a b"),
    changed!("quote-in-name", "reqh set 0 x\\x22a b"),
    changed!("only-a-colon", "reqh set 0 : b"),
    changed!(
        "first-invalid-header",
        "reqh set 0 x-b a\\x01;reqh set 0 x\\x20a b"
    ),
    changed!(
        "missing-before-invalid",
        "reqh set 0 x-b a\\x01;reqh remove 0 :method"
    ),
    changed!(
        "refused-without-retry",
        "reqh set 0 x-envoy-retry-on 5xx;reqh remove 0 :method"
    ),
    Row {
        name: "refused-upload",
        probe: refusal!("reqh remove 0 :method"),
        ..POST
    },
    Row {
        name: "refused-grpc",
        headers: &[("content-type", "application/grpc")],
        probe: refusal!("reqh remove 0 :method;resh get 2 grpc-status;resh get 2 grpc-message"),
        ..GET
    },
    Row {
        name: "refused-head",
        method: "HEAD",
        probe: refusal!("reqh set 0 x-a a\\x0ab"),
        ..GET
    },
    // Odd requests that pass.
    changed!("fragment-in-path", "reqh set 0 :path /a#b"),
    changed!("no-scheme", "reqh remove 0 :scheme"),
    changed!("odd-scheme", "reqh set 0 :scheme odd"),
    changed!("no-authority", "reqh remove 0 :authority"),
    changed!("odd-forwarded-proto", "reqh set 0 x-forwarded-proto odd"),
    changed!("tab-in-value", "reqh set 0 x-a \\x09b"),
    changed!("unknown-pseudo-header", "reqh set 0 :odd b"),
    changed!("upper-case-name", "reqh set 0 X-Upper b;reqh get 0 x-upper"),
    changed!("large-header", "reqh fill 0 x-a 70000"),
    changed!("many-headers", "reqh many 0 90"),
    // Responses.
    changed!("no-status", "resh remove 2 :status"),
    changed!("status-empty", "resh set 2 :status \\x"),
    changed!("status-text", "resh set 2 :status abc"),
    changed!("status-negative", "resh set 2 :status -1"),
    changed!("status-with-reason", "resh set 2 :status 200\\x20OK"),
    changed!(
        "status-of-65-bits",
        "resh set 2 :status 18446744073709551616"
    ),
    changed!("status-with-spaces", "resh set 2 :status \\x20418"),
    changed!("status-with-sign", "resh set 2 :status +418"),
    changed!("status-with-zeros", "resh set 2 :status 0418"),
    changed!("newline-in-status", "resh set 2 :status 2\\x0a00"),
    changed!("large-response-header", "resh fill 2 x-a 70000"),
];

/// Rows that only scenarios play: responses that no HTTP library reads, and clusters that fail
/// before a request is written.
pub(super) const IN_SCENARIOS: &[Row] = &[
    unread!("status-0", "resh set 2 :status 0"),
    unread!("status-99", "resh set 2 :status 99"),
    unread!("status-103", "resh set 2 :status 103"),
    unread!("status-1000", "resh set 2 :status 1000"),
    unread!("status-99999", "resh set 2 :status 99999"),
    unread!("status-of-33-bits", "resh set 2 :status 4294967296"),
    unread!("status-of-local-0", "reqh local 0 why short -1"),
    unread!("status-of-local-103", "reqh local 103 why short -1"),
    unread!("status-of-local-1000", "reqh local 1000 why short -1"),
    unread!("status-of-local-70000", "reqh local 70000 why short -1"),
    unread!("newline-in-response", "resh set 2 x-a a\\x0ab"),
    Row {
        to: "gone",
        ..changed!("refused-before-no-method", "reqh remove 0 :method")
    },
    Row {
        to: "empty",
        ..changed!("unhealthy-before-no-method", "reqh remove 0 :method")
    },
    Row {
        to: "http2",
        ..changed!("no-method-for-http2", "reqh remove 0 :method")
    },
    Row {
        to: "http2",
        ..changed!("newline-for-http2", "reqh set 0 x-a a\\x0ab")
    },
];
