//! A real Envoy, from its start to its end.
//!
//! One process for each test: state left in a worker or in shared data by one test must not reach
//! another. Ports are chosen by the kernel and read back, so that tests run side by side.

mod admin;
pub mod bootstrap;
mod process;
mod records;
pub mod setting;
mod update;
mod workers;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;

pub use process::validate;
pub use setting::{ADMIN, INGRESS, Setting};
pub use update::Update;

use self::process::Process;
use crate::client::{Answer, Client};
use crate::eventually::found;
use crate::metrics::Metrics;

/// A running Envoy. It is killed, and its files removed, when dropped; in a failing test the end
/// of its log is printed first.
pub struct Envoy {
    process: Process,
    setting: Setting,
    listeners: BTreeMap<String, SocketAddr>,
    client: Client,
    admin: Client,
}

/// An Envoy that ended instead of starting: what it wrote.
#[derive(Debug)]
pub struct Refusal {
    pub log: String,
}

impl Envoy {
    /// The setting of an Envoy whose one cluster is `upstream`, to be completed and started.
    pub fn in_front_of(upstream: SocketAddr) -> Setting {
        Setting::new(upstream)
    }

    async fn launch(setting: Setting) -> Result<Self, Refusal> {
        let process = Process::spawn(&setting);
        let admin = process.admin().await?;
        let count = 1 + setting.listeners.len();
        let listeners = admin::listeners(&process, &admin, count).await?;
        Ok(Self {
            client: Client::new(listeners[INGRESS]),
            process,
            setting,
            listeners,
            admin,
        })
    }

    /// Where callers connect.
    pub fn address(&self) -> SocketAddr {
        self.listener(INGRESS)
    }

    /// Where callers connect to one of the listeners.
    ///
    /// # Panics
    ///
    /// Where there is none of that name.
    pub fn listener(&self, name: &str) -> SocketAddr {
        self.listeners[name]
    }

    /// A client that keeps its connections; see [`Client::unpooled`] for one that does not.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// GET by the client of this Envoy.
    pub async fn get(&self, path: &str) -> Answer {
        self.client.get(path).await
    }

    /// GET with headers by the client of this Envoy.
    pub async fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.client.get_with(path, headers).await
    }

    /// The metrics as Prometheus would read them now.
    pub async fn metrics(&self) -> Metrics {
        Metrics::parse(&self.admin.get("/stats/prometheus").await.text())
    }

    /// Waits until a metric has this value; settling comes after the answer.
    ///
    /// # Panics
    ///
    /// Where it never has, with all series of that name.
    pub async fn expect_metric(&self, name: &str, labels: &[(&str, &str)], value: u64) {
        let mut last = String::new();
        let what = format!("{name}{labels:?} {value}");
        let seen = async {
            found(&what, async || {
                let metrics = self.metrics().await;
                last = metrics
                    .named(name)
                    .map(|series| format!("\n  {series}"))
                    .collect();
                (metrics.value(name, labels) == value).then_some(())
            })
            .await;
        };
        let in_time = tokio::time::timeout(admin::SETTLING, seen).await;
        assert!(in_time.is_ok(), "expected {what}, the page has:{last}");
    }

    /// One of Envoy's own statistics by its full name; 0 where it is absent.
    pub async fn stat(&self, name: &str) -> u64 {
        admin::stat(&self.admin, name).await
    }

    /// Any page of the admin interface.
    pub async fn admin(&self, path: &str) -> Answer {
        self.admin.get(path).await
    }

    /// Memory that the process really holds, in KiB: the modules' too, which Envoy's own
    /// statistics leave out.
    pub fn resident_kib(&self) -> u64 {
        self.process.resident_kib()
    }

    /// CPU time that the process has used since it began, all threads together.
    pub fn cpu_time(&self) -> Duration {
        self.process.cpu_time()
    }

    /// All that Envoy has logged.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// The lines of the log that match a regular expression.
    ///
    /// # Panics
    ///
    /// Where the expression is none.
    pub fn log_lines(&self, pattern: &str) -> Vec<String> {
        records::matching(&self.log(), pattern)
    }

    /// The transitions that the filter has logged, in order.
    pub fn transitions(&self) -> Vec<Value> {
        records::transitions(&self.log())
    }

    /// The access log so far, one object for each request.
    pub fn access_log(&self) -> Vec<Value> {
        records::objects(&self.process.access_log())
    }

    /// Waits for the access log's entry of a path, and returns the last one.
    pub async fn access(&self, path: &str) -> Value {
        found(&format!("{path} in the access log"), async || {
            self.access_log()
                .into_iter()
                .rev()
                .find(|entry| entry["path"] == path)
        })
        .await
    }
}
