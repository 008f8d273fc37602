//! `key`: which requests share a circuit.

use alloc::vec::Vec;

use serde_json::json;

use super::names;
use crate::policy::KeyPart;
use crate::policy::parse::json::Node;
use crate::policy::parse::read::Place;

pub(super) fn key(place: &Place<'_>) -> Vec<KeyPart> {
    place.schema(|| json!({"default": ["cluster"], "uniqueItems": true}));
    let mut parts: Vec<KeyPart> = Vec::new();
    let read = |item: Place<'_>| {
        let part = key_part(&item)?;
        if parts.contains(&part) {
            item.conflict("appears twice in the key");
        }
        parts.push(part);
        Some(())
    };
    match place.any_list(read) {
        Some(_) => parts,
        None => alloc::vec![KeyPart::Cluster],
    }
}

fn key_part(item: &Place<'_>) -> Option<KeyPart> {
    let is_object = matches!(item.node(), Some(Node::Object(_)));
    if is_object || item.is_recording() {
        let header = item.object(|o| names::header(&o.at("header")));
        if is_object {
            return header.map(KeyPart::Header);
        }
    }
    let allowed = "cluster, route, authority, method, path or {\"header\": NAME}";
    item.schema(
        || json!({"type": "string", "enum": ["cluster", "route", "authority", "method", "path"]}),
    );
    item.text(allowed, |text| match text {
        "cluster" => Some(KeyPart::Cluster),
        "route" => Some(KeyPart::Route),
        "authority" => Some(KeyPart::Authority),
        "method" => Some(KeyPart::Method),
        "path" => Some(KeyPart::Path),
        _ => None,
    })
}
