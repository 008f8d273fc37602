//! Reading JSON with every error kept: the reader goes on after each one.
//!
//! A getter takes the default that stands where the field is absent, and returns
//! it where the field is wrong too, having noted the error; the result of a read
//! with errors is thrown away whole, so the stand-in is never used. Each object
//! remembers the names it was asked for: what is left over is unknown, and the
//! names asked for are what a slip is compared with.
//!
//! Where a value stands is written out only for an error. Most fields of a file with
//! thousands of policies are absent, and a path for each would be most of the time that
//! reading takes.

use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::format;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::ops::RangeInclusive;

use serde_json::{Value, json};

use super::error::{PolicyError, Problem};
use super::forms::DURATION_PATTERN;
use super::json::Node;
use super::number;
use super::record::{ALLOWED, REQUIRED, Record};
use super::spelling::nearest;
use crate::text;
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

    #[cold]
    fn add(&self, way: &Way<'_>, problem: Problem) {
        // Never borrowed across a call, so the borrow cannot fail.
        if let Ok(mut found) = self.found.try_borrow_mut()
            && !self.muted.get()
        {
            let (position, path) = (way.position(), way.path());
            let at = found.partition_point(|(other, _)| *other <= position);
            found.insert(at, (position, PolicyError { path, problem }));
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
    way: Way<'a>,
    errors: &'a Errors,
}

/// An object being read.
pub(super) struct Object<'a> {
    fields: &'a [(String, Node)],
    known: Vec<&'static str>,
    above: Rc<Way<'a>>,
    errors: &'a Errors,
}

