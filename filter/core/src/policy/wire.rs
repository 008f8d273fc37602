//! The JSON, field by field: names, ranges, defaults.
//!
//! One function per object. This is the only file that knows what a field is
//! called, what may stand in it, and what holds where it is absent.

use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::ops::RangeInclusive;

use serde_json::json;

use super::error::PolicyError;
use super::json::Node;
use super::read::{Errors, Object, Place, names};
use super::{
    Authority, BreakerConfig, Config, GRPC_CODES, HalfOpenConfig, HeaderCondition, HeaderTest,
    KeyPart, Limits, Match, Mode, On, OnSet, OpenConfig, OutcomeRules, PathKind, PathPattern,
    Policy, RecoveryConfig, Respond, SlowUntil, StatusSet, WHOLE_BP, WindowShape, lower, text,
};
use crate::fallback::{Escape, Template};
use crate::time::Span;

/// Longest policy name: it stands in every metric name.
const NAME_BYTES_MAX: usize = 64;
/// Most key tuples of one policy: a full table of them is some 30 MB.
const KEYS_MAX: u32 = 100_000;
/// Longest count window: 2.5 KB a key.
const COUNT_WINDOW_MAX: u32 = 10_000;
/// Most probes: each lease is remembered.
const PERMITS_MAX: u32 = 100;
/// Largest volume that makes sense: a window's counters are 32 bits wide.
const REQUESTS_MAX: u32 = 1_000_000;
/// Largest body of a fixed answer, as written in the policy.
const BODY_BYTES_MAX: usize = 65_536;
/// Ten-fold growth from one opening to the next is more than any service needs.
const MULTIPLIER_MAX_BP: u32 = 10 * WHOLE_BP;

const fn ms(low: u64, high: u64) -> RangeInclusive<Span> {
    Span::from_ms(low)..=Span::from_ms(high)
}

const HOUR_MS: u64 = 3_600_000;
const DAY_MS: u64 = 24 * HOUR_MS;

/// Reads a whole file.
pub(super) fn config(node: &Node) -> Result<Config, Vec<PolicyError>> {
    let errors = Errors::default();
    let config = Place::top(Some(node), &errors).object(top);
    let errors = errors.into_list();
    if errors.is_empty() {
        Ok(config)
    } else {
        Err(errors)
    }
}

/// The schema of the language, piece by piece: what every getter below would take.
#[cfg(feature = "schema")]
pub(super) fn schema_notes() -> Vec<(String, serde_json::Value)> {
    let notes = Errors::recording();
    Place::top(None, &notes).object(top);
    notes.into_notes()
}

fn top(o: &mut Object<'_>) -> Config {
    o.at("$schema").text("a text", Some);
    for later in ["sync", "host", "admin"] {
        o.not_supported(later);
    }
    Config {
        policies: policies(&o.at("policies")),
        limits: o.at("limits").object(limits),
    }
}

fn policies(place: &Place<'_>) -> Vec<Policy> {
    if place.is_absent() {
        place.missing();
    }
    let mut taken: Vec<Box<str>> = Vec::new();
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
        if taken.contains(&policy.name) {
            item.conflict(&format!(
                "has the name {:?}, which an earlier policy has too",
                policy.name
            ));
        } else if !policy.name.is_empty() {
            taken.push(policy.name.clone());
        }
        Some(policy)
    };
    place.list(read).unwrap_or_default()
}

fn limits(o: &mut Object<'_>) -> Limits {
    o.not_supported("replay_body_bytes");
    o.not_supported("stale_bytes");
    Limits {
        keys: o.at("keys").integer(1..=KEYS_MAX, 1_000),
    }
}

