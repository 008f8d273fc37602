//! Viewing and forcing circuits through a separate listener.

use serde_json::{Value, json};
use spillway_tests::client::request;
use spillway_tests::envoy::ADMIN;
use spillway_tests::{Answer, Client, Envoy, Reply, Upstream};

use super::{every_worker_passes, every_worker_rejects, lasting, on_all_workers};
use crate::scene::{count, count_is, policy, untouched};

/// Starts an Envoy with a policy for `/shop` and a listener that shows its circuits.
async fn scene() -> (Upstream, Envoy, Vec<Client>, Client) {
    let upstream = Upstream::start().await;
    let fields = json!({
        "match": {"paths": [{"prefix": "/shop"}]},
        "circuit_breaker": lasting(json!({})),
    });
    let envoy = on_all_workers(&upstream)
        .policy(policy(fields))
        .admin_listener(json!({"policies": [], "admin": {"path_prefix": "/spillway"}}))
        .start()
        .await;
    let workers = envoy.client_per_worker().await;
    let admin = Client::new(envoy.listener(ADMIN));
    (upstream, envoy, workers, admin)
}

async fn open_one(upstream: &Upstream, envoy: &Envoy, worker: &Client) {
    upstream.reply(Reply::status(503));
    untouched(&worker.get("/shop").await);
    upstream.reply(Reply::status(200));
    count_is(envoy, "spillway_open_circuits", 1).await;
}

/// The only circuit.
async fn circuit(admin: &Client) -> Value {
    let answer = admin.get("/spillway/circuits").await;
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (200, "application/json")
    );
    let mut shown = answer.json();
    let circuits = shown["circuits"].as_array_mut().expect("a list");
    assert_eq!(circuits.len(), 1, "{circuits:?}");
    circuits.remove(0)
}

async fn put(admin: &Client, target: &str) -> Answer {
    let path = format!("/spillway/circuits/{target}");
    admin.send(request("PUT", &path, &[], "")).await
}

async fn changes_one(admin: &Client, target: &str) {
    let answer = put(admin, target).await;
    assert_eq!(
        (answer.status, answer.json()),
        (200, json!({"changed": 1})),
        "{target}"
    );
}

#[tokio::test]
async fn the_admin_listener_shows_the_circuits_of_all_workers() {
    let (upstream, envoy, workers, admin) = scene().await;
    open_one(&upstream, &envoy, &workers[0]).await;
    let shown = circuit(&admin).await;
    let expected = json!({
        "policy": "p", "key": ["upstream"], "state": "open", "automatic_state": "open",
        "forced": null, "opens": 1,
    });
    for (field, value) in expected.as_object().expect("fields") {
        assert_eq!(&shown[field], value, "{field} of {shown}");
    }
    let time = |field: &str| shown[field].as_u64().expect("a time");
    let open_ms = time("until_unix_ms") - time("since_unix_ms");
    assert!((590_000..=610_000).contains(&open_ms), "{open_ms}");

    let of_policy = admin.get("/spillway/circuits?policy=p").await.json();
    assert_eq!(of_policy["circuits"][0]["id"], shown["id"]);
    let page = admin.get("/spillway/").await;
    assert_eq!(page.status, 200);
    let kind = page.header("content-type");
    assert!(kind.starts_with("text/html"), "{kind}");
    let moved = admin.get("/spillway").await;
    assert_eq!(
        (moved.status, moved.header("location")),
        (308, "/spillway/")
    );
    assert_eq!(admin.get("/elsewhere").await.status, 404);
}

#[tokio::test]
async fn the_traffic_listener_does_not_serve_admin_requests() {
    let (upstream, _envoy, workers, _admin) = scene().await;
    let paths = ["/spillway", "/spillway/circuits", "/spillway/circuits/p"];
    for path in paths {
        for method in ["GET", "PUT"] {
            let answer = workers[0].send(request(method, path, &[], "")).await;
            assert_eq!((answer.status, answer.text().as_str()), (200, "ok"));
        }
        assert_eq!(upstream.hits_on(path), 2, "{path}");
    }
}

