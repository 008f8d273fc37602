//! What storing costs each request: hostcalls and wasm instructions, which are exact.

use host_sim::proxy::Hostcall;
use serde_json::{Value, json};

use super::simulated::{Asking, Does, Stage, good};
use crate::scene::policy;

/// Costs of one request, on average over `requests` that are sent one per millisecond to so many
/// URLs in turn, after each URL was asked for once.
struct Cost {
    /// Looks at response headers, chunks of bodies, reads and writes of shared memory.
    calls: [f64; 4],
    fuel: f64,
}

const CALLS: [Hostcall; 4] = [
    Hostcall::GetHeaderMapPairs,
    Hostcall::GetBufferBytes,
    Hostcall::GetSharedData,
    Hostcall::SetSharedData,
];

fn cost(fields: Value, urls: u64, requests: u64) -> Cost {
    let mut stage = Stage::start(&policy(fields).to_string(), false);
    let mut ask = |at: u64| {
        let path = format!("/items/{}", at % urls);
        stage.run_to(at);
        let get = Asking {
            method: "GET",
            path: &path,
            headers: Vec::new(),
            body: "",
        };
        let text = "a response of some length";
        stage.ask(&get, |_| Does::Answers(good(text, "text/x", false, false)));
        let counts = stage.host.counts();
        (CALLS.map(|it| counts.hostcall(it)), counts.fuel())
    };
    let before = (0..urls).map(&mut ask).last().expect("a URL");
    let after = (urls..urls + requests)
        .map(&mut ask)
        .last()
        .expect("a request");
    let each = |after: u64, before: u64| (after - before) as f64 / requests as f64;
    Cost {
        calls: std::array::from_fn(|at| each(after.0[at], before.0[at])),
        fuel: each(after.1, before.1),
    }
}

fn stale(on: Value) -> Value {
    json!([{"type": "stale", "on": on, "shared": true}])
}

/// Each row: number of URLs, and what storing may add to a request at most: looks at response
/// headers, chunks of bodies, reads and writes of shared memory, and instructions. Hot URLs are
/// looked at once per `sync.interval`, and all are stored again after half a minute.
#[test]
fn storing_adds_little_to_a_request_for_one_url_or_for_thousands() {
    let rows = [
        (1, [0.02, 0.001, 0.001, 0.001], 5_000.0),
        (5_000, [1.0, 0.001, 0.05, 0.001], 15_500.0),
    ];
    for (urls, calls_max, fuel_max) in rows {
        let plain = cost(json!({"circuit_breaker": {}}), urls, 10_000);
        let fallback = stale(json!(["open"]));
        let fields = json!({"circuit_breaker": {}, "fallback": fallback});
        let storing = cost(fields, urls, 10_000);
        for (at, most) in calls_max.iter().enumerate() {
            let more = storing.calls[at] - plain.calls[at];
            assert!(
                (0.0..=*most).contains(&more),
                "{urls} URLs: {:?} {more}",
                CALLS[at]
            );
        }
        let more = storing.fuel - plain.fuel;
        assert!(
            (100.0..=fuel_max).contains(&more),
            "{urls} URLs: {more} instructions"
        );
    }
}

/// With renewals: each of 5,000 URLs is stored three times in 90 seconds and 90,000 requests.
#[test]
fn unchanged_responses_are_renewed_seldom() {
    let fields = json!({"circuit_breaker": {}, "fallback": stale(json!(["open", "failure"]))});
    let plain = cost(json!({"circuit_breaker": {}}), 5_000, 90_000);
    let storing = cost(fields, 5_000, 90_000);
    let [_, bodies, reads, writes] = std::array::from_fn(|at| storing.calls[at] - plain.calls[at]);
    assert!((0.1..=0.35).contains(&bodies), "{bodies}");
    assert!(reads <= 0.6 && writes <= 0.4, "{reads} {writes}");
}
