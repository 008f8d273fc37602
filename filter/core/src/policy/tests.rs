//! Valid and invalid files, from `tests/policies`. Beside each invalid file is the list of its
//! errors, one per line.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use std::fs;
use std::path::PathBuf;

use super::*;
use crate::testing::{config, policy};

mod defaults;
mod example;
mod fields;
mod hostile;
mod sets;

/// Names and contents of the files `tests/policies/<folder>/*.json`, at least `count`.
fn files(folder: &str, count: usize) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/policies")
        .join(folder);
    let entries = fs::read_dir(&folder).expect("the folder of policies");
    let mut files: Vec<(PathBuf, Vec<u8>)> = entries
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "json"))
        .map(|path| (path.clone(), fs::read(path).expect("a file")))
        .collect();
    files.sort();
    assert!(files.len() >= count, "{} files in {folder:?}", files.len());
    files
}

/// The errors of a policy, one per line.
fn errors(json: &[u8]) -> Vec<String> {
    match Config::parse(json) {
        Ok(_) => Vec::new(),
        Err(errors) => errors.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn every_valid_file_is_accepted() {
    for (path, json) in files("valid", 12) {
        assert_eq!(errors(&json), [""; 0], "{path:?}");
    }
}

#[test]
fn every_invalid_file_is_rejected_with_all_its_errors_in_the_order_of_the_file() {
    for (path, json) in files("invalid", 30) {
        let expected = fs::read_to_string(path.with_extension("expected")).unwrap_or_default();
        let found = errors(&json);
        assert!(!found.is_empty(), "{path:?} is accepted");
        assert_eq!(found.join("\n"), expected.trim_end(), "{path:?}");
    }
}