#[tokio::test]
async fn a_state_forced_on_a_circuit_applies_to_every_worker() {
    let (upstream, envoy, workers, admin) = scene().await;
    every_worker_passes(&workers, "/shop").await;
    let id = match &circuit(&admin).await["id"] {
        Value::String(id) => id.clone(),
        id => id.to_string(),
    };
    changes_one(&admin, &format!("p/{id}?action=force_open&for=10m")).await;
    every_worker_rejects(&upstream, &workers, "/shop", "forced_open").await;
    let shown = circuit(&admin).await;
    assert_eq!(
        (
            &shown["state"],
            &shown["automatic_state"],
            &shown["forced"]["state"]
        ),
        (&json!("forced_open"), &json!("closed"), &json!("open"))
    );
    assert!(shown["forced"]["until_unix_ms"].is_u64(), "{shown}");

    changes_one(&admin, &format!("p/{id}?action=automatic")).await;
    every_worker_passes(&workers, "/shop").await;
    let shown = circuit(&admin).await;
    assert_eq!(
        (&shown["state"], &shown["forced"]),
        (&json!("closed"), &json!(null))
    );
    assert_eq!(count(&envoy, "spillway_transitions_total").await, 0);
}

#[tokio::test]
async fn a_state_forced_on_a_policy_applies_to_every_worker() {
    let (upstream, envoy, workers, admin) = scene().await;
    open_one(&upstream, &envoy, &workers[0]).await;
    every_worker_rejects(&upstream, &workers, "/shop", "open").await;
    changes_one(&admin, "p?action=force_closed&for=10m").await;
    every_worker_passes(&workers, "/shop").await;
    let shown = circuit(&admin).await;
    assert_eq!(
        (&shown["state"], &shown["automatic_state"]),
        (&json!("forced_closed"), &json!("open"))
    );
    changes_one(&admin, "p?action=automatic").await;
    every_worker_rejects(&upstream, &workers, "/shop", "open").await;
    changes_one(&admin, "p?action=reset").await;
    every_worker_passes(&workers, "/shop").await;
    assert_eq!(circuit(&admin).await["state"], "closed");
    count_is(&envoy, "spillway_open_circuits", 0).await;
}

#[tokio::test]
async fn invalid_admin_requests_are_rejected_and_change_nothing() {
    let (upstream, envoy, workers, admin) = scene().await;
    open_one(&upstream, &envoy, &workers[0]).await;
    let targets = [
        "p",
        "p?action=nonsense",
        "p?action=force_open&for=soon",
        "unknown?action=reset",
        "p/999999999?action=reset",
        "?action=reset",
    ];
    for target in targets {
        let answer = put(&admin, target).await;
        assert!((400..500).contains(&answer.status), "{target}: {answer:?}");
        let kind = answer.header("content-type");
        assert_eq!(kind, "application/problem+json", "{target}");
    }
    every_worker_rejects(&upstream, &workers, "/shop", "open").await;
    assert_eq!(circuit(&admin).await["forced"], json!(null));
}

#[tokio::test]
async fn the_last_transitions_are_those_of_all_workers() {
    let (upstream, envoy, workers, admin) = scene().await;
    assert_eq!(
        admin.get("/spillway/circuits").await.json()["transitions"],
        json!([])
    );
    open_one(&upstream, &envoy, &workers[0]).await;
    changes_one(&admin, "p?action=reset").await;
    // It is already closed.
    changes_one(&admin, "p?action=reset").await;
    let list = admin.get("/spillway/circuits?policy=p").await.json();
    let transitions = list["transitions"].as_array().expect("a list");
    let shown: Vec<_> = transitions
        .iter()
        .map(|it| (&it["to"], &it["why"]))
        .collect();
    assert_eq!(
        shown,
        [
            (&json!("closed"), &json!("reset")),
            (&json!("open"), &json!("consecutive_failures")),
        ]
    );
    assert_eq!(transitions[1]["key"], json!(["upstream"]));
    let age = transitions[0]["at_unix_ms"].as_u64().expect("a time");
    assert!(age >= transitions[1]["at_unix_ms"].as_u64().expect("a time"));
    assert_eq!(count(&envoy, "spillway_transitions_total").await, 2);
}
