//! The files that users copy work as shipped.

use std::fs;

use serde_json::{Value, json};
use spillway_tests::envoy::validate;
use spillway_tests::{Envoy, Upstream, places};

#[test]
fn envoy_accepts_the_shipped_bootstrap() {
    let mut bootstrap = places::shipped_bootstrap();
    // The only path that every user must set.
    for listener in [TRAFFIC, OPERATORS] {
        let config = spillway(&mut bootstrap, listener);
        config["vm_config"]["code"]["local"]["filename"] = json!(places::module());
    }
    validate(&bootstrap).unwrap_or_else(|log| panic!("{log}"));
}

#[test]
fn the_shipped_bootstrap_survives_a_crash_of_the_filter() {
    let mut bootstrap = places::shipped_bootstrap();
    for listener in [TRAFFIC, OPERATORS] {
        let config = spillway(&mut bootstrap, listener);
        assert_eq!(config["failure_policy"], "FAIL_RELOAD");
    }
}

/// Circuits are shared by name and VM, and shown only on loopback.
#[test]
fn the_shipped_bootstrap_shows_operators_the_circuits_of_the_traffic() {
    let mut bootstrap = places::shipped_bootstrap();
    let of = |listener, bootstrap: &mut Value| {
        let config = spillway(bootstrap, listener);
        (config["name"].clone(), config["vm_config"].clone())
    };
    assert_eq!(of(TRAFFIC, &mut bootstrap), of(OPERATORS, &mut bootstrap));
    let listener = &bootstrap["static_resources"]["listeners"][OPERATORS];
    assert_eq!(
        listener["address"]["socket_address"]["address"],
        "127.0.0.1"
    );
}

#[tokio::test]
async fn every_shipped_policy_is_accepted_by_the_filter() {
    let upstream = Upstream::start().await;
    for file in policies() {
        let policy = places::shipped_policy(&file);
        let started = Envoy::in_front_of(upstream.address())
            .policy(policy)
            .try_start()
            .await;
        let envoy = started.unwrap_or_else(|refusal| panic!("{file}: {}", refusal.log));
        assert_eq!(envoy.get("/").await.status, 200, "{file}");
    }
}

const TRAFFIC: usize = 0;
const OPERATORS: usize = 1;

fn spillway(bootstrap: &mut Value, listener: usize) -> &mut Value {
    let listener = &mut bootstrap["static_resources"]["listeners"][listener];
    let http = &mut listener["filter_chains"][0]["filters"][0]["typed_config"];
    &mut http["http_filters"][0]["typed_config"]["config"]
}

/// The file names of the policies, without the schema next to them.
fn policies() -> Vec<String> {
    let entries = fs::read_dir(places::root().join("policies")).expect("policies");
    let names = entries.map(|entry| entry.expect("an entry").file_name().into_string());
    let names = names.map(|name| name.expect("a readable name"));
    names
        .filter(|name| name.ends_with(".json") && name != "schema.json")
        .collect()
}
