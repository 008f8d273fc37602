//! Reading JSON with every error kept: the reader goes on after each one.
//!
//! A getter takes the default that stands where the field is absent, and returns
//! it where the field is wrong too, having noted the error; the result of a read
//! with errors is thrown away whole, so the stand-in is never used. Each object
//! remembers the names it was asked for: what is left over is unknown, and the
//! names asked for are what a slip is compared with.

use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::ops::RangeInclusive;

use serde_json::{Value, json};

use super::error::{PolicyError, Problem};
use super::json::Node;
use super::record::{ALLOWED, REQUIRED, Record};
use super::text;
use crate::time::Span;

/// The errors found so far, in the order of the file whatever the order of reading;
/// or, where there is no file, what one might hold.
#[derive(Default)]
pub(super) struct Errors {
    found: RefCell<Vec<(Position, PolicyError)>>,
    /// Whether what is read now has been refused whole, so that its parts say nothing.
    muted: Cell<bool>,
    record: Record,
}

/// The way to a value: its index in each list or object, from the top.
type Position = Vec<usize>;

impl Errors {
    /// Errors that nobody will read: the getters write down what they would take.
    #[cfg(feature = "schema")]
    pub(super) fn recording() -> Errors {
        Errors {
            record: Record::begun(),
            ..Errors::default()
        }
    }

    #[cfg(feature = "schema")]
    pub(super) fn into_notes(self) -> Vec<(String, Value)> {
        self.record.into_notes()
    }

    pub(super) fn add(&self, position: &[usize], path: String, problem: Problem) {
        // Never borrowed across a call, so the borrow cannot fail.
        if let Ok(mut found) = self.found.try_borrow_mut()
            && !self.muted.get()
        {
            let at = found.partition_point(|(other, _)| other.as_slice() <= position);
            found.insert(at, (position.to_vec(), PolicyError { path, problem }));
        }
    }

    pub(super) fn into_list(self) -> Vec<PolicyError> {
        let found = self.found.into_inner().into_iter();
        found.map(|(_, error)| error).collect()
    }
}

/// A place in the file, where a value may or may not stand.
#[derive(Clone)]
pub(super) struct Place<'a> {
    node: Option<&'a Node>,
    position: Position,
    path: String,
    errors: &'a Errors,
}

/// An object being read.
pub(super) struct Object<'a> {
    fields: &'a [(String, Node)],
    known: Vec<&'static str>,
    position: Position,
    path: String,
    errors: &'a Errors,
}

