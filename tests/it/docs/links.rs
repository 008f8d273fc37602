//! Links within the project.

use std::path::{Component, Path, PathBuf};

use spillway_tests::places;

use super::markdown::Document;

/// Links of a document to files or anchors that do not exist. Links to other sites are not
/// followed.
pub(super) fn broken(document: &Document) -> Vec<String> {
    let links = document.links().into_iter();
    let within = links.filter(|link| !link.starts_with("https://"));
    let broken = within.filter(|link| !exists(document, link));
    broken
        .map(|link| format!("{}: the link to {link} leads nowhere", document.path))
        .collect()
}

fn exists(document: &Document, link: &str) -> bool {
    let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
    let target = match path {
        "" => PathBuf::from(&document.path),
        path => normal(&folder(document).join(path)),
    };
    if !places::root().join(&target).exists() {
        return false;
    }
    anchor.is_empty() || {
        let target = target.to_str().expect("a readable path");
        Document::read(target).anchors().contains(anchor)
    }
}

/// The folder of a document, from the root of the workspace.
fn folder(document: &Document) -> PathBuf {
    let parent = Path::new(&document.path).parent();
    parent.expect("a path of a file").to_owned()
}

/// Resolves `..` by the path alone.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => assert!(normal.pop(), "{} leaves the project", path.display()),
            component => normal.push(component),
        }
    }
    normal
}