fn policy(o: &mut Object<'_>) -> Policy {
    o.not_supported("retry");
    let name = name(&o.at("name"));
    let modes = [
        ("enforce", Mode::Enforce),
        ("shadow", Mode::Shadow),
        ("disabled", Mode::Disabled),
        ("forced_open", Mode::ForcedOpen),
    ];
    let mode = o.at("mode").choice_or_first(&modes, Mode::Enforce);
    let enforce_bp = o.at("enforce_percent").percent(WHOLE_BP);
    let label = o.at("label");
    label.schema(|| json!({"default": true}));
    let label = label.boolean(true);
    let matcher = o.at("match").object(matcher);
    let key_place = o.at("key");
    let key = key(&key_place);
    if key.contains(&KeyPart::Path) && matcher.paths.is_empty() {
        key_place.conflict("has \"path\", which needs match.paths: the pattern is the key");
    }
    let breaker = o.at("circuit_breaker");
    Policy {
        name,
        mode,
        enforce_bp,
        label,
        matcher,
        key,
        outcome: o.at("outcome").object(outcome),
        breaker: if breaker.is_absent() {
            never_trips(&breaker)
        } else {
            breaker.object(circuit_breaker)
        },
        fallback: o
            .at("fallback")
            .any_list(|item| {
                item.schema(one_body_or_none);
                item.object(fallback)
            })
            .unwrap_or_default(),
    }
}

fn name(place: &Place<'_>) -> Box<str> {
    if place.is_absent() {
        place.missing();
    }
    let plain = |text: &str| {
        !text.is_empty()
            && text.len() <= NAME_BYTES_MAX
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
    };
    place.schema(
        || json!({"pattern": "^[A-Za-z0-9_-]+$", "minLength": 1, "maxLength": NAME_BYTES_MAX}),
    );
    let allowed = "1 to 64 characters of A-Z, a-z, 0-9, _ and -";
    place
        .text(allowed, |text| plain(text).then(|| Box::from(text)))
        .unwrap_or_default()
}

fn matcher(o: &mut Object<'_>) -> Match {
    Match {
        clusters: names(&o.at("clusters")),
        routes: names(&o.at("routes")),
        authorities: o.at("authorities").list(authority).unwrap_or_default(),
        paths: o
            .at("paths")
            .list(|item| item.object(|o| path_pattern(&item, o)))
            .unwrap_or_default(),
        methods: o
            .at("methods")
            .list(|item| {
                item.schema(|| json!({"pattern": text::TOKEN_PATTERN}));
                item.text("a method such as GET", |text| {
                    text::is_token(text).then(|| Box::from(text))
                })
            })
            .unwrap_or_default(),
        headers: o
            .at("headers")
            .list(|item| item.object(|o| header_condition(&item, o)))
            .unwrap_or_default(),
    }
}

