//! The files of a crate as a graph: which file imports which.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::source::Source;

/// A module of a crate by its path, `circuit::breaker`; the crate itself is `""`.
pub(super) type Name = String;

/// The modules of a crate that are not tests.
pub(super) struct Tree {
    modules: BTreeMap<Name, Source>,
    /// Each module's imports, with one path that names each.
    pub imports: BTreeMap<Name, BTreeMap<Name, String>>,
    /// Paths into other crates of the workspace, by module.
    pub foreign: BTreeMap<Name, BTreeSet<String>>,
}

impl Tree {
    /// Reads a crate from its root file; `others` are the crates of the workspace.
    pub(super) fn read(root: &Path, others: &[&str]) -> Tree {
        let mut tree = Tree {
            modules: BTreeMap::new(),
            imports: BTreeMap::new(),
            foreign: BTreeMap::new(),
        };
        let folder = root.parent().expect("a folder");
        tree.add(String::new(), root, folder);
        for name in tree.modules.keys() {
            let (imports, foreign) = tree.imports_of(name, others);
            tree.imports.insert(name.clone(), imports);
            tree.foreign.insert(name.clone(), foreign);
        }
        tree
    }

    fn add(&mut self, name: Name, file: &Path, folder: &Path) {
        let text = fs::read_to_string(file).expect("a module's file");
        let source = Source::read(&text);
        for (child, _) in source.modules.iter().filter(|(_, tests)| !tests) {
            let file = folder.join(format!("{child}.rs"));
            let name = join(&name, child);
            self.add(name, &file, &folder.join(child));
        }
        self.modules.insert(name, source);
    }

    fn imports_of(
        &self,
        name: &str,
        others: &[&str],
    ) -> (BTreeMap<Name, String>, BTreeSet<String>) {
        let mut imports = BTreeMap::new();
        let mut foreign = BTreeSet::new();
        let source = &self.modules[name];
        for path in source.paths.iter().chain(&source.exports) {
            if others.contains(&path[0].as_str()) {
                foreign.insert(path.join("::"));
            }
            let is_export = source.exports.contains(path);
            let Some(target) = self.module_of(name, path, 0) else {
                continue;
            };
            let is_child = parent(&target).is_some_and(|above| above == name);
            if target != name && !(is_export && is_child) {
                imports.entry(target).or_insert_with(|| path.join("::"));
            }
        }
        (imports, foreign)
    }

    /// The module that defines what a path names, as seen in module `at`. A name that a module
    /// re-exports belongs to the module that it comes from.
    fn module_of(&self, at: &str, path: &[String], depth: usize) -> Option<Name> {
        let (mut module, mut rest) = match path[0].as_str() {
            "crate" => (String::new(), &path[1..]),
            "self" => (at.to_owned(), &path[1..]),
            "super" => (parent(at)?, &path[1..]),
            first => (self.child(at, first)?, &path[1..]),
        };
        while let [first, others @ ..] = rest {
            module = match first.as_str() {
                "super" => parent(&module)?,
                first => match self.child(&module, first) {
                    Some(child) => child,
                    None => break,
                },
            };
            rest = others;
        }
        if let ([name, ..], true) = (rest, depth < 8) {
            let export = |export: &&Vec<String>| export.last() == Some(name);
            if let Some(export) = self.modules[&module].exports.iter().find(export) {
                return self.module_of(&module, export, depth + 1).or(Some(module));
            }
        }
        Some(module)
    }

    fn child(&self, of: &str, name: &str) -> Option<Name> {
        let child = join(of, name);
        self.modules.contains_key(&child).then_some(child)
    }

    /// Modules that import each other, by way of others or not.
    pub(super) fn cycles(&self) -> Vec<Vec<Name>> {
        let reached: BTreeMap<&Name, BTreeSet<&Name>> = self
            .imports
            .keys()
            .map(|name| (name, self.reached(name)))
            .collect();
        let mut cycles = BTreeSet::new();
        for (name, all) in &reached {
            let members: Vec<Name> = all
                .iter()
                .filter(|other| reached[**other].contains(name))
                .map(|other| (*other).clone())
                .collect();
            if !members.is_empty() {
                cycles.insert(members);
            }
        }
        cycles.into_iter().collect()
    }

    fn reached<'a>(&'a self, from: &'a Name) -> BTreeSet<&'a Name> {
        let mut reached = BTreeSet::new();
        let mut open = vec![from];
        while let Some(name) = open.pop() {
            for next in self.imports[name].keys() {
                if reached.insert(next) {
                    open.push(next);
                }
            }
        }
        reached
    }
}

fn join(parent: &str, child: &str) -> Name {
    if parent.is_empty() {
        child.into()
    } else {
        format!("{parent}::{child}")
    }
}

fn parent(name: &str) -> Option<Name> {
    match name.rsplit_once("::") {
        Some((above, _)) => Some(above.into()),
        None => (!name.is_empty()).then(String::new),
    }
}

/// All Rust files under a folder.
pub(super) fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files.extend(self::files(&path));
        } else if path.extension().is_some_and(|it| it == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}
