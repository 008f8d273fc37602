//! A module that traps in a chosen callback.
//!
//! The filter has no hook for tests, and a trap in it would be a bug to fix. The shipped module is
//! rewritten instead: one callback that the filter leaves to the SDK traps at once, and everything
//! else is unchanged. A request that reaches the callback takes down its worker's VM.

use std::convert::Infallible;

use wasm_encoder::reencode::{Error, Reencode, utils};
use wasm_encoder::{CodeSection, Function, Module};
use wasmparser::{ExternalKind, FunctionBody, Parser, Payload, TypeRef};

/// Replaces the body of an exported function by `unreachable`.
///
/// # Panics
///
/// Panics if the module exports no such function, or exports it under a second name.
pub(crate) fn trapping(module: &[u8], export: &str) -> Vec<u8> {
    let function = exported(module, export) - imported(module);
    let mut rewriting = Trapping { function, next: 0 };
    let mut rewritten = Module::new();
    rewriting
        .parse_core_module(&mut rewritten, Parser::new(0), module)
        .expect("a module to rewrite");
    rewritten.finish()
}

struct Trapping {
    /// Index among the functions that have a body.
    function: u32,
    next: u32,
}

impl Reencode for Trapping {
    type Error = Infallible;

    fn parse_function_body(
        &mut self,
        code: &mut CodeSection,
        body: FunctionBody<'_>,
    ) -> Result<(), Error<Infallible>> {
        let number = self.next;
        self.next += 1;
        if number != self.function {
            return utils::parse_function_body(self, code, body);
        }
        let mut trap = Function::new([]);
        trap.instructions().unreachable().end();
        code.function(&trap);
        Ok(())
    }
}

/// Returns the index of an exported function.
fn exported(module: &[u8], name: &str) -> u32 {
    let mut functions = Vec::new();
    for payload in payloads(module) {
        if let Payload::ExportSection(section) = payload {
            let exports = section.into_iter().map(|export| export.expect("an export"));
            functions.extend(exports.filter(|export| export.kind == ExternalKind::Func));
        }
    }
    let wanted = functions.iter().find(|export| export.name == name);
    let index = wanted
        .unwrap_or_else(|| panic!("the module exports no {name}"))
        .index;
    let same = functions.iter().filter(|export| export.index == index);
    assert_eq!(same.count(), 1, "{name} has other names too");
    index
}

/// Number of imported functions, which come before those with a body.
fn imported(module: &[u8]) -> u32 {
    let mut count = 0;
    for payload in payloads(module) {
        if let Payload::ImportSection(section) = payload {
            let imports = section.into_imports().map(|it| it.expect("an import"));
            let functions = imports.filter(|import| matches!(import.ty, TypeRef::Func(_)));
            count += functions.count() as u32;
        }
    }
    count
}

fn payloads(module: &[u8]) -> impl Iterator<Item = Payload<'_>> {
    let payloads = Parser::new(0).parse_all(module);
    payloads.map(|payload| payload.expect("a valid section"))
}

#[cfg(test)]
mod tests {
    use super::trapping;

    fn module(first: &str, second: &str) -> Vec<u8> {
        let text = format!(
            r#"(module
                (import "env" "log" (func $log (param i32)))
                (memory (export "memory") 1)
                (func (export "first") (param i32) (result i32) {first})
                (func (export "second") (param i32) {second}))"#
        );
        wat::parse_str(text).expect("a module")
    }

    #[test]
    fn one_callback_traps_and_nothing_else_is_changed() {
        let (first, second) = ("local.get 0", "local.get 0 call $log");
        let whole = module(first, second);
        assert_eq!(trapping(&whole, "first"), module("unreachable", second));
        assert_eq!(trapping(&whole, "second"), module(first, "unreachable"));
    }

    #[test]
    #[should_panic(expected = "the module exports no third")]
    fn a_callback_that_is_not_there_cannot_trap() {
        trapping(&module("local.get 0", ""), "third");
    }
}
