//! A sidecar as Istio makes it of the resources.

use serde_json::{Value, json};
use spillway_tests::envoy::bootstrap::{cluster, string_value};
use spillway_tests::{Reply, Upstream, places};

use super::{
    FAILURES, REQUESTS, circuits, deploy, documents, failing_requests, fetched, folder, merge,
    of_kind, started, touchy, write,
};

const WASM: &str = "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm";

/// What Istio 1.30 appends to the name of a `WasmPlugin`, which it turns into a `TrafficExtension`.
const TRANSLATED: &str = "~istio-translated-wasmplugin";

/// The cluster of a Kubernetes service.
fn cluster_name(host: &str, port: u64) -> String {
    format!("outbound|{port}||{host}")
}

#[tokio::test]
async fn a_sidecar_with_the_resources_counts_has_labels_and_shows_operators_its_circuits() {
    // The operators' filter has the name that the plugin had before 1.30.
    let rows: [(&[&str], &str, Value); 3] = [
        (&[], "", json!(["open"])),
        (&["--traffic-extension"], "", json!(["open"])),
        (&[], TRANSLATED, json!([])),
    ];
    for (options, suffix, seen) in rows {
        let upstream = Upstream::start().await;
        let name = cluster_name("checkout.shop.svc.cluster.local", 8080);
        let more = ["--namespace", "shop", "--selector", "app=storefront"];
        let text = deploy(&touchy("checkout"), "istio", &[options, &more].concat());
        let folder = folder();
        let cluster = cluster(&name, upstream.address(), false);
        let routes = json!([{"match": {"prefix": "/"}, "route": {"cluster": name}}]);
        let mut bootstrap = sidecar(&text, suffix, routes, &[cluster]);
        apply(&mut bootstrap, &text, folder.path());
        let envoy = started(folder, &bootstrap.to_string(), 2).await;
        failing_requests(&envoy, "outbound", &upstream).await;

        assert_eq!(upstream.hits() as u64, REQUESTS, "shadow mode");
        let policy = [("policy", "checkout")];
        let kept = REQUESTS - FAILURES;
        envoy
            .expect_metric("spillway_would_reject_requests_total", &policy, kept)
            .await;
        let circuits = circuits(&envoy, "spillway-operators").await;
        let states = circuits["circuits"].as_array().expect("circuits").iter();
        let states: Value = states.map(|circuit| circuit["state"].clone()).collect();
        assert_eq!(states, seen, "{options:?} {suffix} {circuits}");
    }
}

#[tokio::test]
async fn the_shipped_route_leads_requests_elsewhere_while_the_circuit_is_open() {
    let (upstream, standby) = (Upstream::start().await, Upstream::start().await);
    let mut policy = places::shipped_deployment("istio.json");
    policy["policies"][0]["circuit_breaker"] =
        touchy("checkout")["policies"][0]["circuit_breaker"].clone();
    let text = deploy(&policy, "istio", &["--enforce", "--namespace", "shop"]);
    let service = places::shipped_deployment("istio-route.yaml");
    let routes: Vec<Value> = service["spec"]["http"]
        .as_array()
        .expect("routes")
        .iter()
        .map(route)
        .collect();
    let host = service["spec"]["hosts"][0].as_str().expect("a host");
    let name = cluster_name(host, 8080);
    let other = routes[0]["route"]["cluster"]
        .as_str()
        .expect("a cluster")
        .to_owned();
    let clusters = [
        cluster(&name, upstream.address(), false),
        cluster(&other, standby.address(), false),
    ];
    let folder = folder();
    let mut bootstrap = sidecar(&text, "", json!(routes), &clusters);
    apply(&mut bootstrap, &text, folder.path());
    let envoy = started(folder, &bootstrap.to_string(), 2).await;

    upstream.reply(Reply::status(503));
    for _ in 0..FAILURES {
        assert_eq!(envoy.get("outbound", "/").await.status, 503);
    }
    assert_eq!(envoy.get("outbound", "/").await.status, 200);
    assert_eq!((upstream.hits() as u64, standby.hits()), (FAILURES, 1));
}

/// A sidecar with the plugin that Istio makes of a `WasmPlugin` or a `TrafficExtension`, and with
/// the statistics that Istio keeps if pods have the annotation that the file asks for.
fn sidecar(text: &str, suffix: &str, routes: Value, clusters: &[Value]) -> Value {
    let annotation = annotation(text);
    assert_eq!(annotation["proxyMetadata"]["BOOTSTRAP_XDS_AGENT"], "true");
    let prefixes = annotation["proxyStatsMatcher"]["inclusionPrefixes"].as_array();
    let own = [
        "reporter=",
        "component",
        "istio",
        "listener_manager",
        "server",
    ]
    .map(Value::from);
    let prefixes = prefixes.expect("prefixes").iter().chain(&own);
    let patterns: Vec<Value> = prefixes.map(|prefix| json!({"prefix": prefix})).collect();
    let manager = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "outbound",
        "http_filters": [
            {"name": "extension", "typed_config": plugin(&documents(text)[0], suffix)},
            {"name": "envoy.filters.http.router", "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router",
            }},
        ],
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]},
    });
    json!({
        "node": {"id": "sidecar", "cluster": "storefront"},
        "admin": {"address": socket(9901)},
        "stats_config": {
            "use_all_default_tags": false,
            "stats_tags": [
                {"tag_name": "cluster_name", "regex": r"^cluster\.((.+?(\..+?\.svc\.cluster\.local)?)\.)"},
                {"tag_name": "cache", "regex": r"(cache\.(.+?)\.)"},
                {"tag_name": "component", "regex": r"(component\.(.+?)\.)"},
            ],
            "stats_matcher": {"inclusion_list": {"patterns": patterns}},
        },
        "static_resources": {
            "clusters": clusters,
            "listeners": [{
                "name": "outbound",
                "address": socket(10000),
                "filter_chains": [{"filters": [{
                    "name": "envoy.filters.network.http_connection_manager",
                    "typed_config": manager,
                }]}],
            }],
        },
    })
}

