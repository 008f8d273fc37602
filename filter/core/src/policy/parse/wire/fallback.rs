//! `fallback`: the replacements to try, in order.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ops::RangeInclusive;

use serde_json::{Value, json};

use super::respond::respond;
use crate::policy::parse::forms;
use crate::policy::parse::read::{self, Object, Place};
use crate::policy::{ClusterConfig, Fallback, FallbackType, On, OnSet, RouteConfig, StaleConfig};
use crate::text::lower;
use crate::time::Span;

/// A response of yesterday is too old for any client.
const MAX_AGES: RangeInclusive<Span> = Span::from_secs(1)..=Span::from_secs(86_400);
const MAX_AGE: Span = Span::from_secs(600);

/// Longest name of a query parameter, and how many there may be.
const PARAMETER_BYTES_MAX: usize = 64;
const PARAMETERS_MAX: usize = 32;
const PARAMETER: &str = "the name of a query parameter such as gclid or utm_*, of at most 64 \
     visible ASCII characters without #, &, ;, = and ?";

/// The client has already waited for the first upstream.
const TIMEOUTS: RangeInclusive<Span> = Span::from_ms(1)..=Span::from_secs(3_600);
const TIMEOUT: Span = Span::from_ms(1_000);

/// Types of fallback, by their names in policies.
const TYPES: [(&str, Type); 4] = [
    ("respond", Type::Respond),
    ("stale", Type::Stale),
    ("cluster", Type::Cluster),
    ("route", Type::Route),
];

#[derive(Clone, Copy, PartialEq)]
enum Type {
    Respond,
    Stale,
    Cluster,
    Route,
}

/// Fields of each type besides `type`, `on` and `description`, and those that are required.
const FIELDS: [(&str, &[&str], &[&str]); 4] = [
    (
        "respond",
        &[
            "status",
            "headers",
            "variants",
            "body",
            "json",
            "grpc_status",
            "grpc_message",
        ],
        &[],
    ),
    ("stale", &["max_age", "shared", "ignore_query"], &[]),
    (
        "cluster",
        &["cluster", "path", "authority", "timeout"],
        &["cluster"],
    ),
    ("route", &["header"], &["header"]),
];

/// Returns the rules between fields: at most one body, and only the fields of the type.
fn rules() -> Value {
    let of_type =
        |name: &str| json!({"required": ["type"], "properties": {"type": {"const": name}}});
    let mut rules: Vec<Value> = FIELDS
        .iter()
        .map(|(name, fields, required)| {
            let names: Vec<&str> = fields
                .iter()
                .copied()
                .chain(["type", "on", "description"])
                .collect();
            json!({
                "if": of_type(name),
                "then": {"propertyNames": {"enum": names}, "required": required},
            })
        })
        .collect();
    rules.push(json!({
        "if": of_type("route"),
        "then": {"properties": {"on": {"items": {"const": "open"}}}},
    }));
    rules.push(json!({
        "if": {"required": ["status"], "properties": {"status": {"enum": [204, 205, 304]}}},
        "then": {"properties": {"body": {"maxLength": 0}, "json": false, "variants": false}},
    }));
    let pairs = [["body", "json"], ["body", "variants"], ["json", "variants"]];
    let twice = pairs.map(|pair| json!({"required": pair}));
    json!({"allOf": rules, "not": {"anyOf": twice}})
}

/// Reads one entry.
pub(super) fn fallback(item: Place<'_>) -> Option<Fallback> {
    item.schema(rules);
    item.object(entry)
}

fn entry(o: &mut Object<'_>) -> Option<Fallback> {
    let type_place = o.at("type");
    type_place.require();
    let Some(kind) = type_place.choice(&TYPES) else {
        o.ignore_rest();
        return None;
    };
    let on_place = o.at("on");
    let on = on_set(&on_place);
    // The schema has the fields of all types.
    let is = |this: Type| kind == this || type_place.is_recording();
    let mut from = None;
    if is(Type::Route) {
        if on.wants_response() && !type_place.is_recording() {
            on_place.conflict(
                "contains more than open: a request can be rerouted only before it is sent",
            );
        }
        from = route(o).map(FallbackType::Route);
    }
    if is(Type::Cluster) {
        from = cluster(o).map(FallbackType::Cluster);
    }
    if is(Type::Stale) {
        from = Some(FallbackType::Stale(stale(o)));
    }
    if is(Type::Respond) {
        from = Some(FallbackType::Respond(respond(o)));
    }
    Some(Fallback { on, from: from? })
}

