//! `fallback`: the answers to try, in order.

use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use serde_json::json;

use super::super::json::Node;
use super::super::read::{Object, Place};
use super::super::{GRPC_CODES, On, OnSet, Respond, lower, text};
use crate::fallback::{Escape, Template};

/// Largest body of a fixed answer, as written in the policy.
const BODY_BYTES_MAX: usize = 65_536;

/// Kinds of fallback, and whether this version has them.
const FALLBACK_TYPES: [(&str, bool); 4] = [
    ("respond", true),
    ("stale", false),
    ("cluster", false),
    ("route", false),
];

/// Not both a text and a JSON body, and neither where the status allows none.
fn one_body_or_none() -> serde_json::Value {
    json!({
        "not": {"required": ["body", "json"]},
        "if": {"required": ["status"], "properties": {"status": {"enum": [204, 205, 304]}}},
        "then": {"properties": {"body": {"maxLength": 0}, "json": false}},
    })
}

/// Reads one entry.
pub(super) fn fallback(item: Place<'_>) -> Option<Respond> {
    item.schema(one_body_or_none);
    item.object(entry)
}

fn entry(o: &mut Object<'_>) -> Option<Respond> {
    let type_place = o.at("type");
    if type_place.is_absent() {
        type_place.missing();
    }
    let known = type_place.choice(&FALLBACK_TYPES);
    type_place.schema(|| {
        let served = FALLBACK_TYPES.iter().filter(|(_, served)| *served);
        json!({"enum": served.map(|(name, _)| *name).collect::<Vec<_>>()})
    });
    if known == Some(false) {
        type_place.conflict("is not supported by this version, which has respond");
    }
    if known != Some(true) {
        o.ignore_rest();
        return None;
    }
    Some(respond(o))
}

fn respond(o: &mut Object<'_>) -> Respond {
    let status_place = o.at("status");
    let status = u16::try_from(status_place.integer(200..=599, 503)).unwrap_or(503);
    let mut headers = response_headers(&o.at("headers"));
    let body = body(o, &mut headers);
    if matches!(status, 204 | 205 | 304) && !body.is_empty() {
        status_place.conflict("allows no body");
    }
    Respond {
        on: on_set(&o.at("on")),
        status,
        headers,
        body,
        grpc_status: grpc_code(&o.at("grpc_status")),
        grpc_message: o
            .at("grpc_message")
            .text("a text", Some)
            .map(|text| Template::new(text, Escape::Line))
            .unwrap_or_default(),
    }
}

fn on_set(place: &Place<'_>) -> OnSet {
    let choices = [
        ("open", On::Open),
        ("failure", On::Failure),
        ("timeout", On::Timeout),
    ];
    place.schema(|| json!({"default": ["open"]}));
    match place.list(|item| item.choice(&choices)) {
        Some(list) => list.into_iter().fold(OnSet::default(), OnSet::with),
        None => OnSet::default().with(On::Open),
    }
}

/// UNAVAILABLE: what gRPC itself answers where the server cannot be reached.
const UNAVAILABLE: u8 = 14;

fn grpc_code(place: &Place<'_>) -> u8 {
    place.schema(|| json!({"enum": GRPC_CODES, "default": "UNAVAILABLE"}));
    let code = place.text("the name of a gRPC code", |text| {
        let code = GRPC_CODES.iter().position(|name| *name == text)?;
        u8::try_from(code).ok()
    });
    code.unwrap_or(UNAVAILABLE)
}

/// Headers that frame the message, belong to one connection, or are written by the
/// host or by the filter itself.
const RESERVED_HEADERS: [&str; 12] = [
    "connection",
    "content-length",
    "grpc-message",
    "grpc-status",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-circuit-fallback",
    "x-circuit-state",
];

fn response_headers(place: &Place<'_>) -> Vec<(Box<str>, Template)> {
    let mut headers: Vec<(Box<str>, Template)> = Vec::new();
    place.schema(|| {
        let names = json!({"pattern": text::TOKEN_PATTERN, "not": {"enum": RESERVED_HEADERS}});
        json!({"propertyNames": names})
    });
    for (name, value) in place.entries() {
        let lower_name = lower(name);
        if !text::is_token(name) || RESERVED_HEADERS.contains(&&*lower_name) {
            value.conflict("is no header that an answer may set");
            continue;
        }
        if headers.iter().any(|(other, _)| *other == lower_name) {
            value.conflict("stands there twice");
        }
        let allowed = "a text of visible characters, spaces and tabs";
        value.schema(|| json!({"pattern": r"^[^\x00-\x08\x0A-\x1F\x7F-\x9F]*$"}));
        let visible = |text: &str| text.chars().all(|c| c == '\t' || !c.is_control());
        if let Some(text) = value.text(allowed, |text| visible(text).then_some(text)) {
            headers.push((lower_name, Template::new(text, Escape::Header)));
        }
    }
    headers
}

/// The body, and the `content-type` that goes with it where the user set none.
fn body(o: &mut Object<'_>, headers: &mut Vec<(Box<str>, Template)>) -> Template {
    let (body_place, json_place) = (o.at("body"), o.at("json"));
    let allowed = "a text of at most 65536 bytes";
    body_place.schema(|| json!({"maxLength": BODY_BYTES_MAX}));
    let body = body_place.text(allowed, |text| {
        (text.len() <= BODY_BYTES_MAX).then(|| text.to_owned())
    });
    let json = json_place.node().map(Node::to_text);
    if json
        .as_ref()
        .is_some_and(|json| json.len() > BODY_BYTES_MAX)
    {
        json_place.conflict("is longer than 65536 bytes");
    }
    if !body_place.is_absent() && !json_place.is_absent() {
        json_place.conflict("stands beside body; one of them is enough");
    }
    let own_type = headers
        .iter()
        .find(|(name, _)| &**name == "content-type")
        .map(|(_, value)| value.literal());
    let (content, default_type) = match (json, body) {
        (Some(json), _) => (json, "application/json"),
        (None, Some(body)) => (body, "text/plain; charset=utf-8"),
        (None, None) => return Template::default(),
    };
    let content_type = own_type.unwrap_or_else(|| {
        let template = Template::new(default_type, Escape::Header);
        headers.push(("content-type".into(), template));
        String::from(default_type)
    });
    let escape = if json_place.is_absent() {
        Escape::of_content_type(&content_type)
    } else {
        Escape::Json
    };
    Template::new(&content, escape)
}
