//! Names what the module exports, for `link.sh`.

use std::env;

/// What both modules export.
const BASE: [&str; 10] = [
    "_initialize",
    "proxy_abi_version_0_2_1",
    "proxy_on_memory_allocate",
    "proxy_on_vm_start",
    "proxy_on_configure",
    "proxy_on_tick",
    "proxy_on_context_create",
    "proxy_on_request_headers",
    "proxy_on_log",
    "proxy_on_delete",
];

/// What only the full module exports.
const FULL: [&str; 6] = [
    "proxy_on_request_body",
    "proxy_on_request_trailers",
    "proxy_on_response_headers",
    "proxy_on_response_body",
    "proxy_on_response_trailers",
    "proxy_on_http_call_response",
];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let is_lite = env::var_os("CARGO_FEATURE_LITE").is_some();
    let more: &[&str] = if is_lite { &[] } else { &FULL };
    for name in BASE.iter().chain(more) {
        println!("cargo::rustc-link-arg-cdylib=--keep-export={name}");
    }
}
