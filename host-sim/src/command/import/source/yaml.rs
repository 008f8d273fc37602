//! YAML and JSON as nodes.
//!
//! The parser gives events with positions, where serde would give values without. Merge keys
//! (`<<`) are applied, as the parsers of Java and Go do.

use std::collections::HashMap;

use granit_parser::{Event, Parser, ScanError, Span, StrInput};

use crate::command::import::node::{Ids, Kind, Node};
use crate::command::import::problems::Problems;

/// Parses all documents. After an error there are none, since the rest would mislead.
pub(super) fn parse(text: &str, file: usize, problems: &mut Problems) -> Vec<Node> {
    let mut builder = Builder {
        events: Parser::new_from_str(text),
        lines: text.lines().collect(),
        ids: Ids::new(file),
        anchors: HashMap::new(),
        problems,
    };
    match builder.documents() {
        Ok(documents) => documents,
        Err(Stop::Scan(error)) => {
            let text = format!("is not YAML or JSON: {}", error.info());
            problems.add_line(file, error.marker().line(), text);
            Vec::new()
        }
        Err(Stop::TooLarge(line)) => {
            problems.add_line(file, line, "has too many values, by its aliases".to_owned());
            Vec::new()
        }
    }
}

enum Stop {
    Scan(ScanError),
    TooLarge(usize),
}

struct Builder<'a> {
    events: Parser<'a, StrInput<'a>>,
    lines: Vec<&'a str>,
    ids: Ids,
    anchors: HashMap<usize, Node>,
    problems: &'a mut Problems,
}

impl<'a> Builder<'a> {
    fn documents(&mut self) -> Result<Vec<Node>, Stop> {
        let mut documents = Vec::new();
        while let Some((event, span)) = self.next()? {
            match event {
                Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd => {
                    self.anchors.clear();
                }
                Event::StreamEnd => break,
                event => documents.extend(self.node(event, span, "", None)?),
            }
        }
        // A document that holds nothing has no line to report.
        documents.retain(|document| document.text() != Some(""));
        Ok(documents)
    }

    fn next(&mut self) -> Result<Option<(Event<'a>, Span)>, Stop> {
        self.events.next().transpose().map_err(Stop::Scan)
    }

    /// Builds the node that an event begins, or `None` if the event ends a collection.
    fn node(
        &mut self,
        event: Event<'a>,
        span: Span,
        path: &str,
        key_line: Option<usize>,
    ) -> Result<Option<Node>, Stop> {
        if self.ids.is_full() {
            return Err(Stop::TooLarge(span.start.line()));
        }
        let first = key_line.unwrap_or(span.start.line());
        let (anchor, kind, last) = match event {
            Event::Scalar(text, style, anchor, _) => {
                let plain = style == granit_parser::ScalarStyle::Plain;
                let null = plain && matches!(text.as_ref(), "~" | "null" | "Null" | "NULL");
                // The span of an empty value may begin lines below its key.
                let last = if text.is_empty() && plain {
                    first
                } else {
                    self.last_line(&span)
                };
                let text = if null {
                    String::new()
                } else {
                    text.into_owned()
                };
                (anchor, Kind::Scalar(text), last)
            }
            Event::SequenceStart(_, anchor, _) => {
                let items = self.items(path)?;
                let last = items.iter().map(|item| item.place.last).max();
                (anchor, Kind::Sequence(items), last.unwrap_or(first))
            }
            Event::MappingStart(_, anchor, _) => {
                let entries = self.entries(path)?;
                let last = entries.iter().map(|(_, node)| node.place.last).max();
                (anchor, Kind::Mapping(entries), last.unwrap_or(first))
            }
            Event::Alias(target) => return self.alias(target, &span, path, first).map(Some),
            _ => return Ok(None),
        };
        let node = Node {
            place: self.ids.place(first, last),
            path: path.to_owned(),
            kind,
        };
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(Some(node))
    }

    /// Returns the last line of a scalar that holds something. The span of a block scalar ends at
    /// what comes after it.
    fn last_line(&self, span: &Span) -> usize {
        let (first, end) = (span.start.line(), &span.end);
        let line = self.lines.get(end.line().saturating_sub(1));
        let is_before = |line: &&str| line.chars().take(end.col()).all(char::is_whitespace);
        let last = if line.is_none_or(is_before) {
            end.line().saturating_sub(1)
        } else {
            end.line()
        };
        let is_blank = |line: &usize| {
            let text = self.lines.get(line.saturating_sub(1));
            text.is_none_or(|text| text.trim().is_empty())
        };
        let holds = (first..=last).rev().find(|line| !is_blank(line));
        holds.unwrap_or(first)
    }

