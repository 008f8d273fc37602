//! Memory that requests hold in a worker has a total, and no client can hold all of it.

use bytes::Bytes;
use host_sim::headers::HeaderMap;
use host_sim::proxy::{Effect, Part, StreamId};
use serde_json::{Value, json};

use super::simulated::{Stage, failed, good, outcome};
use crate::scene::{policy, with};

const MIB: usize = 1024 * 1024;

/// Memory that a worker may take with the default limits.
const WORKER_BYTES_MAX: usize = 64 * MIB;

fn stage(limits: Value) -> Stage {
    let retry = json!({"engine": "filter", "replay": "as_received", "methods": ["GET", "POST"],
        "backoff": {"base_interval": "1ms", "max_interval": "1ms"},
        "budget": {"min_retry_rate": {"count": 100_000}}});
    let breaker = json!({"failure_rate_threshold": 0});
    let file = policy(json!({"circuit_breaker": breaker, "retry": retry}));
    Stage::start(&with(file, json!({"limits": limits})).to_string(), false)
}

/// Begins a POST and sends this many bytes of its body.
fn upload(stage: &mut Stage, bytes: usize, end: bool) -> StreamId {
    let stream = stage.open();
    let map = HeaderMap::from([
        (":method", "POST"),
        (":path", "/"),
        (":scheme", "http"),
        (":authority", "site"),
    ]);
    stage
        .host
        .request(stream, Part::Headers { map, end: false });
    let piece = Bytes::from(vec![b'x'; bytes.clamp(1, 32_768)]);
    let mut left = bytes;
    while left > 0 {
        let data = piece.slice(..left.min(piece.len()));
        left -= data.len();
        let end = end && left == 0;
        stage.host.request(stream, Part::Body { data, end });
        while stage.host.next_effect().is_some() {}
    }
    stream
}

/// Makes a request fail. Returns the client's response: a good one if the request is replayed.
fn fail(stage: &mut Stage, stream: StreamId) -> u16 {
    let headers = failed_headers(stage, stream);
    let status = headers.text(":status").and_then(|it| it.parse().ok());
    status.unwrap_or(0)
}

/// Like the above, with all headers of the client's response.
fn failed_headers(stage: &mut Stage, stream: StreamId) -> HeaderMap {
    let Part::Headers { map, end } = failed_part() else {
        unreachable!("headers");
    };
    if let Some(info) = stage.host.info_mut(stream) {
        info.code = Some(503);
        info.details = "via_upstream".into();
        info.attempts = Some(1);
    }
    stage.host.response(stream, Part::Headers { map, end });
    let mut headers = None;
    for _ in 0..20 {
        while let Some(effect) = stage.host.next_effect() {
            match effect {
                Effect::Call(call) => {
                    let answer = good("again", "text/plain", false, false);
                    stage.host.answer_call(call.call, outcome(answer));
                }
                Effect::ToClient {
                    part: Part::Headers { map, .. },
                    ..
                } => headers = Some(map),
                _ => {}
            }
        }
        if headers.is_some() {
            break;
        }
        stage.run_to(stage.now_ms + 1);
    }
    stage.host.close(stream);
    headers.unwrap_or_default()
}

fn failed_part() -> Part {
    failed(true).remove(0)
}

fn refused(stage: &Stage) -> u64 {
    let name = "spillway.policy.p.reason.copies_full.retries_denied_total";
    stage.host.metrics().value(name)
}

fn assert_sound(stage: &mut Stage) {
    assert!(stage.host.halt().is_none());
    let bytes = stage.host.vm_bytes();
    assert!(bytes <= WORKER_BYTES_MAX, "{bytes}");
    stage.nothing_is_left();
}

/// Sixty of the largest bodies would be a gigabyte.
#[test]
fn concurrent_large_uploads_share_the_total() {
    let mut stage = stage(json!({"replay_body_bytes": 16 * MIB}));
    let streams: Vec<StreamId> = (0..60).map(|_| upload(&mut stage, 4 * MIB, true)).collect();
    assert_sound(&mut stage);
    let statuses: Vec<u16> = streams.into_iter().map(|it| fail(&mut stage, it)).collect();
    let copied = statuses.iter().filter(|status| **status == 200).count();
    // The most recent ones are kept.
    assert!((3..=4).contains(&copied), "{statuses:?}");
    assert!(statuses.ends_with(&[200; 3]), "{statuses:?}");
    assert_eq!(refused(&stage), 60 - copied as u64);
    assert_sound(&mut stage);
}

