//! Log records by OTLP/HTTP with JSON, read as strictly as its specification allows.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use spillway_tests::client::request;
use spillway_tests::envoy::ADMIN;
use spillway_tests::{Client, Envoy, Reply, Upstream, eventually};

use super::collector;
use crate::scene::{count_is, file, touchy, with};

/// A log record as a collector takes it.
#[derive(Debug)]
struct Record {
    name: String,
    severity: String,
    attributes: BTreeMap<String, Value>,
}

/// Returns the fields of an object that has exactly these.
#[track_caller]
fn fields<'v, const N: usize>(value: &'v Value, names: [&str; N]) -> [&'v Value; N] {
    let object = value.as_object().unwrap_or_else(|| panic!("{value}"));
    let mut found: Vec<&str> = object.keys().map(String::as_str).collect();
    let mut wanted = names.to_vec();
    found.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(found, wanted);
    names.map(|name| &value[name])
}

/// Returns the only item of a list.
#[track_caller]
fn only(value: &Value) -> &Value {
    let list = value.as_array().unwrap_or_else(|| panic!("{value}"));
    assert_eq!(list.len(), 1, "{value}");
    &list[0]
}

/// Returns an `AnyValue` as plain JSON. 64-bit integers are text, by the mapping of Protocol
/// Buffers.
fn any(value: &Value) -> Value {
    let object = value.as_object().unwrap_or_else(|| panic!("{value}"));
    assert!(object.len() <= 1, "{value}");
    match object.iter().next() {
        None => Value::Null,
        Some((kind, it)) => match kind.as_str() {
            "stringValue" => json!(it.as_str().expect("text")),
            "intValue" => json!(it.as_str().expect("text").parse::<i64>().expect("a number")),
            "arrayValue" => {
                let [values] = fields(it, ["values"]);
                values.as_array().expect("a list").iter().map(any).collect()
            }
            other => panic!("unknown kind {other}"),
        },
    }
}

fn attributes(list: &Value) -> BTreeMap<String, Value> {
    let mut attributes = BTreeMap::new();
    for pair in list.as_array().expect("a list") {
        let [key, value] = fields(pair, ["key", "value"]);
        let twice = attributes.insert(key.as_str().expect("text").into(), any(value));
        assert_eq!(twice, None, "{list}");
    }
    attributes
}

/// Reads one export request.
fn records(body: &[u8]) -> Vec<Record> {
    let body: Value = serde_json::from_slice(body).expect("JSON");
    let [resources] = fields(&body, ["resourceLogs"]);
    let [resource, scopes] = fields(only(resources), ["resource", "scopeLogs"]);
    let [resource] = fields(resource, ["attributes"]);
    let resource = attributes(resource);
    assert_eq!(resource["service.name"], "spillway");
    assert_eq!(resource["service.instance.id"], "test");
    let [scope, list] = fields(only(scopes), ["scope", "logRecords"]);
    let [name, version] = fields(scope, ["name", "version"]);
    assert_eq!((name, version), (&json!("spillway"), &json!("0.1.0")));
    list.as_array()
        .expect("a list")
        .iter()
        .map(record)
        .collect()
}

fn record(value: &Value) -> Record {
    let [at, observed, number, text, name, list] = fields(
        value,
        [
            "timeUnixNano",
            "observedTimeUnixNano",
            "severityNumber",
            "severityText",
            "eventName",
            "attributes",
        ],
    );
    let at_ns: u64 = at.as_str().expect("text").parse().expect("a number");
    assert!(at_ns > 1_700_000_000_000_000_000, "{at_ns}");
    assert_eq!(at, observed);
    let severity = text.as_str().expect("text");
    let expected = if severity == "WARN" { 13 } else { 9 };
    assert_eq!(number.as_u64(), Some(expected), "{severity}");
    Record {
        name: name.as_str().expect("text").into(),
        severity: severity.into(),
        attributes: attributes(list),
    }
}

/// All records that the collector has received.
fn received(collector: &Upstream) -> Vec<Record> {
    let requests = collector.requests();
    let bodies = requests.iter().flat_map(|seen| {
        assert_eq!(
            (seen.method.as_str(), seen.uri.path()),
            ("POST", "/v1/logs")
        );
        assert_eq!(seen.headers["content-type"], "application/json");
        records(&seen.body)
    });
    bodies.collect()
}

