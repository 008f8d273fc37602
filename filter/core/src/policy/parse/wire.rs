//! The JSON, field by field: names, ranges, defaults.
//!
//! One function per object. Only here and in the files below is it known what a
//! field is called, what may stand in it, and what holds where it is absent.

use alloc::boxed::Box;
use alloc::format;
use alloc::vec::Vec;
use core::ops::RangeInclusive;

use hashbrown::HashMap;
use serde_json::json;

use super::error::PolicyError;
use super::json::Node;
use super::read::{Errors, Object, Place};
use crate::policy::parse::forms;
use crate::policy::{
    Admin, Config, GRPC_CODES, Host, JudgeAt, KeyPart, Limits, Mode, Outcome, OutcomeRules, Policy,
    StatusSet, Sync, WHOLE_BP, lower,
};
use crate::time::Span;

mod breaker;
mod conditions;
mod fallback;
mod respond;
mod retry;

/// Longest policy name: it stands in every metric name.
const NAME_BYTES_MAX: usize = 64;
/// Below 10ms workers would merge at nearly every request; beyond 5s each would
/// decide alone.
const SYNC_INTERVALS: RangeInclusive<Span> = Span::from_ms(10)..=Span::from_ms(5_000);
/// Other workers hear of a trip within a tenth of a second.
const SYNC_INTERVAL: Span = Span::from_ms(100);
/// Bodies of this size, at a few requests at a time, are a worker's memory already.
const REPLAY_BYTES_MAX: u32 = 16 * 1_048_576;
/// More keys than this are a quarter of what a virtual machine may have.
const KEYS_TOTAL_MAX: u32 = 262_144;
/// A VM has room for little more than this in all.
const COPIES_BYTES_MAX: u32 = 512 * 1_048_576;
/// `per_connection_buffer_limit_bytes`: with less than the least, no two chunks have room.
const BUFFER_LIMITS: RangeInclusive<u32> = 4_096..=1_073_741_824;
/// Kept answers are memory of the whole proxy; with less than this none has room.
const STALE_BYTES: RangeInclusive<u32> = 4_096..=1_073_741_824;
/// Where the admin answers unless another path is asked for.
const ADMIN_PREFIX: &str = "/spillway";

/// Reads a whole file.
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

/// The schema of the language, piece by piece: what every getter below would take.
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
    o.at("$schema").text("a text", Some);
    let host = o.at("host").object(host);
    let admin_place = o.at("admin");
    let has_admin = !admin_place.is_passed_over();
    Config {
        policies: policies(&o.at("policies"), has_admin),
        limits: o.at("limits").object(limits),
        sync: o.at("sync").object(sync),
        host,
        admin: has_admin.then(|| admin_place.object(admin)),
    }
}

