//! Fallbacks in place of a failed response: the failure still counts.

use std::time::Duration;

use serde_json::{Value, json};
use spillway_tests::{Envoy, Upstream};

use super::{FAILURE, http_options, policy_of};
use crate::scene::{count, count_is, file, outcomes_are, scene, with};

/// Far longer than a response takes, so that only a silent upstream exceeds it.
const TIMEOUT: Duration = Duration::from_millis(500);

#[tokio::test]
async fn a_replaced_response_still_counts_as_a_failure() {
    let reset = "upstream_reset_before_response_started";
    let rows = [
        ("failure", "status=500", "failure", "via_upstream"),
        ("timeout", "hang", "timeout", "response_timeout"),
        ("refused", "status=200", "failure", reset),
    ];
    let upstream = Upstream::start().await;
    let policies = rows.map(|(case, _, on, _)| answering(case, on));
    let envoy = Envoy::in_front_of(upstream.address())
        .refused_cluster("gone")
        .route_timeout(TIMEOUT)
        .policy(file(json!(policies)))
        .start()
        .await;
    for (case, script, on, details) in rows {
        let to = if case == "refused" { "gone" } else { "" };
        let path = format!("/{case}");
        let headers = [("x-case", case), ("x-script", script), ("x-to", to)];
        let answer = envoy.get_with(&path, &headers).await;
        assert_eq!(
            (answer.status, answer.json()),
            (203, json!({"instead": path}))
        );
        assert_eq!(answer.header("x-circuit-fallback"), "respond");
        assert_eq!(answer.header("x-circuit-state"), "closed");
        outcomes_are(&envoy, case, FAILURE).await;
        let labels = [("policy", case), ("on", on), ("type", "respond")];
        envoy
            .expect_metric("spillway_fallbacks_total", &labels, 1)
            .await;
        let entry = envoy.access(&path).await;
        // The access log shows the failure; the decision shows the fallback.
        let told = entry["details"].as_str().expect("details");
        assert!(told.starts_with(details), "{told}");
        let state = format!("policy={case} state=closed decision=fallback");
        assert_eq!(entry["spillway"], state);
    }
}

#[tokio::test]
async fn a_fallback_for_timeouts_ignores_other_failures_and_one_for_failures_includes_timeouts() {
    let brief = json!({"max_stream_duration": "0.3s"});
    let upstream = Upstream::start().await;
    let policies = ["timeout", "failure"].map(|on| answering(on, on));
    let envoy = Envoy::in_front_of(upstream.address())
        .cluster("brief", upstream.address())
        .cluster_fields(
            "brief",
            http_options(json!({"common_http_protocol_options": brief})),
        )
        .route_timeout(TIMEOUT)
        .policy(file(json!(policies)))
        .start()
        .await;
    let rows = [
        ("timeout", "status=503", "", 503),
        ("timeout", "reset", "", 503),
        ("timeout", "hang", "", 203),
        ("timeout", "hang", "brief", 203),
        ("failure", "hang", "", 203),
    ];
    for (case, script, to, status) in rows {
        let headers = [("x-case", case), ("x-script", script), ("x-to", to)];
        let answer = envoy.get_with("/", &headers).await;
        assert_eq!(answer.status, status, "{case} {script} {to}");
    }
}

#[tokio::test]
async fn a_fallback_cannot_replace_a_response_that_has_begun_and_reports_it() {
    let fallback = json!({"type": "respond", "on": ["failure"], "status": 203});
    let (upstream, envoy) = scene(json!({"fallback": [fallback]})).await;
    let answer = envoy
        .get_with("/", &[("x-script", "reset_mid_body body=half")])
        .await;
    assert_eq!(
        (answer.status, answer.text().as_str(), answer.complete),
        (200, "half", false)
    );
    outcomes_are(&envoy, "p", FAILURE).await;
    count_is(&envoy, "spillway_fallbacks_too_late_total", 1).await;
    assert_eq!(count(&envoy, "spillway_fallbacks_total").await, 0);
    assert_eq!(upstream.hits(), 1);
}

/// The policy of a case, with a fallback for this occasion.
fn answering(case: &str, on: &str) -> Value {
    let answer =
        json!({"type": "respond", "on": [on], "status": 203, "json": {"instead": "{path}"}});
    with(policy_of(case), json!({"fallback": [answer]}))
}
