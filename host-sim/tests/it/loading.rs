//! Modules that fail to load, with Envoy's messages, and one of the older ABI that loads.

use host_sim::proxy::Module;
use host_sim::proxy::{Plugin, Setup};

use crate::proxy::{Proxy, text_guest, text_module};

/// A module with the exports that every module needs, and `more`.
fn minimal(more: &str) -> String {
    format!(
        r#"(module {more}
            (memory (export "memory") 1)
            (func (export "malloc") (param i32) (result i32) i32.const 1024)
            (func (export "proxy_abi_version_0_2_1")))"#
    )
}

fn loading(text: &str) -> String {
    let module = match text_module(text) {
        Ok(module) => module,
        Err(error) => return error.to_string(),
    };
    match Proxy::start(Plugin::new(module, ""), 1) {
        Ok(_) => "it starts".into(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn an_unsuitable_module_fails_with_envoys_message() {
    let log = r#"(import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))"#;
    let define = r#"(import "env" "proxy_define_metric"
                        (func $define (param i32 i32 i32 i32) (result i32)))"#;
    let starting = |import: &str, call: &str| {
        minimal(&format!(
            r#"{import} (func (export "_initialize") {call} drop)"#
        ))
    };
    let rows = [
        (minimal(""), "it starts"),
        (
            minimal(r#"(import "env" "nosuch" (func))"#),
            "Failed to load Wasm module due to a missing import: env.nosuch",
        ),
        (
            minimal(r#"(import "env" "proxy_log" (func (param i64) (result i32)))"#),
            "Failed to load Wasm module due to an import type mismatch: env.proxy_log, \
             want: i64 -> i32, but host exports: i32 i32 i32 -> i32",
        ),
        (
            r#"(module (memory (export "memory") 1))"#.into(),
            "Missing or unknown Proxy-Wasm ABI version",
        ),
        (
            r#"(module (func (export "proxy_abi_version_0_2_1")))"#.into(),
            "Wasm module is missing malloc function.",
        ),
        (
            starting(
                define,
                "(call $define (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0))",
            ),
            "Function: _initialize failed: Uncaught Error: restricted_callback",
        ),
        (
            starting(log, "(call $log (i32.const 2) (i32.const 0) (i32.const 0))"),
            "it starts",
        ),
        (
            minimal(r#"(func (export "_start") unreachable)"#),
            "Function: _start failed: Uncaught RuntimeError: unreachable",
        ),
        (
            minimal(
                r#"(func (export "proxy_on_vm_start") (param i32 i32) (result i32) i32.const 0)"#,
            ),
            "Failed to start base Wasm",
        ),
        (
            minimal(
                r#"(func (export "proxy_on_configure") (param i32 i32) (result i32) i32.const 0)"#,
            ),
            "Failed to configure base Wasm plugin",
        ),
    ];
    for (text, expected) in rows {
        let seen = loading(&text);
        assert_eq!(seen.lines().next(), Some(expected), "{text}");
    }
}

#[test]
fn an_invalid_module_is_rejected() {
    for bytes in [&b""[..], b"text", b"\0asm\x01\0\0\0junk"] {
        assert!(Module::from_bytes(bytes).is_err());
    }
}

#[test]
fn a_function_with_another_signature_is_rejected() {
    let text = minimal(r#"(func (export "proxy_on_tick") (param i64))"#);
    let error = loading(&text);
    assert!(
        error.starts_with("Bad function signature for: proxy_on_tick"),
        "{error}"
    );
}

#[test]
fn the_older_abi_has_no_log_level() {
    let import = r#"(import "env" "proxy_get_log_level" (func (param i32) (result i32)))"#;
    assert_eq!(loading(&minimal(import)), "it starts");
    let older = minimal(import).replace("0_2_1", "0_2_0");
    let expected = "Failed to load Wasm module due to a missing import: env.proxy_get_log_level";
    assert_eq!(loading(&older), expected);
}

#[test]
fn a_guest_of_the_older_abi_runs() {
    let module = text_guest("abi_0_2_0").unwrap();
    let mut proxy = Proxy::start(Plugin::new(module, ""), 1).unwrap();
    let stream = proxy.get();
    proxy.respond(stream);
    proxy.host.close(stream);
    let expected = [
        "up: :path=/x x-abi=0.2.0. rerouted",
        "client: :status=200 server=up.",
    ];
    assert_eq!(proxy.effects(), expected);
}

#[test]
fn zero_workers_are_one_worker() {
    let module = text_module(&minimal("")).unwrap();
    let plugin = Some(Plugin::new(module, ""));
    let setup = Setup {
        plugin,
        workers: 0,
        ..Setup::default()
    };
    assert!(host_sim::proxy::Host::start(setup, Default::default()).is_ok());
}
