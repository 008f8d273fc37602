//! Checks with a real Envoy: configurations, commands for operators, log lines.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};
use spillway_tests::client::request;
use spillway_tests::envoy::{ADMIN, validate};
use spillway_tests::{Answer, Client, Envoy, Reply, Upstream, eventually, places};

use super::commands::lines;
use super::examples::{Example, yaml};
use super::markdown::{Block, Document};

pub(super) const OPERATORS_GUIDE: &str = "policies/deploy/README.md";

/// The blocks of all documents that `wanted` selects.
fn blocks(wanted: fn(&Example) -> bool) -> Vec<(Document, Block)> {
    let documents = super::documents();
    let blocks = documents.flat_map(|document| {
        let blocks = document.blocks().into_iter();
        let wanted = blocks.filter(|block| Example::of(block).is_ok_and(|it| wanted(&it)));
        let path = document.path.clone();
        wanted
            .map(|block| (Document::read(&path), block))
            .collect::<Vec<_>>()
    });
    blocks.collect()
}

#[test]
fn envoy_accepts_the_configurations_of_the_documents() {
    let blocks = blocks(|example| matches!(example, Example::EnvoyConfig));
    assert!(blocks.len() >= 2);
    for (document, block) in blocks {
        let part = yaml(&block.text).expect("YAML");
        let bootstrap = bootstrap_with(part);
        if let Err(log) = validate(&bootstrap) {
            panic!("{}", block.told(&document, &log));
        }
    }
}

/// The shipped bootstrap with this HTTP filter, this tracing, or these routes and their clusters.
fn bootstrap_with(mut part: Value) -> Value {
    let mut bootstrap = places::shipped_bootstrap();
    let mut clusters = bootstrap["static_resources"]["clusters"].take();
    let mut listener = bootstrap["static_resources"]["listeners"][0].take();
    let http = &mut listener["filter_chains"][0]["filters"][0]["typed_config"];
    if part["config_discovery"].is_object() {
        let file = places::root().join("policies/deploy/filter.yaml");
        set_file(&mut part, &file);
        http["http_filters"][0] = part;
    } else if part["typed_config"].is_object() {
        set_module(&mut part);
        http["http_filters"][0] = part;
    } else if part["tracing"].is_object() {
        set_module(&mut http["http_filters"][0]);
        let service = &part["tracing"]["provider"]["typed_config"]["http_service"];
        let cluster = named(&clusters[0], &service["http_uri"]["cluster"]);
        clusters.as_array_mut().expect("clusters").push(cluster);
        http["tracing"] = part["tracing"].take();
    } else {
        set_module(&mut http["http_filters"][0]);
        for route in part["routes"].as_array().expect("routes") {
            let cluster = named(&clusters[0], &route["route"]["cluster"]);
            clusters.as_array_mut().expect("clusters").push(cluster);
        }
        http["route_config"]["virtual_hosts"][0]["routes"] = part["routes"].take();
    }
    bootstrap["static_resources"] = json!({"clusters": clusters, "listeners": [listener]});
    bootstrap
}

/// The part of Envoy's configuration in the documents that has this field.
///
/// # Panics
///
/// Panics if there is none.
pub(crate) fn envoy_example(field: &str) -> Value {
    let blocks = blocks(|example| matches!(example, Example::EnvoyConfig));
    let mut parts = blocks
        .iter()
        .map(|(_, block)| yaml(&block.text).expect("YAML"));
    let part = parts.find(|part| part[field].is_object());
    part.unwrap_or_else(|| panic!("no document has an example with {field}"))
}

/// The same cluster by another name.
fn named(cluster: &Value, name: &Value) -> Value {
    let mut cluster = cluster.clone();
    cluster["name"] = name.clone();
    cluster["load_assignment"]["cluster_name"] = name.clone();
    cluster
}

/// Sets the file from which a filter is loaded.
pub(super) fn set_file(filter: &mut Value, file: &Path) {
    let source = &mut filter["config_discovery"]["config_source"];
    source["path_config_source"]["path"] = json!(file);
}

fn set_module(filter: &mut Value) {
    let vm_config = &mut filter["typed_config"]["config"]["vm_config"];
    vm_config["code"]["local"]["filename"] = json!(places::module());
}

