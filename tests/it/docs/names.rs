//! Files, types and tests that the documents mention.

use std::fs;
use std::path::Path;

use regex::Regex;
use spillway_tests::places;

use super::markdown::Document;
use super::sandbox::files;

/// Returns the names in a document that do not exist.
///
/// Files are checked in every document, relative to the root, to the document and to the sources
/// beside it. Types are checked in descriptions of the code, and tests in `FIDELITY.md`, since
/// other documents also mention names of Envoy.
pub(super) fn unknown(document: &Document) -> Vec<String> {
    let mut unknown = Vec::new();
    let sources: Vec<String> = ["filter", "host-sim", "tests"]
        .into_iter()
        .flat_map(sources)
        .collect();
    for span in document.spans() {
        let known = match document.path.rsplit('/').next() {
            _ if is_path(&span) => exists(document, &span),
            Some("ARCHITECTURE.md") => is_defined(&span, &sources),
            Some("FIDELITY.md") => is_test(&span, &sources),
            _ => true,
        };
        if !known {
            unknown.push(format!("{}: there is no {span}", document.path));
        }
    }
    unknown
}

/// The texts of all Rust files under a folder of the workspace.
pub(super) fn sources(folder: &str) -> Vec<String> {
    let folder = places::root().join(folder);
    let files = files(&folder, &|name| name.ends_with(".rs"));
    let read = |path| fs::read_to_string(folder.join(path)).expect("a readable file");
    files.into_iter().map(read).collect()
}

/// Whether a span is a path: a folder with a slash, a Rust file, or a path under a folder of the
/// project. `application/json` is not one.
fn is_path(span: &str) -> bool {
    let of_path = |c: char| c.is_ascii_alphanumeric() || "._-/".contains(c);
    if !span.chars().all(of_path) || span.starts_with('/') || span.starts_with("target/") {
        return false;
    }
    let first = span.split('/').next().unwrap_or_default();
    let in_project = ["filter", "host-sim", "policies", "tests", ".github"].contains(&first);
    span.ends_with(".rs") || span.ends_with('/') || (in_project && span.contains('/'))
}

fn exists(document: &Document, span: &str) -> bool {
    let folder = Path::new(&document.path).parent().expect("a folder");
    let places = ["", "src", "core/src"].map(|within| folder.join(within));
    let mut places = places.iter().map(|place| places::root().join(place));
    places::root().join(span).exists() || places.any(|place| place.join(span).exists())
}

/// Whether a span in the form of a type, optionally with a variant or function, is defined.
fn is_defined(span: &str, sources: &[String]) -> bool {
    let form = pattern(r"^[A-Z][A-Za-z0-9]*[a-z][A-Za-z0-9]*(::[A-Za-z_]+)*$");
    if !form.is_match(span) {
        return true;
    }
    let mut parts = span.split("::");
    let name = parts.next().unwrap_or_default();
    let definition = pattern(&format!(r"\b(struct|enum|trait|type|fn) {name}\b"));
    let of_enum = |part: &str| pattern(&format!(r"\b{part}\b"));
    let defining = sources.iter().any(|text| definition.is_match(text));
    defining && parts.all(|part| sources.iter().any(|text| of_enum(part).is_match(text)))
}

/// Whether a span in the form of a test's path names a test or a test module.
fn is_test(span: &str, sources: &[String]) -> bool {
    if !pattern("^[a-z_0-9]+(::[a-z_0-9]+)+$").is_match(span) {
        return true;
    }
    let name = span.rsplit("::").next().unwrap_or_default();
    let definition = pattern(&format!(r"\b(fn|mod) {name}\b"));
    sources.iter().any(|text| definition.is_match(text))
}

fn pattern(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a valid pattern")
}