fn stale(o: &mut Object<'_>) -> StaleConfig {
    let shared = o.at("shared");
    shared.schema(|| json!({"default": false}));
    StaleConfig {
        max_age: o.at("max_age").duration(false, MAX_AGES, MAX_AGE),
        shared: shared.boolean(false),
        ignore_query: parameters(&o.at("ignore_query")),
    }
}

fn parameters(place: &Place<'_>) -> Vec<Box<str>> {
    place.schema(|| json!({"maxItems": PARAMETERS_MAX}));
    let names = place.list(parameter).unwrap_or_default();
    if names.len() > PARAMETERS_MAX {
        place.conflict("has more than 32 names");
    }
    names
}

/// Reads the name of a query parameter. Each is compared with each parameter of a request.
fn parameter(item: Place<'_>) -> Option<Box<str>> {
    item.schema(|| json!({"pattern": forms::PARAMETER_PATTERN, "maxLength": PARAMETER_BYTES_MAX}));
    item.text(PARAMETER, |text| {
        let name = text.strip_suffix('*').unwrap_or(text);
        let plain = forms::is_visible(name) && !name.contains(['#', '&', '*', ';', '=', '?']);
        (plain && text.len() <= PARAMETER_BYTES_MAX).then(|| text.into())
    })
}

fn cluster(o: &mut Object<'_>) -> Option<ClusterConfig> {
    let (cluster, path) = (o.at("cluster"), o.at("path"));
    let timeout = o.at("timeout").duration(false, TIMEOUTS, TIMEOUT);
    needed(&cluster);
    path.schema(|| json!({"pattern": forms::REQUEST_PATH_PATTERN}));
    let path = path.text(forms::REQUEST_PATH, |text| {
        forms::is_request_path(text).then(|| Box::from(text))
    });
    let authority = o.at("authority");
    authority.schema(|| {
        json!({
            "pattern": forms::AUTHORITY_PATTERN,
            "maxLength": forms::AUTHORITY_BYTES_MAX,
        })
    });
    let allowed = "a host with or without a port, such as lite.example.com or [::1]:8080";
    let authority = authority.text(allowed, |text| {
        forms::is_authority(text).then(|| Box::from(text))
    });
    Some(ClusterConfig {
        cluster: read::name(&cluster)?,
        path,
        authority,
        timeout,
    })
}

fn route(o: &mut Object<'_>) -> Option<RouteConfig> {
    let header = o.at("header");
    needed(&header);
    if header.is_skipped() {
        return None;
    }
    header.object(|o| {
        let name = routing_header(&o.at("name"));
        let value = o.at("value");
        value.require();
        value.schema(|| json!({"pattern": forms::VISIBLE_PATTERN}));
        let value = value.text("one or more visible ASCII characters", |text| {
            forms::is_visible(text).then(|| Box::from(text))
        });
        Some(RouteConfig {
            name: name?,
            value: value?,
        })
    })
}

/// Headers that a policy may not set: they frame the message, or other parts of the proxy
/// depend on them.
const RESERVED_HEADERS: [&str; 6] = [
    "connection",
    "content-length",
    "host",
    "te",
    "transfer-encoding",
    "upgrade",
];

/// The names above, for the error.
const ROUTING_HEADER: &str = "a header name other than connection, content-length, host, te, \
     transfer-encoding and upgrade";

fn routing_header(place: &Place<'_>) -> Option<Box<str>> {
    place.schema(|| json!({"not": {"enum": RESERVED_HEADERS}}));
    place.require();
    place.schema(|| json!({"pattern": forms::TOKEN_PATTERN}));
    place.text(ROUTING_HEADER, |text| {
        let name = lower(text);
        (forms::is_token(text) && !RESERVED_HEADERS.contains(&&*name)).then_some(name)
    })
}

/// Requires a field of this type. For the schema [`rules`] require it.
fn needed(place: &Place<'_>) {
    if place.is_skipped() {
        place.require();
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
