//! The parts of Markdown that the documents use.

use std::collections::BTreeSet;
use std::fs;

use regex::Regex;
use spillway_tests::places;

/// A document of the project.
pub(super) struct Document {
    /// The path from the root of the workspace.
    pub path: String,
    pub text: String,
}

/// A fenced code block.
pub(super) struct Block {
    line: usize,
    /// The word after the fence.
    pub language: String,
    /// What follows that word.
    pub argument: String,
    pub text: String,
}

impl Block {
    /// Describes a problem of this block, with its place.
    pub(super) fn told(&self, document: &Document, why: &str) -> String {
        format!("{}:{}: {why}", document.path, self.line)
    }
}

impl Document {
    /// Reads a document by its path from the root of the workspace.
    ///
    /// # Panics
    ///
    /// Panics if it is missing.
    pub(super) fn read(path: &str) -> Self {
        let text = fs::read_to_string(places::root().join(path));
        Self {
            path: path.into(),
            text: text.unwrap_or_else(|error| panic!("{path}: {error}")),
        }
    }

    /// The code blocks, in order.
    pub(super) fn blocks(&self) -> Vec<Block> {
        let mut blocks = Vec::new();
        let mut open: Option<Block> = None;
        for (index, line) in self.text.lines().enumerate() {
            match (open.take(), line.strip_prefix("```")) {
                (Some(block), Some(_)) => blocks.push(block),
                (Some(mut block), None) => {
                    block.text.push_str(line);
                    block.text.push('\n');
                    open = Some(block);
                }
                (None, Some(info)) => {
                    let (language, argument) = info.split_once(' ').unwrap_or((info, ""));
                    open = Some(Block {
                        line: index + 1,
                        language: language.into(),
                        argument: argument.into(),
                        text: String::new(),
                    });
                }
                (None, None) => {}
            }
        }
        assert!(open.is_none(), "{}: a block without an end", self.path);
        blocks
    }

    /// The text without its code blocks.
    pub(super) fn prose(&self) -> String {
        let mut within = false;
        let mut prose = String::new();
        for line in self.text.lines() {
            if line.starts_with("```") {
                within = !within;
            } else if !within {
                prose.push_str(line);
                prose.push('\n');
            }
        }
        prose
    }

    /// The code spans of the prose.
    pub(super) fn spans(&self) -> Vec<String> {
        let spans = regex("`([^`]+)`");
        let prose = self.prose();
        let found = spans.captures_iter(&prose);
        found.map(|span| span[1].replace('\n', " ")).collect()
    }

    /// The targets of all links and pictures.
    pub(super) fn links(&self) -> Vec<String> {
        let prose = self.prose();
        let prose = regex("`[^`]+`").replace_all(&prose, "code");
        let links = regex(r"\]\(([^)\s]+)\)");
        links.captures_iter(&prose).map(|it| it[1].into()).collect()
    }

    /// What a link to this document may name behind `#`: headings as GitHub writes them, and
    /// anchors.
    pub(super) fn anchors(&self) -> BTreeSet<String> {
        let prose = self.prose();
        let headings = prose.lines().filter(|line| line.starts_with('#'));
        let slugs = headings.map(|line| slug(line.trim_start_matches('#').trim()));
        let named = regex(r#"<a id="([^"]+)">"#);
        let named = named.captures_iter(&prose).map(|it| it[1].into());
        slugs.chain(named).collect()
    }
}

fn slug(heading: &str) -> String {
    let heading = heading.to_lowercase();
    let kept = heading
        .chars()
        .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a valid pattern")
}
