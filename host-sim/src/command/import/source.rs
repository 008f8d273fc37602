//! Source files as trees whose nodes know their lines.
//!
//! YAML, JSON and `.properties` all become one kind of [`Node`], so that importers and the report
//! need not know which of them a setting came from. JSON is read as the YAML that it is. A key of
//! a `.properties` file stays in one piece, as dotted keys of YAML do: `settings` splits both.

mod properties;
mod yaml;

use std::fs;
use std::path::Path;

pub(super) use super::node::Node;
use super::problems::Problems;

/// One file with its documents.
pub(super) struct Source {
    pub name: String,
    pub documents: Vec<Node>,
}

/// Reads a file, and adds what is wrong with it to `problems`.
pub(super) fn read(path: &Path, file: usize, problems: &mut Problems) -> Source {
    let name = path.display().to_string();
    let is_properties = path.extension().is_some_and(|end| end == "properties");
    let documents = match fs::read(path) {
        Err(error) => {
            problems.add_file(file, format!("cannot be read: {error}"));
            Vec::new()
        }
        Ok(bytes) => parse(&bytes, is_properties, file, problems),
    };
    Source { name, documents }
}

fn parse(bytes: &[u8], is_properties: bool, file: usize, problems: &mut Problems) -> Vec<Node> {
    if is_properties {
        return properties::parse(bytes, file, problems)
            .into_iter()
            .collect();
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => yaml::parse(text.trim_start_matches('\u{feff}'), file, problems),
        Err(error) => {
            let good = &bytes[..error.valid_up_to()];
            let line = 1 + good.iter().filter(|byte| **byte == b'\n').count();
            problems.add_line(file, line, "is not UTF-8".to_owned());
            Vec::new()
        }
    }
}
