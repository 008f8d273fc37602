//! Java's `.properties`, and files of environment variables: mappings of whole keys to texts.

use java_properties::{LineContent, PropertiesIter};

use crate::command::import::node::{Ids, Kind, Node};
use crate::command::import::problems::Problems;

/// Text of the comment that separates documents, `#---`.
const SEPARATOR: &str = "---";

/// Parses a file into the documents that hold something. As in Java, a key that is given twice has
/// its last value. The earlier one stays in the tree under the key `KEY (line N)`, which no
/// importer knows, so that it is reported.
pub(super) fn parse(bytes: &[u8], file: usize, problems: &mut Problems) -> Vec<Node> {
    let mut ids = Ids::new(file);
    let mut documents = Vec::new();
    let mut entries: Vec<(String, Node)> = Vec::new();
    for line in PropertiesIter::new(bytes) {
        let line = match line {
            Ok(line) => line,
            Err(error) => {
                let number = error.line_number().unwrap_or(1);
                problems.add_line(file, number, format!("is not a property: {error}"));
                continue;
            }
        };
        let first = line.line_number();
        let (key, value) = match line.consume_content() {
            LineContent::KVPair(key, value) => exported(key, value),
            LineContent::Comment(text) if text.trim_end() == SEPARATOR => {
                documents.extend(document(&mut ids, std::mem::take(&mut entries)));
                continue;
            }
            _ => continue,
        };
        if ids.is_full() {
            problems.add_line(file, first, "has too many values".to_owned());
            break;
        }
        if let Some((old, node)) = entries.iter_mut().find(|(other, _)| *other == key) {
            *old = format!("{key} (line {})", node.place.first);
            node.path = format!("{key}, given again in line {first}");
        }
        let node = Node {
            place: ids.place(first, last_line(bytes, first)),
            path: key.clone(),
            kind: Kind::Scalar(value.trim().to_owned()),
        };
        entries.push((key, node));
    }
    documents.extend(document(&mut ids, entries));
    documents
}

fn document(ids: &mut Ids, entries: Vec<(String, Node)>) -> Option<Node> {
    let first = entries.first()?.1.place.first;
    let last = entries.last()?.1.place.last;
    Some(Node {
        place: ids.place(first, last),
        path: String::new(),
        kind: Kind::Mapping(entries),
    })
}

/// Reads `export NAME="value"`, as files of environment variables have it.
fn exported(key: String, value: String) -> (String, String) {
    let is_variable = |key: &str| {
        key.bytes()
            .all(|letter| matches!(letter, b'A'..=b'Z' | b'0'..=b'9' | b'_'))
    };
    let (key, value) = match value.split_once('=') {
        Some((name, rest)) if key == "export" => (name.trim().to_owned(), rest.to_owned()),
        _ => (key, value),
    };
    if !is_variable(&key) {
        return (key, value);
    }
    let bare = value.trim();
    let unquoted = ['"', '\'']
        .iter()
        .find_map(|quote| bare.strip_prefix(*quote)?.strip_suffix(*quote));
    let value = unquoted.unwrap_or(bare).to_owned();
    (key, value)
}

/// Returns the last of the lines that one property continues over.
fn last_line(bytes: &[u8], first: usize) -> usize {
    let continues = |line: &&[u8]| {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        line.iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 1
    };
    let lines = bytes.split(|byte| *byte == b'\n').skip(first - 1);
    first + lines.take_while(continues).count()
}
