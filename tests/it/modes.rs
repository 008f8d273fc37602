//! Whether decisions are applied, and what a rejected client receives.

use std::time::Duration;

use serde_json::{Value, json};
use spillway_tests::client::request;
use spillway_tests::{Envoy, Reply, Upstream, raw};

use crate::scene::{
    OPEN, all_get, count, count_is, file, open_time_passes, outcomes_are, rejected, scene, touchy,
    transitions_are, untouched, with,
};

/// A breaker that one failure opens for a long time.
fn lasting() -> Value {
    touchy(json!({"open": {"duration": "30s", "jitter": 0}}))
}

#[tokio::test]
async fn forced_open_rejects_everything_and_counts_no_outcome() {
    let (upstream, envoy) = scene(json!({"mode": "forced_open"})).await;
    for _ in 0..5 {
        rejected(&envoy.get("/").await, "forced_open");
    }
    assert_eq!(upstream.hits(), 0);
    count_is(&envoy, "spillway_rejected_requests_total", 5).await;
    let labels = [("policy", "p"), ("on", "open"), ("type", "default")];
    envoy
        .expect_metric("spillway_fallbacks_total", &labels, 5)
        .await;
    outcomes_are(&envoy, "p", [0, 0, 0]).await;
    let entry = envoy.access("/").await;
    assert_eq!(entry["details"], "spillway_forced_open");
    assert_eq!(
        entry["spillway"],
        "policy=p state=forced_open decision=reject"
    );
}

#[tokio::test]
async fn shadow_mode_changes_no_request_and_reports_its_decisions() {
    let fallback = json!({"type": "respond", "on": ["open", "failure"], "status": 203});
    let fields = json!({"mode": "shadow", "circuit_breaker": lasting(), "fallback": [fallback]});
    let (upstream, envoy) = scene(fields).await;
    upstream.reply(Reply::status(503).header("x-from", "upstream"));
    for _ in 0..5 {
        let answer = envoy.get("/").await;
        untouched(&answer);
        assert_eq!((answer.status, answer.header("x-from")), (503, "upstream"));
    }
    assert_eq!(upstream.hits(), 5);
    for seen in upstream.requests() {
        let added = seen
            .headers
            .keys()
            .filter(|name| name.as_str().contains("circuit"));
        assert_eq!(added.count(), 0);
    }
    transitions_are(&envoy, &["closed>open"]).await;
    // All of them were admitted, so all of them are counted; only one was in the window.
    outcomes_are(&envoy, "p", [0, 5, 0]).await;
    count_is(&envoy, "spillway_would_reject_requests_total", 4).await;
    count_is(&envoy, "spillway_open_circuits", 1).await;
    for never in [
        "spillway_rejected_requests_total",
        "spillway_fallbacks_total",
        "spillway_fallbacks_too_late_total",
    ] {
        assert_eq!(count(&envoy, never).await, 0, "{never}");
    }
    let entry = envoy.access("/").await;
    assert_eq!(
        entry["spillway"],
        "policy=p state=open decision=would_reject"
    );
    assert_eq!(entry["details"], "via_upstream");
}

#[tokio::test]
async fn a_disabled_policy_acts_as_if_it_did_not_exist() {
    let (upstream, envoy) = scene(json!({"mode": "disabled", "circuit_breaker": lasting()})).await;
    upstream.reply(Reply::status(503));
    for _ in 0..5 {
        untouched(&envoy.get("/").await);
    }
    assert_eq!(upstream.hits(), 5);
    let metrics = envoy.metrics().await;
    let moved: Vec<_> = metrics
        .beginning("spillway_")
        .filter(|series| series.value > 0.0 && series.name != "spillway_build_info")
        .collect();
    assert!(moved.is_empty(), "{moved:?}");
    assert_eq!(envoy.access("/").await["spillway"], json!(null));
}

#[tokio::test]
async fn the_next_matching_policy_replaces_a_disabled_one() {
    let upstream = Upstream::start().await;
    let policies = json!([
        {"name": "off", "mode": "disabled"},
        {"name": "p", "mode": "forced_open"},
    ]);
    let envoy = Envoy::in_front_of(upstream.address())
        .policy(file(policies))
        .start()
        .await;
    rejected(&envoy.get("/").await, "forced_open");
}

