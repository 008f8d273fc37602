//! A log that Envoy wrote during an outage, replayed: the simulator gets to the transitions that the
//! filter logged.

use std::fs;
use std::io::Write;
use std::time::Duration;

use host_sim::proxy::Module;
use host_sim::scenario::log::{Log, LogRecording, Options, Survey};
use host_sim::scenario::play::{Run, replay};
use host_sim::sim::span::Span;
use serde_json::{Value, json};
use spillway_tests::{Envoy, Reply, Upstream, places};
use tokio::time::sleep;

use crate::scene::{policy, rejected, transitions_are};

/// How far the times may differ, in milliseconds. The log has whole milliseconds of the start and
/// of the duration, so the end of a request is known to two. The rest is for a thread that waits
/// for its processor between two readings of the clock.
const TOLERANCE_MS: u64 = 25;

/// First open time, far above the tolerance. It doubles.
const OPEN_MS: u64 = 400;

/// Sends requests some milliseconds apart. Returns those that the filter rejected.
async fn send(envoy: &Envoy, requests: u32) -> u64 {
    let mut count = 0;
    for _ in 0..requests {
        let answer = envoy.get("/").await;
        if !answer.header("x-circuit-state").is_empty() {
            rejected(&answer, "open");
            count += 1;
        }
        sleep(Duration::from_millis(8)).await;
    }
    count
}

/// Waits until an open time has certainly passed: no request comes near its end, where a
/// millisecond would decide.
async fn pass(open_ms: u64) {
    sleep(Duration::from_millis(open_ms + 100)).await;
}

/// Replays a log in the shipped format.
fn replayed(entries: &[Value], policy: &Value) -> Run {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    for entry in entries {
        writeln!(file, "{entry}").expect("a writable file");
    }
    let options = Options {
        format: None,
        fields: Vec::new(),
        window: Span::from_ms(60_000),
    };
    let log = Log::open(file.path(), options).expect("a log");
    let survey = Survey::new(&log, "access.log").expect("requests");
    assert_eq!(survey.reading.unreadable, 0, "{:?}", survey.reading);
    assert_eq!(survey.requests, entries.len() as u64);
    let bytes = fs::read(places::module()).expect("the module");
    let module = Module::from_bytes(&bytes).expect("a module");
    let scenario = survey.scenario(Some(policy.to_string().into_bytes()), 1, 1);
    let recording = LogRecording::new(&log, &survey).expect("a recording");
    replay(&scenario, Some(&module), Box::new(recording), &mut |_| ()).expect("a run")
}

#[tokio::test]
async fn a_log_of_an_outage_replays_to_the_transitions_that_the_filter_logged() {
    let open = json!({"duration": format!("{OPEN_MS}ms"), "jitter": 0});
    let breaker = json!({
        "minimum_requests": 10, "failure_rate_threshold": 50, "open": open,
        "half_open": {"permits": 2},
    });
    let policy = policy(json!({"circuit_breaker": breaker}));
    let upstream = Upstream::start().await;
    let setting = Envoy::in_front_of(upstream.address()).policy(policy.clone());
    let envoy = setting.start().await;

    let mut kept_away = send(&envoy, 12).await;
    upstream.reply(Reply::status(503));
    kept_away += send(&envoy, 25).await;
    pass(OPEN_MS).await;
    // The probes fail, and the open time doubles.
    kept_away += send(&envoy, 10).await;
    pass(2 * OPEN_MS).await;
    upstream.reply(Reply::status(200));
    kept_away += send(&envoy, 10).await;
    transitions_are(
        &envoy,
        &[
            "closed>open",
            "open>half_open",
            "half_open>open",
            "open>half_open",
            "half_open>closed",
        ],
    )
    .await;
    assert!(kept_away > 10, "{kept_away}");
    envoy.get("/last").await;
    envoy.access("/last").await;

    let run = replayed(&envoy.access_log(), &policy);
    let logged = envoy.transitions();
    let seen = &run.record.circuits.transitions;
    let states = |from: &Value, to: &Value, why: &Value| format!("{from} {to} {why}");
    let logged_states = logged
        .iter()
        .map(|it| states(&it["from"], &it["to"], &it["why"]));
    let seen_states = seen.iter().map(|it| {
        let (from, to) = (json!(it.from.name()), json!(it.to.name()));
        states(&from, &to, &json!(it.why))
    });
    assert_eq!(
        seen_states.collect::<Vec<_>>(),
        logged_states.collect::<Vec<_>>()
    );
    // The filter logs how long each state lasted, by its own clock.
    for (pair, line) in seen.windows(2).zip(&logged[1..]) {
        let replayed_ms = Span::between(pair[0].at, pair[1].at).as_ms();
        let lasted_ms = line["lasted_ms"].as_u64().expect("a number");
        let apart = replayed_ms.abs_diff(lasted_ms);
        assert!(apart <= TOLERANCE_MS, "{line}: {replayed_ms} ms replayed");
    }
    let outcomes = &run.record.total;
    assert_eq!(
        outcomes.outcome(host_sim::record::Outcome::Rejected),
        kept_away
    );
}