impl<'a> Place<'a> {
    /// The whole file; absent where there is none and the language itself is read.
    pub(super) fn top(node: Option<&'a Node>, errors: &'a Errors) -> Place<'a> {
        Place {
            node,
            position: Vec::new(),
            path: String::new(),
            errors,
        }
    }

    pub(super) fn is_absent(&self) -> bool {
        self.node.is_none()
    }

    /// Whether there is nothing to be read here.
    pub(super) fn is_passed_over(&self) -> bool {
        self.is_absent() && !self.is_recording()
    }

    /// Whether there is no file, and every way of reading should be tried.
    pub(super) fn is_recording(&self) -> bool {
        self.errors.record.is_on()
    }

    /// Says for the schema what no getter knows: a pattern, a default of a list.
    pub(super) fn schema(&self, fragment: impl FnOnce() -> Value) {
        self.errors.record.note(&self.path, fragment);
    }

    /// Notes that a value other than the one found should stand here.
    pub(super) fn refuse(&self, allowed: impl Into<String>) {
        let found = self
            .node
            .map_or(String::from("absent"), |node| text::shorten(node.to_text()));
        let allowed = allowed.into();
        self.wrong(Problem::NotAllowed { found, allowed });
    }

    pub(super) fn conflict(&self, words: &str) {
        self.wrong(Problem::Conflict(words.to_owned()));
    }

    pub(super) fn missing(&self) {
        self.schema(|| json!({ REQUIRED: true }));
        self.wrong(Problem::Missing);
    }

    fn wrong(&self, problem: Problem) {
        self.errors.add(&self.position, self.path.clone(), problem);
    }

    /// Any value, as it stands.
    pub(super) fn node(&self) -> Option<&'a Node> {
        self.schema(|| json!({}));
        self.node
    }

    /// A text for which `read` finds a meaning.
    pub(super) fn text<T>(
        &self,
        allowed: &str,
        read: impl FnOnce(&'a str) -> Option<T>,
    ) -> Option<T> {
        self.schema(|| json!({"type": "string", ALLOWED: allowed}));
        let node = self.node?;
        let value = match node {
            Node::Text(text) => read(text),
            _ => None,
        };
        if value.is_none() {
            self.refuse(allowed);
        }
        value
    }

    pub(super) fn boolean(&self, default: bool) -> bool {
        self.schema(|| json!({"type": "boolean"}));
        match self.node {
            None => default,
            Some(Node::Bool(value)) => *value,
            Some(_) => {
                self.refuse("true or false");
                default
            }
        }
    }

    pub(super) fn integer(&self, range: RangeInclusive<u32>, default: u32) -> u32 {
        let (low, high) = (range.start(), range.end());
        self.schema(
            || json!({"type": "integer", "minimum": low, "maximum": high, "default": default}),
        );
        let Some(node) = self.node else {
            return default;
        };
        if let Node::Number(number) = node
            && let Some(value) = number.as_u64().and_then(|n| u32::try_from(n).ok())
            && range.contains(&value)
        {
            return value;
        }
        self.refuse(format!("{low} to {high}"));
        default
    }

    /// A number with at most two decimals, held in hundredths.
    pub(super) fn decimal(&self, range: RangeInclusive<u32>, default: u32) -> u32 {
        self.schema(|| {
            json!({
                "type": "number",
                "minimum": whole_or_decimal(*range.start()),
                "maximum": whole_or_decimal(*range.end()),
                "default": whole_or_decimal(default),
                ALLOWED: "at most two decimals",
            })
        });
        let Some(node) = self.node else {
            return default;
        };
        if let Node::Number(number) = node
            && let Some(value) = text::hundredths(number)
            && range.contains(&value)
        {
            return value;
        }
        let (low, high) = (
            text::show_percent(*range.start()),
            text::show_percent(*range.end()),
        );
        self.refuse(format!("{low} to {high}, with at most two decimals"));
        default
    }

    /// 0 to 100 percent, held in basis points.
    pub(super) fn percent(&self, default_bp: u32) -> u32 {
        self.decimal(0..=super::WHOLE_BP, default_bp)
    }

    /// A duration within `range`; with `zero` also `0s`, which switches off.
    pub(super) fn duration(&self, zero: bool, range: RangeInclusive<Span>, default: Span) -> Span {
        self.schema(|| json!({"default": text::show_span(default)}));
        self.optional_duration(zero, range).unwrap_or(default)
    }

    /// A duration as [`Place::duration`], for a field that means nothing where it is absent.
    pub(super) fn optional_duration(
        &self,
        zero: bool,
        range: RangeInclusive<Span>,
    ) -> Option<Span> {
        self.schema(|| {
            json!({
                "pattern": text::DURATION_PATTERN,
                "x-minimum": text::show_span(*range.start()),
                "x-maximum": text::show_span(*range.end()),
                "x-zero": zero,
            })
        });
        let (low, high) = (
            text::show_span(*range.start()),
            text::show_span(*range.end()),
        );
        let or_zero = if zero { "0s or " } else { "" };
        self.text(&format!("{or_zero}{low} to {high}"), |text| {
            text::duration(text)
                .filter(|span| range.contains(span) || (zero && *span == Span::ZERO))
        })
    }

    /// One of a few words. While recording it is the first, since what else may
    /// stand beside it can depend on it.
    pub(super) fn choice<T: Copy>(&self, choices: &[(&str, T)]) -> Option<T> {
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        let (_, choice) = choices.get(self.word(&names)?)?;
        Some(*choice)
    }

    /// The place of one of a few words among them.
    fn word(&self, words: &[&str]) -> Option<usize> {
        self.schema(|| json!({"type": "string", "enum": words}));
        if self.is_recording() {
            return Some(0);
        }
        self.text(&words.join(", "), |text| {
            words.iter().position(|word| *word == text)
        })
    }

    /// One of a few words, the first of which is the default.
    pub(super) fn choice_or_first<T: Copy>(&self, choices: &[(&str, T)], first: T) -> T {
        self.schema(|| json!({"default": choices.first().map(|(name, _)| *name)}));
        self.choice(choices).unwrap_or(first)
    }

    /// A list that is not empty. Each item is read by `read`; what it refuses is left out.
    pub(super) fn list<T>(&self, read: impl FnMut(Place<'a>) -> Option<T>) -> Option<Vec<T>> {
        self.schema(|| json!({"minItems": 1}));
        if let Some(Node::List(items)) = self.node
            && items.is_empty()
        {
            self.refuse("a list of at least one");
            return None;
        }
        self.any_list(read)
    }

    /// A list that may be empty.
    pub(super) fn any_list<T>(
        &self,
        mut read: impl FnMut(Place<'a>) -> Option<T>,
    ) -> Option<Vec<T>> {
        self.schema(|| json!({"type": "array"}));
        if self.is_recording() {
            read(self.any_below("[]"));
        }
        let mut list = Vec::new();
        for item in self.items()? {
            list.extend(read(item));
        }
        Some(list)
    }

    fn items(&self) -> Option<Vec<Place<'a>>> {
        let Node::List(items) = self.node? else {
            self.refuse("a list");
            return None;
        };
        let place = |(index, node)| Place {
            node: Some(node),
            position: below(&self.position, index),
            path: format!("{}[{index}]", self.path),
            errors: self.errors,
        };
        Some(items.iter().enumerate().map(place).collect())
    }

    /// An object read by `read`; where it is absent an empty one, so that the
    /// defaults of its fields have one home.
    pub(super) fn object<T>(&self, read: impl FnOnce(&mut Object<'a>) -> T) -> T {
        let muted = self.errors.muted.get();
        let mut object = self.begun();
        let value = read(&mut object);
        object.finish();
        self.errors.muted.set(muted);
        value
    }

    fn begun(&self) -> Object<'a> {
        self.schema(|| json!({"type": "object", "additionalProperties": false}));
        let fields = self.fields();
        // What is no object lacks no fields: one mistake, one error.
        let muted = self.errors.muted.get() || fields.is_none();
        self.errors.muted.set(muted);
        Object {
            fields: fields.unwrap_or(&[]),
            known: Vec::new(),
            position: self.position.clone(),
            path: self.path.clone(),
            errors: self.errors,
        }
    }

    /// The fields of an object, none where it is absent; `None`, noted as an error,
    /// where something else stands there.
    fn fields(&self) -> Option<&'a [(String, Node)]> {
        match self.node {
            None => Some(&[]),
            Some(Node::Object(fields)) => Some(fields),
            Some(_) => {
                self.refuse("an object");
                None
            }
        }
    }

    /// The fields of an object whose names the user chooses.
    pub(super) fn entries(&self) -> Vec<(&'a str, Place<'a>)> {
        self.schema(|| json!({"type": "object"}));
        if self.is_recording() {
            return alloc::vec![("name", self.any_below("{}"))];
        }
        let fields = self.fields().unwrap_or(&[]);
        let entry = |(index, (name, node)): (usize, &'a (String, Node))| {
            let place = Place {
                node: Some(node),
                position: below(&self.position, index),
                path: format!("{}[{name:?}]", self.path),
                errors: self.errors,
            };
            (name.as_str(), place)
        };
        fields.iter().enumerate().map(entry).collect()
    }

    /// What stands for every item or value below, while recording.
    fn any_below(&self, mark: &str) -> Place<'a> {
        Place {
            path: format!("{}{mark}", self.path),
            ..self.clone()
        }
    }
}

