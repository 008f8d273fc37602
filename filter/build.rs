//! Names what the module exports, for `link.sh`, and sets the size of its stack.

use std::env;

/// What both modules export by the SDK.
const OF_SDK: [&str; 2] = ["_initialize", "proxy_abi_version_0_2_1"];

/// Callbacks of both modules, without their prefix `proxy_on_`.
const BASE: [&str; 8] = [
    "memory_allocate",
    "vm_start",
    "configure",
    "tick",
    "context_create",
    "request_headers",
    "log",
    "delete",
];

/// Callbacks of the full module alone.
const FULL: [&str; 6] = [
    "request_body",
    "request_trailers",
    "response_headers",
    "response_body",
    "response_trailers",
    "http_call_response",
];

/// Size of the stack, which every VM has from its start. rustc's default is 1 MiB. The most nested
/// JSON that the parser accepts takes 40 KB of it, and requests 5 KB.
const STACK_BYTES: usize = 256 * 1024;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-link-arg-cdylib=-zstack-size={STACK_BYTES}");
    let is_lite = env::var_os("CARGO_FEATURE_LITE").is_some();
    let more: &[&str] = if is_lite { &[] } else { &FULL };
    for name in OF_SDK {
        println!("cargo::rustc-link-arg-cdylib=--keep-export={name}");
    }
    // The names in `src/exports.rs`, and those of the ABI.
    for name in BASE.iter().chain(more) {
        println!("cargo::rustc-link-arg-cdylib=--rename-export=spill_on_{name}=proxy_on_{name}");
    }
}