fn authority(item: Place<'_>) -> Option<Authority> {
    let allowed = "a host name, or *. and the end of one";
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
        let allowed = "a path that begins with / and has no query";
        let place = o.at(field);
        if place.is_passed_over() {
            continue;
        }
        place.schema(|| match kind {
            PathKind::Template => json!({"pattern": text::TEMPLATE_PATTERN}),
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

/// In a template every segment is a plain text or one `{name}`.
fn check_template(place: &Place<'_>, text: &str, kind: PathKind) {
    let segment_is_fine = |segment: &str| {
        let inner = segment.strip_prefix('{').and_then(|s| s.strip_suffix('}'));
        let name = inner.unwrap_or(segment);
        !name.contains(['{', '}']) && inner != Some("")
    };
    if kind == PathKind::Template && !text.split('/').all(segment_is_fine) {
        place.refuse("segments that are plain or one {name} each");
    }
}

fn header_condition(item: &Place<'_>, o: &mut Object<'_>) -> Option<HeaderCondition> {
    item.schema(|| json!({"oneOf": [{"required": ["exact"]}, {"required": ["present"]}]}));
    let name = header_name(&o.at("name"));
    let mut tests = Vec::new();
    let exact = o.at("exact");
    if !exact.is_passed_over() {
        let test = |text: &str| Some(HeaderTest::Exact(text.into()));
        tests.push(exact.text("a text", test));
    }
    let present = o.at("present");
    if !present.is_passed_over() {
        tests.push(Some(HeaderTest::Present(present.boolean(true))));
    }
    let test = only_one(item, tests, "exact and present")??;
    Some(HeaderCondition { name: name?, test })
}

/// The one that was found, be it right or wrong.
fn only_one<T>(item: &Place<'_>, mut found: Vec<T>, names: &str) -> Option<T> {
    if found.len() != 1 {
        item.conflict(&format!("needs exactly one of {names}"));
    }
    found.pop()
}

/// A header name in lower case, without pseudo headers.
fn header_name(place: &Place<'_>) -> Option<Box<str>> {
    if place.is_absent() {
        place.missing();
    }
    place.schema(|| json!({"pattern": text::TOKEN_PATTERN}));
    place.text("a header name", |text| {
        text::is_token(text).then(|| lower(text))
    })
}

fn key(place: &Place<'_>) -> Vec<KeyPart> {
    place.schema(|| json!({"default": ["cluster"], "uniqueItems": true}));
    let mut parts: Vec<KeyPart> = Vec::new();
    let read = |item: Place<'_>| {
        let part = key_part(&item)?;
        if parts.contains(&part) {
            item.conflict("stands in the key twice");
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
        let header = item.object(|o| header_name(&o.at("header")));
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

fn outcome(o: &mut Object<'_>) -> OutcomeRules {
    let mut server_errors = StatusSet::default();
    server_errors.insert(500, 599);
    let (failure, ignore) = (o.at("failure_status"), o.at("ignore_status"));
    failure.schema(|| json!({"default": ["5xx"]}));
    ignore.schema(|| json!({"default": []}));
    OutcomeRules {
        failure_status: statuses(&failure).unwrap_or(server_errors),
        ignore_status: statuses(&ignore).unwrap_or_default(),
        failure_grpc: grpc_statuses(&o.at("failure_grpc_status")),
    }
}

fn statuses(place: &Place<'_>) -> Option<StatusSet> {
    let mut set = StatusSet::default();
    let allowed = "\"5xx\", \"503\" or \"500-504\", from 100 to 599";
    place.any_list(|item| {
        item.schema(|| json!({"pattern": text::STATUS_PATTERN}));
        let (low, high) = item.text(allowed, text::status_range)?;
        set.insert(low, high);
        Some(())
    })?;
    Some(set)
}

/// UNKNOWN, DEADLINE_EXCEEDED, INTERNAL, UNAVAILABLE, DATA_LOSS: what a caller
/// cannot have caused.
const DEFAULT_GRPC_FAILURES: u32 = 1 << 2 | 1 << 4 | 1 << 13 | 1 << 14 | 1 << 15;

fn grpc_statuses(place: &Place<'_>) -> u32 {
    let allowed = "the name of a gRPC code other than OK and CANCELLED";
    place.schema(|| {
        let failures = GRPC_CODES.iter().enumerate();
        let failures = failures.filter(|(code, _)| DEFAULT_GRPC_FAILURES >> code & 1 != 0);
        json!({"default": failures.map(|(_, name)| *name).collect::<Vec<_>>()})
    });
    let codes = place.any_list(|item| {
        item.schema(|| json!({"enum": GRPC_CODES.iter().skip(2).collect::<Vec<_>>()}));
        item.text(allowed, |text| {
            let code = GRPC_CODES.iter().position(|name| *name == text)?;
            (code > 1).then_some(1_u32.wrapping_shl(u32::try_from(code).ok()?))
        })
    });
    codes.map_or(DEFAULT_GRPC_FAILURES, |codes| {
        codes.into_iter().fold(0, |set, code| set | code)
    })
}

/// The breaker of a policy without one: its rules are off.
fn never_trips(absent: &Place<'_>) -> BreakerConfig {
    BreakerConfig {
        failure_rate_bp: 0,
        slow_rate_bp: 0,
        consecutive_failures: 0,
        ..absent.object(circuit_breaker)
    }
}

fn circuit_breaker(o: &mut Object<'_>) -> BreakerConfig {
    let untils = [("headers", SlowUntil::Headers), ("end", SlowUntil::End)];
    let window_place = o.at("window");
    window_place.schema(|| {
        json!({
            "if": {"required": ["type"], "properties": {"type": {"const": "count"}}},
            "then": {"properties": {"duration": false}},
            "else": {"properties": {"size": false}},
        })
    });
    BreakerConfig {
        window: window_place.object(window),
        minimum_requests: o.at("minimum_requests").integer(1..=REQUESTS_MAX, 20),
        failure_rate_bp: o.at("failure_rate_threshold").percent(WHOLE_BP / 2),
        slow_threshold: o
            .at("slow_threshold")
            .optional_duration(false, ms(1, HOUR_MS)),
        slow_until: o
            .at("slow_until")
            .choice_or_first(&untils, SlowUntil::Headers),
        slow_rate_bp: o.at("slow_rate_threshold").percent(WHOLE_BP),
        consecutive_failures: o.at("consecutive_failures").integer(0..=REQUESTS_MAX, 0),
        open: o.at("open").object(open),
        half_open: o.at("half_open").object(half_open),
        recovery: o.at("recovery").object(recovery),
    }
}

fn window(o: &mut Object<'_>) -> WindowShape {
    let kinds = [("time", true), ("count", false)];
    let is_time = o.at("type").choice_or_first(&kinds, true);
    let duration_place = o.at("duration");
    let size_place = o.at("size");
    let duration = duration_place.duration(false, ms(100, HOUR_MS), Span::from_secs(10));
    let size = size_place.integer(1..=COUNT_WINDOW_MAX, 100);
    if is_time {
        if !size_place.is_absent() {
            size_place.conflict("goes with \"type\": \"count\"");
        }
        WindowShape::Time { duration }
    } else {
        if !duration_place.is_absent() {
            duration_place.conflict("goes with \"type\": \"time\"");
        }
        WindowShape::Count { size }
    }
}

fn open(o: &mut Object<'_>) -> OpenConfig {
    let lengths = ms(10, DAY_MS);
    let duration = o
        .at("duration")
        .duration(false, lengths.clone(), Span::from_secs(5));
    let max_place = o.at("max_duration");
    let max_default = Span::from_secs(60).max(duration);
    let max_duration = max_place.duration(false, lengths, max_default);
    if max_duration < duration {
        max_place.conflict("is shorter than open.duration");
    }
    OpenConfig {
        duration,
        multiplier_bp: o
            .at("multiplier")
            .decimal(100..=MULTIPLIER_MAX_BP / 100, 200)
            .saturating_mul(100),
        max_duration,
        jitter_bp: o.at("jitter").percent(2_000),
        retry_after_max: o
            .at("retry_after_max")
            .duration(true, ms(1, DAY_MS), Span::from_secs(60)),
    }
}

fn half_open(o: &mut Object<'_>) -> HalfOpenConfig {
    HalfOpenConfig {
        permits: o.at("permits").integer(1..=PERMITS_MAX, 3),
        lease: o
            .at("lease")
            .duration(false, ms(10, HOUR_MS), Span::from_secs(30)),
    }
}

fn recovery(o: &mut Object<'_>) -> RecoveryConfig {
    RecoveryConfig {
        duration: o.at("duration").duration(true, ms(10, HOUR_MS), Span::ZERO),
        start_bp: o.at("start_percent").percent(WHOLE_BP / 10),
    }
}

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

fn fallback(o: &mut Object<'_>) -> Option<Respond> {
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

/// Headers that frame the message or belong to one connection: the host's own.
const RESERVED_HEADERS: [&str; 8] = [
    "connection",
    "content-length",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
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
