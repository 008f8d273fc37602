//! The JSON, field by field: names, ranges, defaults.
//!
//! One function per object. Only this file and those below know what a field is called, what
//! it may contain, and what its default is.

use alloc::boxed::Box;
use alloc::format;
use alloc::vec::Vec;

use hashbrown::HashMap;
use serde_json::json;

use super::error::PolicyError;
use super::json::Node;
use super::read::{Errors, Object, Place};
use crate::policy::{Config, KeyPart, Mode, Policy, WHOLE_BP};
use crate::time::Span;

mod breaker;
mod conditions;
mod fallback;
mod key;
mod names;
mod outcome;
mod ranges;
mod respond;
mod retry;
mod settings;

use ranges::{HOUR_MS, ms};

/// Parses a whole file.
pub(super) fn config(node: &Node) -> Result<Config, Vec<PolicyError>> {
    let errors = Errors::default();
    let config = file(&Place::top(Some(node), &errors));
    let errors = errors.into_list();
    if errors.is_empty() {
        Ok(config)
    } else {
        Err(errors)
    }
}

/// Returns what every getter below accepts.
#[cfg(feature = "schema")]
pub(super) fn schema_notes() -> Vec<(alloc::string::String, serde_json::Value)> {
    let notes = Errors::recording();
    file(&Place::top(None, &notes));
    notes.into_notes()
}

fn file(place: &Place<'_>) -> Config {
    place.schema(|| {
        json!({
            "if": {"required": ["admin"]},
            "else": {"properties": {"policies": {"minItems": 1}}},
        })
    });
    place.object(top)
}

fn top(o: &mut Object<'_>) -> Config {
    o.at("$schema").text("a string", Some);
    let host = o.at("host").object(settings::host);
    let events = Some(o.at("events")).filter(|events| !events.is_skipped());
    let admin = o.at("admin");
    let has_admin = !admin.is_skipped();
    Config {
        policies: policies(&o.at("policies"), has_admin),
        limits: o.at("limits").object(settings::limits),
        sync: o.at("sync").object(settings::sync),
        host,
        metrics: o.at("metrics").object(settings::metrics),
        events: events.and_then(|events| events.object(settings::events)),
        admin: has_admin.then(|| admin.object(settings::admin)),
    }
}

/// Reads the policies. A file that only controls the circuits of other listeners needs none.
fn policies(place: &Place<'_>, may_be_empty: bool) -> Vec<Policy> {
    place.require();
    // The same type as the selector's index, so that the module has its code only once.
    let mut taken: HashMap<Box<[u8]>, Vec<usize>> = HashMap::new();
    let read = |item: Place<'_>| {
        item.schema(|| {
            let by_path = json!({"key": {"contains": {"const": "path"}}});
            let paths = json!({"match": {"required": ["paths"]}});
            json!({
                "if": {"required": ["key"], "properties": by_path},
                "then": {"required": ["match"], "properties": paths},
            })
        });
        let policy = item.object(policy);
        let earlier = taken.entry(policy.name.as_bytes().into()).or_default();
        if !earlier.is_empty() {
            item.conflict(&format!(
                "has the name {:?}, which an earlier policy already has",
                policy.name
            ));
        } else if !policy.name.is_empty() {
            earlier.push(0);
        }
        Some(policy)
    };
    let policies = if may_be_empty {
        place.any_list(read)
    } else {
        place.list(read)
    };
    policies.unwrap_or_default()
}

fn policy(o: &mut Object<'_>) -> Policy {
    let name = names::policy(&o.at("name"));
    let modes = Mode::ALL.map(|mode| (mode.name(), mode));
    let mode = o.at("mode").choice_or_first(&modes, Mode::Enforce);
    let enforce_bp = o.at("enforce_percent").percent(WHOLE_BP);
    let label = o.at("label");
    label.schema(|| json!({"default": true}));
    let label = label.boolean(true);
    let matcher = o.at("match").object(conditions::matcher);
    let key_place = o.at("key");
    let key = key::key(&key_place);
    if key.contains(&KeyPart::Path) && matcher.paths.is_empty() {
        key_place.conflict("contains \"path\", which needs match.paths: the pattern is the key");
    }
    let breaker = o.at("circuit_breaker");
    let timeout = o.at("timeout").duration(true, ms(1, HOUR_MS), Span::ZERO);
    let retry = o.at("retry");
    Policy {
        name,
        mode,
        enforce_bp,
        label,
        matcher,
        key,
        outcome: o.at("outcome").object(outcome::outcome),
        breaker: breaker::read(&breaker, mode),
        timeout: (timeout > Span::ZERO).then_some(timeout),
        retry: (!retry.is_skipped()).then(|| retry::read(&retry)),
        fallback: o
            .at("fallback")
            .any_list(fallback::fallback)
            .unwrap_or_default(),
    }
}
