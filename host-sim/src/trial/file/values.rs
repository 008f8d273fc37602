//! Headers, and levels of the log.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::proxy::LogLevel;

/// Headers or trailers: by name, or in order as `name: value`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Pairs {
    ByName(BTreeMap<String, OneOrMore>),
    InOrder(Vec<String>),
}

/// A value of a header, or several.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum OneOrMore {
    One(Scalar),
    More(Vec<Scalar>),
}

/// A text, or a number or a truth that stands for its text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Scalar {
    Truth(bool),
    Number(i64),
    Text(String),
}

/// Severity of a line of the log.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
    Critical,
}

impl From<Level> for LogLevel {
    fn from(level: Level) -> LogLevel {
        match level {
            Level::Trace => LogLevel::Trace,
            Level::Debug => LogLevel::Debug,
            Level::Info => LogLevel::Info,
            Level::Warn => LogLevel::Warn,
            Level::Error => LogLevel::Error,
            Level::Critical => LogLevel::Critical,
        }
    }
}

impl Default for Pairs {
    fn default() -> Pairs {
        Pairs::InOrder(Vec::new())
    }
}

impl Scalar {
    /// Returns the text.
    pub fn text(&self) -> String {
        match self {
            Scalar::Truth(truth) => truth.to_string(),
            Scalar::Number(number) => number.to_string(),
            Scalar::Text(text) => text.clone(),
        }
    }
}

impl Pairs {
    /// Returns the pairs in order. `Err` has a line without a colon.
    ///
    /// # Errors
    ///
    /// If a line is not `name: value`, or a name is empty.
    pub fn pairs(&self) -> Result<Vec<(String, String)>, String> {
        match self {
            Pairs::InOrder(lines) => lines.iter().map(|line| pair(line)).collect(),
            Pairs::ByName(map) => {
                let of = |(name, values): (&String, &OneOrMore)| {
                    let values = match values {
                        OneOrMore::One(value) => vec![value.text()],
                        OneOrMore::More(values) => values.iter().map(Scalar::text).collect(),
                    };
                    let name = name.to_ascii_lowercase();
                    values.into_iter().map(move |value| (name.clone(), value))
                };
                Ok(map.iter().flat_map(of).collect())
            }
        }
    }
}

/// Splits `name: value`. The name of a pseudo-header begins with a colon.
fn pair(line: &str) -> Result<(String, String), String> {
    let wrong = || format!("has {line:?}, which is not name: value");
    let rest = line.strip_prefix(':').unwrap_or(line);
    let (name, value) = rest.split_once(':').ok_or_else(wrong)?;
    let name = name.trim();
    if name.is_empty() || name.contains(char::is_whitespace) {
        return Err(wrong());
    }
    let colon = if line.starts_with(':') { ":" } else { "" };
    Ok((
        format!("{colon}{}", name.to_ascii_lowercase()),
        value.trim().to_owned(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_a_list_or_a_map() {
        for (json, expected) in [
            (r#"["A: 1", ":path: /x:y", "a:2"]"#, "a=1 :path=/x:y a=2"),
            (r#"{"B": ["1", 2], "a": true}"#, "b=1 b=2 a=true"),
            ("[]", ""),
        ] {
            let pairs: Pairs = serde_json::from_str(json).unwrap();
            let mut shown: Vec<_> = pairs.pairs().unwrap();
            shown.sort();
            let mut expected: Vec<_> = expected.split_whitespace().collect();
            expected.sort_unstable();
            let shown: Vec<_> = shown.iter().map(|(n, v)| format!("{n}={v}")).collect();
            assert_eq!(shown, expected, "{json}");
        }
    }

    #[test]
    fn a_line_that_is_no_header_is_an_error() {
        for line in ["", "a", ": x", "a b: c", ":"] {
            assert!(pair(line).is_err(), "{line:?}");
        }
    }
}
