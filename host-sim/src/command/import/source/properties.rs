//! Java's `.properties` as a node: one mapping of whole keys to texts.

use java_properties::{LineContent, PropertiesIter};

use crate::command::import::node::{Ids, Kind, Node};
use crate::command::import::problems::Problems;

/// Parses a file, or returns `None` if it holds nothing. As in Java, a key that is given twice has
/// its last value. The earlier one stays in the tree under the key `KEY (line N)`, which no
/// importer knows, so that it is reported.
pub(super) fn parse(bytes: &[u8], file: usize, problems: &mut Problems) -> Option<Node> {
    let mut ids = Ids::new(file);
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
        let LineContent::KVPair(key, value) = line.consume_content() else {
            continue;
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
    let first = entries.first()?.1.place.first;
    let last = entries.last()?.1.place.last;
    Some(Node {
        place: ids.place(first, last),
        path: String::new(),
        kind: Kind::Mapping(entries),
    })
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
