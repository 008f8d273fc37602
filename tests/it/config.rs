//! A policy is accepted or rejected as a whole, at startup and while Envoy runs.

use serde_json::{Value, json};
use spillway_tests::envoy::{Setting, Update};
use spillway_tests::{Client, Envoy, Reply, Upstream, eventually};

use crate::scene::{count, count_is, outcomes_are, rejected, touchy, untouched};

#[tokio::test]
async fn an_invalid_policy_is_rejected_with_every_error_and_its_path() {
    let bad = json!({
        "policies": [
            {
                "name": "a b",
                "circuit_braker": {},
                "circuit_breaker": {
                    "window": {"duration": "5ms"},
                    "failure_rate_threshold": 33.333,
                    "half_open": {"permits": 0},
                },
            },
            {"name": "twin", "mode": "off", "retry": {"max_retries": 11}},
            {"name": "twin", "key": ["path"], "fallback": [{"type": "stake"}]},
        ],
        "sync": {"interval": "9ms"},
    });
    let told = [
        r#"policies[0].name is "a b", allowed 1 to 64 characters of A-Z, a-z, 0-9, _ and -"#,
        "policies[0].circuit_braker is not a known field, did you mean circuit_breaker?",
        r#"policies[0].circuit_breaker.window.duration is "5ms", allowed 100ms to 1h"#,
        "policies[0].circuit_breaker.failure_rate_threshold is 33.333, allowed 0 to 100, with at most two decimals",
        "policies[0].circuit_breaker.half_open.permits is 0, allowed 1 to 100",
        r#"policies[1].mode is "off", allowed enforce, shadow, disabled, forced_open, forced_closed"#,
        "policies[1].retry.max_retries is 11, allowed 0 to 10",
        r#"policies[2] has the name "twin", which an earlier policy already has"#,
        r#"policies[2].key contains "path", which needs match.paths: the pattern is the key"#,
        r#"policies[2].fallback[0].type is "stake", allowed respond, stale, cluster, route"#,
        r#"sync.interval is "9ms", allowed 10ms to 5s"#,
    ];
    refused(&bad.to_string(), &told).await;
}

#[tokio::test]
async fn a_configuration_that_is_not_a_policy_is_rejected() {
    let rows = [
        ("", "the policy is not valid JSON: "),
        ("[]", "the policy is [], allowed an object"),
        ("{}", "policies is missing"),
        (
            r#"{"policies": []}"#,
            "policies is [], allowed a list with at least one item",
        ),
        (
            r#"{"policies": [{"circuit_breaker": {}}]}"#,
            "policies[0].name is missing",
        ),
        (
            r#"{"policies": [{"name": "p", "name": "p"}]}"#,
            "policies[0].name appears twice",
        ),
    ];
    for (text, told) in rows {
        refused(text, &[told]).await;
    }
}

/// Envoy passes a message of any other type in its protobuf encoding.
#[tokio::test]
async fn a_configuration_in_a_struct_is_rejected_with_the_remedy() {
    let policy = json!({
        "policies": [{"name": "p", "circuit_breaker": {"minimum_requests": 20}}],
    });
    let configuration = json!({
        "@type": "type.googleapis.com/google.protobuf.Struct",
        "value": policy,
    });
    let upstream = Upstream::start().await;
    let setting = Envoy::in_front_of(upstream.address())
        .policy(policy)
        .plugin(json!({ "configuration": configuration }));
    let Err(refusal) = setting.try_start().await else {
        panic!("accepted");
    };
    let told = "the policy is a google.protobuf.Struct, which the host does not convert to JSON: \
                pass it as text in a google.protobuf.StringValue";
    assert!(refusal.log.contains(told), "{}", refusal.log);
}

/// JSON has only one kind of number: `20.0` is 20.
#[tokio::test]
async fn an_integer_may_have_a_decimal_point() {
    let (upstream, envoy) = serving(
        r#"{"policies": [{"name": "p", "circuit_breaker":
            {"minimum_requests": 2.0, "half_open": {"permits": 3.0}}}],
            "limits": {"keys": 1e3}}"#,
    )
    .await;
    upstream.reply(Reply::status(503));
    for _ in 0..2 {
        untouched(&envoy.get("/").await);
    }
    rejected(&envoy.get("/").await, "open");
}

