//! Reads plugin tests.

use std::path::Path;

use super::compile;
use super::file::File;
use super::spec::Trial;
use crate::scenario::ScenarioError;
use crate::scenario::error::{Problem, deserialize};

impl Trial {
    /// Reads the plugin test in the file at `path`.
    ///
    /// # Errors
    ///
    /// If the file, or a file that it names, cannot be read or is not valid.
    pub fn read(path: &Path) -> Result<Trial, ScenarioError> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| ScenarioError::unreadable(path, &error.to_string()))?;
        let folder = path.parent().unwrap_or(Path::new("."));
        let parsed = deserialize::<File>(&text).map_err(|problem| vec![problem]);
        let trial = parsed.and_then(|file| Trial::of(file, folder, &text));
        trial.map_err(|problems| ScenarioError::new(path, problems))
    }

    /// Checks and converts a file. Files that it names are relative to `folder`, and problems
    /// have positions in `text`.
    ///
    /// # Errors
    ///
    /// All problems of the file.
    pub fn of(file: File, folder: &Path, text: &str) -> Result<Trial, Vec<Problem>> {
        let mut problems = Vec::new();
        let trial = compile::compile(file, folder, &mut |path, what| problems.push((path, what)));
        if problems.is_empty() {
            return Ok(trial);
        }
        let located = |(path, what): (String, String)| Problem::at(text, &path, what);
        Err(problems.into_iter().map(located).collect())
    }

    /// Returns whether a file is a plugin test, and not a scenario with load: it has `requests`.
    pub fn is_in(text: &str) -> bool {
        let value = deserialize::<serde_json::Value>(text);
        value.is_ok_and(|value| value.get("requests").is_some())
    }
}
