//! A proxy as Envoy Gateway makes it of the resources.

use serde_json::{Value, json};
use spillway_tests::envoy::bootstrap::string_value;
use spillway_tests::envoy::validate;
use spillway_tests::{Envoy, Upstream, places};

use super::{deploy, documents, merge, of_kind, touchy};

#[tokio::test]
async fn a_proxy_with_the_resources_is_valid_and_takes_the_policy() {
    let options = ["--gateway", "edge", "--namespace", "edge", "--enforce"];
    let documents = documents(&deploy(&touchy("edge"), "envoy-gateway", &options));
    let policy = of_kind(&documents, "EnvoyExtensionPolicy");
    let wasm = &policy["spec"]["wasm"][0];

    // Envoy Gateway merges the EnvoyProxy's part into a bootstrap of its own.
    let proxy = of_kind(&documents, "EnvoyProxy");
    let part = proxy["spec"]["bootstrap"]["value"].as_str().expect("text");
    let mut bootstrap = places::shipped_bootstrap();
    let tags = bootstrap["stats_config"].take();
    merge(&mut bootstrap, &serde_saphyr::from_str(part).expect("YAML"));
    assert_eq!(
        bootstrap["stats_config"], tags,
        "the tags of all deployments are the same"
    );
    let listeners = bootstrap["static_resources"]["listeners"]
        .as_array_mut()
        .expect("listeners");
    listeners.truncate(1);
    let http = &mut listeners[0]["filter_chains"][0]["filters"][0]["typed_config"];
    http["http_filters"][0]["typed_config"]["config"] = plugin(wasm, places::module());
    validate(&bootstrap).unwrap_or_else(|log| panic!("{log}"));

    let upstream = Upstream::start().await;
    let envoy = Envoy::in_front_of(upstream.address())
        .policy(wasm["config"].clone())
        .start()
        .await;
    assert_eq!(envoy.get("/").await.status, 200);
    let labels = [("policy", "edge"), ("outcome", "success")];
    envoy
        .expect_metric("spillway_requests_total", &labels, 1)
        .await;
}

/// The reason for `failOpen: true`: nothing else brings a worker's requests back after a crash.
#[tokio::test]
async fn after_a_crash_only_fail_open_lets_requests_pass() {
    for (fail_open, status) in [(true, 200), (false, 503)] {
        let upstream = Upstream::start().await;
        let envoy = Envoy::in_front_of(upstream.address())
            .policy(touchy("edge"))
            .full_module()
            .plugin(json!({"failure_policy": "UNSPECIFIED", "fail_open": fail_open}))
            .trap_in("proxy_on_request_headers")
            .start()
            .await;
        envoy.get("/").await;
        for _ in 0..3 {
            assert_eq!(
                envoy.get("/").await.status,
                status,
                "fail_open: {fail_open}"
            );
        }
    }
}

/// The plugin that Envoy Gateway makes of an extension, with VMs of its own.
fn plugin(wasm: &Value, module: std::path::PathBuf) -> Value {
    assert!(wasm["code"]["image"]["url"].is_string(), "{wasm}");
    json!({
        "name": wasm["name"],
        "fail_open": wasm["failOpen"],
        "vm_config": {
            "vm_id": "envoyextensionpolicy/edge/spillway/wasm/0",
            "runtime": "envoy.wasm.runtime.v8",
            "code": {"local": {"filename": module}},
        },
        "configuration": string_value(&wasm["config"].to_string()),
    })
}
