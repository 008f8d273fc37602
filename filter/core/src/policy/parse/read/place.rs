//! Places, objects and lists: the structure of a file.

use alloc::borrow::ToOwned;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;

use serde_json::{Value, json};

use super::errors::Errors;
use super::way::{Step, Way};
use crate::policy::parse::error::Problem;
use crate::policy::parse::json::Node;
use crate::policy::parse::record::{ALLOWED, REQUIRED};
use crate::policy::parse::spelling::nearest;
use crate::text;

/// A place in the file, with or without a value.
#[derive(Clone)]
pub(crate) struct Place<'a> {
    pub(super) node: Option<&'a Node>,
    way: Way<'a>,
    errors: &'a Errors,
}

/// An object being read.
pub(crate) struct Object<'a> {
    fields: &'a [(String, Node)],
    known: Vec<&'static str>,
    above: Rc<Way<'a>>,
    errors: &'a Errors,
}

impl<'a> Place<'a> {
    /// The whole file; `node` is `None` while recording.
    pub(crate) fn top(node: Option<&'a Node>, errors: &'a Errors) -> Place<'a> {
        Place {
            node,
            way: Way::top(),
            errors,
        }
    }

    pub(crate) fn is_missing(&self) -> bool {
        self.node.is_none()
    }

    /// Whether the place has no value and nothing is recorded either.
    pub(crate) fn is_skipped(&self) -> bool {
        self.is_missing() && !self.is_recording()
    }

    /// Whether there is no file, and every branch of the parser should run.
    pub(crate) fn is_recording(&self) -> bool {
        self.errors.record.is_on()
    }

    /// Notes for the schema what no getter knows, such as a pattern or the default of a list.
    pub(crate) fn schema(&self, fragment: impl FnOnce() -> Value) {
        if self.is_recording() {
            self.errors.record.note(&self.way.path(), fragment);
        }
    }

    /// Records that the value is not one of those allowed.
    pub(crate) fn reject(&self, allowed: impl Into<String>) {
        let found = self.node.map_or(String::from("missing"), |node| {
            text::shorten(node.to_text())
        });
        let allowed = allowed.into();
        self.wrong(Problem::NotAllowed { found, allowed });
    }

    /// Records that the value does not go together with others.
    pub(crate) fn conflict(&self, words: &str) {
        self.wrong(Problem::Conflict(words.to_owned()));
    }

    /// Records an error if the value is missing.
    pub(crate) fn require(&self) {
        if self.is_missing() {
            self.schema(|| json!({ REQUIRED: true }));
            self.wrong(Problem::Missing);
        }
    }

    fn wrong(&self, problem: Problem) {
        self.errors.add(&self.way, problem);
    }

    /// Returns any value, as written.
    pub(crate) fn node(&self) -> Option<&'a Node> {
        self.schema(|| json!({}));
        self.node
    }

    /// Returns a string for which `read` returns `Some`.
    pub(crate) fn text<T>(
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
            self.reject(allowed);
        }
        value
    }

    /// Returns a list with at least one item. `read` reads each item; those for which it
    /// returns `None` are left out.
    pub(crate) fn list<T>(&self, read: impl FnMut(Place<'a>) -> Option<T>) -> Option<Vec<T>> {
        self.schema(|| json!({"minItems": 1}));
        if self.lacks_items() {
            return None;
        }
        self.any_list(read)
    }

    /// Whether the value is an empty list, which is an error.
    #[inline(never)]
    fn lacks_items(&self) -> bool {
        let empty = matches!(self.node, Some(Node::List(items)) if items.is_empty());
        if empty {
            self.reject("a list with at least one item");
        }
        empty
    }

    /// Returns a list that may be empty.
    pub(crate) fn any_list<T>(
        &self,
        mut read: impl FnMut(Place<'a>) -> Option<T>,
    ) -> Option<Vec<T>> {
        self.schema(|| json!({"type": "array"}));
        if self.is_recording() {
            read(self.any_below("[]"));
        }
        let (items, above) = self.items()?;
        let mut list = Vec::with_capacity(items.len());
        for (index, node) in items.iter().enumerate() {
            list.extend(read(self.item(&above, index, node)));
        }
        Some(list)
    }

    /// Returns the items of a list, and the way to it. Not in [`Place::any_list`], of which the
    /// module has a copy for each kind of item.
    #[inline(never)]
    fn items(&self) -> Option<(&'a [Node], Rc<Way<'a>>)> {
        let Node::List(items) = self.node? else {
            self.reject("a list");
            return None;
        };
        Some((items, Rc::new(self.way.clone())))
    }

    #[inline(never)]
    fn item(&self, above: &Rc<Way<'a>>, index: usize, node: &'a Node) -> Place<'a> {
        Place {
            node: Some(node),
            way: Way::below(above, Step::Item(index)),
            errors: self.errors,
        }
    }

    /// Returns an object that `read` reads. A missing object is read as an empty one, so that
    /// each default is defined once.
    pub(crate) fn object<T>(&self, read: impl FnOnce(&mut Object<'a>) -> T) -> T {
        let (mut object, muted) = self.begin();
        let value = read(&mut object);
        object.finish();
        self.errors.restore(muted);
        value
    }

    /// Returns an object, and whether errors were muted before. Not in [`Place::object`], of
    /// which the module has a copy for each type of value.
    fn begin(&self) -> (Object<'a>, bool) {
        self.schema(|| json!({"type": "object", "additionalProperties": false}));
        let fields = self.fields();
        // A value that is not an object lacks no fields: one mistake, one error.
        let muted = self.errors.mute(fields.is_none());
        // Enough at once, or nothing if there is nothing to compare with.
        let known_room = match fields {
            Some([_, ..]) => 16,
            _ => 0,
        };
        let object = Object {
            fields: fields.unwrap_or(&[]),
            known: Vec::with_capacity(known_room),
            above: Rc::new(self.way.clone()),
            errors: self.errors,
        };
        (object, muted)
    }

    /// Returns the fields of an object, none if it is missing. Records an error and returns
    /// `None` if the value is not an object.
    fn fields(&self) -> Option<&'a [(String, Node)]> {
        match self.node {
            None => Some(&[]),
            Some(Node::Object(fields)) => Some(fields),
            Some(_) => {
                self.reject("an object");
                None
            }
        }
    }

    /// Returns the fields of an object whose names the user chooses.
    pub(crate) fn entries(&self) -> Vec<(&'a str, Place<'a>)> {
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

    /// Returns the place of any item or value below, while recording.
    fn any_below(&self, mark: &'static str) -> Place<'a> {
        let above = Rc::new(self.way.clone());
        Place {
            way: Way::below(&above, Step::Any(mark)),
            ..self.clone()
        }
    }
}

impl<'a> Object<'a> {
    /// Returns the place of a field, with or without a value.
    pub(crate) fn at(&mut self, name: &'static str) -> Place<'a> {
        // Without fields none can be unknown.
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

    /// Ignores the remaining fields. If the field that says what the object is has an error,
    /// no other field can be called unknown.
    pub(crate) fn ignore_rest(&mut self) {
        self.fields = &[];
    }

    /// Records unknown and duplicate fields.
    fn finish(&mut self) {
        let description = self.at("description");
        description.text("a string", Some);
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