/// The annotation of pods that the comment at the beginning of the file shows.
fn annotation(text: &str) -> Value {
    let mut lines = text
        .lines()
        .skip_while(|line| !line.ends_with("proxy.istio.io/config: |"));
    lines.next().expect("an annotation");
    let lines = lines.map_while(|line| line.strip_prefix("#     "));
    let text: Vec<&str> = lines.collect();
    serde_saphyr::from_str(&text.join("\n")).expect("YAML")
}

/// The filter that Istio's control plane and agent make of the resource, with this after its name.
fn plugin(resource: &Value, suffix: &str) -> Value {
    let metadata = &resource["metadata"];
    let spec = &resource["spec"];
    let wasm = if resource["kind"] == "TrafficExtension" {
        &spec["wasm"]
    } else {
        spec
    };
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let url = text(&wasm["url"]);
    let mut code = json!({"remote": {"http_uri": {"uri": url, "cluster": "_", "timeout": "30s"}}});
    fetched(&mut code);
    json!({"@type": WASM, "config": {
        "name": format!("{}.{}{suffix}", text(&metadata["namespace"]), text(&metadata["name"])),
        "failure_policy": wasm["failStrategy"],
        "vm_config": {
            "runtime": "envoy.wasm.runtime.v8",
            "code": code,
            "environment_variables": {"key_values": {"ISTIO_META_WASM_PLUGIN_RESOURCE_VERSION": "7"}},
        },
        "configuration": string_value(&wasm["pluginConfig"].to_string()),
    }})
}

/// Applies the patches of all `EnvoyFilter`s. Extensions are in files here, not on a control plane.
fn apply(bootstrap: &mut Value, text: &str, folder: &std::path::Path) {
    let documents = documents(text);
    let filters = documents
        .iter()
        .filter(|document| document["kind"] == "EnvoyFilter");
    let patches = filters.flat_map(|filter| filter["spec"]["configPatches"].as_array());
    let mut applied = Vec::new();
    for patch in patches.flatten() {
        let mut value = patch["patch"]["value"].clone();
        let operation = patch["patch"]["operation"].as_str().expect("an operation");
        let what = patch["applyTo"].as_str().expect("an object");
        match (what, operation) {
            ("BOOTSTRAP", "MERGE") => merge(bootstrap, &value),
            ("EXTENSION_CONFIG", "ADD") => {
                fetched(&mut value["typed_config"]["config"]["vm_config"]["code"]);
                value["@type"] =
                    json!("type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig");
                let name = format!("{}.json", value["name"].as_str().expect("a name"));
                write(folder, &name, &json!({"resources": [value]}).to_string());
            }
            ("LISTENER", "ADD") => {
                let http = &mut value["filter_chains"][0]["filters"][0]["typed_config"];
                let filter = &mut http["http_filters"][0];
                let file =
                    folder.join(format!("{}.json", filter["name"].as_str().expect("a name")));
                filter["config_discovery"]["config_source"] = json!({
                    "resource_api_version": "V3",
                    "path_config_source": {"path": file},
                });
                let listeners = bootstrap["static_resources"]["listeners"].as_array_mut();
                listeners.expect("listeners").push(value);
            }
            unknown => panic!("nothing applies {unknown:?}"),
        }
        applied.push(what.to_owned());
    }
    assert_eq!(applied, ["BOOTSTRAP", "EXTENSION_CONFIG", "LISTENER"]);
    assert_eq!(
        of_kind(&documents, "EnvoyFilter")["apiVersion"],
        "networking.istio.io/v1alpha3"
    );
}

/// The route that Istio makes of one of a `VirtualService`.
fn route(http: &Value) -> Value {
    let destination = &http["route"][0]["destination"];
    let host = destination["host"].as_str().expect("a host");
    let port = destination["port"]["number"].as_u64().expect("a port");
    let headers = http["match"][0]["headers"]
        .as_object()
        .into_iter()
        .flatten();
    let headers: Vec<Value> = headers
        .map(|(name, value)| json!({"name": name, "string_match": value}))
        .collect();
    json!({
        "match": {"prefix": "/", "headers": headers},
        "route": {"cluster": cluster_name(host, port), "timeout": http["timeout"]},
    })
}

fn socket(port: u16) -> Value {
    json!({"socket_address": {"address": "127.0.0.1", "port_value": port}})
}
