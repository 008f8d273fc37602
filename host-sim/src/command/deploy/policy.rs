//! The policy to deploy: checked, in shadow mode, and without what operators have.

use std::path::Path;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::arguments::{Arguments, Target};
use crate::command::check::{self, Checked};
use crate::command::{Failure, read_file};

/// A policy file that the filter accepts.
pub(super) struct Policy {
    file: Tree,
    /// Configuration of the operators' listener.
    operators: Value,
    /// Whether no policy enforces anything.
    pub only_watches: bool,
    /// Tells the user what differs from the file, and which modes stay.
    pub notes: Vec<String>,
}

/// JSON whose objects keep the order of their fields.
#[derive(Clone, Deserialize, Serialize)]
#[serde(untagged)]
enum Tree {
    Object(IndexMap<String, Tree>),
    List(Vec<Tree>),
    Leaf(Value),
}

impl Policy {
    /// Reads the policy file. Without `--enforce`, policies that would enforce are put into
    /// shadow mode; other modes were chosen for a reason and stay.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, has no policies, or the filter would reject it.
    pub(super) fn read(arguments: &Arguments) -> Result<Policy, Failure> {
        let path = arguments.policy.as_path();
        let bytes = read_file(path)?;
        accepted(path, &bytes)?;
        let not_json = |error| Failure::Usage(format!("{}: is no JSON: {error}", path.display()));
        let mut file: IndexMap<String, Tree> = serde_json::from_slice(&bytes).map_err(not_json)?;
        // The path of the schema is relative to the file that was read.
        file.shift_remove("$schema");
        let mut notes = Vec::new();
        let operators = operators(arguments.target, &mut file, &mut notes);
        let policies = match file.get_mut("policies") {
            Some(Tree::List(policies)) if !policies.is_empty() => policies,
            _ => {
                let why = "has no policies to deploy";
                return Err(Failure::Usage(format!("{}: {why}", path.display())));
            }
        };
        for (at, policy) in policies.iter_mut().enumerate() {
            if let Tree::Object(fields) = policy
                && !arguments.enforce
            {
                notes.extend(watch(at, fields));
            }
        }
        Ok(Policy {
            only_watches: policies.iter().all(is_watching),
            file: Tree::Object(file),
            operators,
            notes,
        })
    }

    /// Returns the configuration of the traffic as JSON, for a text field.
    pub(super) fn json(&self) -> String {
        serde_json::to_string_pretty(&self.file).unwrap_or_default()
    }

    /// Returns the configuration of the traffic as YAML.
    pub(super) fn yaml(&self) -> String {
        let options = serde_saphyr::ser_options! { compact_list_indent: true };
        serde_saphyr::to_string_with_options(&self.file, options).unwrap_or_else(|_| self.json())
    }

    /// Returns the configuration of the operators' listener, as JSON in one line.
    pub(super) fn operators(&self) -> String {
        let admin = &self.operators;
        format!(r#"{{"policies": [], "admin": {admin}}}"#)
    }

    /// Returns which mode the policies have, for a comment.
    pub(super) fn mode(&self) -> &'static str {
        match self.only_watches {
            true => "The policy is in shadow mode: it only counts what it would have done.",
            false => "The policy acts.",
        }
    }
}

/// Returns an error with all errors of a policy file.
fn accepted(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let path = path.display();
    match check::check(bytes) {
        Checked::Findings(_) => Ok(()),
        Checked::Unreadable(why) => Err(Failure::Usage(format!("{path}: {why}"))),
        Checked::Schema => Err(Failure::Usage(format!(
            "{path}: is a JSON Schema, not a policy"
        ))),
        Checked::Errors(errors) => {
            let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
            Err(Failure::Policy(format!("{path}: {}", errors.join("\n  "))))
        }
    }
}

/// Moves the operators' settings out of the file. On the listener of the traffic, everyone could
/// force circuits.
fn operators(target: Target, file: &mut IndexMap<String, Tree>, notes: &mut Vec<String>) -> Value {
    match file.shift_remove("admin") {
        Some(admin) => {
            let note = match target {
                Target::EnvoyGateway => {
                    "admin is left out: Envoy Gateway has no operators' listener"
                }
                _ => "admin is on the operators' listener alone, which is on loopback",
            };
            notes.push(note.into());
            serde_json::to_value(admin).unwrap_or_default()
        }
        None => json!({"path_prefix": "/spillway"}),
    }
}

/// Puts a policy into shadow mode if it would enforce, and says so. Says which other mode acts.
fn watch(at: usize, fields: &mut IndexMap<String, Tree>) -> Option<String> {
    match mode(fields) {
        None | Some("enforce") => {}
        Some("shadow" | "disabled") => return None,
        Some(other) => return Some(format!("policies[{at}].mode stays {other}")),
    }
    let shadow = Tree::Leaf(json!("shadow"));
    match fields.get_mut("mode") {
        Some(mode) => *mode = shadow,
        None => {
            let after_name = fields.get_index_of("name").map_or(0, |name| name + 1);
            fields.shift_insert(after_name, "mode".into(), shadow);
        }
    }
    Some(format!(
        "policies[{at}].mode is shadow: --enforce lets it act"
    ))
}

fn mode(fields: &IndexMap<String, Tree>) -> Option<&str> {
    match fields.get("mode") {
        Some(Tree::Leaf(mode)) => mode.as_str(),
        _ => None,
    }
}

fn is_watching(policy: &Tree) -> bool {
    let watches = |fields| matches!(mode(fields), Some("shadow" | "disabled"));
    matches!(policy, Tree::Object(fields) if watches(fields))
}
