//! Problems of scenario files, and where they are.
//!
//! A problem has a path (`traffic[0].rate`). Its line and column are found afterwards, by parsing
//! the file once more along that path, so the types of the file need no positions.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde_saphyr::{Location, Spanned};

/// All problems of a file.
#[derive(Clone, Debug)]
pub struct ScenarioError {
    pub file: PathBuf,
    pub problems: Vec<Problem>,
}

/// One problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The path, such as `traffic[0].rate`. Empty for the file as a whole.
    pub path: String,
    /// Line and column, from 1, if known.
    pub position: Option<(u64, u64)>,
    pub what: String,
}

impl ScenarioError {
    pub(crate) fn new(file: &Path, problems: Vec<Problem>) -> ScenarioError {
        let file = file.to_owned();
        ScenarioError { file, problems }
    }

    pub(crate) fn unreadable(file: &Path, why: &str) -> ScenarioError {
        let problem = Problem {
            path: String::new(),
            position: None,
            what: format!("cannot be read: {why}"),
        };
        ScenarioError::new(file, vec![problem])
    }
}

impl Problem {
    /// Creates a problem at `path` of the file `text`.
    pub(crate) fn at(text: &str, path: &str, what: String) -> Problem {
        let position = locate(text, path).map(|it| (it.line(), it.column()));
        let path = path.to_owned();
        Problem {
            path,
            position,
            what,
        }
    }
}

/// One line for each problem: `file:line:column: path: what`.
impl fmt::Display for ScenarioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, problem) in self.problems.iter().enumerate() {
            if number > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{}", self.file.display())?;
            if let Some((line, column)) = problem.position {
                write!(f, ":{line}:{column}")?;
            }
            match problem.path.is_empty() {
                true => write!(f, ": {}", problem.what)?,
                false => write!(f, ": {}: {}", problem.path, problem.what)?,
            }
        }
        Ok(())
    }
}

impl std::error::Error for ScenarioError {}

/// Parses a file.
pub(crate) fn deserialize<T: DeserializeOwned>(text: &str) -> Result<T, Problem> {
    let mut path = String::new();
    let read = serde_saphyr::with_deserializer_from_str(text, |deserializer| {
        serde_path_to_error::deserialize(deserializer).map_err(|error| {
            path = error.path().to_string();
            error.into_inner()
        })
    });
    read.map_err(|error| {
        let position = error.location().map(|it| (it.line(), it.column()));
        // A question mark at the end of the path stands for a part that was not read.
        let path = path.trim_end_matches(['.', '?']).to_owned();
        let what = plain(&error.without_snippet().to_string());
        Problem {
            path,
            position,
            what,
        }
    })
}

/// Returns the message without the position that the parser adds.
fn plain(message: &str) -> String {
    let first = message.lines().next().unwrap_or_default();
    let text = match first.split_once(": ") {
        Some((position, rest)) if position.starts_with("error: line") => rest,
        _ => first,
    };
    // The parser's options are of no use to the author of a scenario.
    let text = text
        .split(", set DuplicateKeyPolicy")
        .next()
        .unwrap_or(text);
    text.split(" at line ").next().unwrap_or(text).to_owned()
}

/// A step of a path.
enum Segment<'a> {
    Field(&'a str),
    Index(usize),
}

/// Returns where the value at `path` begins. A missing field has the position of its parent.
fn locate(text: &str, path: &str) -> Option<Location> {
    let steps: Vec<_> = segments(path).collect();
    (0..=steps.len()).rev().find_map(|len| {
        let seek = Seek(&steps[..len]);
        serde_saphyr::with_deserializer_from_str(text, |it| seek.deserialize(it)).ok()?
    })
}

fn segments(path: &str) -> impl Iterator<Item = Segment<'_>> {
    let parts = path.split(['.', '[']).filter(|part| !part.is_empty());
    parts.map(|part| match part.strip_suffix(']') {
        Some(index) => Segment::Index(index.parse().unwrap_or(usize::MAX)),
        None => Segment::Field(part),
    })
}

/// Follows a path and returns the position of the value there.
struct Seek<'a>(&'a [Segment<'a>]);

impl<'de> DeserializeSeed<'de> for Seek<'_> {
    type Value = Option<Location>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        match self.0 {
            [] => {
                let spanned: Spanned<IgnoredAny> = serde::Deserialize::deserialize(deserializer)?;
                Ok(Some(spanned.referenced))
            }
            _ => deserializer.deserialize_any(self),
        }
    }
}

impl<'de> Visitor<'de> for Seek<'_> {
    type Value = Option<Location>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(key) = map.next_key::<String>()? {
            match self.0 {
                [Segment::Field(field), rest @ ..] if *field == key => {
                    found = map.next_value_seed(Seek(rest))?;
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        for number in 0.. {
            let here = match self.0 {
                [Segment::Index(index), rest @ ..] if *index == number => {
                    sequence.next_element_seed(Seek(rest))?
                }
                _ => sequence.next_element::<IgnoredAny>()?.map(|_| None),
            };
            match here {
                None => break,
                Some(here) => found = found.or(here),
            }
        }
        Ok(found)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
}
