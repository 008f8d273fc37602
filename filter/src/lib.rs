//! `spillway.wasm`: the proxy-wasm adapter around `spillway-core`.
//!
//! It reads what the core needs, asks the core, and applies the decision. No policy is
//! decided here: an `if` about policy belongs in the core, where it can be tested without a
//! host. If something goes wrong between the host and the core, the request passes and
//! `spillway.internal_errors_total` counts it.

#![cfg_attr(
    feature = "lite",
    allow(
        dead_code,
        unused_imports,
        reason = "the linker leaves out what only the full module uses"
    )
)]
#![deny(
    clippy::panic,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

mod allocator;
mod apply;
mod contexts;
mod exports;
mod facts;
mod host;
mod http;
mod metrics;
mod outbox;
mod replay;
mod report;
mod root;
mod runtime;
mod ticker;

use proxy_wasm::types::LogLevel;

// Hosts allow nothing but logging before the VM has started.
proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Info);
}}
