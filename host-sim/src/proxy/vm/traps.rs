//! Log messages of traps, in the words of V8, in which Envoy runs guests.

use std::fmt::Write;

use wasmtime::{Error, Trap, WasmBacktrace};

/// Envoy's limit.
const FRAMES_MAX: usize = 20;

/// Returns the lines that Envoy logs.
pub(crate) fn text(function: &str, error: &Error) -> String {
    let mut text = format!("Function: {function} failed: Uncaught {}", reason(error));
    let frames = error
        .downcast_ref::<WasmBacktrace>()
        .map_or(&[][..], WasmBacktrace::frames);
    if !frames.is_empty() {
        text.push_str("\nProxy-Wasm plugin in-VM backtrace:");
    }
    for (number, frame) in frames.iter().take(FRAMES_MAX).enumerate() {
        let offset = frame.module_offset().unwrap_or_default();
        let name = frame.func_name().unwrap_or("unknown");
        // Writing to a string does not fail.
        let _ = write!(text, "\n{number:3}: {offset:#8x} - {name}");
    }
    text
}

fn reason(error: &Error) -> String {
    let Some(trap) = error.downcast_ref::<Trap>() else {
        return format!("Error: {}", error.root_cause());
    };
    let words = match trap {
        Trap::UnreachableCodeReached => "unreachable",
        Trap::MemoryOutOfBounds => "memory access out of bounds",
        Trap::TableOutOfBounds => "table index is out of bounds",
        Trap::IndirectCallToNull | Trap::BadSignature => {
            "null function or function signature mismatch"
        }
        Trap::IntegerOverflow => "divide result unrepresentable",
        Trap::IntegerDivisionByZero => "divide by zero",
        Trap::BadConversionToInteger => "float unrepresentable in integer range",
        Trap::StackOverflow => return "RangeError: Maximum call stack size exceeded".into(),
        // V8 has no such limit. There the worker would hang.
        Trap::OutOfFuel => return "Error: the callback used up its fuel".into(),
        other => return format!("RuntimeError: {other}"),
    };
    format!("RuntimeError: {words}")
}
