//! How an open circuit finds out whether the upstream has recovered.

use std::time::Duration;

use serde_json::{Value, json};
use spillway_tests::{Client, Envoy, Reply, Upstream, eventually};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::scene::{
    OPEN, all_get, count, count_is, open_time_passes, outcomes_are, policy, rejected, touchy,
    touchy_scene, transitions_are, trip, untouched,
};

const TRIPPED: &str = "closed>open";
const PROBING: &str = "open>half_open";
const HEALED: &str = "half_open>closed";
const WORSE: &str = "half_open>open";

#[tokio::test]
async fn exactly_the_permitted_probes_reach_the_upstream_at_once() {
    let (upstream, envoy) = touchy_scene(json!({"half_open": {"permits": 3}})).await;
    trip(&upstream, &envoy).await;
    open_time_passes(OPEN).await;
    upstream.forget();
    upstream.close_gate();
    let callers: Vec<_> = (0..20).map(|_| envoy.client().begin("/", &[])).collect();
    count_is(&envoy, "spillway_rejected_requests_total", 17).await;
    assert_eq!((upstream.hits(), upstream.in_flight()), (3, 3));
    upstream.open_gate();
    let mut served = 0;
    for caller in callers {
        let answer = caller.answer().await;
        if answer.status == 200 {
            untouched(&answer);
            served += 1;
        } else {
            rejected(&answer, "half_open");
        }
    }
    assert_eq!((served, upstream.hits()), (3, 3));
    transitions_are(&envoy, &[TRIPPED, PROBING, HEALED]).await;
    count_is(&envoy, "spillway_probes_total", 3).await;
    count_is(&envoy, "spillway_open_circuits", 0).await;
    outcomes_are(&envoy, "p", [3, 1, 0]).await;
}

#[tokio::test]
async fn successful_probes_close_the_circuit_with_an_empty_window() {
    let breaker = json!({
        "consecutive_failures": 0,
        "failure_rate_threshold": 100,
        "minimum_requests": 3,
        "half_open": {"permits": 1},
    });
    let (upstream, envoy) = touchy_scene(breaker).await;
    upstream.reply(Reply::status(503));
    all_get(&envoy, "/", 3, 503).await;
    open_time_passes(OPEN).await;
    upstream.reply(Reply::status(200));
    untouched(&envoy.get("/").await);
    upstream.reply(Reply::status(503));
    // Two failures are below the minimum again, since earlier outcomes have been cleared.
    for _ in 0..2 {
        untouched(&envoy.get("/").await);
    }
    outcomes_are(&envoy, "p", [1, 5, 0]).await;
    transitions_are(&envoy, &[TRIPPED, PROBING, HEALED]).await;
    let lines = envoy.transitions();
    assert_eq!(
        (&lines[1]["why"], &lines[2]["why"]),
        (&json!("open_elapsed"), &json!("probes_succeeded"))
    );
    assert_eq!(
        (&lines[2]["requests"], &lines[2]["failures"]),
        (&json!(1), &json!(0))
    );
    untouched(&envoy.get("/").await);
    transitions_are(&envoy, &[TRIPPED, PROBING, HEALED, TRIPPED]).await;
}

#[tokio::test]
async fn failed_probes_open_the_circuit_for_longer_up_to_the_maximum() {
    let open = json!({"duration": "100ms", "multiplier": 2, "max_duration": "300ms", "jitter": 0});
    let (upstream, envoy) = touchy_scene(json!({"open": open, "half_open": {"permits": 1}})).await;
    upstream.reply(Reply::status(503));
    all_get(&envoy, "/", 1, 503).await;
    for open_ms in [100, 200, 300] {
        open_time_passes(Duration::from_millis(open_ms)).await;
        untouched(&envoy.get("/").await);
    }
    let opened: Vec<(u64, u64)> = openings(&envoy, "opens")
        .zip(openings(&envoy, "open_ms"))
        .collect();
    assert_eq!(opened, [(1, 100), (2, 200), (3, 300), (4, 300)]);
    let worse = envoy
        .transitions()
        .into_iter()
        .filter(|line| line["from"] == "half_open");
    for line in worse {
        assert_eq!(
            (&line["to"], &line["why"]),
            (&json!("open"), &json!("probes_failed"))
        );
    }
    assert_eq!(upstream.hits(), 4);
    count_is(&envoy, "spillway_open_circuits", 1).await;
}

#[tokio::test]
async fn slow_probes_open_the_circuit_again() {
    let breaker = json!({"slow_threshold": "30ms", "half_open": {"permits": 1}});
    let (upstream, envoy) = touchy_scene(breaker).await;
    trip(&upstream, &envoy).await;
    open_time_passes(OPEN).await;
    upstream.reply(Reply::status(200).after(Duration::from_millis(60)));
    all_get(&envoy, "/", 1, 200).await;
    transitions_are(&envoy, &[TRIPPED, PROBING, WORSE]).await;
    assert_eq!(envoy.transitions()[2]["why"], "probes_slow");
}

