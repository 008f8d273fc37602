//! JSON as written: objects keep the order of their fields, and duplicates.
//!
//! `serde_json::Value` would silently keep the last of two fields with the same name, but a
//! policy with two `mode`s must be rejected. serde_json bounds the depth to 128.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};

use super::error::{PolicyError, Problem};

/// A JSON value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Node {
    Null,
    Bool(bool),
    /// A number. Getters convert it to the type of their field.
    Number(serde_json::Number),
    Text(String),
    List(Vec<Node>),
    Object(Vec<(String, Node)>),
}

/// Parses a whole JSON text.
pub(crate) fn parse(json: &[u8]) -> Result<Node, PolicyError> {
    serde_json::from_slice(json).map_err(|error| PolicyError {
        path: String::new(),
        problem: match is_struct(json) {
            Some(()) => Problem::Struct,
            None => Problem::Syntax(error.to_string()),
        },
    })
}

/// Returns `Some` if bytes start like a `google.protobuf.Struct`: with a map entry, which is a
/// field's name and then its value.
fn is_struct(bytes: &[u8]) -> Option<()> {
    let rest = length_of(bytes, 0x0a)?.1;
    let (len, rest) = length_of(rest, 0x0a)?;
    let (name, rest) = rest.split_at_checked(len)?;
    let is_name = !name.is_empty() && name.iter().all(u8::is_ascii_graphic);
    (is_name && rest.first() == Some(&0x12)).then_some(())
}

/// Returns the length of a protobuf field with this tag, and the bytes after that length.
fn length_of(bytes: &[u8], tag: u8) -> Option<(usize, &[u8])> {
    let (first, mut rest) = bytes.split_first()?;
    let mut len = 0;
    // Base 128, least significant digit first. Four digits are enough for any policy.
    for shift in [0, 7, 14, 21] {
        let (digit, after) = rest.split_first()?;
        rest = after;
        len |= usize::from(digit & 0x7f) << shift;
        if digit & 0x80 == 0 {
            return (*first == tag).then_some((len, rest));
        }
    }
    None
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Node, D::Error> {
        deserializer.deserialize_any(AsWritten)
    }
}

struct AsWritten;

impl<'de> Visitor<'de> for AsWritten {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Number(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Ok(serde_json::Number::from_f64(value).map_or(Node::Null, Node::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Text(value.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Node, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Node::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Node, A::Error> {
        let mut fields = Vec::new();
        while let Some(field) = access.next_entry()? {
            fields.push(field);
        }
        Ok(Node::Object(fields))
    }
}

impl Serialize for Node {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Node::Null => serializer.serialize_unit(),
            Node::Bool(value) => serializer.serialize_bool(*value),
            Node::Number(value) => value.serialize(serializer),
            Node::Text(value) => serializer.serialize_str(value),
            Node::List(items) => {
                let mut list = serializer.serialize_seq(Some(items.len()))?;
                for item in items {
                    list.serialize_element(item)?;
                }
                list.end()
            }
            Node::Object(fields) => {
                let mut map = serializer.serialize_map(Some(fields.len()))?;
                for (name, value) in fields {
                    map.serialize_entry(name, value)?;
                }
                map.end()
            }
        }
    }
}

impl Node {
    /// Returns the value as JSON. Every value of this type has a JSON form, so the error's text
    /// is never used.
    pub(crate) fn to_text(&self) -> String {
        serde_json::to_string(self).unwrap_or_else(|error| error.to_string())
    }
}
