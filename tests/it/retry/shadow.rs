//! Shadow mode changes no request and counts the retries that it would have denied.

use serde_json::json;
use spillway_tests::{Envoy, Reply, Upstream};

use super::{budget, generous, retrying};
use crate::scene::{policy, with};

#[tokio::test]
async fn shadow_mode_keeps_the_retry_policy_of_the_route_and_updates_the_budget() {
    for mode in [json!({"mode": "shadow"}), json!({"enforce_percent": 0})] {
        let upstream = Upstream::start().await;
        let fields = retrying(json!({"budget": budget(0, 2)}));
        let envoy = Envoy::in_front_of(upstream.address())
            .route(generous("/"))
            .policy(policy(with(fields, mode.clone())))
            .start()
            .await;
        upstream.reply(Reply::status(503));
        for number in 1..=3 {
            assert_eq!(envoy.get("/").await.status, 503);
            assert_eq!(upstream.hits(), 4 * number, "{mode}");
            tokio::time::sleep(std::time::Duration::from_millis(150)).await;
        }
        let labels = [("policy", "p"), ("reason", "budget")];
        envoy
            .expect_metric("spillway_would_deny_retry_total", &labels, 2)
            .await;
    }
}