#[tokio::test]
async fn half_open_ends_once_the_remaining_probes_cannot_change_the_verdict() {
    let breaker = json!({"failure_rate_threshold": 50, "half_open": {"permits": 4}});
    for (status, needed, verdict) in [(503, 2, WORSE), (200, 3, HEALED)] {
        let (upstream, envoy) = touchy_scene(breaker.clone()).await;
        trip(&upstream, &envoy).await;
        open_time_passes(OPEN).await;
        upstream.reply(Reply::status(status));
        all_get(&envoy, "/", needed, status).await;
        transitions_are(&envoy, &[TRIPPED, PROBING, verdict]).await;
        count_is(&envoy, "spillway_probes_total", needed as u64).await;
    }
}

#[tokio::test]
async fn a_probe_whose_client_disconnects_returns_its_permit() {
    for client in [Client::new, Client::http2] {
        let (upstream, envoy) = touchy_scene(json!({"half_open": {"permits": 1}})).await;
        trip(&upstream, &envoy).await;
        open_time_passes(OPEN).await;
        upstream.close_gate();
        let probe = client(envoy.address()).begin("/", &[]);
        upstream.in_flight_reaches(1).await;
        rejected(&envoy.get("/").await, "half_open");
        probe.abandon().await;
        outcomes_are(&envoy, "p", [0, 1, 1]).await;
        upstream.open_gate();
        untouched(&envoy.get("/").await);
        transitions_are(&envoy, &[TRIPPED, PROBING, HEALED]).await;
        count_is(&envoy, "spillway_probes_total", 2).await;
    }
}

/// All methods share one breaker over two upstreams, one of which has a gate.
async fn two_upstreams() -> (Upstream, Upstream, Envoy) {
    let (upstream, late) = (Upstream::start().await, Upstream::start().await);
    let breaker = json!({"failure_rate_threshold": 50, "half_open": {"permits": 2}});
    let fields = json!({"key": ["method"], "circuit_breaker": touchy(breaker)});
    let setting = Envoy::in_front_of(upstream.address()).cluster("late", late.address());
    (upstream, late, setting.policy(policy(fields)).start().await)
}

#[tokio::test]
async fn a_late_result_neither_closes_the_circuit_nor_counts() {
    let (upstream, late, envoy) = two_upstreams().await;
    late.close_gate();
    let stale: Vec<_> = (0..4)
        .map(|_| envoy.client().begin("/", &[("x-to", "late")]))
        .collect();
    late.in_flight_reaches(4).await;
    trip(&upstream, &envoy).await;

    // Two successes and then, while the circuit is half-open, two more.
    late.release(2);
    outcomes_are(&envoy, "p", [2, 1, 0]).await;
    open_time_passes(OPEN).await;
    untouched(&envoy.get("/").await);
    late.open_gate();
    outcomes_are(&envoy, "p", [5, 1, 0]).await;
    transitions_are(&envoy, &[TRIPPED, PROBING]).await;
    untouched(&envoy.get("/").await);
    transitions_are(&envoy, &[TRIPPED, PROBING, HEALED]).await;
    assert_eq!(envoy.transitions()[2]["requests"], 2);
    for caller in stale {
        untouched(&caller.answer().await);
    }
}

#[tokio::test]
async fn a_late_failure_does_not_open_the_circuit_again() {
    let (upstream, late, envoy) = two_upstreams().await;
    late.reply(Reply::status(503));
    late.close_gate();
    let stale: Vec<_> = (0..2)
        .map(|_| envoy.client().begin("/", &[("x-to", "late")]))
        .collect();
    late.in_flight_reaches(2).await;
    trip(&upstream, &envoy).await;
    open_time_passes(OPEN).await;
    untouched(&envoy.get("/").await);
    late.release(1);
    outcomes_are(&envoy, "p", [1, 2, 0]).await;
    transitions_are(&envoy, &[TRIPPED, PROBING]).await;
    untouched(&envoy.get("/").await);
    late.release(1);
    outcomes_are(&envoy, "p", [2, 3, 0]).await;
    untouched(&envoy.get("/").await);
    transitions_are(&envoy, &[TRIPPED, PROBING, HEALED]).await;
    for caller in stale {
        assert_eq!(caller.answer().await.status, 503);
    }
}

const LEASE: Duration = Duration::from_millis(150);

/// An open circuit with one probe permit of [`LEASE`], at the end of its open time.
async fn before_a_leased_probe() -> (Upstream, Envoy) {
    let breaker = json!({"half_open": {"permits": 1, "lease": "150ms"}});
    let upstream = Upstream::start().await;
    let envoy = Envoy::in_front_of(upstream.address())
        .full_module()
        .policy(policy(json!({"circuit_breaker": touchy(breaker)})))
        .start()
        .await;
    trip(&upstream, &envoy).await;
    open_time_passes(OPEN).await;
    (upstream, envoy)
}

