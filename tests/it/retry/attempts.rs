//! How often a request is retried, and for which reasons.

use serde_json::{Value, json};
use spillway_tests::{Envoy, Reply, Upstream};

use super::{attempts, cased, failing, retries_are, scene, second_attempt};
use crate::scene::{all_get, count, outcomes_are};

#[tokio::test]
async fn a_failing_request_is_attempted_as_often_as_the_policy_allows() {
    for most in [0, 1, 3] {
        let (upstream, envoy) = scene(json!({"max_retries": most})).await;
        upstream.reply(Reply::status(503));
        all_get(&envoy, "/", 2, 503).await;
        assert_eq!(upstream.hits(), 2 * (1 + most));
        outcomes_are(&envoy, "p", [0, 2, 0]).await;
        retries_are(&envoy, "p", "failure", 2 * most as u64).await;
        assert_eq!(count(&envoy, "spillway_retries_denied_total").await, 0);
        let entry = envoy.access("/").await;
        assert_eq!(entry["attempts"], json!(1 + most));
    }
}

#[tokio::test]
async fn a_successful_request_is_attempted_once() {
    let (upstream, envoy) = scene(json!({})).await;
    all_get(&envoy, "/", 5, 200).await;
    outcomes_are(&envoy, "p", [5, 0, 0]).await;
    assert_eq!(upstream.hits(), 5);
    assert_eq!(count(&envoy, "spillway_retries_total").await, 0);
}

#[tokio::test]
async fn the_client_gets_the_response_of_the_second_attempt() {
    let (upstream, envoy) = scene(json!({"retry_on": ["5xx"]})).await;
    let firsts = [Reply::status(503), Reply::status(500), Reply::reset()];
    for (number, first) in (1..).zip(firsts) {
        let then = Reply::status(200).body("second");
        let answer = second_attempt(&upstream, &envoy, first, then).await;
        assert_eq!((answer.status, answer.text().as_str()), (200, "second"));
        outcomes_are(&envoy, "p", [number, 0, 0]).await;
        retries_are(&envoy, "p", "success", number).await;
    }
}

/// The router removes the headers that are meant for it.
#[tokio::test]
async fn the_upstream_does_not_receive_the_routers_retry_headers() {
    let (upstream, envoy) = scene(json!({"per_try_timeout": "5s"})).await;
    failing(&upstream, &envoy, "GET", &[]).await;
    failing(&upstream, &envoy, "POST", &[]).await;
    for seen in upstream.requests() {
        let names = seen.headers.keys().map(|name| name.as_str());
        let told: Vec<_> = names
            .filter(|name| name.contains("retr") || name.contains("per-try"))
            .collect();
        assert!(told.is_empty(), "{told:?}");
    }
    let expected = |seen: &spillway_tests::upstream::Seen| {
        let value = seen.headers.get("x-envoy-expected-rq-timeout-ms");
        value.and_then(|value| Some(value.to_str().ok()?.to_owned()))
    };
    let all: Vec<_> = upstream.requests().iter().filter_map(expected).collect();
    assert_eq!(all, ["5000", "5000", "5000", "15000"]);
}

/// Each row: a case, its `retry_on`, what the upstream does, and the attempts.
#[tokio::test]
async fn only_the_named_conditions_are_retried() {
    let rows = "
        server_error     5xx                   status=500                         3
        gateway_of_500   gateway-error         status=500                         1
        gateway_of_502   gateway-error         status=502                         3
        gateway_of_504   gateway-error         status=504                         3
        fine             5xx                   status=404                         1
        conflict         retriable-4xx         status=409                         3
        conflict_of_5xx  5xx                   status=409                         1
        reset            reset                 reset                              3
        reset_of_5xx     5xx                   reset                              3
        reset_of_connect connect-failure       reset                              1
        reset_before     reset-before-request  reset                              1
        limited          5xx                   status=503+x-envoy-ratelimited=yes 1
        limited_too      envoy-ratelimited     status=503+x-envoy-ratelimited=yes 3
        nothing          -                     status=503                         1";
    let rows: Vec<Vec<&str>> = rows
        .lines()
        .map(|row| row.split_whitespace().collect())
        .filter(|row: &Vec<&str>| !row.is_empty())
        .collect();
    let upstream = Upstream::start().await;
    let setting = Envoy::in_front_of(upstream.address());
    let cases = rows.iter().map(|row| (row[0], retry_on(row[1])));
    let envoy = cased(setting, cases).await;
    for row in rows {
        upstream.forget();
        let script = row[2].replace('+', " ");
        let headers = [("x-case", row[0]), ("x-script", script.as_str())];
        envoy.get_with("/", &headers).await;
        assert_eq!(upstream.hits().to_string(), row[3], "{}", row[0]);
    }
}

