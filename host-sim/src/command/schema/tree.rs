//! Builds a nested schema from fragments, each with its path.
//!
//! Fragments with the same path are merged until one has another type. It begins an alternative,
//! and a value may match any of the alternatives.

use std::mem;

use serde_json::{Map, Value, json};
use spillway_core::policy::parse::record::{ALLOWED, REQUIRED};

/// The schema of one path.
#[derive(Default)]
pub(super) struct Node {
    required: bool,
    alternatives: Vec<Alternative>,
}

#[derive(Default)]
struct Alternative {
    keywords: Map<String, Value>,
    fields: Vec<(String, Node)>,
    item: Option<Box<Node>>,
    value: Option<Box<Node>>,
}

/// One step of a path.
enum Step<'a> {
    Field(&'a str),
    Item,
    Value,
}

impl Node {
    /// Adds a fragment at `path`, relative to this node.
    pub(super) fn note(&mut self, path: &str, fragment: Value) {
        match first_step(path) {
            Some((step, rest)) => self.last().below(&step).note(rest, fragment),
            None => self.merge(fragment),
        }
    }

    fn merge(&mut self, fragment: Value) {
        let Value::Object(mut fragment) = fragment else {
            return;
        };
        self.required |= fragment.remove(REQUIRED).is_some();
        let another_type = fragment.get("type").is_some_and(|new| {
            let old = self.last().keywords.get("type");
            old.is_some_and(|old| old != new)
        });
        if another_type {
            self.alternatives.push(Alternative::default());
        }
        self.last().keywords.append(&mut fragment);
    }

    fn last(&mut self) -> &mut Alternative {
        if self.alternatives.is_empty() {
            self.alternatives.push(Alternative::default());
        }
        let last = self.alternatives.len() - 1;
        &mut self.alternatives[last]
    }

    /// Returns the schema of this node, which is at `path`. `describe` returns descriptions.
    pub(super) fn into_schema(
        mut self,
        path: &str,
        describe: &dyn Fn(&str) -> Option<&'static str>,
    ) -> Value {
        let alternatives = mem::take(&mut self.alternatives).into_iter();
        let mut schemas: Vec<Map<String, Value>> = alternatives
            .map(|alternative| alternative.into_schema(path, describe))
            .collect();
        let mut schema = match schemas.len() {
            0 | 1 => schemas.pop().unwrap_or_default(),
            _ => {
                for schema in &mut schemas {
                    schema.remove(ALLOWED);
                }
                Map::from_iter([("anyOf".into(), json!(schemas))])
            }
        };
        let words = description(describe(path), &mut schema);
        if !words.is_empty() {
            schema.insert("description".into(), json!(words));
        }
        Value::Object(schema)
    }
}

impl Alternative {
    fn below(&mut self, step: &Step<'_>) -> &mut Node {
        match step {
            Step::Item => self.item.get_or_insert_default(),
            Step::Value => self.value.get_or_insert_default(),
            Step::Field(name) => {
                let index = self.fields.iter().position(|(field, _)| field == name);
                let index = index.unwrap_or_else(|| {
                    self.fields.push(((*name).to_owned(), Node::default()));
                    self.fields.len() - 1
                });
                &mut self.fields[index].1
            }
        }
    }

    fn into_schema(
        self,
        path: &str,
        describe: &dyn Fn(&str) -> Option<&'static str>,
    ) -> Map<String, Value> {
        let mut schema = self.keywords;
        if let Some(item) = self.item {
            let item = item.into_schema(&format!("{path}[]"), describe);
            schema.insert("items".into(), item);
        }
        if let Some(value) = self.value {
            let value = value.into_schema(&format!("{path}{{}}"), describe);
            schema.insert("additionalProperties".into(), value);
        }
        let required: Vec<&String> = self
            .fields
            .iter()
            .filter(|(_, node)| node.required)
            .map(|(name, _)| name)
            .collect();
        if !required.is_empty() {
            schema.insert("required".into(), json!(required));
        }
        let mut properties = Map::new();
        for (name, node) in self.fields {
            let below = if path.is_empty() {
                name.clone()
            } else {
                format!("{path}.{name}")
            };
            properties.insert(name, node.into_schema(&below, describe));
        }
        if !properties.is_empty() {
            schema.insert("properties".into(), Value::Object(properties));
        }
        schema
    }
}

/// Returns the description of a field: its meaning, and the allowed values if other keywords do
/// not contain them.
fn description(meaning: Option<&str>, schema: &mut Map<String, Value>) -> String {
    let allowed = schema.remove(ALLOWED);
    let listed = schema.contains_key("enum");
    let allowed = allowed
        .as_ref()
        .and_then(Value::as_str)
        .filter(|words| !listed && *words != "a text")
        .map(|words| format!("Allowed: {words}."));
    let parts = [meaning.map(str::to_owned), allowed];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// Returns the first step of a path, and the rest. `None` at its end.
fn first_step(path: &str) -> Option<(Step<'_>, &str)> {
    let path = path.strip_prefix('.').unwrap_or(path);
    if let Some(rest) = path.strip_prefix("[]") {
        return Some((Step::Item, rest));
    }
    if let Some(rest) = path.strip_prefix("{}") {
        return Some((Step::Value, rest));
    }
    let end = path.find(['.', '[', '{']).unwrap_or(path.len());
    let (name, rest) = path.split_at(end);
    (!name.is_empty()).then_some((Step::Field(name), rest))
}