#[test]
fn a_body_larger_than_the_total_evicts_no_other() {
    let limits = json!({"replay_body_bytes": 16 * MIB, "copies_bytes": MIB});
    let mut stage = stage(limits);
    let small = upload(&mut stage, 1_000, true);
    let large = upload(&mut stage, 4 * MIB, true);
    assert_eq!(fail(&mut stage, large), 503);
    assert_eq!(fail(&mut stage, small), 200);
    assert_eq!(refused(&stage), 1);
    assert_sound(&mut stage);
}

#[test]
fn many_concurrent_uploads_share_the_total() {
    let mut stage = stage(json!({}));
    let streams: Vec<StreamId> = (0..16_000)
        .map(|_| upload(&mut stage, 65_536, true))
        .collect();
    let bytes = stage.host.vm_bytes();
    assert!(bytes <= WORKER_BYTES_MAX, "{bytes}");
    let copied = streams.into_iter().map(|it| fail(&mut stage, it));
    let copied = copied.filter(|status| *status == 200).count();
    assert!((200..=256).contains(&copied), "{copied}");
    assert_eq!(refused(&stage), 16_000 - copied as u64);
    assert_sound(&mut stage);
}

/// A client with endless uploads does not take the copies of others.
#[test]
fn slow_uploads_do_not_prevent_copies_of_other_requests() {
    let mut stage = stage(json!({}));
    let slow: Vec<StreamId> = (0..1_000)
        .map(|_| upload(&mut stage, 60_000, false))
        .collect();
    for _ in 0..10 {
        let stream = upload(&mut stage, 60_000, true);
        assert_eq!(fail(&mut stage, stream), 200);
        let stream = stage.send("/");
        assert_eq!(fail(&mut stage, stream), 200);
    }
    assert_eq!(refused(&stage), 0);
    slow.into_iter().for_each(|stream| {
        stage.host.close(stream);
    });
    assert_sound(&mut stage);
}

/// Headers are memory too.
#[test]
fn large_headers_are_part_of_the_total() {
    let mut stage = stage(json!({"copies_bytes": MIB}));
    let value = "v".repeat(50_000);
    let mut streams = Vec::new();
    for _ in 0..2_000 {
        let stream = stage.open();
        let map = HeaderMap::from([
            (":method", "GET"),
            (":path", "/"),
            (":scheme", "http"),
            (":authority", "site"),
            ("x-large", &*value),
        ]);
        stage.host.request(stream, Part::Headers { map, end: true });
        while stage.host.next_effect().is_some() {}
        streams.push(stream);
    }
    let bytes = stage.host.vm_bytes();
    assert!(bytes <= 8 * MIB, "{bytes}");
    let copied = streams.into_iter().map(|it| fail(&mut stage, it));
    assert_eq!(copied.filter(|status| *status == 200).count(), 20);
    assert_sound(&mut stage);
}

/// Endless uploads that are paused for a call to another cluster.
#[test]
fn slow_uploads_do_not_block_calls_to_another_cluster() {
    let file = policy(json!({
        "mode": "forced_open",
        "fallback": [
            {"type": "cluster", "cluster": "other", "timeout": "10s"},
            {"type": "respond", "status": 299, "body": "last"},
        ],
    }));
    let limits = json!({"copies_bytes": 4 * MIB});
    let host = json!({"headers_stop_iteration": true});
    let file = with(file, json!({"limits": limits, "host": host}));
    let mut stage = Stage::start(&file.to_string(), true);
    let slow: Vec<StreamId> = (0..200)
        .map(|_| upload(&mut stage, 60_000, false))
        .collect();
    let other = upload(&mut stage, 1, false);
    let data = Bytes::from_static(b"y");
    stage.host.request(other, Part::Body { data, end: true });
    let called = |effect: Effect| matches!(effect, Effect::Call(call) if call.body == b"xy"[..]);
    assert!(std::iter::from_fn(|| stage.host.next_effect()).any(called));
    // A request that lost its copy gets the next fallback.
    let data = Bytes::from_static(b"y");
    stage.host.request(slow[0], Part::Body { data, end: true });
    let status = |effect| match effect {
        Effect::ToClient {
            part: Part::Headers { map, .. },
            ..
        } => map.text(":status").map(String::from),
        _ => None,
    };
    let found = std::iter::from_fn(|| stage.host.next_effect()).find_map(status);
    assert_eq!(found.as_deref(), Some("299"));
    for stream in slow.into_iter().chain([other]) {
        stage.host.close(stream);
    }
    assert_sound(&mut stage);
}

