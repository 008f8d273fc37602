//! Spillway's place among other filters and its effect: fault injection before and after it, CORS
//! before and after it.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use spillway_tests::envoy::Setting;
use spillway_tests::{Answer, Envoy, Upstream, client};

use crate::scene::{file, outcomes_are, policy, rejected, touchy, with};

/// Delay that the fault filter adds. Half of it counts as slow.
const DELAY: Duration = Duration::from_millis(300);

#[tokio::test]
async fn the_filter_does_not_see_a_fault_injected_before_it() {
    let (upstream, envoy) = faulty(|setting| setting.before(fault())).await;
    let answer = envoy
        .get_with("/abort", &[("x-envoy-fault-abort-request", "503")])
        .await;
    assert_eq!(answer.status, 503);
    assert_eq!(
        envoy.access("/abort").await["details"],
        "fault_filter_abort"
    );
    assert_eq!(upstream.hits(), 0);

    delayed(&envoy).await;
    assert_eq!(upstream.hits(), 1);
    outcomes_are(&envoy, "p", [1, 0, 0]).await;
    slow_are(&envoy, 0).await;
}

#[tokio::test]
async fn a_fault_injected_after_the_filter_counts_as_slow_but_not_as_a_failure() {
    let (upstream, envoy) = faulty(|setting| setting.after(fault())).await;
    let answer = envoy
        .get_with("/abort", &[("x-envoy-fault-abort-request", "503")])
        .await;
    assert_eq!(answer.status, 503);
    let entry = envoy.access("/abort").await;
    assert_eq!(
        (&entry["details"], &entry["flags"]),
        (&json!("fault_filter_abort"), &json!("FI"))
    );
    assert_eq!(upstream.hits(), 0);
    outcomes_are(&envoy, "p", [0, 0, 1]).await;

    delayed(&envoy).await;
    assert_eq!(upstream.hits(), 1);
    outcomes_are(&envoy, "p", [1, 0, 1]).await;
    slow_are(&envoy, 1).await;
}

#[tokio::test]
async fn cors_before_the_filter_handles_preflights_and_rejections() {
    let (upstream, envoy) = shared(|setting| setting.before(cors())).await;
    assert_eq!(preflight(&envoy).await.status, 200);
    let answer = envoy
        .get_with("/", &[("origin", "https://page.example.com")])
        .await;
    rejected(&answer, "forced_open");
    assert_eq!(
        answer.header("access-control-allow-origin"),
        "https://page.example.com"
    );
    assert_eq!(upstream.hits(), 0);
}

#[tokio::test]
async fn cors_after_the_filter_misses_preflights_and_rejections() {
    let (upstream, envoy) = shared(|setting| setting.after(cors())).await;
    rejected(&preflight(&envoy).await, "forced_open");
    let answer = envoy
        .get_with("/", &[("origin", "https://page.example.com")])
        .await;
    rejected(&answer, "forced_open");
    assert_eq!(answer.header("access-control-allow-origin"), "");
    assert_eq!(upstream.hits(), 0);
}

/// Starts an Envoy whose slow threshold is half of [`DELAY`].
async fn faulty(place: impl FnOnce(Setting) -> Setting) -> (Upstream, Envoy) {
    let upstream = Upstream::start().await;
    let threshold = format!("{}ms", DELAY.as_millis() / 2);
    let breaker = json!({"circuit_breaker": {"slow_threshold": threshold}});
    let setting = Envoy::in_front_of(upstream.address()).policy(policy(breaker));
    (upstream, place(setting).start().await)
}

/// Starts an Envoy whose filter rejects every request and whose default route allows a page's
/// origin.
async fn shared(place: impl FnOnce(Setting) -> Setting) -> (Upstream, Envoy) {
    let upstream = Upstream::start().await;
    let forced = json!({"name": "p", "mode": "forced_open", "circuit_breaker": touchy(json!({}))});
    let allowed = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.http.cors.v3.CorsPolicy",
        "allow_origin_string_match": [{"exact": "https://page.example.com"}],
        "allow_methods": "GET",
    });
    let route = json!({
        "name": "shared",
        "match": {"prefix": "/"},
        "route": {"cluster": "upstream"},
        "typed_per_filter_config": {"envoy.filters.http.cors": allowed},
    });
    let setting = Envoy::in_front_of(upstream.address())
        .policy(file(json!([forced])))
        .route(route);
    (upstream, place(setting).start().await)
}

async fn delayed(envoy: &Envoy) {
    let delay = DELAY.as_millis().to_string();
    let began = Instant::now();
    let answer = envoy
        .get_with("/delay", &[("x-envoy-fault-delay-request", &delay)])
        .await;
    assert_eq!(answer.status, 200);
    // Envoy's clock advances once per event loop iteration.
    assert!(began.elapsed() > DELAY / 2);
}

async fn slow_are(envoy: &Envoy, count: u64) {
    envoy
        .expect_metric("spillway_slow_requests_total", &[("policy", "p")], count)
        .await;
}

async fn preflight(envoy: &Envoy) -> Answer {
    let headers = [
        ("origin", "https://page.example.com"),
        ("access-control-request-method", "GET"),
    ];
    let request = client::request("OPTIONS", "/", &headers, "");
    envoy.client().send(request).await
}

/// A filter that aborts and delays requests as their headers ask.
fn fault() -> Value {
    let all = json!({"numerator": 100});
    let fields = json!({
        "abort": {"header_abort": {}, "percentage": all},
        "delay": {"header_delay": {}, "percentage": all},
    });
    extension("fault.v3.HTTPFault", fields)
}

fn cors() -> Value {
    extension("cors.v3.Cors", json!({}))
}

fn extension(kind: &str, fields: Value) -> Value {
    let name = kind.split('.').next().unwrap_or_default();
    let kind = format!("type.googleapis.com/envoy.extensions.filters.http.{kind}");
    json!({
        "name": format!("envoy.filters.http.{name}"),
        "typed_config": with(json!({"@type": kind}), fields),
    })
}