/// The policies; a file that only shows and forces the circuits of others needs none.
fn policies(place: &Place<'_>, may_be_empty: bool) -> Vec<Policy> {
    if place.is_absent() {
        place.missing();
    }
    // The type of the selector's files, so that it costs the module nothing.
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
                "has the name {:?}, which an earlier policy has too",
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

fn limits(o: &mut Object<'_>) -> Limits {
    Limits {
        keys: o.at("keys").integer(1..=crate::policy::KEYS_MAX, 1_000),
        keys_total: o.at("keys_total").integer(1..=KEYS_TOTAL_MAX, 16_384),
        replay_body_bytes: o
            .at("replay_body_bytes")
            .integer(0..=REPLAY_BYTES_MAX, 65_536),
        copies_bytes: o
            .at("copies_bytes")
            .integer(0..=COPIES_BYTES_MAX, 16 * 1_048_576),
        replay_answer_bytes: o
            .at("replay_answer_bytes")
            .integer(0..=REPLAY_BYTES_MAX, 1_048_576),
        stale_bytes: o.at("stale_bytes").integer(STALE_BYTES, 8_388_608),
        recording_bytes: o.at("recording_bytes").integer(STALE_BYTES, 8_388_608),
    }
}

fn host(o: &mut Object<'_>) -> Host {
    let stops = o.at("headers_stop_iteration");
    stops.schema(|| json!({"default": false}));
    Host {
        headers_stop_iteration: stops.boolean(false),
        buffer_limit_bytes: o
            .at("buffer_limit_bytes")
            .integer(BUFFER_LIMITS, crate::policy::BUFFER_LIMIT_BYTES),
    }
}

fn sync(o: &mut Object<'_>) -> Sync {
    Sync {
        interval: o
            .at("interval")
            .duration(false, SYNC_INTERVALS, SYNC_INTERVAL),
    }
}

fn admin(o: &mut Object<'_>) -> Admin {
    let prefix = o.at("path_prefix");
    prefix.schema(|| {
        json!({
            "pattern": forms::PATH_PREFIX_PATTERN,
            "minLength": forms::PATH_PREFIX_BYTES.start(),
            "maxLength": forms::PATH_PREFIX_BYTES.end(),
            "default": ADMIN_PREFIX,
        })
    });
    let allowed = "a path such as /spillway, 2 to 64 characters of A-Z, a-z, 0-9, -, ., _, ~ \
                   and /, without empty, . and .. segments and without / at its end";
    let found = prefix.text(allowed, |text| forms::is_path_prefix(text).then_some(text));
    Admin {
        path_prefix: found.unwrap_or(ADMIN_PREFIX).into(),
    }
}

fn policy(o: &mut Object<'_>) -> Policy {
    let name = name(&o.at("name"));
    let modes = Mode::ALL.map(|mode| (mode.name(), mode));
    let mode = o.at("mode").choice_or_first(&modes, Mode::Enforce);
    let enforce_bp = o.at("enforce_percent").percent(WHOLE_BP);
    let label = o.at("label");
    label.schema(|| json!({"default": true}));
    let label = label.boolean(true);
    let matcher = o.at("match").object(conditions::matcher);
    let key_place = o.at("key");
    let key = key(&key_place);
    if key.contains(&KeyPart::Path) && matcher.paths.is_empty() {
        key_place.conflict("has \"path\", which needs match.paths: the pattern is the key");
    }
    let breaker = o.at("circuit_breaker");
    let retry = o.at("retry");
    Policy {
        name,
        mode,
        enforce_bp,
        label,
        matcher,
        key,
        outcome: o.at("outcome").object(outcome),
        breaker: if breaker.is_absent() {
            breaker::switched_off(&breaker)
        } else {
            breaker.object(breaker::circuit_breaker)
        },
        retry: (!retry.is_passed_over()).then(|| retry::read(&retry)),
        fallback: o
            .at("fallback")
            .any_list(fallback::fallback)
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

/// A header name in lower case, without pseudo headers.
fn header_name(place: &Place<'_>) -> Option<Box<str>> {
    if place.is_absent() {
        place.missing();
    }
    optional_header_name(place)
}

fn optional_header_name(place: &Place<'_>) -> Option<Box<str>> {
    place.schema(|| json!({"pattern": forms::TOKEN_PATTERN}));
    place.text("a header name", |text| {
        forms::is_token(text).then(|| lower(text))
    })
}

fn method(item: Place<'_>) -> Option<Box<str>> {
    item.schema(|| json!({"pattern": forms::TOKEN_PATTERN}));
    item.text("a method such as GET", |text| {
        forms::is_token(text).then(|| Box::from(text))
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
    let moments = [("end", JudgeAt::End), ("headers", JudgeAt::Headers)];
    let overflows = [("ignore", Outcome::Ignored), ("failure", Outcome::Failure)];
    OutcomeRules {
        failure_status: statuses(&failure).unwrap_or(server_errors),
        ignore_status: statuses(&ignore).unwrap_or_default(),
        failure_grpc: grpc_statuses(&o.at("failure_grpc_status")),
        judge_at: o.at("judge_at").choice_or_first(&moments, JudgeAt::End),
        overflow: o
            .at("overflow")
            .choice_or_first(&overflows, Outcome::Ignored),
    }
}

fn statuses(place: &Place<'_>) -> Option<StatusSet> {
    let mut set = StatusSet::default();
    let allowed = "\"5xx\", \"503\" or \"500-504\", from 100 to 599";
    place.any_list(|item| {
        item.schema(|| json!({"pattern": forms::STATUS_PATTERN}));
        let (low, high) = item.text(allowed, forms::status_range)?;
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
