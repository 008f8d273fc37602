//! `fallback` of type `respond`: a fixed response.

use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use serde_json::json;

use crate::policy::parse::forms;
use crate::policy::parse::json::Node;
use crate::policy::parse::read::{Object, Place};
use crate::policy::template::{Escape, Template};
use crate::policy::{GRPC_CODES, Media, Respond};
use crate::text::lower;

/// Largest body of a fixed response, as written in the policy.
const BODY_BYTES_MAX: usize = 65_536;
const BODY_ALLOWED: &str = "a string of at most 65536 bytes";

pub(super) fn respond(o: &mut Object<'_>) -> Respond {
    let status_place = o.at("status");
    let status = u16::try_from(status_place.integer(200..=599, 503)).unwrap_or(503);
    let mut headers = response_headers(&o.at("headers"));
    let typed = headers.iter().any(|(name, _)| &**name == "content-type");
    let variants_place = o.at("variants");
    let body = body(o, &mut headers, &variants_place);
    let variants = variants(&variants_place);
    if matches!(status, 204 | 205 | 304) && !(body.is_empty() && variants.is_empty()) {
        status_place.conflict("does not allow a body");
    }
    if typed && !variants.is_empty() {
        variants_place.conflict("cannot be combined with a content-type: each variant has its own");
    }
    Respond {
        status,
        headers,
        body,
        variants,
        grpc_status: grpc_code(&o.at("grpc_status")),
        grpc_message: o
            .at("grpc_message")
            .text("a string", Some)
            .map(|text| Template::new(text, Escape::Line))
            .unwrap_or_default(),
    }
}

/// The code that gRPC clients report if they cannot reach the server.
const UNAVAILABLE: u8 = 14;

fn grpc_code(place: &Place<'_>) -> u8 {
    place.schema(|| json!({"enum": GRPC_CODES, "default": "UNAVAILABLE"}));
    let code = place.text("the name of a gRPC code", |text| {
        let code = GRPC_CODES.iter().position(|name| *name == text)?;
        u8::try_from(code).ok()
    });
    code.unwrap_or(UNAVAILABLE)
}

/// Headers that frame the message, belong to one connection, or are set by the host or the
/// filter.
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
        let names = json!({"pattern": forms::TOKEN_PATTERN, "not": {"enum": RESERVED_HEADERS}});
        json!({"propertyNames": names})
    });
    for (name, value) in place.entries() {
        let lower_name = lower(name);
        if !forms::is_token(name) || RESERVED_HEADERS.contains(&&*lower_name) {
            value.conflict("is not a header that a response may set");
            continue;
        }
        if headers.iter().any(|(other, _)| *other == lower_name) {
            value.conflict("appears twice");
        }
        let allowed = "a string of visible characters, spaces and tabs";
        value.schema(|| json!({"pattern": r"^[^\x00-\x08\x0A-\x1F\x7F-\x9F]*$"}));
        let visible = |text: &str| text.chars().all(|c| c == '\t' || !c.is_control());
        if let Some(text) = value.text(allowed, |text| visible(text).then_some(text)) {
            let template = Template::new(text, Escape::Header);
            // It decides how the body is escaped, so no client may choose it.
            if &*lower_name == "content-type" && template.literal() != text {
                value.conflict("contains a placeholder, which is not allowed in a content-type");
            }
            headers.push((lower_name, template));
        }
    }
    headers
}

/// Returns the body, and adds its `content-type` unless the user has set one.
fn body(
    o: &mut Object<'_>,
    headers: &mut Vec<(Box<str>, Template)>,
    variants: &Place<'_>,
) -> Template {
    let (body_place, json_place) = (o.at("body"), o.at("json"));
    let (body, json) = (body_text(&body_place), json_text(&json_place));
    let (has_body, has_json) = (!body_place.is_missing(), !json_place.is_missing());
    if has_body && has_json {
        json_place.conflict("cannot be combined with body");
    }
    if !variants.is_missing() && (has_body || has_json) {
        variants.conflict("cannot be combined with body or json");
    }
    let own_type = headers
        .iter()
        .find(|(name, _)| &**name == "content-type")
        .map(|(_, value)| value.literal());
    let (content, media) = match (json, body) {
        (Some(json), _) => (json, Media::Json),
        (None, Some(body)) => (body, Media::Plain),
        (None, None) => return Template::default(),
    };
    let content_type = own_type.unwrap_or_else(|| {
        let default_type = media.content_type();
        let template = Template::new(default_type, Escape::Header);
        headers.push(("content-type".into(), template));
        String::from(default_type)
    });
    let escape = match (media, Escape::of_content_type(&content_type)) {
        // The client does not parse it as JSON, and a JSON string may contain markup.
        (Media::Json, escape) if escape != Escape::Json => Escape::Script,
        (_, escape) => escape,
    };
    Template::new(&content, escape)
}

fn body_text(place: &Place<'_>) -> Option<String> {
    place.schema(|| json!({"maxLength": BODY_BYTES_MAX}));
    place.text(BODY_ALLOWED, |text| {
        (text.len() <= BODY_BYTES_MAX).then(|| text.to_owned())
    })
}

fn json_text(place: &Place<'_>) -> Option<String> {
    let json = place.node().map(Node::to_text)?;
    if json.len() > BODY_BYTES_MAX {
        place.conflict("is longer than 65536 bytes");
    }
    Some(json)
}

/// Returns the bodies from which the request's `accept` selects one.
fn variants(place: &Place<'_>) -> Vec<(Media, Template)> {
    if place.is_skipped() {
        return Vec::new();
    }
    place.schema(|| {
        let each = ["json", "html", "plain"].map(|name| json!({"required": [name]}));
        json!({"anyOf": each})
    });
    place.object(|o| {
        let json = json_text(&o.at("json")).map(|text| (Media::Json, text));
        let html = body_text(&o.at("html")).map(|text| (Media::Html, text));
        let plain = body_text(&o.at("plain")).map(|text| (Media::Plain, text));
        let all = [json, html, plain].into_iter().flatten();
        let template = |(media, text): (Media, String)| {
            let escape = Escape::of_content_type(media.content_type());
            (media, Template::new(&text, escape))
        };
        let all: Vec<_> = all.map(template).collect();
        if all.is_empty() {
            place.conflict("needs at least one of json, html and plain");
        }
        all
    })
}