#[tokio::test]
async fn forced_closed_counts_outcomes_and_rejects_nothing() {
    let fields = json!({"mode": "forced_closed", "circuit_breaker": lasting()});
    let (upstream, envoy) = scene(fields).await;
    upstream.reply(Reply::status(503));
    for _ in 0..5 {
        untouched(&envoy.get("/").await);
    }
    assert_eq!(upstream.hits(), 5);
    outcomes_are(&envoy, "p", [0, 5, 0]).await;
    assert_eq!(envoy.transitions(), [json!(null); 0]);
}

#[tokio::test]
async fn enforce_percent_applies_to_all_decisions_including_forced_ones() {
    let rows = [
        ("forced_open", json!({"mode": "forced_open"})),
        ("open", json!({"circuit_breaker": lasting()})),
    ];
    for (state, fields) in rows {
        let (upstream, envoy) = scene(with(fields, json!({"enforce_percent": 25}))).await;
        upstream.reply(Reply::status(503));
        if state == "open" {
            all_get(&envoy, "/", 1, 503).await;
            upstream.forget();
        }
        upstream.reply(Reply::status(200));
        for _ in 0..400 {
            let answer = envoy.get("/").await;
            match answer.status {
                200 => untouched(&answer),
                _ => rejected(&answer, state),
            }
        }
        // 300 of 400 pass, with a standard deviation below 9.
        let passed = upstream.hits() as u64;
        assert!((250..350).contains(&passed), "{state}: {passed}");
        count_is(&envoy, "spillway_would_reject_requests_total", passed).await;
        count_is(&envoy, "spillway_rejected_requests_total", 400 - passed).await;
    }
}

#[tokio::test]
async fn requests_admitted_against_the_decision_are_in_no_window() {
    let breaker = touchy(json!({"half_open": {"permits": 1}}));
    let fields = json!({"enforce_percent": 0, "circuit_breaker": breaker});
    let (upstream, envoy) = scene(fields).await;
    upstream.reply(Reply::status(503));
    all_get(&envoy, "/", 1, 503).await;
    upstream.close_gate();
    open_time_passes(OPEN).await;
    let probe = envoy.client().begin("/", &[]);
    upstream.in_flight_reaches(1).await;
    let others: Vec<_> = (0..5).map(|_| envoy.client().begin("/", &[])).collect();
    upstream.in_flight_reaches(6).await;
    count_is(&envoy, "spillway_would_reject_requests_total", 5).await;
    count_is(&envoy, "spillway_probes_total", 1).await;
    upstream.reply(Reply::status(200));
    upstream.open_gate();
    assert_eq!(probe.answer().await.status, 200);
    for other in others {
        untouched(&other.answer().await);
    }
    transitions_are(
        &envoy,
        &["closed>open", "open>half_open", "half_open>closed"],
    )
    .await;
    assert_eq!(envoy.transitions()[2]["requests"], 1);
}

#[tokio::test]
async fn the_default_rejection_has_retry_after_and_prevents_retries() {
    let (upstream, envoy) = scene(json!({"circuit_breaker": lasting()})).await;
    upstream.reply(Reply::status(503));
    all_get(&envoy, "/", 1, 503).await;
    let answer = envoy.get("/").await;
    rejected(&answer, "open");
    let wait: u64 = answer.header("retry-after").parse().expect("seconds");
    assert!((20..=30).contains(&wait), "{wait}");
    let headers = [
        ("content-type", "application/problem+json"),
        ("x-envoy-overloaded", "true"),
        ("x-envoy-ratelimited", "true"),
    ];
    for (name, value) in headers {
        assert_eq!(answer.header(name), value, "{name}");
    }
    let mut body = answer.json();
    assert!(body["detail"].take().is_string());
    let told = json!({
        "type": "about:blank", "title": "Service Unavailable", "status": 503,
        "detail": null, "policy": "p", "retry_after": wait,
    });
    assert_eq!(body, told);
}

#[tokio::test]
async fn the_retry_after_of_a_rejection_is_never_zero() {
    let breaker = touchy(json!({"open": {"duration": "500ms"}, "half_open": {"permits": 1}}));
    let (upstream, envoy) = scene(json!({"circuit_breaker": breaker})).await;
    upstream.reply(Reply::status(503));
    all_get(&envoy, "/", 1, 503).await;
    open_time_passes(Duration::from_millis(600)).await;
    upstream.close_gate();
    let probe = envoy.client().begin("/", &[]);
    upstream.in_flight_reaches(1).await;
    let answer = envoy.get("/").await;
    rejected(&answer, "half_open");
    assert_eq!(
        (answer.header("retry-after"), &answer.json()["retry_after"]),
        ("1", &json!(1))
    );
    upstream.open_gate();
    probe.answer().await;
}