#[tokio::test]
async fn the_commands_for_operators_work_and_log_lines_have_their_fields() {
    let upstream = Upstream::start().await;
    let policy = json!({"policies": [{"name": "default", "circuit_breaker": {}}]});
    let envoy = Envoy::in_front_of(upstream.address())
        .policy(policy)
        .admin_listener(json!({"policies": [], "admin": {}}))
        .start()
        .await;
    let commands = Document::read(OPERATORS_GUIDE).blocks();
    let commands = commands.iter().filter(|block| {
        Example::of(block).is_ok_and(|example| matches!(example, Example::Commands))
    });
    let mut seen = 0;
    for line in commands.flat_map(lines) {
        match line.split_once(' ') {
            Some(("envoy", arguments)) => {
                let path = arguments.strip_prefix("-c ").expect("a configuration");
                assert!(places::root().join(path).exists(), "{line}");
            }
            Some(("curl", arguments)) => {
                let answer = curl(&envoy, arguments).await;
                assert_eq!(answer.status, 200, "{line}");
                seen += 1;
            }
            _ => {}
        }
    }
    assert!(seen >= 4, "only {seen} commands were found");

    // The last command forces the circuit open.
    let put = request("PUT", "/spillway/circuits/default?action=reset", &[], "");
    let operators = Client::new(envoy.listener(ADMIN));
    assert_eq!(operators.send(put).await.status, 200);
    upstream.reply(Reply::status(503));
    eventually("a transition", async || {
        envoy.get("/").await;
        !envoy.transitions().is_empty()
    })
    .await;
    let events = envoy.log_lines(r#""event":"#);
    let events: Vec<Value> = events
        .iter()
        .filter_map(|line| serde_json::from_str(&line[line.find('{')?..]).ok())
        .collect();
    for (document, block) in blocks(|example| matches!(example, Example::LogLine)) {
        let shown: Value = serde_json::from_str(&block.text).expect("JSON");
        let same = events.iter().find(|event| event["event"] == shown["event"]);
        let told = block.told(&document, "no such line was logged");
        assert_eq!(fields(same.expect(&told)), fields(&shown));
    }
}

#[tokio::test]
async fn every_field_of_the_operators_list_is_documented() {
    let upstream = Upstream::start().await;
    let envoy = Envoy::in_front_of(upstream.address())
        .policy(json!({"policies": [{"name": "default", "circuit_breaker": {}}]}))
        .admin_listener(json!({"policies": [], "admin": {}}))
        .start()
        .await;
    envoy.get("/").await;
    let operators = Client::new(envoy.listener(ADMIN));
    let list = operators.get("/spillway/circuits").await.json();
    let guide = Document::read(OPERATORS_GUIDE);
    for of in [&list, &list["circuits"][0]] {
        for name in fields(of) {
            let row = guide.text.lines().any(|line| {
                let cell = line
                    .strip_prefix("| ")
                    .and_then(|line| line.split(" | ").next());
                cell.is_some_and(|cell| cell.contains(&format!("`{name}`")))
            });
            assert!(row, "{OPERATORS_GUIDE} has no row for {name}");
        }
    }
}

fn fields(event: &Value) -> BTreeSet<&String> {
    event.as_object().expect("an object").keys().collect()
}

/// Sends the request of a `curl` command to the listener with this port in the shipped bootstrap.
async fn curl(envoy: &Envoy, arguments: &str) -> Answer {
    let mut method = "GET";
    let mut target = "";
    let mut words = arguments.split(' ');
    while let Some(word) = words.next() {
        match word {
            "-X" => method = words.next().expect("a method"),
            "-i" | "-s" => {}
            word => target = word.trim_matches('\''),
        }
    }
    let target = target.strip_prefix("localhost:").expect("a local address");
    let (port, path) = target.split_once('/').expect("a path");
    let path = format!("/{path}");
    let shipped = places::shipped_bootstrap();
    let port_of = |at: &str| shipped.pointer(at).expect("a port").to_string();
    let socket = "address/socket_address/port_value";
    if port == port_of(&format!("/admin/{socket}")) {
        return envoy.admin(&path).await;
    }
    let traffic = port_of(&format!("/static_resources/listeners/0/{socket}"));
    let operators = port_of(&format!("/static_resources/listeners/1/{socket}"));
    let client = if port == traffic {
        Client::new(envoy.address())
    } else {
        assert_eq!(port, operators, "no listener has this port");
        Client::new(envoy.listener(ADMIN))
    };
    client.send(request(method, &path, &[], "")).await
}
