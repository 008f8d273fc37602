//! Every series of Spillway with its labels, as Prometheus reads it.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use spillway_tests::metrics::Series;
use spillway_tests::{Envoy, Upstream};

use crate::scene::{OPEN, file, named, open_time_passes, outcomes_are, scene, touchy, with};

/// All counters that have moved, after a run in which everything happens at least once.
const COUNTERS: [&str; 37] = [
    "spillway_fallbacks_skipped_total{policy=kept,reason=host,type=cluster}",
    "spillway_fallbacks_skipped_total{policy=kept,reason=not_kept,type=stale}",
    "spillway_fallbacks_too_late_total{policy=busy}",
    "spillway_fallbacks_total{on=failure,policy=kept,type=stale}",
    "spillway_fallbacks_total{on=failure,policy=busy,type=respond}",
    "spillway_fallbacks_total{on=open,policy=busy,type=respond}",
    "spillway_fallbacks_total{on=open,policy=plain-1_A,type=default}",
    "spillway_fallbacks_total{on=open,policy=elsewhere,type=route}",
    "spillway_fallbacks_total{on=timeout,policy=busy,type=respond}",
    "spillway_keys_overflowed_total{policy=busy}",
    "spillway_probes_total{policy=busy}",
    "spillway_rejected_requests_total{policy=busy}",
    "spillway_rejected_requests_total{policy=elsewhere}",
    "spillway_rejected_requests_total{policy=plain-1_A}",
    "spillway_requests_total{outcome=failure,policy=busy}",
    "spillway_requests_total{outcome=failure,policy=kept}",
    "spillway_requests_total{outcome=failure,policy=retries}",
    "spillway_requests_total{outcome=failure,policy=shadow}",
    "spillway_requests_total{outcome=ignored,policy=busy}",
    "spillway_requests_total{outcome=success,policy=busy}",
    "spillway_requests_total{outcome=success,policy=kept}",
    "spillway_requests_total{outcome=success,policy=watched}",
    "spillway_retries_denied_total{policy=retries,reason=budget}",
    "spillway_retries_total{outcome=failure,policy=retries}",
    "spillway_slow_requests_total{policy=busy}",
    "spillway_stale_evicted_total{policy=kept}",
    "spillway_stale_kept_total{policy=kept}",
    "spillway_stale_overflowed_total{policy=kept}",
    "spillway_stale_too_large_total{policy=kept}",
    "spillway_transitions_total{from=closed,policy=busy,to=open}",
    "spillway_transitions_total{from=closed,policy=shadow,to=open}",
    "spillway_transitions_total{from=half_open,policy=busy,to=open}",
    "spillway_transitions_total{from=half_open,policy=busy,to=recovering}",
    "spillway_transitions_total{from=open,policy=busy,to=half_open}",
    "spillway_transitions_total{from=recovering,policy=busy,to=closed}",
    "spillway_would_deny_retry_total{policy=watched,reason=budget}",
    "spillway_would_reject_requests_total{policy=shadow}",
];

/// The series of a policy with a breaker and retries, before its first request.
const AT_FIRST: [&str; 27] = [
    "spillway_internal_errors_total{}",
    "spillway_failure_rate_percent{policy=p}",
    "spillway_half_open_circuits{policy=p}",
    "spillway_keys_overflowed_total{policy=p}",
    "spillway_keys{policy=p}",
    "spillway_merges_given_up_total{policy=p}",
    "spillway_open_circuits{policy=p}",
    "spillway_permits_given_up_total{policy=p}",
    "spillway_probes_total{policy=p}",
    "spillway_rejected_requests_total{policy=p}",
    "spillway_requests_total{outcome=failure,policy=p}",
    "spillway_requests_total{outcome=ignored,policy=p}",
    "spillway_requests_total{outcome=success,policy=p}",
    "spillway_retries_denied_total{policy=p,reason=budget}",
    "spillway_retries_denied_total{policy=p,reason=circuit}",
    "spillway_retries_denied_total{policy=p,reason=deadline}",
    "spillway_retries_denied_total{policy=p,reason=nested}",
    "spillway_retries_total{outcome=failure,policy=p}",
    "spillway_retries_total{outcome=ignored,policy=p}",
    "spillway_retries_total{outcome=success,policy=p}",
    "spillway_retry_budget{policy=p}",
    "spillway_fallbacks_total{on=open,policy=p,type=default}",
    "spillway_transitions_total{from=closed,policy=p,to=open}",
    "spillway_transitions_total{from=half_open,policy=p,to=closed}",
    "spillway_transitions_total{from=half_open,policy=p,to=open}",
    "spillway_transitions_total{from=open,policy=p,to=closed}",
    "spillway_transitions_total{from=open,policy=p,to=half_open}",
];

