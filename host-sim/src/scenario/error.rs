//! What is wrong with a scenario file, and where.
//!
//! A problem is known by its path (`traffic[0].rate`). Its line and column are looked
//! up afterwards, by reading the file once more along that path: so the types of the
//! file carry no positions.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde_saphyr::{Location, Spanned};

/// Everything that is wrong with a file.
#[derive(Clone, Debug)]
pub struct ScenarioError {
    pub file: PathBuf,
    pub problems: Vec<Problem>,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Such as `traffic[0].rate`; empty for the file as a whole.
    pub path: String,
    /// Line and column, from 1, where they are known.
    pub place: Option<(u64, u64)>,
    pub what: String,
}

impl ScenarioError {
    pub(super) fn new(file: &Path, problems: Vec<Problem>) -> ScenarioError {
        let file = file.to_owned();
        ScenarioError { file, problems }
    }

    pub(super) fn unreadable(file: &Path, why: &str) -> ScenarioError {
        let problem = Problem {
            path: String::new(),
            place: None,
            what: format!("cannot be read: {why}"),
        };
        ScenarioError::new(file, vec![problem])
    }
}

impl Problem {
    /// A problem at `path` of the file `text`.
    pub(super) fn at(text: &str, path: &str, what: String) -> Problem {
        let place = locate(text, path).map(|place| (place.line(), place.column()));
        let path = path.to_owned();
        Problem { path, place, what }
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
            if let Some((line, column)) = problem.place {
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

/// Reads a file into its form.
pub(super) fn deserialize<T: DeserializeOwned>(text: &str) -> Result<T, Problem> {
    let mut path = String::new();
    let read = serde_saphyr::with_deserializer_from_str(text, |deserializer| {
        serde_path_to_error::deserialize(deserializer).map_err(|error| {
            path = error.path().to_string();
            error.into_inner()
        })
    });
    read.map_err(|error| {
        let place = error.location().map(|place| (place.line(), place.column()));
        // A question mark stands for what was not even read.
        let path = path.trim_end_matches(['.', '?']).to_owned();
        let what = plain(&error.without_snippet().to_string());
        Problem { path, place, what }
    })
}

/// The message without the position that the parser writes into it.
fn plain(message: &str) -> String {
    let first = message.lines().next().unwrap_or_default();
    let text = match first.split_once(": ") {
        Some((position, rest)) if position.starts_with("error: line") => rest,
        _ => first,
    };
    // What a programmer could set is nothing for who writes a scenario.
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

/// Where the value at `path` begins; a field that is not there is at what should hold it.
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

/// Follows a path and gives the position of what is there.
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
