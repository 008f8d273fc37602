//! A real Envoy, from start to shutdown.
//!
//! Each test has its own process, since state left in a worker or in shared data by one test must
//! not reach another. The kernel chooses ports and the harness reads them back, so that tests run
//! in parallel.

mod admin;
pub mod bootstrap;
mod deployed;
mod process;
mod records;
pub mod setting;
mod update;
mod workers;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

use serde_json::Value;

pub use deployed::{Deployed, free_ports};
pub use process::validate;
pub use setting::{ADMIN, INGRESS, Setting};
pub use update::Update;

use self::process::Process;
use crate::client::{Answer, Client};
use crate::eventually::found;
use crate::metrics::Metrics;

/// A running Envoy. Dropping it kills the process and removes its files; a failing test prints the
/// end of its log first.
pub struct Envoy {
    process: Process,
    setting: Setting,
    listeners: BTreeMap<String, SocketAddr>,
    client: Client,
    admin: Client,
}

/// The output of an Envoy that exited instead of starting.
#[derive(Debug)]
pub struct Refusal {
    pub log: String,
}

impl Envoy {
    /// Returns the setting of an Envoy with one cluster, `upstream`, to be completed and started.
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

    /// The address of the traffic listener.
    pub fn address(&self) -> SocketAddr {
        self.listener(INGRESS)
    }

    /// The address of one of the listeners.
    ///
    /// # Panics
    ///
    /// Panics if no listener has that name.
    pub fn listener(&self, name: &str) -> SocketAddr {
        self.listeners[name]
    }

    /// Creates a client that reuses its connections; see [`Client::unpooled`] for one that does
    /// not.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Sends a GET with this Envoy's client.
    pub async fn get(&self, path: &str) -> Answer {
        self.client.get(path).await
    }

    /// Sends a GET with headers with this Envoy's client.
    pub async fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.client.get_with(path, headers).await
    }

    /// The current metrics, as Prometheus would read them.
    pub async fn metrics(&self) -> Metrics {
        admin::metrics(&self.admin).await
    }

    /// Waits until a metric has this value. Requests settle only after the client has its response.
    ///
    /// # Panics
    ///
    /// Panics if it never does, with all series of that name.
    pub async fn expect_metric(&self, name: &str, labels: &[(&str, &str)], value: u64) {
        admin::expect_metric(&self.admin, name, labels, value).await;
    }

    /// One of Envoy's own statistics by its full name; 0 if missing.
    pub async fn stat(&self, name: &str) -> u64 {
        admin::stat(&self.admin, name).await
    }

    /// Any page of the admin interface.
    pub async fn admin(&self, path: &str) -> Answer {
        self.admin.get(path).await
    }

    /// The address of the admin interface.
    pub fn admin_address(&self) -> SocketAddr {
        self.admin.address()
    }

    /// The folder with `access.log`.
    pub fn folder(&self) -> &Path {
        self.process.folder()
    }

    /// Resident memory of the process in KiB, including that of the modules, which Envoy's own
    /// statistics leave out.
    pub fn resident_kib(&self) -> u64 {
        self.process.resident_kib()
    }

    /// The id of the process.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Whether the process has ended.
    pub fn has_ended(&self) -> bool {
        self.process.has_ended()
    }

    /// Envoy's complete log.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// The lines of the log that match a regular expression.
    ///
    /// # Panics
    ///
    /// Panics if the expression is invalid.
    pub fn log_lines(&self, pattern: &str) -> Vec<String> {
        records::matching(&self.log(), pattern)
    }

    /// The transitions that the filter has logged, in order.
    pub fn transitions(&self) -> Vec<Value> {
        records::transitions(&self.log())
    }

    /// The access log so far, one object per request.
    pub fn access_log(&self) -> Vec<Value> {
        records::objects(&self.process.access_log())
    }

    /// Waits for an access log entry of a path and returns the last one.
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