    fn items(&mut self, path: &str) -> Result<Vec<Node>, Stop> {
        let mut items = Vec::new();
        while let Some((event, span)) = self.next()? {
            let path = format!("{path}[{}]", items.len());
            match self.node(event, span, &path, None)? {
                Some(item) => items.push(item),
                None => break,
            }
        }
        Ok(items)
    }

    fn entries(&mut self, path: &str) -> Result<Vec<(String, Node)>, Stop> {
        let mut entries: Vec<(String, Node)> = Vec::new();
        while let Some((event, span)) = self.next()? {
            let line = span.start.line();
            let Some(key) = self.node(event, span, path, None)? else {
                break;
            };
            let Some((event, span)) = self.next()? else {
                break;
            };
            let Some(name) = key.text().map(str::to_owned) else {
                let text = format!("{} is a key, allowed are scalars", key.found());
                self.problems.add_line(self.ids.file, line, text);
                self.node(event, span, path, Some(line))?;
                continue;
            };
            let below = if path.is_empty() {
                name.clone()
            } else {
                format!("{path}.{name}")
            };
            let Some(node) = self.node(event, span, &below, Some(line))? else {
                break;
            };
            match entries.iter().find(|(other, _)| *other == name) {
                Some((_, other)) => {
                    let first = other.place.first;
                    let text = format!("{below} is given twice, first in line {first}");
                    self.problems.add_line(self.ids.file, line, text);
                }
                None => entries.push((name, node)),
            }
        }
        merge(&mut entries);
        Ok(entries)
    }

    /// Copies the node of an anchor to the place of an alias.
    fn alias(
        &mut self,
        target: usize,
        span: &Span,
        path: &str,
        first: usize,
    ) -> Result<Node, Stop> {
        let line = span.start.line();
        let Some(mut node) = self.anchors.get(&target).cloned() else {
            return Err(Stop::TooLarge(line));
        };
        let old = node.path.clone();
        self.move_to(&mut node, &old, path, first, line)?;
        Ok(node)
    }

    fn move_to(
        &mut self,
        node: &mut Node,
        old: &str,
        path: &str,
        first: usize,
        last: usize,
    ) -> Result<(), Stop> {
        if self.ids.is_full() {
            return Err(Stop::TooLarge(first));
        }
        node.place = self.ids.place(first, last);
        let rest = node.path.strip_prefix(old).unwrap_or_default();
        node.path = format!("{path}{rest}");
        let children: Box<dyn Iterator<Item = &mut Node>> = match &mut node.kind {
            Kind::Scalar(_) => return Ok(()),
            Kind::Sequence(items) => Box::new(items.iter_mut()),
            Kind::Mapping(entries) => Box::new(entries.iter_mut().map(|(_, node)| node)),
        };
        for child in children {
            self.move_to(child, old, path, last, last)?;
        }
        Ok(())
    }
}

/// Replaces the merge key by the entries it brings. It stays if it brings none, so that its line
/// is reported.
fn merge(entries: &mut Vec<(String, Node)>) {
    let Some(at) = entries.iter().position(|(key, _)| key == "<<") else {
        return;
    };
    let (_, merged) = &entries[at];
    let sources: Vec<&Node> = match &merged.kind {
        Kind::Sequence(items) => items.iter().collect(),
        _ => vec![merged],
    };
    let mut added: Vec<(String, Node)> = Vec::new();
    for (key, node) in sources.iter().flat_map(|source| source.entries()) {
        let taken = |(other, _): &&(String, Node)| other == key;
        if entries
            .iter()
            .find(taken)
            .or(added.iter().find(taken))
            .is_none()
        {
            let mut node = node.clone();
            node.path = without_merge(&node.path);
            added.push((key.clone(), node));
        }
    }
    if !added.is_empty() {
        entries.remove(at);
        entries.extend(added);
    }
}

/// Returns a path without its merge key, `<<` or `<<[0]`.
fn without_merge(path: &str) -> String {
    let Some((outer, rest)) = path.split_once("<<") else {
        return path.to_owned();
    };
    let rest = match rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((_, rest)) => rest,
        None => rest,
    };
    format!("{outer}{}", rest.trim_start_matches('.'))
}