#[tokio::test]
async fn a_probe_without_a_response_when_its_lease_ends_has_failed() {
    let (upstream, envoy) = before_a_leased_probe().await;
    upstream.close_gate();
    let probe = envoy.client().begin("/", &[]);
    upstream.in_flight_reaches(1).await;
    open_time_passes(LEASE).await;
    rejected(&envoy.get("/").await, "open");
    transitions_are(&envoy, &[TRIPPED, PROBING, WORSE]).await;
    assert_eq!(openings(&envoy, "open_ms").collect::<Vec<_>>(), [200, 400]);

    // It succeeds, but too late to change anything.
    upstream.open_gate();
    untouched(&probe.answer().await);
    outcomes_are(&envoy, "p", [1, 1, 0]).await;
    transitions_are(&envoy, &[TRIPPED, PROBING, WORSE]).await;
}

#[tokio::test]
async fn a_probe_that_streams_when_its_lease_ends_is_judged_by_its_headers() {
    for (status, verdict) in [(200, HEALED), (503, WORSE)] {
        let (_upstream, envoy) = before_a_leased_probe().await;
        let script = format!("hang_mid_body status={status}");
        let probe = envoy.client().head_of("/", &[("x-script", &script)]).await;
        assert_eq!(probe.status, status);
        open_time_passes(LEASE).await;
        envoy.get("/").await;
        transitions_are(&envoy, &[TRIPPED, PROBING, verdict]).await;
        probe.abandon();
    }
}

#[tokio::test]
async fn a_probe_with_an_unfinished_upload_at_the_end_of_its_lease_returns_its_permit() {
    let (upstream, envoy) = before_a_leased_probe().await;
    let mut probe = TcpStream::connect(envoy.address())
        .await
        .expect("a connection");
    let head = b"POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 9\r\n\r\n";
    probe.write_all(head).await.expect("a connection");
    upstream.in_flight_reaches(1).await;
    open_time_passes(LEASE).await;
    untouched(&envoy.get("/").await);
    transitions_are(&envoy, &[TRIPPED, PROBING, HEALED]).await;
    count_is(&envoy, "spillway_probes_total", 2).await;
}

#[tokio::test]
async fn a_recovering_circuit_admits_a_share_and_rejects_the_rest() {
    let recovery = json!({"duration": "60s", "start_percent": 20});
    let (upstream, envoy) =
        touchy_scene(json!({"half_open": {"permits": 1}, "recovery": recovery})).await;
    trip(&upstream, &envoy).await;
    open_time_passes(OPEN).await;
    untouched(&envoy.get("/").await);
    transitions_are(&envoy, &[TRIPPED, PROBING, "half_open>recovering"]).await;
    upstream.forget();
    for _ in 0..400 {
        let answer = envoy.get("/").await;
        match answer.status {
            200 => untouched(&answer),
            _ => rejected(&answer, "recovering"),
        }
    }
    // 20 % of 400 with a standard deviation of 8; the bounds are more than five deviations away.
    assert!((40..130).contains(&upstream.hits()), "{}", upstream.hits());
    count_is(
        &envoy,
        "spillway_rejected_requests_total",
        400 - upstream.hits() as u64,
    )
    .await;
    count_is(&envoy, "spillway_open_circuits", 0).await;

    upstream.reply(Reply::status(503));
    eventually("a failure that trips", async || {
        envoy.get("/").await;
        count(&envoy, "spillway_open_circuits").await == 1
    })
    .await;
    let last = envoy.transitions().pop().expect("a transition");
    assert_eq!(
        (&last["from"], &last["to"]),
        (&json!("recovering"), &json!("open"))
    );
}

#[tokio::test]
async fn all_requests_pass_after_the_recovery() {
    let recovery = json!({"duration": "200ms", "start_percent": 0});
    let (upstream, envoy) =
        touchy_scene(json!({"half_open": {"permits": 1}, "recovery": recovery})).await;
    trip(&upstream, &envoy).await;
    open_time_passes(OPEN).await;
    untouched(&envoy.get("/").await);
    open_time_passes(Duration::from_millis(200)).await;
    all_get(&envoy, "/", 20, 200).await;
    let steps = [
        TRIPPED,
        PROBING,
        "half_open>recovering",
        "recovering>closed",
    ];
    transitions_are(&envoy, &steps).await;
    assert_eq!(envoy.transitions()[3]["why"], "recovered");
}

/// A field of every log line that reports an opening.
fn openings(envoy: &Envoy, field: &'static str) -> impl Iterator<Item = u64> {
    let lines = envoy.transitions().into_iter();
    let opened = lines.filter(|line: &Value| line["to"] == "open");
    opened.map(move |line| line[field].as_u64().expect("a number"))
}
