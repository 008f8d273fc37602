//! Settings as Spring and Archaius see them: dotted names, however the source nests them.
//!
//! Of several documents those whose profile is active count, and a later one overrides. What does
//! not count is reported here.

mod profiles;
mod setting;

use super::context::Import;
use super::node::{Kind, Node};
use super::source::Source;
pub(super) use setting::{Setting, canonical};

/// Collects the settings below a prefix of canonical names, and reports everything else as being
/// no settings of `system`.
pub(super) fn collect<'a>(
    import: &mut Import<'a>,
    prefix: &[&str],
    system: &str,
) -> Vec<Setting<'a>> {
    let mut settings: Vec<Setting> = Vec::new();
    let sources = import.sources;
    let documents: Vec<&Node> = sources.iter().flat_map(Source::roots).collect();
    let found = documents.iter().enumerate().map(|(number, document)| {
        let mut found = Vec::new();
        flatten(document, &[], prefix, number, &mut found);
        found
    });
    let found: Vec<Vec<Setting>> = found.collect();
    let active = profiles::active(import.profiles, &found);
    for (document, found) in documents.into_iter().zip(found) {
        if !is_active(import, document, &found, &active) {
            continue;
        }
        unrelated(import, document, &[], prefix, system);
        for setting in found.into_iter().filter(|setting| setting.is_below(prefix)) {
            add(import, &mut settings, setting);
        }
    }
    settings
}

fn add<'a>(import: &mut Import, settings: &mut Vec<Setting<'a>>, setting: Setting<'a>) {
    let Some(old) = settings
        .iter_mut()
        .find(|other| other.names().eq(setting.names()))
    else {
        settings.push(setting);
        return;
    };
    if old.document == setting.document {
        old.nodes.extend(setting.nodes);
        return;
    }
    let new = &setting.node().place;
    let why = format!(
        "overridden in {} line {}",
        import.sources[new.file].name, new.first
    );
    for node in &old.nodes {
        import.report.no_equivalent(node, &why);
    }
    *old = setting;
}

/// Adds all settings of a tree.
fn flatten<'a>(
    node: &'a Node,
    path: &[String],
    prefix: &[&str],
    document: usize,
    settings: &mut Vec<Setting<'a>>,
) {
    match &node.kind {
        Kind::Mapping(entries) if !entries.is_empty() => {
            for (key, node) in entries {
                let path = extended(path, key, prefix);
                flatten(node, &path, prefix, document, settings);
            }
        }
        _ if path.is_empty() => {}
        _ => settings.push(Setting {
            path: path.to_vec(),
            nodes: vec![node],
            document,
        }),
    }
}

/// Returns a path with the parts of one more key.
fn extended(path: &[String], key: &str, prefix: &[&str]) -> Vec<String> {
    let parts = match variable(key, prefix) {
        Some(parts) if path.is_empty() => parts,
        _ => split(key),
    };
    path.iter().cloned().chain(parts).collect()
}

/// Splits the name of an environment variable such as `RESILIENCE4J_RETRY_CONFIGS_0_`, which has
/// `_` for every dot and bracket. `None` if the key is no variable below the prefix.
fn variable(key: &str, prefix: &[&str]) -> Option<Vec<String>> {
    let is_name = |letter: u8| matches!(letter, b'A'..=b'Z' | b'0'..=b'9' | b'_');
    let lower = key.to_ascii_lowercase();
    let is_ours = lower.starts_with(&format!("{}_", prefix.first()?));
    if !is_ours || !key.bytes().all(is_name) {
        return None;
    }
    let is_position = |part: &str| part.bytes().all(|digit| digit.is_ascii_digit());
    let mut parts: Vec<String> = lower.split('_').map(str::to_owned).collect();
    while parts.last().is_some_and(|part| is_position(part)) {
        parts.pop();
    }
    Some(parts)
}

/// Splits a key at its dots, but not within brackets. A number in brackets is the position in a
/// list, and is dropped. Other brackets hold a name with dots.
fn split(key: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut depth = 0_usize;
    for letter in key.chars() {
        match letter {
            '[' | '(' => depth += 1,
            ']' | ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        match parts.last_mut() {
            Some(part) if letter != '.' || depth > 0 => part.push(letter),
            _ => parts.push(String::new()),
        }
    }
    parts.into_iter().flat_map(unbracketed).collect()
}

fn unbracketed(part: String) -> Vec<String> {
    match part.strip_suffix(']').and_then(|part| part.split_once('[')) {
        Some((name, index)) if index.bytes().all(|digit| digit.is_ascii_digit()) => {
            vec![name.to_owned()]
        }
        Some(("", name)) => vec![name.to_owned()],
        Some((outer, name)) if !outer.contains('(') => vec![outer.to_owned(), name.to_owned()],
        _ => vec![part],
    }
}

/// Returns whether the document's profile is active. Reports its condition, or the whole document.
fn is_active(
    import: &mut Import,
    document: &Node,
    settings: &[Setting],
    active: &[String],
) -> bool {
    let Some(condition) = profiles::condition(settings) else {
        return true;
    };
    let wanted = condition.texts();
    let matches = |text: &String| profiles::holds(text, active).unwrap_or(false);
    if wanted.iter().any(matches) {
        for node in &condition.nodes {
            import.report.exact(node, "this profile is active");
        }
        return true;
    }
    let wrong = |text: &&String| profiles::holds(text, active).is_none();
    let what = match wanted.iter().find(wrong) {
        Some(text) => format!("of {text:?}, which is no expression of profiles"),
        None => format!("of the profile {}, which is not active", wanted.join(", ")),
    };
    import.report.unrelated(document, what);
    false
}

/// Reports the largest parts of a tree in which there is no setting below the prefix.
fn unrelated(import: &mut Import, node: &Node, path: &[String], prefix: &[&str], system: &str) {
    for (key, node) in node.entries() {
        let path = extended(path, key, prefix);
        let mut names = path.iter().map(|name| canonical(name)).zip(prefix);
        let fits = names.all(|(name, other)| name == **other);
        if (fits && path.len() >= prefix.len()) || import.report.knows(node) {
            continue;
        }
        let has_parts = import.report.knows_below(node) || holds_documents(node);
        if fits && !node.entries().is_empty() || has_parts {
            unrelated(import, node, &path, prefix, system);
        } else {
            import
                .report
                .unrelated(node, format!("no setting of {system}"));
        }
    }
}

/// Returns whether a text below the node holds documents, which are reported on their own.
fn holds_documents(node: &Node) -> bool {
    let mut children = node.children();
    children.any(|child| child.path.is_empty() || holds_documents(child))
}
