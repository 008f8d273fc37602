//! The report has every line of a source that holds something, and no other.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

use super::{folder, import, inputs};

/// Returns the lines that hold a key, a value or an item, without any parser.
fn content(file: &str, text: &str) -> BTreeSet<u64> {
    let is_properties = file.ends_with(".properties") || file.ends_with(".env");
    let mut lines = BTreeSet::new();
    // The indentation of the key of a block scalar, in which no line is a comment.
    let mut block: Option<usize> = None;
    let mut continues = false;
    let text = text.trim_start_matches('\u{feff}');
    for (number, line) in (1..).zip(text.lines()) {
        let bare = line.trim();
        let indent = line.len() - line.trim_start().len();
        if !bare.is_empty() && block.is_some_and(|outer| indent <= outer) {
            block = None;
        }
        // A line of YAML with `%` at its beginning is for the parser.
        let others: &[&str] = match is_properties {
            true => &["#", "!"],
            false if file.ends_with(".json") => &["//", "/*"],
            false => &["#", "%"],
        };
        let is_comment = others.iter().any(|sign| bare.starts_with(sign));
        let holds = bare.chars().any(char::is_alphanumeric);
        if holds && (!is_comment || block.is_some() || continues) {
            lines.insert(number);
        }
        continues = is_properties && !is_comment && bare.ends_with('\\');
        let opens = [": |", ": >", ": |-", ": >-"]
            .iter()
            .any(|end| bare.ends_with(end));
        // A file inside of a file has comments of its own.
        let is_file = [".yml: |", ".properties: |"]
            .iter()
            .any(|end| bare.ends_with(end));
        if !is_properties && opens && !is_file && block.is_none() {
            block = Some(indent);
        }
    }
    lines
}

#[test]
fn every_line_that_holds_something_is_reported_and_no_other() {
    for (system, file) in inputs() {
        let text = fs::read_to_string(folder().join(&file)).unwrap();
        let content = content(&file, &text);
        let output = import(&system, &[&file, "--report", "json"]);
        assert!(output.code < 2, "{file}: {}", output.stderr);
        // After the report of a file with nothing to import there is a message.
        let mut reports = serde_json::Deserializer::from_str(&output.stderr).into_iter::<Value>();
        let report = reports.next().unwrap().unwrap();
        let mut reported = BTreeSet::new();
        for entry in report["files"][0]["entries"].as_array().unwrap() {
            let lines = &entry["lines"];
            let (first, last) = (lines[0].as_u64().unwrap(), lines[1].as_u64().unwrap());
            assert!(
                content.contains(&first),
                "{file}: nothing begins at {entry}"
            );
            assert!(content.contains(&last), "{file}: nothing ends at {entry}");
            reported.extend((first..=last).filter(|line| content.contains(line)));
        }
        assert_eq!(reported, content, "{file}");
    }
}