/// Endless paused uploads whose paths are saved for placeholders.
#[test]
fn saved_fields_of_slow_uploads_are_part_of_the_total() {
    let file = policy(json!({
        "mode": "forced_open",
        "fallback": [
            {"type": "cluster", "cluster": "other", "timeout": "1h"},
            {"type": "respond", "status": 299, "headers": {"x-path": "{path}"}},
        ],
    }));
    let limits = json!({"copies_bytes": 4 * MIB});
    let host = json!({"headers_stop_iteration": true});
    let file = with(file, json!({"limits": limits, "host": host}));
    let mut stage = Stage::start(&file.to_string(), true);
    let path = format!("/{}", "p".repeat(10_000));
    let streams: Vec<StreamId> = (0..2_000)
        .map(|_| {
            let stream = stage.open();
            let map = HeaderMap::from([
                (":method", "POST"),
                (":path", &*path),
                (":scheme", "http"),
                (":authority", "site"),
            ]);
            let headers = Part::Headers { map, end: false };
            stage.host.request(stream, headers);
            while stage.host.next_effect().is_some() {}
            stream
        })
        .collect();
    let bytes = stage.host.vm_bytes();
    assert!(bytes <= 12 * MIB, "{bytes}");
    // The last one still has its path.
    let map = HeaderMap::from([("a", "b")]);
    let last = streams[streams.len() - 1];
    stage.host.request(last, Part::Trailers { map });
    let path_of = |effect| match effect {
        Effect::ToClient {
            part: Part::Headers { map, .. },
            ..
        } => map.text("x-path").map(str::len),
        _ => None,
    };
    let found = std::iter::from_fn(|| stage.host.next_effect()).find_map(path_of);
    // A placeholder's value is bounded.
    assert_eq!(found, Some(1_024));
    for stream in streams {
        stage.host.close(stream);
    }
    assert_sound(&mut stage);
}

/// Failed responses with slow bodies that are overwritten.
#[test]
fn bodies_that_wait_for_a_failed_response_are_part_of_the_total() {
    let respond =
        json!({"type": "respond", "on": ["failure"], "status": 299, "body": "b".repeat(50_000)});
    let file = policy(json!({"fallback": [respond]}));
    let file = with(file, json!({"limits": {"copies_bytes": 4 * MIB}}));
    let mut stage = Stage::start(&file.to_string(), false);
    let streams: Vec<StreamId> = (0..500).map(|_| stage.send("/")).collect();
    while stage.host.next_effect().is_some() {}
    for stream in &streams {
        let info = stage.host.info_mut(*stream).expect("a stream");
        info.code = Some(503);
        info.details = "via_upstream".into();
        info.attempts = Some(1);
        let map = HeaderMap::from([(":status", "503"), ("content-length", "4")]);
        stage
            .host
            .response(*stream, Part::Headers { map, end: false });
    }
    let bytes = stage.host.vm_bytes();
    assert!(bytes <= 16 * MIB, "{bytes}");
    let mut answered = 0;
    while let Some(effect) = stage.host.next_effect() {
        if let Effect::ToClient {
            part: Part::Headers { map, .. },
            ..
        } = effect
        {
            assert_eq!(map.text(":status"), Some("299"));
            answered += 1;
        }
    }
    assert_eq!(answered, 500);
    for stream in streams {
        stage.host.close(stream);
    }
    assert_sound(&mut stage);
}

/// Fields of a request that placeholders may need are saved until its response. They have a share
/// of the total, and hanging requests cannot hold all of it.
#[test]
fn fields_saved_for_placeholders_are_part_of_the_total() {
    let respond = json!({"type": "respond", "on": ["failure"], "headers": {"x-path": "{path}"}});
    let file = policy(json!({"fallback": [respond]}));
    let file = with(file, json!({"limits": {"copies_bytes": 4 * MIB}}));
    let mut stage = Stage::start(&file.to_string(), false);
    let send = |stage: &mut Stage, bytes: usize| {
        let path = format!("/{}", "p".repeat(bytes));
        let stream = stage.send(&path);
        while stage.host.next_effect().is_some() {}
        stream
    };
    let path_of = |stage: &mut Stage, stream: StreamId| {
        let headers = failed_headers(stage, stream);
        headers.text("x-path").map_or(0, str::len)
    };
    let name = "spillway.policy.p.nothing_saved_total";
    // Each alone exceeds the limit; then all of them together do.
    let mut hanging: Vec<StreamId> = (0..100).map(|_| send(&mut stage, 50_000)).collect();
    assert_eq!(stage.host.metrics().value(name), 100);
    hanging.extend((0..1_000).map(|_| send(&mut stage, 10_000)));
    let bytes = stage.host.vm_bytes();
    assert!(bytes <= 8 * MIB, "{bytes}");
    let other = send(&mut stage, 100);
    assert_eq!(path_of(&mut stage, other), 101);
    let saved = hanging
        .into_iter()
        .filter(|stream| path_of(&mut stage, *stream) > 1)
        .count();
    assert!((90..=110).contains(&saved), "{saved}");
    let dropped = 1_000 - saved as u64;
    assert_eq!(stage.host.metrics().value(name), 100 + dropped);
    assert_sound(&mut stage);
}
