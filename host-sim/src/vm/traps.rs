//! What is logged of a trap, in the words of V8, which Envoy runs guests on.

use wasmtime::{Error, Trap};

/// The line that Envoy writes.
pub(crate) fn text(function: &str, error: &Error) -> String {
    format!("Function: {function} failed: Uncaught {}", reason(error))
}

fn reason(error: &Error) -> String {
    let Some(trap) = error.downcast_ref::<Trap>() else {
        return format!("Error: {error}");
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
        // V8 has no such limit: there, the worker would hang.
        Trap::OutOfFuel => return "Error: the callback used up its fuel".into(),
        other => return format!("RuntimeError: {other}"),
    };
    format!("RuntimeError: {words}")
}
