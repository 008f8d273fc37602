//! Targets of requests, as HTTP/1.1 has them in the request line.

use super::{GET, Row};

const PROBE: &str = "reqh get 0 :authority;reqh get 0 :scheme;reqh get 0 :method;\
    reqh get 0 :path;reqh get 0 x-forwarded-proto;reqh prop request.path;\
    reqh prop request.url_path;reqh prop request.query;reqh prop request.host;\
    resh get 2 :status;resh prop response.code_details;resh prop response.flags;\
    log get 0 :path;log prop response.code;log prop response.code_details;\
    log prop response.flags;log prop xds.route_name";

macro_rules! target {
    ($name:literal, $method:literal, $target:literal) => {
        Row {
            name: $name,
            method: $method,
            target: $target,
            probe: PROBE,
            ..GET
        }
    };
}

/// A target that the proxy rejects.
macro_rules! unseen {
    ($name:literal, $method:literal, $target:literal) => {
        Row {
            unseen: true,
            ..target!($name, $method, $target)
        }
    };
}

pub(super) const ROWS: &[Row] = &[
    target!("url", "GET", "http://other/path?x=1"),
    target!("url-without-path", "GET", "http://other"),
    target!("url-with-port", "GET", "http://other:8080/p"),
    target!("url-with-user", "GET", "http://user:word@other/p"),
    target!("url-in-capitals", "GET", "HTTP://Other/P"),
    target!("url-of-https", "GET", "https://other/p"),
    target!("url-with-address", "GET", "http://[::1]:80/p"),
    target!("url-for-options", "OPTIONS", "http://other"),
    target!("empty-query", "GET", "/a?"),
    target!("escapes-and-slashes", "GET", "/a%2fb%2e%2e//c/../d?x=%20"),
    target!("two-slashes", "GET", "//a"),
    target!("backslash", "GET", "/a\\b"),
    target!("connect", "CONNECT", "other:443"),
    // Requests that no filter sees.
    unseen!("url-with-bare-query", "GET", "http://other?x=1"),
    unseen!("star", "OPTIONS", "*"),
    unseen!("star-for-get", "GET", "*"),
    unseen!("fragment", "GET", "/a#f"),
    unseen!("fragment-of-query", "GET", "/a?x#f"),
    unseen!("fragment-of-url", "GET", "http://other#f"),
    unseen!("other-scheme", "GET", "ftp://other/p"),
    unseen!("space", "GET", "/a b"),
    unseen!("delete", "GET", "/a\x7f"),
    unseen!("empty-host", "GET", "http:///p"),
    unseen!("underscore-in-host", "GET", "http://ot_her/p"),
    unseen!("large-port", "GET", "http://other:65536/p"),
    unseen!("connect-without-port", "CONNECT", "other"),
    unseen!("connect-to-a-path", "CONNECT", "/path"),
];

/// Calls of plugins, as the called service sees them.
pub(super) const CALLS: &[Row] = &[
    Row {
        name: "call-headers",
        probe: "reqh pause;reqh call upstream /called?x=%2520 1000;call resume request",
        ..GET
    },
    Row {
        name: "call-headers-without-timeout",
        probe: "reqh pause;reqh call upstream /called 0;call resume request",
        ..GET
    },
    Row {
        name: "call-that-is-not-written",
        probe: "reqh pause;reqh call other /a\\x0ab 1000;call get 6 :status;call pairs 6;\
        call body 4 0 99;call resume request",
        ..GET
    },
    Row {
        name: "grpc-call-headers",
        probe: "reqh pause;reqh grpc http2 pkg.Service Method;grpc resume request",
        ..GET
    },
];
