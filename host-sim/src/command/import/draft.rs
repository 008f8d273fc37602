//! The policy file that is being written.

use std::time::Duration;

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::Value;

use super::engine::BACKOFF_BASE;
use super::values::{MS, duration, write};
use crate::command::check::{self, Checked};

/// Policies in the order in which the filter tries them.
#[derive(Default)]
pub(super) struct Draft {
    policies: Vec<Policy>,
}

/// One policy. Fields keep the order in which they were set.
#[derive(Clone, PartialEq)]
pub(super) struct Policy {
    name: String,
    fields: Tree,
}

#[derive(Clone, PartialEq)]
enum Tree {
    Leaf(Value),
    Object(Vec<(String, Tree)>),
}

/// How often workers sync by default, and how often at most.
const SYNC: Duration = Duration::from_millis(100);
const SYNC_MIN: Duration = Duration::from_millis(10);

/// Longest name of a policy.
const NAME_MAX: usize = 64;

impl Policy {
    /// Starts a policy. The draft makes the name valid and unique.
    pub(super) fn new(name: &str) -> Policy {
        Policy {
            name: name.to_owned(),
            fields: Tree::Object(Vec::new()),
        }
    }

    /// Starts a policy of the same name.
    pub(super) fn named_like(&self) -> Policy {
        Policy::new(&self.name)
    }

    /// Starts settings that several policies take over by [`Policy::extend`].
    pub(super) fn settings() -> Policy {
        Policy::new("")
    }

    /// Returns the settings of one field.
    pub(super) fn part(&self, field: &str) -> Policy {
        let mut part = Policy::settings();
        if let (Tree::Object(all), Tree::Object(fields)) = (&self.fields, &mut part.fields) {
            let found = all.iter().filter(|(name, _)| name == field);
            fields.extend(found.cloned());
        }
        part
    }

    /// Sets every field that `other` has.
    pub(super) fn extend(&mut self, other: &Policy) {
        self.fields.extend(&other.fields);
    }

    /// Sets a field by its path in the policy, such as `circuit_breaker.window.size`.
    pub(super) fn set(&mut self, path: &str, value: impl Into<Value>) {
        let mut tree = &mut self.fields;
        for key in path.split('.') {
            tree = tree.below(key);
        }
        *tree = Tree::Leaf(value.into());
    }

    /// Returns a field that was set.
    pub(super) fn get(&self, path: &str) -> Option<&Value> {
        let mut tree = &self.fields;
        for key in path.split('.') {
            let Tree::Object(fields) = tree else {
                return None;
            };
            tree = fields
                .iter()
                .find(|(name, _)| name == key)
                .map(|(_, tree)| tree)?;
        }
        match tree {
            Tree::Leaf(value) => Some(value),
            Tree::Object(_) => None,
        }
    }

    /// Returns whether nothing but `match` was set, so that the policy would do nothing.
    pub(super) fn is_idle(&self) -> bool {
        match &self.fields {
            Tree::Leaf(_) => true,
            Tree::Object(fields) => fields.iter().all(|(name, _)| name == "match"),
        }
    }
}

impl Tree {
    fn extend(&mut self, other: &Tree) {
        match other {
            Tree::Leaf(_) => self.clone_from(other),
            Tree::Object(fields) => {
                for (key, tree) in fields {
                    self.below(key).extend(tree);
                }
            }
        }
    }

    fn below(&mut self, key: &str) -> &mut Tree {
        if let Tree::Leaf(_) = self {
            *self = Tree::Object(Vec::new());
        }
        match self {
            Tree::Object(fields) => {
                let at = fields.iter().position(|(name, _)| name == key);
                let at = at.unwrap_or_else(|| {
                    fields.push((key.to_owned(), Tree::Object(Vec::new())));
                    fields.len() - 1
                });
                &mut fields[at].1
            }
            Tree::Leaf(_) => unreachable!("was replaced above"),
        }
    }
}

impl Serialize for Tree {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Tree::Leaf(value) => value.serialize(serializer),
            Tree::Object(fields) => {
                serializer.collect_map(fields.iter().map(|(name, tree)| (name, tree)))
            }
        }
    }
}

