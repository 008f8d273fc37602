//! Formats of access logs: JSON with named fields, and the text formats of Istio and Envoy.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};

use super::field::{Field, FieldMap, Value, Values, find};

/// The format of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// JSON objects with Spillway's, Istio's or mapped names
    Json,
    /// Istio's default text format
    IstioText,
    /// Envoy's default text format, which names neither details nor cluster
    EnvoyText,
}

impl Format {
    /// All formats, in the order in which they are tried.
    pub const ALL: [Format; 3] = [Format::Json, Format::IstioText, Format::EnvoyText];

    /// Returns its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Format::Json => "json",
            Format::IstioText => "istio-text",
            Format::EnvoyText => "envoy-text",
        }
    }

    /// Reads the fields of a line.
    ///
    /// # Errors
    ///
    /// Why the line cannot be read.
    pub fn read<'a>(self, line: &'a [u8], maps: &[FieldMap]) -> Result<Values<'a>, String> {
        match self {
            Format::Json => json(line, maps),
            Format::IstioText => text(line, &ISTIO),
            Format::EnvoyText => text(line, &ENVOY),
        }
    }
}

/// Reads one JSON object. Nested values are skipped.
fn json<'a>(line: &'a [u8], maps: &[FieldMap]) -> Result<Values<'a>, String> {
    let mut deserializer = serde_json::Deserializer::from_slice(line);
    let values = deserializer.deserialize_map(Object(maps));
    let values = values.and_then(|values| deserializer.end().map(|()| values));
    values.map_err(|error| format!("is not a JSON object: {error}"))
}

struct Object<'m>(&'m [FieldMap]);

impl<'de> Visitor<'de> for Object<'_> {
    type Value = Values<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Values<'de>, A::Error> {
        let mut values = Values::default();
        while let Some(field) = map.next_key_seed(Key(self.0))? {
            match field {
                Some(field) => values[field as usize] = map.next_value_seed(Scalar)?,
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(values)
    }
}

struct Key<'m>(&'m [FieldMap]);

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = Option<Field>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = Option<Field>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Option<Field>, E> {
        Ok(find(name, self.0))
    }
}

struct Scalar;

impl<'de> DeserializeSeed<'de> for Scalar {
    type Value = Value<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Scalar {
    type Value = Value<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, a number or null")
    }

    fn visit_unit<E>(self) -> Result<Value<'de>, E> {
        Ok(Value::Missing)
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value<'de>, E> {
        Ok(Value::Whole(number))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value<'de>, E> {
        Ok(Value::Number(number as f64))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value<'de>, E> {
        Ok(Value::Number(number))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Value<'de>, E> {
        Ok(of_text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value<'de>, E> {
        Ok(of_text(Cow::Owned(text.to_owned())))
    }
}

/// Envoy writes `-` for what a request does not have.
fn of_text(text: Cow<'_, str>) -> Value<'_> {
    match &*text {
        "-" | "" => Value::Missing,
        _ => Value::Text(text),
    }
}

/// The tokens of a text format. The request line stands for three of them.
struct Layout {
    tokens: usize,
    fields: &'static [(usize, Field)],
}

const ISTIO: Layout = Layout {
    tokens: 22,
    fields: &[
        (2, Field::Status),
        (3, Field::Flags),
        (4, Field::Details),
        (9, Field::Duration),
        (13, Field::RequestId),
        (14, Field::Authority),
        (16, Field::Cluster),
    ],
};

const ENVOY: Layout = Layout {
    tokens: 12,
    fields: &[
        (2, Field::Status),
        (3, Field::Flags),
        (6, Field::Duration),
        (10, Field::RequestId),
        (11, Field::Authority),
    ],
};

fn text<'a>(line: &'a [u8], layout: &Layout) -> Result<Values<'a>, String> {
    let line = std::str::from_utf8(line).map_err(|_| "is not valid UTF-8".to_owned())?;
    let tokens = tokens(line);
    // Envoy's format has one more token, the address of the host.
    if tokens.len() < layout.tokens || layout.tokens == ENVOY.tokens && tokens.len() > 13 {
        return Err(format!(
            "has {} parts, allowed {}",
            tokens.len(),
            layout.tokens
        ));
    }
    let mut values = Values::default();
    let time = tokens[0]
        .strip_prefix('[')
        .and_then(|it| it.strip_suffix(']'));
    let time = time.ok_or_else(|| "does not begin with a time in brackets".to_owned())?;
    values[Field::Time as usize] = Value::Text(time.into());
    let mut request = tokens[1].split(' ');
    for field in [Field::Method, Field::Path] {
        values[field as usize] = of_text(request.next().unwrap_or_default().into());
    }
    for (at, field) in layout.fields {
        values[*field as usize] = of_text(tokens[*at].into());
    }
    Ok(values)
}

/// Splits a line at spaces outside quotes. A quote ends only before a space, since Envoy escapes
/// none.
fn tokens(line: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = line.trim();
    while !rest.is_empty() {
        let (token, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted
                .split_once("\" ")
                .unwrap_or((quoted.strip_suffix('"').unwrap_or(quoted), "")),
            None => rest.split_once(' ').unwrap_or((rest, "")),
        };
        found.push(token);
        rest = after;
    }
    found
}