/// Starts an Envoy whose policy `p` has a circuit per tenant that one failure opens for 60s.
async fn scene(collects: &Upstream) -> (Upstream, Envoy) {
    let upstream = Upstream::start().await;
    let policy = json!({
        "name": "p",
        "key": ["cluster", {"header": "x-tenant"}],
        "circuit_breaker": touchy(json!({"open": {"duration": "60s", "jitter": 0}})),
    });
    let events = json!({"events": {"cluster": "otel", "path": "/v1/logs"}});
    let admin = json!({"policies": [], "admin": {"path_prefix": "/spillway"}});
    let envoy = Envoy::in_front_of(upstream.address())
        .concurrency(2)
        .clusters(collector(collects))
        .policy(with(file(json!([policy])), events.clone()))
        .admin_listener(with(admin, events))
        .start()
        .await;
    (upstream, envoy)
}

async fn fail(upstream: &Upstream, envoy: &Envoy, tenant: &str) {
    upstream.reply(Reply::status(503));
    let answer = envoy.get_with("/", &[("x-tenant", tenant)]).await;
    assert_eq!(answer.status, 503);
}

#[tokio::test]
async fn changes_of_state_and_operators_actions_reach_a_collector() {
    let collects = Upstream::start().await;
    let (upstream, envoy) = scene(&collects).await;
    // A hostile key: a quote and a backslash.
    fail(&upstream, &envoy, "a\"b\\c").await;
    fail(&upstream, &envoy, "").await;
    let admin = Client::new(envoy.listener(ADMIN));
    let force = "/spillway/circuits/p?action=force_closed&for=10m";
    assert_eq!(admin.send(request("PUT", force, &[], "")).await.status, 200);
    eventually("all events", async || received(&collects).len() == 4).await;
    let mut records = received(&collects);
    records.sort_by_key(|it| it.name.clone());
    for opened in &records[..2] {
        assert_eq!(opened.name, "circuitbreaker.state_change");
        assert_eq!(opened.severity, "WARN");
        let it = &opened.attributes;
        assert_eq!(it["circuitbreaker.name"], "p");
        assert_eq!(it["circuitbreaker.state"], "open");
        assert_eq!(it["spillway.from"], "closed");
        assert_eq!(it["spillway.why"], "consecutive_failures");
        assert_eq!(it["spillway.failures"], 1);
        assert_eq!(it["spillway.open_ms"], 60_000);
        assert_eq!(it["spillway.key"][0], "upstream");
        assert_eq!(it.len(), 11, "{it:?}");
    }
    let mut tenants: Vec<&Value> = records[..2]
        .iter()
        .map(|it| &it.attributes["spillway.key"][1])
        .collect();
    tenants.sort_by_key(|it| it.to_string().len());
    assert_eq!(tenants, [&json!(""), &json!("a\"b\\c")]);
    for forced in &records[2..] {
        assert_eq!(forced.name, "spillway.operator");
        assert_eq!(forced.attributes["spillway.action"], "force_closed");
        assert_eq!(forced.attributes["spillway.for_ms"], 600_000);
    }
    let dropped = envoy.metrics().await;
    assert_eq!(dropped.value("spillway_events_dropped_total", &[]), 0);
}

#[tokio::test]
async fn events_that_a_collector_does_not_take_are_dropped_and_counted() {
    let collects = Upstream::start().await;
    collects.reply(Reply::status(429));
    let (upstream, envoy) = scene(&collects).await;
    let dropped = async |count| {
        envoy
            .expect_metric("spillway_events_dropped_total", &[], count)
            .await;
    };
    fail(&upstream, &envoy, "a").await;
    fail(&upstream, &envoy, "b").await;
    dropped(2).await;
    // The next batch does not contain them.
    collects.reply(Reply::status(200));
    fail(&upstream, &envoy, "c").await;
    eventually("another batch", async || received(&collects).len() == 3).await;
    // Nobody listens.
    drop(collects);
    fail(&upstream, &envoy, "d").await;
    dropped(3).await;
    count_is(&envoy, "spillway_internal_errors_total", 0).await;
}

#[tokio::test]
async fn no_request_waits_for_a_collector() {
    let collects = Upstream::start().await;
    collects.reply(Reply::hang());
    let (upstream, envoy) = scene(&collects).await;
    for number in 0..20 {
        fail(&upstream, &envoy, &format!("t{number}")).await;
    }
    eventually("a call", async || collects.in_flight() > 0).await;
    for number in 20..40 {
        fail(&upstream, &envoy, &format!("t{number}")).await;
    }
    // One call at a time on each of the two workers.
    let calls = collects.in_flight();
    assert!(calls <= 2, "{calls}");
}