#[tokio::test]
async fn every_series_is_expected_and_has_its_labels() {
    let upstream = Upstream::start().await;
    let envoy = Envoy::in_front_of(upstream.address())
        .route_timeout(Duration::from_millis(500))
        .policy(everything())
        .start()
        .await;
    live(&upstream, &envoy).await;
    outcomes_are(&envoy, "shadow", [0, 2, 0]).await;
    outcomes_are(&envoy, "retries", [0, 2, 0]).await;
    outcomes_are(&envoy, "watched", [1, 0, 0]).await;

    let metrics = envoy.metrics().await;
    let moved = metrics.beginning("spillway_").filter(|series| {
        let counts = series.name.ends_with("_total") && series.value > 0.0;
        counts && !EARLIER_NAMES.contains(&&*series.name)
    });
    let seen: BTreeSet<String> = moved.map(text).collect();
    assert_eq!(seen, set(&COUNTERS));
}

/// Names of earlier releases, which are exported for one more.
const EARLIER_NAMES: [&str; 3] = [
    "spillway_slow_total",
    "spillway_rejected_total",
    "spillway_would_reject_total",
];

/// Name and labels of a series.
fn text(series: &Series) -> String {
    let labels = series.labels.iter();
    let labels: Vec<String> = labels.map(|(k, v)| format!("{k}={v}")).collect();
    format!("{}{{{}}}", series.name, labels.join(","))
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[tokio::test]
async fn series_exist_with_value_0_before_the_first_request() {
    let (_upstream, envoy) = scene(json!({"circuit_breaker": {}, "retry": {}})).await;
    let metrics = envoy.metrics().await;
    let of_policies = metrics
        .beginning("spillway_")
        .filter(|series| series.name != "spillway_build_info");
    let mut seen = BTreeSet::new();
    for series in of_policies {
        // A budget begins with what `min_retry_rate` grants.
        let begins_with_0 = series.name != "spillway_retry_budget";
        assert_eq!(series.value == 0.0, begins_with_0, "{series}");
        seen.insert(text(series));
    }
    assert_eq!(seen, set(&AT_FIRST));
    let build: Vec<&Series> = metrics.named("spillway_build_info").collect();
    assert_eq!(build.len(), 1, "{build:?}");
    assert_eq!(build[0].value, 1.0);
    assert_eq!(build[0].labels["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(build[0].labels["policy_hash"].len(), 16);
    assert_eq!(build[0].labels.len(), 2, "{build:?}");
}

#[tokio::test]
async fn the_first_circuits_have_a_series_for_each_state() {
    let upstream = Upstream::start().await;
    let policy = json!({
        "name": "p",
        "key": [{"header": "x-tenant"}],
        "circuit_breaker": touchy(json!({"open": {"duration": "1s", "jitter": 0}})),
    });
    let envoy = Envoy::in_front_of(upstream.address())
        .policy(with(
            file(json!([policy])),
            json!({"metrics": {"circuits": 2}}),
        ))
        .start()
        .await;
    for tenant in ["a.b state.open..", "b", "c"] {
        let headers = [("x-tenant", tenant), ("x-script", "status=503")];
        assert_eq!(envoy.get_with("/", &headers).await.status, 503);
    }
    // The clock alone makes them half-open.
    let half_open = [("policy", "p"), ("state", "half_open")];
    envoy
        .expect_metric("spillway_circuit_state", &half_open, 2)
        .await;
    let metrics = envoy.metrics().await;
    let mut circuits: BTreeSet<String> = BTreeSet::new();
    for series in metrics.named("spillway_circuit_state") {
        assert_eq!(series.labels.len(), 3, "{series}");
        circuits.insert(series.labels["circuit"].clone());
    }
    let circuits: Vec<String> = circuits.into_iter().collect();
    assert_eq!(circuits.len(), 2, "{circuits:?}");
    assert!(circuits[0].starts_with("a_b_state_open-"), "{circuits:?}");
    assert!(circuits[1].starts_with("b-"), "{circuits:?}");
    let open = [("policy", "p"), ("state", "open")];
    assert_eq!(metrics.value("spillway_circuit_state", &open), 0);
}

/// `kept` serves stale responses and calls an unknown cluster; `elsewhere` diverts. `busy` sees
/// everything, `shadow` would reject, `plain-1_A` has a name with every allowed character;
/// `retries` has one retry, and `watched` would have none.
fn everything() -> Value {
    let breaker = touchy(json!({
        "slow_threshold": "200ms",
        "slow_rate_threshold": 0,
        "half_open": {"permits": 1},
        "recovery": {"duration": "10ms"},
    }));
    let fallback =
        json!([{"type": "respond", "on": ["open", "failure", "timeout"], "status": 203}]);
    let busy = json!({
        "key": [{"header": "x-tenant"}],
        "circuit_breaker": breaker,
        "fallback": fallback,
    });
    let kept = json!([
        {"type": "stale", "on": ["failure"], "shared": true},
        {"type": "cluster", "on": ["failure"], "cluster": "unknown"},
    ]);
    let route = json!({"type": "route", "header": {"name": "x-fallback", "value": "yes"}});
    let mut file = file(json!([
        named("busy", busy),
        named(
            "shadow",
            json!({"mode": "shadow", "circuit_breaker": touchy(json!({}))})
        ),
        named("plain-1_A", json!({"mode": "forced_open"})),
        named("retries", json!({"retry": retries(1)})),
        named("watched", json!({"mode": "shadow", "retry": retries(0)})),
        named("kept", json!({"fallback": kept})),
        named(
            "elsewhere",
            json!({"mode": "forced_open", "fallback": [route]})
        ),
    ]));
    file["limits"] = json!({"stale_bytes": 4096, "recording_bytes": 10_000});
    file
}

/// This many retries in ten seconds.
fn retries(count: u32) -> Value {
    json!({"budget": {"percent": 0, "min_retry_rate": {"count": count, "interval": "10s"}}})
}

async fn live(upstream: &Upstream, envoy: &Envoy) {
    let ask = async |policy: &str, script: &str| {
        let headers = [("x-policy", policy), ("x-script", script)];
        envoy.get_with("/", &headers).await.status
    };
    assert_eq!(ask("plain-1_A", "").await, 503);
    assert_eq!(
        (
            ask("shadow", "status=503").await,
            ask("shadow", "status=503").await
        ),
        (503, 503)
    );

    assert_eq!(ask("retries", "status=503").await, 503);
    assert_eq!(ask("retries", "status=503").await, 503);
    assert_eq!(ask("watched", "status=200").await, 200);

    // One is stored, then served; another is evicted for one that is asked for more often; a
    // fourth is too large.
    let body = format!("body={}", "b".repeat(3_000));
    for (path, script, status, times) in [
        ("/kept", "status=200", 200, 1),
        ("/kept", "status=503", 200, 1),
        ("/other", "status=503", 503, 1),
        ("/third", &*body, 200, 1),
        ("/more", &*body, 200, 4),
        ("/fourth", &*format!("{body}{}", &body[5..]), 200, 2),
    ] {
        for _ in 0..times {
            let headers = [("x-policy", "kept"), ("x-script", script)];
            let answer = envoy.get_with(path, &headers).await;
            assert_eq!(answer.status, status, "{path}");
            if times > 1 {
                // A response is looked at once per interval.
                open_time_passes(Duration::from_millis(120)).await;
            }
        }
    }
    // One whose headers alone exceed the limit.
    let long = "l".repeat(12_000);
    let headers = [("x-policy", "kept"), ("x-long", &*long)];
    assert_eq!(envoy.get_with("/long", &headers).await.status, 200);
    assert_eq!(ask("elsewhere", "status=200").await, 200);

    // A success, a failure that opens the circuit, a rejection, a probe that times out, a
    // successful probe.
    assert_eq!(ask("busy", "status=200").await, 200);
    assert_eq!(ask("busy", "status=503 retry-after=1").await, 203);
    assert_eq!(ask("busy", "status=200").await, 203);
    open_time_passes(Duration::from_secs(1)).await;
    assert_eq!(ask("busy", "hang").await, 203);
    open_time_passes(2 * OPEN).await;
    assert_eq!(ask("busy", "status=200").await, 200);
    open_time_passes(Duration::from_millis(20)).await;
    assert_eq!(ask("busy", "status=200").await, 200);
    let long = "t".repeat(600);
    let overflowing = [("x-policy", "busy"), ("x-tenant", long.as_str())];
    assert_eq!(envoy.get_with("/", &overflowing).await.status, 200);
    let late = [("x-policy", "busy"), ("x-script", "reset_mid_body")];
    assert!(!envoy.get_with("/", &late).await.complete);
    let gone = [
        ("x-policy", "busy"),
        ("x-tenant", "gone"),
        ("x-script", "hang"),
    ];
    let request = envoy.client().begin("/", &gone);
    upstream.in_flight_reaches(1).await;
    request.abandon().await;
    upstream.in_flight_reaches(0).await;
}
