//! Events for a collector: when they are sent, and what bounds them.

use host_sim::proxy::{Call, CallOutcome, Effect, Hostcall, Plugin};
use host_sim::sim::clock::Time;
use serde_json::Value;

use crate::proxy::{GET, built, response};
use crate::workers::Workers;

const DROPPED: &str = "spillway.events_dropped_total";

/// A policy with a circuit per tenant that one failure opens, and a collector.
fn file(collector: &str) -> String {
    let policy = r#"{"name": "p", "key": [{"header": "x-tenant"}], "circuit_breaker": {
        "failure_rate_threshold": 0, "consecutive_failures": 1,
        "open": {"duration": "60s", "jitter": 0}}}"#;
    format!(r#"{{"policies": [{policy}]{collector}}}"#)
}

fn to(cluster: &str) -> String {
    file(&format!(r#", "events": {{"cluster": "{cluster}"}}"#))
}

/// Opens the circuit of a tenant.
fn open(workers: &mut Workers, worker: usize, tenant: &str) {
    let request: Vec<(&str, &str)> = GET.into_iter().chain([("x-tenant", tenant)]).collect();
    let stream = workers
        .ask_with(worker, &request)
        .expect("a closed circuit");
    workers.respond(stream, "503");
}

/// Advances to this time. Returns the calls that were made on the way.
fn calls(workers: &mut Workers, ms: u64) -> Vec<Call> {
    workers.run_to(Time::from_ms(ms));
    let effects = std::iter::from_fn(|| workers.proxy.host.next_effect());
    let calls = effects.filter_map(|effect| match effect {
        Effect::Call(call) => Some(call),
        _ => None,
    });
    calls.collect()
}

/// Number of records in a call.
fn records(call: &Call) -> usize {
    let body: Value = serde_json::from_slice(&call.body).unwrap();
    let records = &body["resourceLogs"][0]["scopeLogs"][0]["logRecords"];
    records.as_array().unwrap().len()
}

fn dropped(workers: &Workers) -> u64 {
    workers.proxy.host.metrics().value(DROPPED)
}

#[test]
fn a_tick_sends_the_events_of_a_second_in_one_call() {
    let mut workers = Workers::new(1, &to("up"));
    (0..3).for_each(|n| open(&mut workers, 0, &n.to_string()));
    assert_eq!(calls(&mut workers, 900).len(), 0);
    let sent = calls(&mut workers, 1_100);
    assert_eq!(sent.len(), 1);
    assert_eq!(records(&sent[0]), 3);
    assert_eq!(sent[0].stream, None, "no request waits for it");
    // One call at a time.
    (3..5).for_each(|n| open(&mut workers, 0, &n.to_string()));
    assert_eq!(calls(&mut workers, 4_000).len(), 0);
    workers
        .proxy
        .host
        .answer_call(sent[0].call, response("200", ""));
    let sent = calls(&mut workers, 6_000);
    assert_eq!(sent.len(), 1);
    assert_eq!(records(&sent[0]), 2);
    workers
        .proxy
        .host
        .answer_call(sent[0].call, response("200", ""));
    assert_eq!(calls(&mut workers, 10_000).len(), 0);
    assert_eq!(dropped(&workers), 0);
}

#[test]
fn each_worker_sends_only_what_it_has_changed() {
    let mut workers = Workers::new(4, &to("up"));
    for (worker, tenant) in ["a", "b", "c", "d"].into_iter().enumerate() {
        open(&mut workers, worker, tenant);
    }
    let sent = calls(&mut workers, 2_000);
    assert_eq!(sent.iter().map(records).collect::<Vec<_>>(), [1; 4]);
}

#[test]
fn a_collector_that_does_not_take_events_loses_them() {
    for outcome in [response("503", ""), CallOutcome::timed_out()] {
        let mut workers = Workers::new(1, &to("up"));
        (0..3).for_each(|n| open(&mut workers, 0, &n.to_string()));
        let sent = calls(&mut workers, 1_100);
        workers.proxy.host.answer_call(sent[0].call, outcome);
        assert_eq!(calls(&mut workers, 5_000).len(), 0, "no second try");
        assert_eq!(dropped(&workers), 3);
    }
    let mut workers = Workers::new(1, &to("nowhere"));
    open(&mut workers, 0, "a");
    assert_eq!(calls(&mut workers, 5_000).len(), 0);
    assert_eq!(dropped(&workers), 1);
}

#[test]
fn a_hanging_collector_cannot_make_the_queue_grow() {
    let mut workers = Workers::new(1, &to("up"));
    open(&mut workers, 0, "first");
    let first = calls(&mut workers, 1_100);
    for n in 0..400 {
        open(&mut workers, 0, &format!("{n:0>400}"));
    }
    let lost = dropped(&workers);
    assert!(lost > 100, "{lost}");
    workers
        .proxy
        .host
        .answer_call(first[0].call, response("200", ""));
    let sent = calls(&mut workers, 3_000);
    assert!(sent[0].body.len() < 263_000, "{}", sent[0].body.len());
    assert_eq!(records(&sent[0]) as u64 + lost, 400);
}

#[test]
fn requests_cost_the_same_with_events_and_without() {
    let costs = |file: &str| {
        // The lite module has no events, and other costs.
        let mut workers = Workers::start(1, Plugin::new(built("spillway"), file));
        for n in 0..200 {
            workers.run_to(Time::from_ms(n * 10));
            let stream = workers.ask(0).unwrap();
            workers.respond(stream, "200");
        }
        let counts = workers.proxy.host.counts();
        let calls = [
            Hostcall::GetProperty,
            Hostcall::IncrementMetric,
            Hostcall::GetSharedData,
            Hostcall::SetTickPeriod,
            Hostcall::HttpCall,
        ];
        calls.map(|call| counts.hostcall(call))
    };
    let [properties, rest @ ..] = costs(&to("up"));
    let [without, expected @ ..] = costs(&file(""));
    assert_eq!(rest, expected);
    // The node's id, once for each VM.
    assert!(properties - without <= 3, "{properties} {without}");
}
