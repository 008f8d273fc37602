//! `host-sim bench --growth`: how costs and memory grow.
//!
//! Counts are exact and the same everywhere. Only the times to load policies are those of this
//! computer.

mod measured;
mod policies;
mod rows;
mod start;
mod subject;
mod tables;

use std::path::Path;

use crate::command::bench::document;
use crate::command::run::{print, write};
use crate::command::{Failure, read_file};
use crate::proxy::Module;
use crate::report::json;

use measured::Measured;

/// Measures the modules, prints the tables, and writes them into `document`.
///
/// # Errors
///
/// If a module refuses a policy that it should take, or the document has no place for the
/// tables.
pub(super) fn run(
    modules: &[(&str, Module)],
    json: bool,
    document: Option<&Path>,
) -> Result<(), Failure> {
    let mut all = Vec::new();
    for (name, module) in modules {
        all.push((*name, Measured::of(module)?));
    }
    let (start, growth) = (tables::start(&all), tables::growth(&all));
    if let Some(path) = document {
        write_tables(path, &start, &growth)?;
    }
    print(&match json {
        true => json::text(&json::named(&all)),
        false => format!("{start}\n{growth}"),
    })
}

fn write_tables(path: &Path, start: &str, growth: &str) -> Result<(), Failure> {
    let usage = |why: String| Failure::Usage(format!("{}: {why}", path.display()));
    let text = String::from_utf8(read_file(path)?).map_err(|error| usage(error.to_string()))?;
    let text = document::with(&text, "make growth, start,", start).map_err(usage)?;
    let text = document::with(&text, "make growth", growth).map_err(usage)?;
    write(path, &text)
}
