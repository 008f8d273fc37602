//! One breaker for all workers of a proxy.
//!
//! Every test has four workers and a connection to each. What one worker learns, the others apply
//! within [`SYNC`], at the latest with the first request after that.

mod admin;
mod outlived;
mod page;
mod tenants;

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use spillway_tests::envoy::Setting;
use spillway_tests::{Answer, Client, Envoy, Reply, Upstream, eventually};
use tokio::time::sleep;

use crate::scene::{
    count, count_is, open_time_passes, outcomes_are, policy, rejected, touchy, transitions_are,
    trip, untouched, with,
};

const WORKERS: usize = 4;

/// How long a worker may use a stale view: the default of `sync.interval`.
const SYNC: Duration = Duration::from_millis(100);

fn on_all_workers(upstream: &Upstream) -> Setting {
    Envoy::in_front_of(upstream.address())
        .concurrency(WORKERS)
        .balanced()
}

/// Starts a healthy upstream behind one policy with these fields, and one client per worker.
async fn scene(fields: Value) -> (Upstream, Envoy, Vec<Client>) {
    let upstream = Upstream::start().await;
    let setting = on_all_workers(&upstream).policy(policy(fields));
    let envoy = setting.start().await;
    let workers = envoy.client_per_worker().await;
    (upstream, envoy, workers)
}

/// A breaker with these fields that one failure opens for longer than any test takes.
fn lasting(fields: Value) -> Value {
    let open = json!({"duration": "10m", "max_duration": "10m", "jitter": 0});
    with(touchy(json!({ "open": open })), fields)
}

/// Asserts that every worker applies a change. Its first request may still use the old view, and
/// triggers the refresh.
async fn every_worker(workers: &[Client], path: &str, holds: impl Fn(&Answer)) {
    sleep(SYNC).await;
    for worker in workers {
        worker.get(path).await;
    }
    for _ in 0..3 {
        for worker in workers {
            holds(&worker.get(path).await);
        }
    }
}

/// Asserts that every worker rejects in this state, and that each admits at most one request
/// meanwhile.
async fn every_worker_rejects(upstream: &Upstream, workers: &[Client], path: &str, state: &str) {
    let before = upstream.hits_on(path);
    every_worker(workers, path, |answer| rejected(answer, state)).await;
    let through = upstream.hits_on(path) - before;
    assert!(through <= WORKERS, "{through} requests got through");
}

/// Asserts that every worker admits requests.
async fn every_worker_passes(workers: &[Client], path: &str) {
    every_worker(workers, path, |answer| {
        untouched(answer);
        assert_eq!(answer.status, 200);
    })
    .await;
}

/// Asserts that the policy has counted each of these transitions exactly once, and no others.
async fn each_transition_is_counted_once(envoy: &Envoy, expected: &[(&str, &str)]) {
    for (from, to) in expected {
        let labels = [("policy", "p"), ("from", *from), ("to", *to)];
        envoy
            .expect_metric("spillway_transitions_total", &labels, 1)
            .await;
    }
    let all = count(envoy, "spillway_transitions_total").await;
    assert_eq!(all, expected.len() as u64);
}

#[tokio::test]
async fn consecutive_failures_on_different_workers_open_one_circuit() {
    let breaker = lasting(json!({"consecutive_failures": 5}));
    let (upstream, envoy, workers) = scene(json!({"circuit_breaker": breaker})).await;
    upstream.reply(Reply::status(503));
    for worker in workers.iter().cycle().take(5) {
        untouched(&worker.get("/").await);
    }
    count_is(&envoy, "spillway_open_circuits", 1).await;
    every_worker_rejects(&upstream, &workers, "/", "open").await;
    transitions_are(&envoy, &["closed>open"]).await;
    assert_eq!(envoy.transitions()[0]["why"], "consecutive_failures");
    each_transition_is_counted_once(&envoy, &[("closed", "open")]).await;
    count_is(&envoy, "spillway_keys", 1).await;
}

#[tokio::test]
async fn a_success_on_one_worker_ends_the_run_of_failures_on_another() {
    let breaker = lasting(json!({"consecutive_failures": 3}));
    let (upstream, envoy, workers) = scene(json!({"circuit_breaker": breaker})).await;
    let statuses = [503, 503, 200, 503, 503, 503];
    for (number, (status, worker)) in statuses.into_iter().zip(workers.iter().cycle()).enumerate() {
        let opened = count(&envoy, "spillway_open_circuits").await;
        assert_eq!(opened, 0, "before request {number}");
        upstream.reply(Reply::status(status));
        untouched(&worker.get("/").await);
        // Consecutive failures follow the order of merges; one has happened by now.
        sleep(2 * SYNC).await;
    }
    count_is(&envoy, "spillway_open_circuits", 1).await;
    outcomes_are(&envoy, "p", [1, 5, 0]).await;
}