#[tokio::test]
async fn without_labels_a_response_does_not_reveal_its_origin() {
    let (_upstream, envoy) = scene(json!({"mode": "forced_open", "label": false})).await;
    let answer = envoy.get("/").await;
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (503, "application/problem+json")
    );
    let labels = answer
        .headers
        .keys()
        .filter(|name| name.as_str().starts_with("x-circuit"));
    assert_eq!(labels.count(), 0);
}

#[tokio::test]
async fn a_head_request_gets_the_headers_of_the_rejection_and_no_body() {
    let (upstream, envoy) = scene(json!({"mode": "forced_open"})).await;
    let answer = envoy.client().send(request("HEAD", "/", &[], "")).await;
    rejected(&answer, "forced_open");
    assert_eq!((answer.text().as_str(), answer.complete), ("", true));
    assert_eq!(answer.header("retry-after"), "5");
    assert_eq!(upstream.hits(), 0);
}

#[tokio::test]
async fn a_rejection_ends_a_request_whose_body_is_still_coming() {
    let (upstream, envoy) = scene(json!({"mode": "forced_open"})).await;
    let body = "x".repeat(200_000);
    let answer = envoy
        .client()
        .try_send(request("POST", "/", &[], &body))
        .await;
    // A client that is still sending may see the connection close before the response.
    if let Ok(answer) = answer {
        rejected(&answer, "forced_open");
    }
    rejected(&envoy.get("/").await, "forced_open");
    count_is(&envoy, "spillway_rejected_requests_total", 2).await;
    assert_eq!(upstream.hits(), 0);
}

#[tokio::test]
async fn placeholders_of_a_fixed_response_are_filled_and_escaped() {
    let path = r#"/a?q="}],{<script>&x=\"#;
    let respond = |fields| {
        let answer = with(json!({"type": "respond", "status": 200}), fields);
        json!({"mode": "forced_open", "fallback": [answer]})
    };
    let rows = [
        (
            respond(json!({
                "json": {"policy": "{policy}", "wait": "{retry_after}", "path": "{path}", "id": "{request_id}"},
                "headers": {"x-path": "{path}"},
            })),
            "application/json",
            r#"{"id":"ID","path":"/a?q=\u0022\u007D\u005D\u002C\u007B\u003Cscript\u003E\u0026x=\u005C","policy":"p","wait":"5"}"#,
        ),
        (
            respond(json!({
                "body": "<p title='{path}'>{path}</p>",
                "headers": {"content-type": "text/html"},
            })),
            "text/html",
            "<p title='/a?q&#61;&#34;}],{&#60;script&#62;&#38;x&#61;&#92;'>/a?q&#61;&#34;}],{&#60;script&#62;&#38;x&#61;&#92;</p>",
        ),
        (
            respond(json!({"body": "gone: {path} {unknown}"})),
            "text/plain; charset=utf-8",
            "gone: /a?q=\"}],{<script>&x=\\ {unknown}",
        ),
    ];
    for (fields, content_type, body) in rows {
        let (_upstream, envoy) = scene(fields).await;
        let head = format!("GET {path} HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n");
        let answer = raw::exchange(envoy.address(), head.as_bytes()).await;
        assert_eq!(answer.status(), Some(200));
        let text = answer.text();
        let (head, content) = text.split_once("\r\n\r\n").expect("a whole answer");
        assert!(
            head.contains(&format!("content-type: {content_type}\r\n")),
            "{head}"
        );
        assert!(head.contains("x-circuit-fallback: respond\r\n"), "{head}");
        if head.contains("x-path") {
            assert!(
                head.contains("x-path: /a?q=%22}]%2C{%3Cscript%3E&x=%5C\r\n"),
                "{head}"
            );
        }
        let id = content
            .split("\"id\":\"")
            .nth(1)
            .and_then(|rest| rest.split('"').next());
        let body = body.replace("ID", id.unwrap_or_default());
        assert_eq!(content, body);
        assert!(
            id.is_none_or(|id| id.len() == 36),
            "Envoy's own request id: {id:?}"
        );
    }
}

#[tokio::test]
async fn a_fallback_meant_for_failures_leaves_rejections_to_the_default() {
    let fallback = json!({"type": "respond", "on": ["failure"], "status": 203});
    let fields = json!({"mode": "forced_open", "fallback": [fallback]});
    let (_upstream, envoy) = scene(fields).await;
    rejected(&envoy.get("/").await, "forced_open");
}