fn retry_on(word: &str) -> Value {
    let words: Vec<&str> = (word != "-").then_some(word).into_iter().collect();
    json!({ "retry_on": words })
}

/// Each row: a case, its `retry_on`, and the attempts if every connection is refused.
#[tokio::test]
async fn a_refused_connection_is_retried() {
    let rows = [
        ("default", json!({}), 3),
        ("connect", json!({"retry_on": ["connect-failure"]}), 3),
        ("before", json!({"retry_on": ["reset-before-request"]}), 3),
        ("gateway", json!({"retry_on": ["gateway-error"]}), 3),
        ("conflict", json!({"retry_on": ["retriable-4xx"]}), 1),
    ];
    let upstream = Upstream::start().await;
    let setting = Envoy::in_front_of(upstream.address()).refused_cluster("gone");
    let cases = rows.iter().map(|row| (row.0, row.1.clone()));
    let envoy = cased(setting, cases).await;
    for (case, _, attempts) in rows {
        let path = format!("/{case}");
        let headers = [("x-case", case), ("x-to", "gone")];
        assert_eq!(envoy.get_with(&path, &headers).await.status, 503);
        let entry = envoy.access(&path).await;
        assert_eq!(entry["attempts"], json!(attempts), "{case}");
        retries_are(&envoy, case, "failure", attempts - 1).await;
    }
}

/// Each row: a case, its fields, and methods with their numbers of attempts.
#[tokio::test]
async fn only_idempotent_methods_are_retried() {
    let rows = [
        (
            "default",
            json!({}),
            "GET3 HEAD3 OPTIONS3 PUT3 DELETE3 POST1 PATCH1",
        ),
        ("named", json!({"methods": ["POST"]}), "GET1 POST3"),
        ("none", json!({"methods": []}), "GET1 PUT1 POST1"),
    ];
    let upstream = Upstream::start().await;
    let setting = Envoy::in_front_of(upstream.address());
    let cases = rows.iter().map(|row| (row.0, row.1.clone()));
    let envoy = cased(setting, cases).await;
    for (case, _, methods) in rows {
        for method in methods.split_whitespace() {
            let (method, expected) = method.split_at(method.len() - 1);
            let made = attempts(&upstream, &envoy, method, case).await;
            assert_eq!(made.to_string(), expected, "{case}: {method}");
        }
    }
}

/// Each row: a case, its fields, a header, and the attempts of a POST with that header.
#[tokio::test]
async fn an_idempotency_key_makes_any_method_retriable() {
    let other = json!({"idempotency_header": "X-Request-Key", "methods": []});
    let rows = [
        ("default", json!({}), "idempotency-key", 3),
        ("empty_list", json!({"methods": []}), "idempotency-key", 3),
        ("other", other.clone(), "x-request-key", 3),
        ("other_than", other, "idempotency-key", 1),
    ];
    let upstream = Upstream::start().await;
    let setting = Envoy::in_front_of(upstream.address());
    let cases = rows.iter().map(|row| (row.0, row.1.clone()));
    let envoy = cased(setting, cases).await;
    for (case, _, header, expected) in rows {
        let headers = [("x-case", case), (header, "1")];
        let made = failing(&upstream, &envoy, "POST", &headers).await;
        assert_eq!(made, expected, "{case}");
    }
}
