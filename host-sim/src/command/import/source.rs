//! Source files as trees whose nodes know their lines.
//!
//! YAML, JSON, `.properties` and `.env` all become one kind of [`Node`], so that importers and the
//! report need not know which of them a setting came from. JSON is read as the YAML that it is. A
//! key of a `.properties` file stays in one piece, as dotted keys of YAML do: `settings` splits
//! both.

mod embedded;
mod properties;
mod text;
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

impl Source {
    /// Returns all documents. Those inside of a text come in front of the one that has the text.
    pub(super) fn roots(&self) -> Vec<&Node> {
        let mut roots = Vec::new();
        for document in &self.documents {
            embedded::roots(document, &mut roots);
            roots.push(document);
        }
        roots
    }
}

/// Reads a file, and adds what is wrong with it to `problems`.
pub(super) fn read(path: &Path, file: usize, problems: &mut Problems) -> Source {
    let name = path.display().to_string();
    let syntax = Syntax::of(&name);
    let mut documents = match fs::read(path) {
        Err(error) => {
            problems.add_file(file, format!("cannot be read: {error}"));
            Vec::new()
        }
        Ok(bytes) => parse(&bytes, syntax, file, problems),
    };
    embedded::open(&mut documents);
    Source { name, documents }
}

/// The byte order mark, which editors of Windows write.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// How a file is written, by its name.
#[derive(Clone, Copy, PartialEq)]
enum Syntax {
    Properties,
    Json,
    Yaml,
}

impl Syntax {
    fn of(name: &str) -> Syntax {
        match name.rsplit_once('.') {
            Some((_, "properties" | "env")) => Syntax::Properties,
            Some((_, "json")) => Syntax::Json,
            _ => Syntax::Yaml,
        }
    }
}

fn parse(bytes: &[u8], syntax: Syntax, file: usize, problems: &mut Problems) -> Vec<Node> {
    let bytes = bytes.strip_prefix(MARK).unwrap_or(bytes);
    if syntax == Syntax::Properties {
        return properties::parse(bytes, file, problems);
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => {
            let text = match syntax {
                Syntax::Json => text::without_comments(text),
                _ => text::with_quoted_placeholders(text),
            };
            yaml::parse(&text, file, problems)
        }
        Err(error) => {
            let good = &bytes[..error.valid_up_to()];
            let line = 1 + good.iter().filter(|byte| **byte == b'\n').count();
            problems.add_line(file, line, "is not UTF-8".to_owned());
            Vec::new()
        }
    }
}
