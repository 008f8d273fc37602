//! Finds policies that no request reaches, since an earlier policy matches all of them.
//!
//! One match implies another if every condition of the other follows from one of its own. The check
//! compares single conditions, with one earlier policy at a time. It never reports a policy that is
//! reachable, but it misses policies that only several earlier ones together shadow.

use spillway_core::cluster_holds;
use spillway_core::policy::{
    Authority, HeaderCondition, HeaderTest, Match, Mode, PathKind, PathPattern, Policy,
};

use crate::command::check::finding::Finding;
use crate::command::check::view::{FileView, PolicyView};

/// Finds an earlier policy that matches all requests of this one.
pub(super) fn shadowed(file: &FileView<'_>, view: &PolicyView<'_>, findings: &mut Vec<Finding>) {
    let earlier = earlier_match(&file.config.policies, view.index);
    if let Some(other) = earlier.and_then(|at| file.policies().nth(at)) {
        let (path, name) = (other.path(""), &other.policy.name);
        findings.push(Finding::warning(
            "policy-never-reached",
            view.path("match"),
            format!("every request that it matches is matched by {path} ({name}) before"),
            format!("move this policy before {path}, or narrow the match of {path}"),
        ));
    }
}

/// Returns the first policy before the one at `at` that matches all requests of it. `None` if that
/// is reachable, or disabled.
pub(super) fn earlier_match(policies: &[Policy], at: usize) -> Option<usize> {
    let is_active = |policy: &Policy| policy.mode != Mode::Disabled;
    let narrow = policies.get(at).filter(|policy| is_active(policy))?;
    policies[..at]
        .iter()
        .position(|wide| is_active(wide) && implies(&narrow.matcher, &wide.matcher))
}

/// Returns whether `wide` matches every request that `narrow` matches.
fn implies(narrow: &Match, wide: &Match) -> bool {
    clusters_imply(&narrow.clusters, &wide.clusters)
        && names_imply(&narrow.routes, &wide.routes)
        && names_imply(&narrow.methods, &wide.methods)
        && one_of_implies(&narrow.authorities, &wide.authorities, authority_implies)
        && one_of_implies(&narrow.paths, &wide.paths, path_implies)
        && wide.headers.iter().all(|wanted| {
            let follows = |given: &HeaderCondition| header_implies(given, wanted);
            narrow.headers.iter().any(follows)
        })
}

/// Only a `*` of the wide pattern can match a `*` of the narrow one, and then it also matches what
/// that stands for.
fn clusters_imply(narrow: &[Box<str>], wide: &[Box<str>]) -> bool {
    one_of_implies(narrow, wide, |name, other| {
        cluster_holds(other, name.as_bytes())
    })
}

fn names_imply(narrow: &[Box<str>], wide: &[Box<str>]) -> bool {
    one_of_implies(narrow, wide, |name, other| name == other)
}

/// Compares lists of which one entry is enough to match. An empty list matches everything.
fn one_of_implies<T>(narrow: &[T], wide: &[T], implies: impl Fn(&T, &T) -> bool) -> bool {
    let all_follow = || {
        narrow
            .iter()
            .all(|given| wide.iter().any(|wanted| implies(given, wanted)))
    };
    wide.is_empty() || (!narrow.is_empty() && all_follow())
}

fn authority_implies(narrow: &Authority, wide: &Authority) -> bool {
    match (narrow, wide) {
        (Authority::Exact(name), Authority::Exact(other)) => {
            name == other || without_port(name) == &**other
        }
        (Authority::Exact(name), Authority::Suffix(end)) => {
            let has_suffix = |name: &str| name.len() > end.len() && name.ends_with(&**end);
            has_suffix(name) || has_suffix(without_port(name))
        }
        (Authority::Suffix(narrow), Authority::Suffix(wide)) => narrow.ends_with(&**wide),
        (Authority::Suffix(_), Authority::Exact(_)) => false,
    }
}

/// Removes a port as the filter does: digits after the only colon, or after a bracket.
fn without_port(name: &str) -> &str {
    let is_port = |port: &str| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
    match name.rsplit_once(':') {
        Some((host, port)) if is_port(port) && (host.ends_with(']') || !host.contains(':')) => host,
        _ => name,
    }
}

fn header_implies(narrow: &HeaderCondition, wide: &HeaderCondition) -> bool {
    let has_value = matches!(narrow.test, HeaderTest::Exact(_));
    narrow.name == wide.name
        && (narrow.test == wide.test || (has_value && wide.test == HeaderTest::Present(true)))
}

fn path_implies(narrow: &PathPattern, wide: &PathPattern) -> bool {
    let (text, other) = (&*narrow.text, &*wide.text);
    let plain = narrow.kind == PathKind::Exact
        || (narrow.kind == PathKind::Template && !text.contains('{'));
    match (narrow.kind, wide.kind) {
        (_, PathKind::Exact) => plain && text == other,
        (PathKind::Template, PathKind::Prefix) => {
            let fixed = text.split('{').next().unwrap_or_default();
            fixed.starts_with(other)
        }
        (_, PathKind::Prefix) => text.starts_with(other),
        (PathKind::Prefix, PathKind::Template) => false,
        (_, PathKind::Template) => template_holds(text, other, !plain),
    }
}

/// Returns whether the template `wide` matches every path of `text`, which is a template if `open`.
/// Compares segment by segment: `{name}` in `wide` matches any non-empty segment.
fn template_holds(text: &str, wide: &str, open: bool) -> bool {
    let mut given = text.split('/');
    let all = wide.split('/').all(|wanted| {
        given.next().is_some_and(|segment| {
            let free = open && segment.starts_with('{');
            let matches_any = wanted.starts_with('{') && !segment.is_empty();
            matches_any || (!free && segment == wanted)
        })
    });
    all && given.next().is_none()
}

#[cfg(test)]
mod tests;
