//! `limits`, `sync`, `host`, `metrics`, `events` and `admin`: what a file has besides its policies.

use core::ops::RangeInclusive;

use serde_json::json;

use crate::policy::limits::BUFFER_LIMIT_BYTES;
use crate::policy::parse::forms;
use crate::policy::parse::read::{self, Object};
use crate::policy::{Admin, Events, Host, KEYS_MAX, Limits, Metrics, Sync};
use crate::time::Span;

/// Below 10ms workers would merge at nearly every request. Above 5s each would decide alone.
const SYNC_INTERVALS: RangeInclusive<Span> = Span::from_ms(10)..=Span::from_ms(5_000);
/// Other workers learn of a trip within a tenth of a second.
const SYNC_INTERVAL: Span = Span::from_ms(100);
/// A few requests with bodies of this size fill a worker's memory.
const REPLAY_BYTES_MAX: u32 = 16 * 1_048_576;
/// More keys than this would take a quarter of a VM's memory.
const KEYS_TOTAL_MAX: u32 = 262_144;
/// A VM has little more memory than this in all.
const COPIES_BYTES_MAX: u32 = 512 * 1_048_576;
/// Envoy's `per_connection_buffer_limit_bytes`. A smaller limit has no room for two chunks.
const BUFFER_LIMITS: RangeInclusive<u32> = 4_096..=1_073_741_824;
/// The stale cache is shared by the whole proxy. A smaller one has no room for any response.
const STALE_BYTES: RangeInclusive<u32> = 4_096..=1_073_741_824;
/// The host keeps three names for each of them, forever.
const SHOWN_MAX: u32 = 1_000;
/// The path of a collector's receiver of logs (OTLP 1.0, OTLP/HTTP request).
const EVENTS_PATH: &str = "/v1/logs";
/// The default path of the endpoint for operators.
const ADMIN_PREFIX: &str = "/spillway";

pub(super) fn limits(o: &mut Object<'_>) -> Limits {
    Limits {
        keys: o.at("keys").integer(1..=KEYS_MAX, 1_000),
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

pub(super) fn host(o: &mut Object<'_>) -> Host {
    let stops = o.at("headers_stop_iteration");
    stops.schema(|| json!({"default": false}));
    Host {
        headers_stop_iteration: stops.boolean(false),
        buffer_limit_bytes: o
            .at("buffer_limit_bytes")
            .integer(BUFFER_LIMITS, BUFFER_LIMIT_BYTES),
    }
}

pub(super) fn sync(o: &mut Object<'_>) -> Sync {
    Sync {
        interval: o
            .at("interval")
            .duration(false, SYNC_INTERVALS, SYNC_INTERVAL),
    }
}

pub(super) fn metrics(o: &mut Object<'_>) -> Metrics {
    Metrics {
        circuits: o.at("circuits").integer(0..=SHOWN_MAX, 0),
    }
}

pub(super) fn events(o: &mut Object<'_>) -> Option<Events> {
    let cluster = o.at("cluster");
    cluster.require();
    let path = o.at("path");
    path.schema(|| json!({"pattern": forms::REQUEST_PATH_PATTERN, "default": EVENTS_PATH}));
    let path = path.text(forms::REQUEST_PATH, |text| {
        forms::is_request_path(text).then_some(text)
    });
    Some(Events {
        cluster: read::name(&cluster)?,
        path: path.unwrap_or(EVENTS_PATH).into(),
    })
}

pub(super) fn admin(o: &mut Object<'_>) -> Admin {
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
                   and /, without empty, . or .. segments and without a trailing /";
    let found = prefix.text(allowed, |text| forms::is_path_prefix(text).then_some(text));
    Admin {
        path_prefix: found.unwrap_or(ADMIN_PREFIX).into(),
    }
}
