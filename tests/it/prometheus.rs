//! Every series of Spillway with its labels, as Prometheus reads it.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use spillway_tests::{Envoy, Upstream};

use crate::scene::{OPEN, file, open_time_passes, outcomes_are, touchy, with};

/// All possible series, after a run in which everything happens at least once.
const SERIES: [&str; 49] = [
    "spillway_fallbacks_skipped_total{policy=kept,reason=host,type=cluster}",
    "spillway_fallbacks_skipped_total{policy=kept,reason=not_kept,type=stale}",
    "spillway_fallbacks_too_late_total{policy=busy}",
    "spillway_fallbacks_total{on=failure,policy=kept,type=stale}",
    "spillway_fallbacks_total{on=failure,policy=busy,type=respond}",
    "spillway_fallbacks_total{on=open,policy=busy,type=respond}",
    "spillway_fallbacks_total{on=open,policy=plain-1_A,type=default}",
    "spillway_fallbacks_total{on=open,policy=elsewhere,type=route}",
    "spillway_fallbacks_total{on=timeout,policy=busy,type=respond}",
    "spillway_internal_errors_total{}",
    "spillway_keys_overflowed_total{policy=busy}",
    "spillway_keys{policy=busy}",
    "spillway_keys{policy=elsewhere}",
    "spillway_keys{policy=kept}",
    "spillway_keys{policy=plain-1_A}",
    "spillway_keys{policy=retries}",
    "spillway_keys{policy=shadow}",
    "spillway_keys{policy=watched}",
    "spillway_open_circuits{policy=busy}",
    "spillway_open_circuits{policy=shadow}",
    "spillway_probes_total{policy=busy}",
    "spillway_rejected_total{policy=busy}",
    "spillway_rejected_total{policy=elsewhere}",
    "spillway_rejected_total{policy=plain-1_A}",
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
    "spillway_retry_budget{policy=retries}",
    "spillway_retry_budget{policy=watched}",
    "spillway_slow_total{policy=busy}",
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
    "spillway_would_reject_total{policy=shadow}",
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
    let seen: BTreeSet<String> = metrics
        .beginning("spillway_")
        .map(|series| {
            let labels: Vec<String> = series
                .labels
                .iter()
                .map(|(k, v)| format!("{k}={v}"))
                .collect();
            format!("{}{{{}}}", series.name, labels.join(","))
        })
        .collect();
    let expected: BTreeSet<String> = SERIES.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(seen, expected);
}

/// `kept` serves stale responses and calls an unknown cluster; `elsewhere` diverts. `busy` sees
/// everything, `shadow` would reject, `plain-1_A` has a name with every allowed character;
/// `retries` has one retry, and `watched` would have none.
fn everything() -> Value {
    let named = |name: &str, fields: Value| {
        let matched = json!({"headers": [{"name": "x-policy", "exact": name}]});
        with(json!({"name": name, "match": matched}), fields)
    };
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