impl<'a> Object<'a> {
    /// The field `name`, there or not.
    pub(super) fn at(&mut self, name: &'static str) -> Place<'a> {
        self.known.push(name);
        let index = self.fields.iter().position(|(n, _)| n == name);
        let field = index.and_then(|index| self.fields.get(index));
        Place {
            node: field.map(|(_, node)| node),
            position: below(&self.position, index.unwrap_or(self.fields.len())),
            path: join(&self.path, name),
            errors: self.errors,
        }
    }

    /// Leaves the fields not asked for unjudged: without the one that says what
    /// the object is, none of them can be called unknown.
    pub(super) fn ignore_rest(&mut self) {
        self.fields = &[];
    }

    /// Notes what was not asked for, and what stands twice.
    fn finish(&mut self) {
        let description = self.at("description");
        description.text("a text", Some);
        let mut seen: Vec<&str> = Vec::new();
        for (index, (name, _)) in self.fields.iter().enumerate() {
            let problem = if seen.contains(&name.as_str()) {
                Some(Problem::Twice)
            } else if !self.known.contains(&name.as_str()) {
                let nearest = text::nearest(name, &self.known);
                Some(Problem::Unknown { nearest })
            } else {
                None
            };
            if let Some(problem) = problem {
                let position = below(&self.position, index);
                self.errors.add(&position, join(&self.path, name), problem);
            }
            seen.push(name);
        }
    }
}

/// Hundredths as the number that a user would write.
fn whole_or_decimal(hundredths: u32) -> Value {
    if hundredths.is_multiple_of(100) {
        json!(hundredths / 100)
    } else {
        json!(f64::from(hundredths) / 100.0)
    }
}

fn below(position: &[usize], index: usize) -> Position {
    let mut below = position.to_vec();
    below.push(index);
    below
}

/// `path.name`, with names that are no plain words in quotes.
fn join(path: &str, name: &str) -> String {
    let plain = !name.is_empty()
        && name.len() <= text::FOUND_CHARS
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'$');
    match (path.is_empty(), plain) {
        (true, true) => name.to_owned(),
        (false, true) => format!("{path}.{name}"),
        (_, false) => format!("{path}[{:?}]", text::shorten(name.to_owned())),
    }
}

/// A list of names.
pub(super) fn names(place: &Place<'_>) -> Vec<Box<str>> {
    place.list(|item| name(&item)).unwrap_or_default()
}

/// A name of one or more characters.
pub(super) fn name(place: &Place<'_>) -> Option<Box<str>> {
    place.schema(|| json!({"minLength": 1}));
    place.text("a text that is not empty", |text| {
        (!text.is_empty()).then(|| Box::from(text))
    })
}
