//! The timeout of one attempt.

use serde_json::json;
use spillway_tests::Reply;

use super::{scene, second_attempt};

#[tokio::test]
async fn an_attempt_that_times_out_is_retried() {
    let (upstream, envoy) = scene(json!({"per_try_timeout": "150ms"})).await;
    let answer = second_attempt(&upstream, &envoy, Reply::hang(), Reply::status(200)).await;
    assert_eq!(answer.status, 200);
}
