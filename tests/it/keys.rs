//! What has its own circuit, and why a client that invents keys gains nothing.

use serde_json::{Value, json};
use spillway_tests::{Client, Envoy, Reply, Upstream};

use crate::scene::{
    count, count_is, outcomes_are, policy, rejected, scene, touchy, untouched, with,
};

/// A breaker that one failure opens for a long time, with a key of these parts.
fn keyed(key: Value) -> Value {
    let breaker = touchy(json!({"open": {"duration": "60s", "max_duration": "60s"}}));
    json!({"key": key, "circuit_breaker": breaker})
}

#[tokio::test]
async fn each_tenant_has_a_circuit_of_its_own() {
    let (upstream, envoy) = scene(keyed(json!(["cluster", {"header": "X-Tenant"}]))).await;
    let failing = [("x-tenant", "gold"), ("x-script", "status=503")];
    envoy.get_with("/", &failing).await;
    rejected(&envoy.get_with("/", &[("x-tenant", "gold")]).await, "open");
    untouched(&envoy.get_with("/", &[("x-tenant", "silver")]).await);
    untouched(&envoy.get_with("/", &[("x-tenant", "")]).await);
    // A missing tenant is a key too, different from an empty one.
    untouched(&envoy.get("/").await);
    assert_eq!(
        (upstream.hits(), upstream.hits_with("x-tenant", "gold")),
        (4, 1)
    );
    assert_eq!(envoy.transitions()[0]["key"], json!(["upstream", "gold"]));
    count_is(&envoy, "spillway_keys", 4).await;
    count_is(&envoy, "spillway_open_circuits", 1).await;
}

/// Each row: the key, the failing request, a request that is then rejected, and one that is not.
#[tokio::test]
async fn a_key_has_the_parts_that_the_policy_names() {
    type Asked<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)]);
    let plain: &[(&str, &str)] = &[];
    let other: &[(&str, &str)] = &[("x-to", "other")];
    let host: &[(&str, &str)] = &[("host", "one.test")];
    let upper: &[(&str, &str)] = &[("host", "ONE.test")];
    let rows: &[(Value, Asked, Asked, Asked)] = &[
        (
            json!(["cluster"]),
            ("GET", "/a", plain),
            ("PUT", "/b", plain),
            ("GET", "/a", other),
        ),
        (
            json!(["route"]),
            ("GET", "/a", other),
            ("GET", "/b", other),
            ("GET", "/a", plain),
        ),
        (
            json!(["method"]),
            ("GET", "/a", plain),
            ("GET", "/b", other),
            ("PUT", "/a", plain),
        ),
        (
            json!(["authority"]),
            ("GET", "/a", host),
            ("GET", "/b", upper),
            ("GET", "/a", plain),
        ),
        (
            json!(["path"]),
            ("GET", "/users/1/orders?n=1", plain),
            ("GET", "/users/2/orders", plain),
            ("GET", "/pay/1", plain),
        ),
        (
            json!([]),
            ("GET", "/a", plain),
            ("PUT", "/b", other),
            ("GET", "/", plain),
        ),
    ];
    let upstream = Upstream::start().await;
    for (key, failing, same, different) in rows {
        let paths = json!([{"template": "/users/{id}/orders"}, {"prefix": "/"}]);
        let fields = with(keyed(key.clone()), json!({"match": {"paths": paths}}));
        let envoy = Envoy::in_front_of(upstream.address())
            .cluster("other", upstream.address())
            .policy(policy(fields))
            .start()
            .await;
        let ask = async |(method, path, headers): &Asked<'_>| {
            let request = spillway_tests::client::request(method, path, headers, "");
            envoy.client().send(request).await
        };
        upstream.reply(Reply::status(503));
        untouched(&ask(failing).await);
        upstream.reply(Reply::status(200));
        rejected(&ask(same).await, "open");
        if key != &json!([]) {
            untouched(&ask(different).await);
        }
    }
}

#[tokio::test]
async fn an_invented_port_maps_to_the_circuit_of_the_host() {
    let (upstream, envoy) = scene(keyed(json!(["authority"]))).await;
    envoy
        .get_with("/", &[("host", "api:8080"), ("x-script", "status=503")])
        .await;
    for port in 1..=50 {
        let host = format!("{}:{port}", if port % 2 == 0 { "api" } else { "API" });
        rejected(&envoy.get_with("/", &[("host", &host)]).await, "open");
    }
    rejected(&envoy.get_with("/", &[("host", "api")]).await, "open");
    untouched(&envoy.get_with("/", &[("host", "other:8080")]).await);
    let literal = [("host", "[::1]:8080"), ("x-script", "status=503")];
    untouched(&envoy.get_with("/", &literal).await);
    rejected(&envoy.get_with("/", &[("host", "[::1]:1")]).await, "open");
    assert_eq!(upstream.hits(), 3);
    assert_eq!(envoy.transitions()[0]["key"], json!(["api"]));
    count_is(&envoy, "spillway_keys", 3).await;
}

