//! A real Prometheus that scrapes a real proxy.
//!
//! It starts from the shipped configuration, with the address of the proxy and short intervals:
//! a test cannot wait for those of production.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::client::Client;
use crate::eventually::{eventually, found};
use crate::places;
use crate::running::Running;

const INSTALL: &str = "prometheus does not run (on Debian: apt-get install prometheus)";

/// Time between two scrapes, and between two evaluations of the rules.
const INTERVAL: &str = "250ms";

/// A running Prometheus. Dropping it kills the process and removes its data.
pub struct Prometheus {
    client: Client,
    _running: Running,
}

/// A series of numbers over time: labels, and pairs of seconds and value.
#[derive(Clone, Debug)]
pub struct Range {
    pub labels: Value,
    pub points: Vec<(f64, f64)>,
}

impl Prometheus {
    /// Starts a Prometheus that scrapes the Envoy with this admin address.
    ///
    /// # Panics
    ///
    /// Panics if there is no Prometheus, with the command that installs one.
    pub async fn scraping(admin: SocketAddr) -> Self {
        Self::scraping_page(admin, None).await
    }

    /// Like [`Prometheus::scraping`], for a server whose metrics are on another page.
    ///
    /// # Panics
    ///
    /// Panics if there is no Prometheus, with the command that installs one.
    pub async fn scraping_page(address: SocketAddr, path: Option<&str>) -> Self {
        let folder = TempDir::with_prefix("spillway-").expect("a temporary folder");
        let config = folder.path().join("prometheus.json");
        fs::write(&config, configuration(address, path).to_string()).expect("a writable folder");
        let mut command = Command::new("prometheus");
        command
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().display()))
            .args(["--web.listen-address=127.0.0.1:0", "--log.format=json"]);
        let running = Running::start("Prometheus", command, folder).expect(INSTALL);
        let address = found(
            "the address that Prometheus 2.40 or later logs",
            async || listening(&running.log()),
        )
        .await;
        let prometheus = Self {
            client: Client::new(address),
            _running: running,
        };
        eventually("a Prometheus that is ready", async || {
            prometheus.client.get("/-/ready").await.status == 200
        })
        .await;
        eventually("the first scrape", async || {
            !prometheus.query("up == 1").await.is_empty()
        })
        .await;
        prometheus
    }

    /// Its address.
    pub fn address(&self) -> SocketAddr {
        self.client.address()
    }

    /// The series of an expression now, as Prometheus returns them.
    ///
    /// # Panics
    ///
    /// Panics if the expression is invalid.
    pub async fn query(&self, expression: &str) -> Vec<Value> {
        let path = format!("/api/v1/query?query={}", encoded(expression));
        self.results(&path).await
    }

    /// The series of an expression between two points in time, in seconds, at this many steps.
    ///
    /// # Panics
    ///
    /// Panics if the expression is invalid.
    pub async fn range(&self, expression: &str, (from, to): (f64, f64), steps: u32) -> Vec<Range> {
        let step = (to - from) / f64::from(steps);
        let query = encoded(expression);
        let path = format!("/api/v1/query_range?query={query}&start={from}&end={to}&step={step}");
        let series = self.results(&path).await;
        series.into_iter().map(range).collect()
    }

    /// Any page of its API.
    ///
    /// # Panics
    ///
    /// Panics if it responds with an error.
    pub async fn api(&self, path: &str) -> Value {
        let mut told = self.client.get(path).await.json();
        assert_eq!(told["status"], "success", "{path}: {told}");
        told["data"].take()
    }

    async fn results(&self, path: &str) -> Vec<Value> {
        serde_json::from_value(self.api(path).await["result"].take()).expect("a list")
    }
}

/// The shipped configuration with this target and, if given, this path.
fn configuration(address: SocketAddr, path: Option<&str>) -> Value {
    let mut config = places::shipped_deployment("observability/prometheus.yml");
    for interval in ["scrape_interval", "evaluation_interval"] {
        config["global"][interval] = json!(INTERVAL);
    }
    let folder = places::root().join("policies/deploy/observability");
    for file in config["rule_files"].as_array_mut().expect("files") {
        *file = json!(folder.join(file.as_str().expect("a path")));
    }
    let scrape = &mut config["scrape_configs"][0];
    scrape["static_configs"][0]["targets"] = json!([address]);
    if let Some(path) = path {
        scrape["metrics_path"] = json!(path);
    }
    config
}

/// The address that the kernel chose, once Prometheus has logged it.
fn listening(log: &str) -> Option<SocketAddr> {
    let mut lines = log
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let line = lines.find(|line| line["msg"] == "Listening on")?;
    line["address"].as_str()?.parse().ok()
}

/// Escapes an expression for a query string.
fn encoded(expression: &str) -> String {
    let escaped = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
            char::from(byte).to_string()
        }
        byte => format!("%{byte:02X}"),
    };
    expression.bytes().map(escaped).collect()
}

fn range(mut series: Value) -> Range {
    let number = |value: &Value| value.as_str().and_then(|text| text.parse().ok());
    let points = series["values"].as_array().expect("points").iter();
    let points = points
        .map(|point| (point[0].as_f64(), number(&point[1])))
        .map(|(at, value)| (at.expect("a time"), value.expect("a number")))
        .collect();
    Range {
        labels: series["metric"].take(),
        points,
    }
}