impl Serialize for Policy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("name", &self.name)?;
        if let Tree::Object(fields) = &self.fields {
            for (name, tree) in fields {
                map.serialize_entry(name, tree)?;
            }
        }
        map.end()
    }
}

impl Draft {
    /// Adds a policy, and returns the name that it has in the file.
    pub(super) fn add(&mut self, mut policy: Policy) -> String {
        let name = self.unique(&valid(&policy.name));
        policy.name.clone_from(&name);
        self.policies.push(policy);
        name
    }

    pub(super) fn len(&self) -> usize {
        self.policies.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.policies.is_empty()
    }

    /// Lets the filter make the retries of all policies that have some.
    pub(super) fn retry_by_filter(&mut self) {
        let has_retries = |policy: &&mut Policy| {
            let retries = policy.get("retry.max_retries").and_then(Value::as_u64);
            retries.is_some_and(|retries| retries > 0) || policy.get(BACKOFF_BASE).is_some()
        };
        for policy in self.policies.iter_mut().filter(has_retries) {
            policy.set("retry.engine", "filter");
            policy.set("retry.replay", "as_received");
        }
    }

    /// Removes the policies that an earlier one leaves no request for. Returns their names, each
    /// with that of the earlier one.
    pub(super) fn remove_unreachable(&mut self) -> Vec<(String, String)> {
        let Checked::Findings(findings) = check::check(self.file().as_bytes()) else {
            return Vec::new();
        };
        let unreachable = findings
            .iter()
            .filter(|finding| finding.code == "policy-never-reached");
        let found = unreachable.filter_map(|finding| {
            let (number, _) = finding.path.strip_prefix("policies[")?.split_once(']')?;
            let (_, earlier) = finding.reason.split_once('(')?;
            let (earlier, _) = earlier.split_once(')')?;
            Some((number.parse().ok()?, earlier.to_owned()))
        });
        let found: Vec<(usize, String)> = found.collect();
        let mut removed = Vec::new();
        for (number, earlier) in found.into_iter().rev() {
            removed.push((self.policies.remove(number).name, earlier));
        }
        removed.reverse();
        removed
    }

    fn unique(&self, name: &str) -> String {
        let is_free = |name: &String| self.policies.iter().all(|policy| policy.name != *name);
        let numbered = (2..).map(|number: usize| {
            let end = format!("-{number}");
            format!("{}{end}", &name[..name.len().min(NAME_MAX - end.len())])
        });
        let mut names = std::iter::once(name.to_owned()).chain(numbered);
        names.find(is_free).unwrap_or_default()
    }

    /// Returns how often workers have to sync, if that is more often than they do by default: a few
    /// times within the shortest open time and the shortest window.
    pub(super) fn sync(&self) -> Option<Duration> {
        let shortest = |path: &str| {
            let values = self.policies.iter().filter_map(|policy| policy.get(path));
            values
                .filter_map(|value| duration(value.as_str()?, MS))
                .min()
        };
        let open = shortest("circuit_breaker.open.duration");
        let window = shortest("circuit_breaker.window.duration");
        let shortest = open.into_iter().chain(window).min()?;
        (shortest <= SYNC).then(|| (shortest / 4).max(SYNC_MIN))
    }

    /// Returns the policy file.
    pub(super) fn file(&self) -> String {
        #[derive(serde::Serialize)]
        struct Sync {
            interval: String,
        }
        #[derive(serde::Serialize)]
        struct File<'a> {
            policies: &'a [Policy],
            #[serde(skip_serializing_if = "Option::is_none")]
            sync: Option<Sync>,
        }
        let file = File {
            policies: &self.policies,
            sync: self.sync().map(|interval| Sync {
                interval: write(interval),
            }),
        };
        // Keys are strings and values are JSON already.
        let text = serde_json::to_string_pretty(&file).unwrap_or_default();
        format!("{text}\n")
    }
}

/// Replaces what a name may not have.
fn valid(name: &str) -> String {
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || "_-".contains(letter);
    let letters = name
        .chars()
        .map(|letter| if allowed(letter) { letter } else { '-' });
    let name: String = letters.collect();
    let name = name.trim_matches('-');
    match name {
        "" => "imported".to_owned(),
        // All of it is ASCII by now.
        name => name[..name.len().min(NAME_MAX)].to_owned(),
    }
}
