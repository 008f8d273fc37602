//! `retry`: how requests that failed are sent again.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use serde_json::json;

use super::names::{method, optional_header};
use super::ranges::{HOUR_MS, ms};
use crate::policy::parse::read::{Object, Place};
use crate::policy::{
    BackoffConfig, BudgetConfig, Condition, Conditions, RetryConfig, RetryEngine, WHOLE_BP,
};
use crate::time::Span;

/// More than eleven attempts help nobody.
const RETRIES_MAX: u32 = 10;
/// The maximum of Finagle: ten retries for each success.
const PERCENT_MAX_BP: u32 = 10 * WHOLE_BP;
/// A larger budget limits nothing.
const MIN_COUNT_MAX: u32 = 100_000;

/// The default: failures that a caller cannot have caused.
const RETRY_ON: [&str; 4] = ["5xx", "reset", "connect-failure", "refused-stream"];
/// Idempotent methods (RFC 9110, 9.2.2).
const METHODS: [&str; 6] = ["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"];
/// The most common name (draft-ietf-httpapi-idempotency-key-header).
const IDEMPOTENCY_HEADER: &str = "idempotency-key";
/// The words of Envoy's `x-envoy-retry-grpc-on`.
const GRPC_WORDS: [&str; 5] = [
    "cancelled",
    "deadline-exceeded",
    "internal",
    "resource-exhausted",
    "unavailable",
];

pub(super) fn read(place: &Place<'_>) -> RetryConfig {
    place.schema(|| {
        json!({
            "if": {"required": ["engine"], "properties": {"engine": {"const": "filter"}}},
            "then": {"required": ["replay"]},
            "else": {"properties": {"backoff": false}},
        })
    });
    place.object(retry)
}

fn retry(o: &mut Object<'_>) -> RetryConfig {
    let engine = engine(o);
    let max_retries = o.at("max_retries").integer(0..=RETRIES_MAX, 2);
    let per_try_timeout = o
        .at("per_try_timeout")
        .duration(true, ms(1, HOUR_MS), Span::ZERO);
    let timeout = o
        .at("timeout")
        .duration(false, ms(10, HOUR_MS), Span::from_secs(15));
    let backoff_place = o.at("backoff");
    if engine == RetryEngine::Router && !backoff_place.is_missing() {
        backoff_place
            .conflict("is only allowed with \"engine\": \"filter\": the host's router has its own");
    }
    RetryConfig {
        engine,
        max_retries,
        retry_on: conditions(&o.at("retry_on")),
        grpc_retry_on: grpc_conditions(&o.at("grpc_retry_on")),
        methods: methods(&o.at("methods")),
        idempotency_header: idempotency_header(&o.at("idempotency_header")),
        nested: nested(&o.at("nested")),
        per_try_timeout: (per_try_timeout > Span::ZERO).then_some(per_try_timeout),
        timeout,
        backoff: backoff_place.object(backoff),
        budget: BudgetConfig {
            lease: timeout,
            ..o.at("budget").object(budget)
        },
    }
}

/// Reads `engine`. The filter sends a retry as it received the request, without the route's
/// changes to it, so the user has to confirm that this makes no difference.
fn engine(o: &mut Object<'_>) -> RetryEngine {
    let engines = [
        ("router", RetryEngine::Router),
        ("filter", RetryEngine::Filter),
    ];
    let engine_place = o.at("engine");
    let engine = engine_place.choice_or_first(&engines, RetryEngine::Router);
    let replay = o.at("replay");
    replay.choice(&[("as_received", ())]);
    if engine == RetryEngine::Filter && replay.is_missing() {
        engine_place.conflict(
            "needs \"replay\": \"as_received\", which confirms that the route neither rewrites \
             requests nor adds headers that matter",
        );
    }
    engine
}

fn conditions(place: &Place<'_>) -> Conditions {
    place.schema(|| json!({"default": RETRY_ON, "uniqueItems": true}));
    let rows = Condition::ALL.map(|row| (row.0, row));
    let found = place.any_list(|item| item.choice(&rows));
    let found = found.unwrap_or_else(|| {
        let all = Condition::ALL.into_iter();
        all.filter(|(word, _)| RETRY_ON.contains(word)).collect()
    });
    let mut set = Conditions::default();
    for row in found {
        set.insert(row);
    }
    set
}

fn grpc_conditions(place: &Place<'_>) -> Box<str> {
    place.schema(|| json!({"default": [], "uniqueItems": true}));
    let rows = GRPC_WORDS.map(|word| (word, word));
    let words = place.any_list(|item| item.choice(&rows));
    words.unwrap_or_default().join(",").into()
}

fn methods(place: &Place<'_>) -> Vec<Box<str>> {
    place.schema(|| json!({"default": METHODS}));
    let methods = place.any_list(method);
    methods.unwrap_or_else(|| METHODS.map(Box::from).into())
}

fn idempotency_header(place: &Place<'_>) -> Box<str> {
    place.schema(|| json!({"default": IDEMPOTENCY_HEADER}));
    let name = optional_header(place);
    name.unwrap_or_else(|| String::from(IDEMPOTENCY_HEADER).into())
}

fn nested(place: &Place<'_>) -> bool {
    place.schema(|| json!({"default": false}));
    place.boolean(false)
}

fn backoff(o: &mut Object<'_>) -> BackoffConfig {
    let lengths = ms(1, 60_000);
    let base_interval = o
        .at("base_interval")
        .duration(false, lengths.clone(), Span::from_ms(25));
    let max_place = o.at("max_interval");
    // Envoy's default: ten times the base.
    let max_default = base_interval.scale(10, 1);
    let max_interval = max_place.optional_duration(false, lengths);
    max_place.schema(|| json!({"default": "250ms"}));
    let max_interval = max_interval.unwrap_or(max_default);
    if max_interval < base_interval {
        max_place.conflict("is shorter than backoff.base_interval");
    }
    BackoffConfig {
        base_interval,
        max_interval,
    }
}

fn budget(o: &mut Object<'_>) -> BudgetConfig {
    let percent_bp = o.at("percent").decimal(0..=PERCENT_MAX_BP, 2_000);
    let interval = o
        .at("interval")
        .duration(false, ms(100, HOUR_MS), Span::from_secs(10));
    let (min_count, min_interval) = o.at("min_retry_rate").object(min_retry_rate);
    BudgetConfig {
        percent_bp,
        interval,
        min_count,
        min_interval,
        lease: Span::ZERO,
    }
}

fn min_retry_rate(o: &mut Object<'_>) -> (u32, Span) {
    let count = o.at("count").integer(0..=MIN_COUNT_MAX, 10);
    let interval = o
        .at("interval")
        .duration(false, ms(100, HOUR_MS), Span::from_secs(1));
    (count, interval)
}