#[tokio::test]
async fn the_smallest_useful_file_is_accepted() {
    let (upstream, envoy) =
        serving(r#"{"policies":[{"name":"default","circuit_breaker":{}}]}"#).await;
    upstream.reply(Reply::status(503));
    for _ in 0..20 {
        untouched(&envoy.get("/").await);
    }
    rejected(&envoy.get("/").await, "open");
    assert_eq!(upstream.hits(), 20);
}

/// Number of policies of a large mesh.
const MANY: usize = 10_000;

#[tokio::test]
async fn ten_thousand_policies_load_and_the_last_one_works() {
    let breaker = touchy(json!({"open": {"duration": "60s"}}));
    let named = |n: usize| {
        let cluster = match n + 1 == MANY {
            true => "upstream".into(),
            false => format!("outbound|8080||service-{n}.shop.svc.cluster.local"),
        };
        let found = json!({"clusters": [cluster]});
        json!({"name": format!("p{n}"), "match": found, "circuit_breaker": breaker})
    };
    let file =
        |count: usize| json!({"policies": (MANY - count..MANY).map(named).collect::<Vec<_>>()});
    let (upstream, mut envoy) = serving(&file(MANY).to_string()).await;
    upstream.reply(Reply::status(503));
    untouched(&envoy.get("/").await);
    upstream.reply(Reply::status(200));
    rejected(&envoy.get("/").await, "open");

    // An update keeps existing circuits and removes those of removed policies.
    let client = Client::unpooled(envoy.address());
    for count in [MANY - 1, 10, MANY] {
        let next = file(count);
        let update = envoy.update(|setting| setting.policy(next)).await;
        assert_eq!(update, Update::Accepted);
        envoy.old_connections_end().await;
        rejected(&client.get("/").await, "open");
    }
    assert_eq!(upstream.hits(), 1);
    let internal = envoy
        .metrics()
        .await
        .value("spillway_internal_errors_total", &[]);
    assert_eq!(internal, 0);
}

/// Starts an Envoy that can be updated, with an open circuit.
async fn open_and_updatable() -> (Upstream, Envoy, Client) {
    let (upstream, envoy) = serving(&lasting("p").to_string()).await;
    upstream.reply(Reply::status(503));
    untouched(&envoy.get("/").await);
    upstream.reply(Reply::status(200));
    count_is(&envoy, "spillway_open_circuits", 1).await;
    let client = Client::unpooled(envoy.address());
    (upstream, envoy, client)
}

#[tokio::test]
async fn a_rejected_update_keeps_the_old_policy_and_its_open_circuit() {
    let (upstream, mut envoy, client) = open_and_updatable().await;
    let bad = json!({"policies": [{"name": "p", "mode": "off", "circuit_braker": {}}]});
    let update = envoy.update(|setting| setting.policy(bad)).await;
    assert_eq!(update, Update::Refused);
    for told in [
        r#"policies\[0\]\.mode is "off""#,
        r"policies\[0\]\.circuit_braker is not a known field",
    ] {
        assert!(!envoy.log_lines(told).is_empty(), "{told}");
    }
    for client in [&client, envoy.client()] {
        rejected(&client.get("/").await, "open");
    }
    assert_eq!(upstream.hits(), 1);
    assert_eq!(count(&envoy, "spillway_open_circuits").await, 1);
    assert_eq!(count(&envoy, "spillway_keys").await, 1);
}

#[tokio::test]
async fn a_valid_update_applies_and_resets_the_gauges_of_the_old_policy() {
    let (upstream, mut envoy, client) = open_and_updatable().await;
    let update = envoy
        .update(|setting| setting.policy(lasting("next")))
        .await;
    assert_eq!(update, Update::Accepted);
    eventually("the new policy", async || {
        client.get("/").await.status == 200
    })
    .await;
    envoy.old_connections_end().await;
    untouched(&envoy.get("/").await);
    upstream.reply(Reply::status(503));
    untouched(&envoy.get("/").await);
    rejected(&envoy.get("/").await, "open");

    let gauges = [("p", 0), ("next", 1)];
    for (policy, value) in gauges {
        for gauge in ["spillway_keys", "spillway_open_circuits"] {
            envoy
                .expect_metric(gauge, &[("policy", policy)], value)
                .await;
        }
    }
    let internal = envoy
        .metrics()
        .await
        .value("spillway_internal_errors_total", &[]);
    assert_eq!(internal, 0);
}

#[tokio::test]
async fn a_request_that_began_under_the_old_policy_ends_under_it() {
    let (upstream, mut envoy) = serving(&lasting("p").to_string()).await;
    upstream.close_gate();
    let began = envoy.client().begin("/", &[]);
    upstream.in_flight_reaches(1).await;
    let update = envoy
        .update(|setting| setting.policy(lasting("next")))
        .await;
    assert_eq!(update, Update::Accepted);
    upstream.open_gate();
    assert_eq!(began.answer().await.status, 200);
    outcomes_are(&envoy, "p", [1, 0, 0]).await;
    outcomes_are(&envoy, "next", [0, 0, 0]).await;
    // The old policy and its gauges end with its last request.
    count_is(&envoy, "spillway_keys", 0).await;
}

fn lasting(name: &str) -> Value {
    let breaker = touchy(json!({"open": {"duration": "60s"}}));
    json!({"policies": [{"name": name, "circuit_breaker": breaker}]})
}

async fn serving(policy: &str) -> (Upstream, Envoy) {
    let upstream = Upstream::start().await;
    let setting = Envoy::in_front_of(upstream.address());
    let envoy = setting.policy_text(policy).listener_on_disk().start().await;
    (upstream, envoy)
}

/// Asserts that Envoy does not start and that its log contains each of these texts.
async fn refused(policy: &str, told: &[&str]) {
    let nowhere = std::net::SocketAddr::from(([127, 0, 0, 1], 9));
    let setting: Setting = Envoy::in_front_of(nowhere).policy_text(policy);
    let Err(refusal) = setting.try_start().await else {
        panic!("accepted: {policy}");
    };
    for text in told {
        let line = format!("spillway: {text}");
        assert!(
            refusal.log.contains(&line),
            "no {text:?} in\n{}",
            refusal.log
        );
    }
    let errors = refusal
        .log
        .lines()
        .filter(|line| line.contains("[error]") && line.contains("spillway: "));
    // Envoy configures the module once before it serves anything.
    assert_eq!(errors.count(), told.len(), "{}", refusal.log);
}