#[tokio::test]
async fn the_key_of_a_path_is_the_pattern_that_matched() {
    let fields = with(
        keyed(json!(["path"])),
        json!({"match": {"paths": [{"template": "/users/{id}/orders"}]}}),
    );
    let (_upstream, envoy) = scene(fields).await;
    for id in 0..50 {
        envoy.get(&format!("/users/{id}/orders?page={id}")).await;
    }
    count_is(&envoy, "spillway_keys", 1).await;
    envoy
        .get_with("/users/x/orders", &[("x-script", "status=503")])
        .await;
    assert_eq!(envoy.transitions()[0]["key"], json!(["/users/{id}/orders"]));
}

/// Number of tenants that an attacker invents per round.
const INVENTED: usize = 10_000;

/// How much the process may grow during the second round. Without a limit a round took more than 5
/// MB; with one, only allocator overhead changes.
const GROWTH_KIB_MAX: u64 = 2_000;

#[tokio::test]
async fn invented_tenants_neither_grow_memory_nor_evict_an_open_circuit() {
    let upstream = Upstream::start().await;
    let file = with(
        policy(keyed(json!([{"header": "x-tenant"}]))),
        json!({"limits": {"keys": 500}}),
    );
    let envoy = Envoy::in_front_of(upstream.address())
        .policy(file)
        .start()
        .await;
    let victim = [("x-tenant", "victim")];
    envoy
        .get_with("/", &[victim[0], ("x-script", "status=503")])
        .await;
    rejected(&envoy.get_with("/", &victim).await, "open");

    invent(&envoy, "first").await;
    count_is(&envoy, "spillway_keys", 500).await;
    let before = envoy.resident_kib();
    invent(&envoy, "second").await;
    let grown = envoy.resident_kib().saturating_sub(before);
    assert!(grown < GROWTH_KIB_MAX, "{grown} KiB");

    count_is(&envoy, "spillway_keys", 500).await;
    rejected(&envoy.get_with("/", &victim).await, "open");
    assert_eq!(upstream.hits_with("x-tenant", "victim"), 1);
    outcomes_are(&envoy, "p", [2 * INVENTED as u64, 1, 0]).await;
    assert_eq!(count(&envoy, "spillway_keys_overflowed_total").await, 0);
    count_is(&envoy, "spillway_open_circuits", 1).await;
}

#[tokio::test]
async fn when_every_key_is_in_use_new_ones_share_an_overflow_that_rejects_nobody() {
    let upstream = Upstream::start().await;
    let file = with(
        policy(keyed(json!([{"header": "x-tenant"}]))),
        json!({"limits": {"keys": 2}}),
    );
    let envoy = Envoy::in_front_of(upstream.address())
        .policy(file)
        .start()
        .await;
    let ask = async |tenant: &str, script: &str| {
        envoy
            .get_with("/", &[("x-tenant", tenant), ("x-script", script)])
            .await
    };
    // One key is open, the other has a request in flight: neither may be evicted.
    ask("open", "status=503").await;
    upstream.close_gate();
    let held = envoy.client().begin("/", &[("x-tenant", "busy")]);
    upstream.in_flight_reaches(1).await;
    let others: Vec<_> = (0..3)
        .map(|n| {
            let tenant = format!("new {n}");
            let headers = [("x-tenant", tenant.as_str()), ("x-script", "status=503")];
            envoy.client().begin("/", &headers)
        })
        .collect();
    upstream.in_flight_reaches(4).await;
    upstream.release(3);
    count_is(&envoy, "spillway_keys_overflowed_total", 3).await;
    upstream.open_gate();
    for other in others {
        untouched(&other.answer().await);
    }
    assert_eq!(held.answer().await.status, 200);
    outcomes_are(&envoy, "p", [1, 4, 0]).await;
    rejected(&ask("open", "status=200").await, "open");
    count_is(&envoy, "spillway_keys", 2).await;

    // Now the other one is idle and can be evicted.
    untouched(&ask("late", "status=200").await);
    assert_eq!(count(&envoy, "spillway_keys_overflowed_total").await, 3);
}

#[tokio::test]
async fn a_key_that_is_too_long_uses_the_overflow() {
    let (upstream, envoy) = scene(keyed(json!([{"header": "x-tenant"}]))).await;
    let long = "t".repeat(600);
    for _ in 0..3 {
        let headers = [("x-tenant", long.as_str()), ("x-script", "status=503")];
        untouched(&envoy.get_with("/", &headers).await);
    }
    assert_eq!(upstream.hits(), 3);
    count_is(&envoy, "spillway_keys_overflowed_total", 3).await;
    assert_eq!(count(&envoy, "spillway_keys").await, 0);
    outcomes_are(&envoy, "p", [0, 3, 0]).await;
}

/// Sends one request for each of [`INVENTED`] tenants.
async fn invent(envoy: &Envoy, prefix: &str) {
    const CALLERS: usize = 8;
    let callers: Vec<_> = (0..CALLERS)
        .map(|caller| {
            let (client, prefix) = (Client::new(envoy.address()), prefix.to_owned());
            tokio::spawn(async move {
                for number in (caller..INVENTED).step_by(CALLERS) {
                    let tenant = format!("{prefix} {number}");
                    let answer = client.get_with("/", &[("x-tenant", &tenant)]).await;
                    assert_eq!(answer.status, 200);
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await.expect("all were answered");
    }
}
