//! `match`: which requests a policy applies to.

use alloc::format;
use alloc::vec::Vec;

use serde_json::json;

use super::names::{header, method};
use crate::policy::parse::forms;
use crate::policy::parse::read::{Object, Place, names};
use crate::policy::{Authority, HeaderCondition, HeaderTest, Match, PathKind, PathPattern};
use crate::text::lower;

pub(super) fn matcher(o: &mut Object<'_>) -> Match {
    Match {
        clusters: names(&o.at("clusters")),
        routes: names(&o.at("routes")),
        authorities: o.at("authorities").list(authority).unwrap_or_default(),
        paths: o
            .at("paths")
            .list(|item| item.object(|o| path_pattern(&item, o)))
            .unwrap_or_default(),
        methods: o.at("methods").list(method).unwrap_or_default(),
        headers: o
            .at("headers")
            .list(|item| item.object(|o| header_condition(&item, o)))
            .unwrap_or_default(),
    }
}

fn authority(item: Place<'_>) -> Option<Authority> {
    let allowed = "a host name such as example.com or *.example.com";
    let plain = |text: &str| {
        !text.is_empty() && !text.contains(|c: char| c == '*' || c.is_ascii_whitespace())
    };
    item.schema(|| json!({"pattern": r"^(\*\.)?[^* \t\n\f\r]+$"}));
    item.text(allowed, |text| match text.strip_prefix('*') {
        Some(suffix) if suffix.starts_with('.') && suffix.len() > 1 && plain(suffix) => {
            Some(Authority::Suffix(lower(suffix)))
        }
        Some(_) => None,
        None => plain(text).then(|| Authority::Exact(lower(text))),
    })
}

fn path_pattern(item: &Place<'_>, o: &mut Object<'_>) -> Option<PathPattern> {
    let kinds = [
        ("exact", PathKind::Exact),
        ("prefix", PathKind::Prefix),
        ("template", PathKind::Template),
    ];
    item.schema(|| json!({"oneOf": kinds.map(|(field, _)| json!({"required": [field]}))}));
    let mut found = Vec::new();
    for (field, kind) in kinds {
        let allowed = "a path that starts with / and has no query";
        let place = o.at(field);
        if place.is_skipped() {
            continue;
        }
        place.schema(|| match kind {
            PathKind::Template => json!({"pattern": forms::TEMPLATE_PATTERN}),
            PathKind::Exact | PathKind::Prefix => json!({"pattern": "^/[^?#]*$"}),
        });
        let text = place.text(allowed, |text| {
            (text.starts_with('/') && !text.contains(['?', '#'])).then_some(text)
        });
        found.push(text.map(|text| {
            check_template(&place, text, kind);
            PathPattern {
                text: text.into(),
                kind,
            }
        }));
    }
    only_one(item, found, "exact, prefix and template")?
}

/// Every segment of a template is plain text or one `{name}`.
fn check_template(place: &Place<'_>, text: &str, kind: PathKind) {
    let is_valid = |segment: &str| {
        let inner = segment.strip_prefix('{').and_then(|s| s.strip_suffix('}'));
        let name = inner.unwrap_or(segment);
        !name.contains(['{', '}']) && inner != Some("")
    };
    if kind == PathKind::Template && !text.split('/').all(is_valid) {
        place.reject("a path whose segments are plain text or one {name} each");
    }
}

fn header_condition(item: &Place<'_>, o: &mut Object<'_>) -> Option<HeaderCondition> {
    item.schema(|| json!({"oneOf": [{"required": ["exact"]}, {"required": ["present"]}]}));
    let name = header(&o.at("name"));
    let mut tests = Vec::new();
    let exact = o.at("exact");
    if !exact.is_skipped() {
        let test = |text: &str| Some(HeaderTest::Exact(text.into()));
        tests.push(exact.text("a string", test));
    }
    let present = o.at("present");
    if !present.is_skipped() {
        tests.push(Some(HeaderTest::Present(present.boolean(true))));
    }
    let test = only_one(item, tests, "exact and present")??;
    Some(HeaderCondition { name: name?, test })
}

/// Returns the value that was found, valid or not.
fn only_one<T>(item: &Place<'_>, mut found: Vec<T>, names: &str) -> Option<T> {
    if found.len() != 1 {
        item.conflict(&format!("needs exactly one of {names}"));
    }
    found.pop()
}
