//! Other filters around Spillway.

use serde_json::json;

use super::{FAIL, setting};
use crate::scene::{marking, nothing_is_left};

/// A request is replayed as the filter received it: with the changes of filters closer to the
/// client, without those of filters behind it. A response that replaces another goes straight to
/// the client; one without a body that replaces one without a body passes through the chain.
#[tokio::test]
async fn a_replay_has_the_changes_of_earlier_filters_only() {
    let (upstream, setting) = setting(json!({})).await;
    let envoy = setting
        .before(marking("x-before"))
        .after(marking("x-behind"))
        .start()
        .await;
    let answer = envoy
        .get_with("/", &[FAIL, ("x-script-again", "body=second")])
        .await;
    assert_eq!((answer.status, answer.text()), (200, "second".into()));
    let seen = upstream.requests();
    let mark = |at: usize, name: &str| seen[at].headers.get(name).is_some();
    assert!(mark(0, "x-before") && mark(0, "x-behind"), "{seen:?}");
    assert!(mark(1, "x-before") && !mark(1, "x-behind"), "{seen:?}");
    assert_eq!(
        ["x-before", "x-behind"].map(|it| answer.header(it)),
        ["", ""]
    );

    let bodiless = [
        ("x-script", "status=503 body="),
        ("x-script-again", "status=204 body="),
    ];
    let answer = envoy.get_with("/bodiless", &bodiless).await;
    assert_eq!(
        (answer.status, answer.header("x-before")),
        (204, "response")
    );
    assert_eq!(answer.header("x-behind"), "");

    let answer = envoy.get("/fine").await;
    assert_eq!(
        ["x-before", "x-behind"].map(|it| answer.header(it)),
        ["response"; 2]
    );
    nothing_is_left(&upstream, &envoy).await;
}
