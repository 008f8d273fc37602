//! Queries of the admin interface of a starting or running Envoy.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;

use super::Refusal;
use super::process::Process;
use crate::client::Client;
use crate::eventually::found;
use crate::metrics::Metrics;

/// How long a metric may lag behind the response. Shorter than `PATIENCE`, so
/// that a test that expects the wrong number fails with the actual numbers.
const SETTLING: Duration = Duration::from_secs(5);

/// The addresses of the listeners, once there are this many and the workers accept connections.
pub(super) async fn listeners(
    process: &Process,
    admin: &Client,
    count: usize,
) -> Result<BTreeMap<String, SocketAddr>, Refusal> {
    process
        .while_alive("listeners of Envoy that accept", async || {
            let page = page(admin, "/listeners?format=json").await?;
            let statuses = page["listener_statuses"].as_array()?.iter();
            let places: BTreeMap<_, _> = statuses.filter_map(place).collect();
            let started = stat(admin, "listener_manager.workers_started").await == 1;
            (started && places.len() == count).then_some(places)
        })
        .await
}

/// The name and address of a listener that has its port.
fn place(status: &Value) -> Option<(String, SocketAddr)> {
    let socket = &status["local_address"]["socket_address"];
    let ip = socket["address"].as_str()?.parse().ok()?;
    let port = u16::try_from(socket["port_value"].as_u64()?).ok()?;
    let name = status["name"].as_str()?.to_owned();
    (port != 0).then_some((name, SocketAddr::new(ip, port)))
}

/// One statistic by its full name; 0 if missing or if the interface does not respond.
pub(super) async fn stat(admin: &Client, name: &str) -> u64 {
    let path = format!("/stats?format=json&filter=^{name}$");
    let page = page(admin, &path).await.unwrap_or_default();
    let entry = page["stats"]
        .as_array()
        .and_then(|all| all.first().cloned());
    entry.and_then(|entry| entry["value"].as_u64()).unwrap_or(0)
}

/// The current metrics, as Prometheus would read them.
pub(super) async fn metrics(admin: &Client) -> Metrics {
    Metrics::parse(&admin.get("/stats/prometheus").await.text())
}

/// Waits until a metric has this value.
///
/// # Panics
///
/// Panics if it never does, with all series of that name.
pub(super) async fn expect_metric(admin: &Client, name: &str, labels: &[(&str, &str)], value: u64) {
    let mut last = String::new();
    let what = format!("{name}{labels:?} {value}");
    let seen = found(&what, async || {
        let metrics = metrics(admin).await;
        last = metrics
            .named(name)
            .map(|series| format!("\n  {series}"))
            .collect();
        (metrics.value(name, labels) == value).then_some(())
    });
    let in_time = tokio::time::timeout(SETTLING, seen).await;
    assert!(in_time.is_ok(), "expected {what}, the page has:{last}");
}

async fn page(admin: &Client, path: &str) -> Option<Value> {
    let answer = admin
        .try_send(crate::client::request("GET", path, &[], ""))
        .await
        .ok()?;
    serde_json::from_slice(&answer.body).ok()
}