#[tokio::test]
async fn a_rate_reached_only_across_workers_opens_the_circuit_on_all() {
    let breaker = lasting(json!({
        "consecutive_failures": 0,
        "failure_rate_threshold": 50,
        "minimum_requests": 20,
        "window": {"type": "time", "duration": "60s"},
    }));
    let (upstream, envoy, workers) = scene(json!({"circuit_breaker": breaker})).await;
    for status in [200, 200, 503, 503, 503] {
        upstream.reply(Reply::status(status));
        for worker in &workers {
            untouched(&worker.get("/").await);
        }
    }
    count_is(&envoy, "spillway_open_circuits", 1).await;
    every_worker_rejects(&upstream, &workers, "/", "open").await;
    transitions_are(&envoy, &["closed>open"]).await;
    let told = &envoy.transitions()[0];
    assert_eq!(
        (&told["why"], &told["requests"], &told["failures"]),
        (&json!("failure_rate"), &json!(20), &json!(12))
    );
    each_transition_is_counted_once(&envoy, &[("closed", "open")]).await;
    assert_eq!(count(&envoy, "spillway_open_circuits").await, 1);
}

const PERMITS: usize = 3;
const CALLERS: usize = 100;

#[tokio::test]
async fn half_open_workers_together_send_only_the_permitted_probes() {
    let open = Duration::from_millis(500);
    let breaker = touchy(json!({
        "open": {"duration": "500ms", "jitter": 0},
        "half_open": {"permits": PERMITS},
    }));
    let (upstream, envoy, workers) = scene(json!({"circuit_breaker": breaker})).await;
    trip(&upstream, &envoy).await;
    open_time_passes(open).await;
    upstream.forget();
    upstream.close_gate();
    let callers = workers.iter().cycle().take(CALLERS);
    let callers: Vec<_> = callers.map(|worker| worker.begin("/", &[])).collect();
    eventually("a decision on each request", async || {
        let decided =
            count(&envoy, "spillway_rejected_requests_total").await as usize + upstream.hits();
        decided == CALLERS
    })
    .await;
    // A worker that loses too many compare-and-swaps may leave its permit to later requests.
    let probes = upstream.hits();
    assert!((1..=PERMITS).contains(&probes), "{probes} probes");
    assert_eq!(upstream.in_flight(), probes);
    // The open time has ended.
    count_is(&envoy, "spillway_open_circuits", 0).await;

    upstream.open_gate();
    let mut served = 0;
    for caller in callers {
        served += usize::from(caller.answer().await.status == 200);
    }
    assert_eq!(served, probes);
    eventually("the end of the outage", async || {
        workers[0].get("/").await;
        count(&envoy, "spillway_open_circuits").await == 0
    })
    .await;
    count_is(&envoy, "spillway_probes_total", PERMITS as u64).await;
    every_worker_passes(&workers, "/").await;
    let steps = ["closed>open", "open>half_open", "half_open>closed"];
    transitions_are(&envoy, &steps).await;
    let counted = [
        ("closed", "open"),
        ("open", "half_open"),
        ("half_open", "closed"),
    ];
    each_transition_is_counted_once(&envoy, &counted).await;
    assert_eq!(count(&envoy, "spillway_open_circuits").await, 0);
}

#[tokio::test]
async fn the_gauge_of_open_circuits_falls_after_the_open_duration_without_a_request() {
    const OPEN_FOR: Duration = Duration::from_secs(3);
    let open = json!({"duration": "3s", "max_duration": "3s", "jitter": 0});
    let (upstream, envoy, workers) =
        scene(json!({"circuit_breaker": touchy(json!({"open": open}))})).await;
    upstream.reply(Reply::status(503));
    untouched(&workers[0].get("/").await);
    let tripped = Instant::now();
    count_is(&envoy, "spillway_open_circuits", 1).await;
    rejected(&workers[1].get("/").await, "open");
    let mut falls = Duration::ZERO;
    while falls < OPEN_FOR + Duration::from_secs(5) {
        let gauge = count(&envoy, "spillway_open_circuits").await;
        falls = tripped.elapsed();
        if gauge == 0 {
            break;
        }
        sleep(Duration::from_millis(50)).await;
    }
    assert!(falls + SYNC >= OPEN_FOR, "{falls:?}");
    assert!(falls <= OPEN_FOR + Duration::from_secs(1), "{falls:?}");
    // The gauge stays there, whichever worker reads last.
    sleep(Duration::from_secs(1)).await;
    assert_eq!(count(&envoy, "spillway_open_circuits").await, 0);
    assert_eq!(upstream.hits(), 1);
    each_transition_is_counted_once(&envoy, &[("closed", "open")]).await;
}
