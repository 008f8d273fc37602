//! Compares metrics in the documents with those that the filter defines.

use std::collections::BTreeSet;
use std::fs;

use regex::Regex;
use spillway_tests::places;

use super::markdown::Document;

/// Names of all metrics, as Prometheus shows them.
pub(super) fn defined() -> BTreeSet<String> {
    let path = places::root().join("filter/src/metrics.rs");
    let source = fs::read_to_string(path).expect("a readable file");
    let counters = pattern(r#"[".]([a-z_]+_total)""#);
    let gauges = pattern(r#"Gauge::\w+ => "([a-z_]+)""#);
    let others = pattern(r#"[.](build_info|circuit_state)""#);
    let names = counters
        .captures_iter(&source)
        .chain(gauges.captures_iter(&source))
        .chain(others.captures_iter(&source));
    names.map(|name| format!("spillway_{}", &name[1])).collect()
}

/// The metrics that have a row in the tables of a document.
pub(super) fn described(document: &Document) -> BTreeSet<String> {
    let prose = document.prose();
    let rows = pattern(r"(?m)^\| `(spillway_[a-z_]+)`");
    rows.captures_iter(&prose)
        .map(|row| row[1].into())
        .collect()
}

/// The metrics that a document mentions anywhere.
pub(super) fn mentioned(document: &Document) -> BTreeSet<String> {
    let spans = document.spans().into_iter();
    spans
        .filter(|span| pattern("^spillway_[a-z_]+_total$").is_match(span))
        .collect()
}

/// The metrics that a file of queries or rules names. A recorded series is none: its name has
/// colons.
pub(super) fn queried(file: &str) -> BTreeSet<String> {
    let text = places::shipped(&format!("deploy/observability/{file}"));
    let names = pattern("[a-z0-9_:]*spillway_[a-z0-9_:]+");
    let names = names.find_iter(&text).map(|name| name.as_str().to_owned());
    names.filter(|name| !name.contains(':')).collect()
}

fn pattern(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a valid pattern")
}
