//! The modules themselves: their imports, exports and sizes.
//!
//! A host rejects a module with an unknown import and calls every callback that a module exports,
//! so both lists may only change on purpose.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use spillway_tests::places;
use wasmparser::{Export, Import, Parser, Payload};

/// Every worker of every proxy compiles the module.
const SIZE_MAX: usize = 442 * 1024;
const LITE_SIZE_MAX: usize = 374 * 1024;

/// Hostcalls of the proxy-wasm ABI, without the prefix `proxy_`: those that the filter uses.
const HOST_CALLS: &str = "
    add_header_map_value continue_stream define_metric get_buffer_bytes
    get_current_time_nanoseconds get_header_map_pairs get_header_map_value get_property
    get_shared_data http_call increment_metric log record_metric remove_header_map_value
    replace_header_map_value send_local_response set_buffer_bytes set_effective_context
    set_header_map_pairs set_property set_shared_data set_tick_period_milliseconds";

/// WASI calls. Rust's standard library would report a panic through the last four.
const WASI_CALLS: &str =
    "clock_time_get random_get environ_get environ_sizes_get fd_write proc_exit";

/// Callbacks of the proxy-wasm ABI that both modules export, without the prefix `proxy_on_`: those
/// that `filter/build.rs` keeps.
const CALLBACKS: &str =
    "configure context_create delete log memory_allocate request_headers tick vm_start";

const OTHER_EXPORTS: &str = "_initialize memory proxy_abi_version_0_2_1";

/// Callbacks that only the full module has.
const FULL_CALLBACKS: &str = "
    http_call_response request_body request_trailers response_body response_headers
    response_trailers";

#[test]
fn the_module_has_exactly_the_listed_imports() {
    let listed =
        names("env.proxy_", HOST_CALLS).chain(names("wasi_snapshot_preview1.", WASI_CALLS));
    let name = |import: Import<'_>| format!("{}.{}", import.module, import.name);
    let imports = found(&places::module(), |payload| match payload {
        Payload::ImportSection(section) => section
            .into_imports()
            .map(|import| name(import.expect("an import")))
            .collect(),
        _ => Vec::new(),
    });
    same(listed, imports.into_iter());
}

#[test]
fn each_module_has_exactly_the_listed_exports() {
    let name = |export: Export<'_>| export.name.to_owned();
    for (path, more) in [
        (places::module(), FULL_CALLBACKS),
        (places::lite_module(), ""),
    ] {
        let callbacks = names("proxy_on_", CALLBACKS).chain(names("proxy_on_", more));
        let exports = found(&path, |payload| match payload {
            Payload::ExportSection(section) => section
                .into_iter()
                .map(|export| name(export.expect("an export")))
                .collect(),
            _ => Vec::new(),
        });
        same(
            callbacks.chain(names("", OTHER_EXPORTS)),
            exports.into_iter(),
        );
    }
}

#[test]
fn the_modules_are_small() {
    let rows = [
        (places::module(), SIZE_MAX),
        (places::lite_module(), LITE_SIZE_MAX),
    ];
    for (path, allowed) in rows {
        let size = module(&path).len();
        assert!(size <= allowed, "{size} bytes, allowed {allowed}");
    }
}

fn module(path: &Path) -> Vec<u8> {
    fs::read(path).expect("a readable module")
}

/// Returns what `read` finds in the sections of a module.
fn found(path: &Path, read: impl FnMut(Payload<'_>) -> Vec<String>) -> Vec<String> {
    let module = module(path);
    let payloads = Parser::new(0).parse_all(&module);
    let payloads = payloads.map(|payload| payload.expect("a valid section"));
    payloads.flat_map(read).collect()
}

fn names<'a>(prefix: &'a str, list: &'a str) -> impl Iterator<Item = String> + 'a {
    list.split_whitespace()
        .map(move |name| format!("{prefix}{name}"))
}

/// Asserts that two lists of names are equal, and shows missing and new names.
fn same(listed: impl Iterator<Item = String>, found: impl Iterator<Item = String>) {
    let (listed, found): (BTreeSet<_>, BTreeSet<_>) = (listed.collect(), found.collect());
    let missing: Vec<_> = listed.difference(&found).collect();
    let new: Vec<_> = found.difference(&listed).collect();
    assert!(
        missing.is_empty() && new.is_empty(),
        "missing: {missing:?}, new: {new:?}"
    );
}
