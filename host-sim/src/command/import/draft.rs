//! The policy file that is being written.

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::Value;

/// Policies in the order in which the filter tries them.
#[derive(Default)]
pub(super) struct Draft {
    pub policies: Vec<Policy>,
    sync: Option<String>,
}

/// One policy. Fields keep the order in which they were set.
#[derive(Clone, PartialEq)]
pub(super) struct Policy {
    pub name: String,
    fields: Tree,
}

#[derive(Clone, PartialEq)]
enum Tree {
    Leaf(Value),
    Object(Vec<(String, Tree)>),
}

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

    /// Sets how often workers sync.
    pub(super) fn set_sync(&mut self, interval: String) {
        self.sync = Some(interval);
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

    /// Returns the policy file.
    pub(super) fn file(&self) -> String {
        #[derive(serde::Serialize)]
        struct Sync<'a> {
            interval: &'a str,
        }
        #[derive(serde::Serialize)]
        struct File<'a> {
            policies: &'a [Policy],
            #[serde(skip_serializing_if = "Option::is_none")]
            sync: Option<Sync<'a>>,
        }
        let file = File {
            policies: &self.policies,
            sync: self.sync.as_deref().map(|interval| Sync { interval }),
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