/// How to come to a place from the top: by the last step, behind those above.
#[derive(Clone)]
struct Way<'a> {
    above: Option<Rc<Way<'a>>>,
    step: Step<'a>,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    /// None: this is the top.
    Top,
    /// To a field, by its index and name.
    Field(usize, &'a str),
    /// To an item of a list.
    Item(usize),
    /// To a value under a name that the user has chosen.
    Entry(usize, &'a str),
    /// To what stands for all items or values, while recording.
    Any(&'static str),
}

impl<'a> Way<'a> {
    fn below(above: &Rc<Way<'a>>, step: Step<'a>) -> Way<'a> {
        let above = Some(above.clone());
        Way { above, step }
    }

    fn position(&self) -> Position {
        let above = self.above.as_ref();
        let mut position = above.map_or_else(Vec::new, |above| above.position());
        match self.step {
            Step::Top | Step::Any(_) => {}
            Step::Field(index, _) | Step::Item(index) | Step::Entry(index, _) => {
                position.push(index);
            }
        }
        position
    }

    fn path(&self) -> String {
        let above = self.above.as_ref();
        let path = above.map_or_else(String::new, |above| above.path());
        match self.step {
            Step::Top => path,
            Step::Field(_, name) => join(&path, name),
            Step::Item(index) => format!("{path}[{index}]"),
            Step::Entry(_, name) => format!("{path}[{name:?}]"),
            Step::Any(mark) => format!("{path}{mark}"),
        }
    }
}

impl<'a> Place<'a> {
    /// The whole file; absent where there is none and the language itself is read.
    pub(super) fn top(node: Option<&'a Node>, errors: &'a Errors) -> Place<'a> {
        Place {
            node,
            way: Way {
                above: None,
                step: Step::Top,
            },
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
        if self.is_recording() {
            self.errors.record.note(&self.way.path(), fragment);
        }
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
        self.errors.add(&self.way, problem);
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
        if let Node::Number(written) = node
            && let Some(value) = number::whole(written)
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
        if let Node::Number(written) = node
            && let Some(value) = number::hundredths(written)
            && range.contains(&value)
        {
            return value;
        }
        let (low, high) = (
            number::show_percent(*range.start()),
            number::show_percent(*range.end()),
        );
        self.refuse(format!("{low} to {high}, with at most two decimals"));
        default
    }

    /// 0 to 100 percent, held in basis points.
    pub(super) fn percent(&self, default_bp: u32) -> u32 {
        self.decimal(0..=crate::policy::WHOLE_BP, default_bp)
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
                "pattern": DURATION_PATTERN,
                "x-minimum": text::show_span(*range.start()),
                "x-maximum": text::show_span(*range.end()),
                "x-zero": zero,
            })
        });
        let read = |text| {
            let span = text::duration(text)?;
            (range.contains(&span) || (zero && span == Span::ZERO)).then_some(span)
        };
        let allowed = || {
            let low = text::show_span(*range.start());
            let high = text::show_span(*range.end());
            let or_zero = if zero { "0s or " } else { "" };
            format!("{or_zero}{low} to {high}")
        };
        self.schema(|| json!({"type": "string", ALLOWED: allowed()}));
        let value = match self.node? {
            Node::Text(text) => read(text),
            _ => None,
        };
        if value.is_none() {
            self.refuse(allowed());
        }
        value
    }

    /// One of a few words. While recording it is the first, since what else may
    /// stand beside it can depend on it.
    pub(super) fn choice<T: Copy>(&self, choices: &[(&str, T)]) -> Option<T> {
        let names = || -> Vec<&str> { choices.iter().map(|(name, _)| *name).collect() };
        self.schema(|| json!({"type": "string", "enum": names()}));
        if self.is_recording() {
            return choices.first().map(|(_, choice)| *choice);
        }
        let node = self.node?;
        let found = match node {
            Node::Text(text) => choices.iter().find(|(name, _)| text == name),
            _ => None,
        };
        if found.is_none() {
            self.refuse(names().join(", "));
        }
        found.map(|(_, choice)| *choice)
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
        let Node::List(items) = self.node? else {
            self.refuse("a list");
            return None;
        };
        let above = Rc::new(self.way.clone());
        let mut list = Vec::with_capacity(items.len());
        for (index, node) in items.iter().enumerate() {
            list.extend(read(Place {
                node: Some(node),
                way: Way::below(&above, Step::Item(index)),
                errors: self.errors,
            }));
        }
        Some(list)
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
        // Enough at once, or nothing where there is nothing to compare with.
        let known_room = match fields {
            Some([_, ..]) => 16,
            _ => 0,
        };
        Object {
            fields: fields.unwrap_or(&[]),
            known: Vec::with_capacity(known_room),
            above: Rc::new(self.way.clone()),
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
        let above = Rc::new(self.way.clone());
        let entry = |(index, (name, node)): (usize, &'a (String, Node))| {
            let place = Place {
                node: Some(node),
                way: Way::below(&above, Step::Entry(index, name)),
                errors: self.errors,
            };
            (name.as_str(), place)
        };
        fields.iter().enumerate().map(entry).collect()
    }

    /// What stands for every item or value below, while recording.
    fn any_below(&self, mark: &'static str) -> Place<'a> {
        let above = Rc::new(self.way.clone());
        Place {
            way: Way::below(&above, Step::Any(mark)),
            ..self.clone()
        }
    }
}

impl<'a> Object<'a> {
    /// The field `name`, there or not.
    pub(super) fn at(&mut self, name: &'static str) -> Place<'a> {
        // Where there are no fields none is unknown.
        if !self.fields.is_empty() {
            self.known.push(name);
        }
        let index = self.fields.iter().position(|(n, _)| n == name);
        let field = index.and_then(|index| self.fields.get(index));
        let index = index.unwrap_or(self.fields.len());
        Place {
            node: field.map(|(_, node)| node),
            way: Way::below(&self.above, Step::Field(index, name)),
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
        for (index, (name, _)) in self.fields.iter().enumerate() {
            let before = self.fields.get(..index).unwrap_or_default();
            let problem = if before.iter().any(|(other, _)| other == name) {
                Some(Problem::Twice)
            } else if !self.known.contains(&name.as_str()) {
                let nearest = nearest(name, &self.known);
                Some(Problem::Unknown { nearest })
            } else {
                None
            };
            if let Some(problem) = problem {
                let way = Way::below(&self.above, Step::Field(index, name));
                self.errors.add(&way, problem);
            }
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
