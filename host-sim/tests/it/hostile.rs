//! Hostile or broken guests: they get a status or a trap, and harm nothing else.

use host_sim::proxy::{FailurePolicy, Hostcall, Plugin};

use crate::proxy::{GET, OK, Proxy, body, built, headers, text_module};

/// Returns a proxy whose guest runs `code` on request headers.
fn guest(malloc: &str, code: &str) -> Proxy {
    let text = format!(
        r#"(module
            (import "env" "proxy_get_header_map_pairs"
                (func $pairs (param i32 i32 i32) (result i32)))
            (import "env" "proxy_set_header_map_pairs"
                (func $set_pairs (param i32 i32 i32) (result i32)))
            (import "env" "proxy_get_header_map_value"
                (func $value (param i32 i32 i32 i32 i32) (result i32)))
            (import "env" "proxy_get_buffer_bytes"
                (func $buffer (param i32 i32 i32 i32 i32) (result i32)))
            (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
            (import "env" "proxy_define_metric"
                (func $define (param i32 i32 i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "random_get"
                (func $random (param i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "fd_write"
                (func $write (param i32 i32 i32 i32) (result i32)))
            (memory (export "memory") 1)
            (data (i32.const 0) ":path")
            (func (export "proxy_abi_version_0_2_1"))
            (func (export "malloc") (param i32) (result i32) {malloc})
            (func $report (param $status i32)
                (i32.store8 (i32.const 600) (i32.add (i32.const 48) (local.get $status)))
                (drop (call $log (i32.const 2) (i32.const 600) (i32.const 1))))
            (func $deep (call $deep))
            (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
                {code}
                i32.const 0))"#
    );
    let plugin = Plugin {
        fuel_per_callback: Some(10_000_000),
        failure_policy: FailurePolicy::Closed,
        ..Plugin::new(text_module(&text).unwrap(), "")
    };
    Proxy::start(plugin, 1).unwrap()
}

fn outcome(malloc: &str, code: &str) -> (Vec<String>, Vec<String>) {
    let mut proxy = guest(malloc, code);
    proxy.log();
    proxy.get();
    // The backtrace after the first line of a trap does not matter.
    let first = |line: String| line.lines().next().unwrap_or_default().to_owned();
    (
        proxy.log().into_iter().map(first).collect(),
        proxy.effects(),
    )
}

const FINE: &str = "i32.const 1024";
const VALUE: &str = "(call $report (call $value (i32.const 0) (i32.const 0) (i32.const 5) \
                     (i32.const 512) (i32.const 516)))";

#[test]
fn an_invalid_address_from_the_allocator_gives_a_status() {
    let rows = [
        (FINE, "0"),
        ("i32.const 0", "6"),
        ("i32.const -1", "6"),
        ("i32.const 65535", "6"),
        ("i32.const 65534", "0"),
    ];
    for (malloc, status) in rows {
        let (log, effects) = outcome(malloc, VALUE);
        assert_eq!(log, [status], "{malloc}");
        assert_eq!(effects, ["up: :path=/x."], "{malloc}");
    }
}

#[test]
fn a_trap_in_the_allocator_fails_the_vm_but_the_caller_continues() {
    let (log, effects) = outcome("unreachable", VALUE);
    assert_eq!(
        log[0],
        "Function: malloc failed: Uncaught RuntimeError: unreachable"
    );
    assert_eq!(log[1], "6");
    assert_eq!(effects, ["client: :status=503."]);
}

#[test]
fn an_allocator_may_only_log() {
    let define = "(drop (call $define (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8))) \
                  i32.const 1024";
    let (log, _) = outcome(define, VALUE);
    assert_eq!(
        log[0],
        "Function: malloc failed: Uncaught Error: restricted_callback"
    );
}

#[test]
fn an_endless_loop_ends_when_its_fuel_is_used_up() {
    for (malloc, code) in [(FINE, "(loop br 0)"), ("(loop br 0) unreachable", VALUE)] {
        let (log, effects) = outcome(malloc, code);
        assert!(
            log[0].ends_with("Error: the callback used up its fuel"),
            "{log:?}"
        );
        assert_eq!(effects, ["client: :status=503."]);
    }
}

#[test]
fn endless_recursion_is_a_trap() {
    let (log, effects) = outcome(FINE, "(call $deep)");
    assert!(
        log[0].ends_with("RangeError: Maximum call stack size exceeded"),
        "{log:?}"
    );
    assert_eq!(effects, ["client: :status=503."]);
}

#[test]
fn a_pointer_outside_memory_gives_a_status() {
    let rows = [
        "(call $value (i32.const 0) (i32.const -1) (i32.const 5) (i32.const 512) (i32.const 516))",
        "(call $value (i32.const 0) (i32.const 0) (i32.const -1) (i32.const 512) (i32.const 516))",
        "(call $value (i32.const 0) (i32.const 0) (i32.const 5) (i32.const -1) (i32.const 516))",
        "(call $value (i32.const 0) (i32.const 0) (i32.const 5) (i32.const 512) (i32.const 65533))",
        "(call $pairs (i32.const 0) (i32.const -4) (i32.const 516))",
        "(call $set_pairs (i32.const 0) (i32.const 65000) (i32.const 10000))",
        "(call $log (i32.const 2) (i32.const -1) (i32.const 2))",
        "(call $define (i32.const 0) (i32.const -1) (i32.const 9) (i32.const 512))",
        "(call $define (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 65534))",
        "(call $buffer (i32.const 0) (i32.const 0) (i32.const 9) (i32.const -1) (i32.const 512))",
    ];
    for code in rows {
        let (log, effects) = outcome(FINE, &format!("(call $report {code})"));
        assert_eq!(log, ["6"], "{code}");
        assert_eq!(effects.len(), 1, "{code}");
    }
}

#[test]
fn a_wasi_pointer_outside_memory_gives_an_error() {
    let rows = [
        // 21 is "fault", 28 is "invalid", 8 is "no such descriptor".
        ("(call $random (i32.const -1) (i32.const 8))", 21),
        ("(call $random (i32.const 0) (i32.const 65537))", 28),
        (
            "(call $write (i32.const 1) (i32.const -1) (i32.const 1) (i32.const 0))",
            21,
        ),
        (
            "(call $write (i32.const 1) (i32.const 0) (i32.const -1) (i32.const 0))",
            21,
        ),
        (
            "(call $write (i32.const 5) (i32.const 0) (i32.const 0) (i32.const 0))",
            8,
        ),
    ];
    for (code, errno) in rows {
        let (log, _) = outcome(FINE, &format!("(call $report {code})"));
        let shown = char::from(48 + errno).to_string();
        assert_eq!(log, [shown], "{code}");
    }
}

#[test]
fn a_malformed_map_is_empty() {
    // The map claims more pairs than it has bytes.
    let code = "(i32.store (i32.const 256) (i32.const 1000)) \
                (call $report (call $set_pairs (i32.const 0) (i32.const 256) (i32.const 64)))";
    let (log, effects) = outcome(FINE, code);
    assert_eq!(
        (log, effects),
        (vec!["0".into()], vec!["up: . rerouted".into()])
    );
}

#[test]
fn headers_too_large_for_the_guest_give_a_status() {
    let malloc = "i32.const 1024";
    let mut proxy = guest(
        malloc,
        "(call $report (call $pairs (i32.const 0) (i32.const 512) (i32.const 516)))",
    );
    let stream = proxy.open_on(0);
    let many: Vec<_> = (0..5_000).map(|_| ("x-h", "0123456789")).collect();
    let pairs = [&GET[..], &many[..]].concat();
    proxy.log();
    proxy.host.request(stream, headers(true, &pairs));
    // The headers are larger than the guest's memory.
    assert_eq!(proxy.log(), ["6"]);
}

#[test]
fn memory_is_limited_to_one_gibibyte() {
    let code = "(call $report (i32.add (i32.const 1) (memory.grow (i32.const 16384))))";
    assert_eq!(outcome(FINE, code).0, ["0"]);
    let code = "(call $report (memory.grow (i32.const 1)))";
    assert_eq!(outcome(FINE, code).0, ["1"]);
}

#[test]
fn an_unknown_return_value_is_a_pause() {
    let text = r#"(module
        (memory (export "memory") 1)
        (func (export "proxy_abi_version_0_2_1"))
        (func (export "malloc") (param i32) (result i32) i32.const 0)
        (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) i32.const 77))"#;
    let mut proxy = Proxy::start(Plugin::new(text_module(text).unwrap(), ""), 1).unwrap();
    proxy.get();
    assert_eq!(proxy.effects(), [""; 0]);
}

#[test]
fn a_guest_without_memory_gets_error_statuses() {
    let text = r#"(module
        (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
        (func (export "proxy_abi_version_0_2_1"))
        (func (export "malloc") (param i32) (result i32) i32.const 8)
        (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
            (if (i32.ne (call $log (i32.const 2) (i32.const 0) (i32.const 1)) (i32.const 6))
                (then unreachable))
            i32.const 0))"#;
    let mut proxy = Proxy::start(Plugin::new(text_module(text).unwrap(), ""), 1).unwrap();
    proxy.get();
    assert_eq!(proxy.effects(), ["up: :path=/x."]);
}

#[test]
fn an_unmodelled_hostcall_ends_the_run_with_its_name() {
    let mut proxy = Proxy::start(Plugin::new(built("probe"), ""), 1).unwrap();
    proxy.get_with("rqh=foreign,nosuch");
    assert_eq!(proxy.host.halt(), None);
    proxy.get_with("rqh=foreign,compress,x");
    let fault = proxy.host.halt().unwrap().to_string();
    assert_eq!(
        fault,
        "the module called proxy_call_foreign_function(\"compress\"), which is not modelled"
    );
    assert_eq!(
        proxy.host.counts().hostcall(Hostcall::CallForeignFunction),
        2
    );
}

#[test]
fn events_out_of_order_are_dropped() {
    let mut proxy = Proxy::start(Plugin::new(built("probe"), ""), 1).unwrap();
    let stream = proxy.open_on(7);
    proxy.host.response(stream, body("early", true));
    proxy.host.request(stream, headers(true, &OK));
    proxy.host.request(stream, headers(true, &GET));
    proxy.host.close(stream);
    proxy.host.request(stream, headers(true, &GET));
    proxy.host.upstream_reset_after_headers(stream);
    assert!(proxy.host.close(stream).is_none());
    assert!(proxy.host.info(stream).is_none());
}
