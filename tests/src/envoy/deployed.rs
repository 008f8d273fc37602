//! An Envoy that runs from files as an operator has them.
//!
//! Nothing is set by the harness: the bootstrap, and the files that it names, are what the test put
//! into the folder.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::LazyLock;

use regex::Regex;
use tempfile::TempDir;

use super::process::Process;
use super::{Refusal, admin};
use crate::client::{Answer, Client};
use crate::metrics::Metrics;

static PORTS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"(port_value"?: ?)(?:9901|9902|10000)\b"#).expect("a valid pattern")
});

/// A running Envoy. Dropping it kills the process and removes the folder.
pub struct Deployed {
    process: Process,
    listeners: BTreeMap<String, SocketAddr>,
    admin: Client,
}

impl Deployed {
    /// Starts Envoy with a file of the folder, and waits for this many listeners.
    ///
    /// # Errors
    ///
    /// `Err` has Envoy's output if it rejected its configuration.
    pub async fn start(folder: TempDir, config: &str, listeners: usize) -> Result<Self, Refusal> {
        let config = folder.path().join(config);
        let process = Process::run(folder, &config, 1);
        let admin = process.admin().await?;
        let listeners = admin::listeners(&process, &admin, listeners).await?;
        Ok(Self {
            process,
            listeners,
            admin,
        })
    }

    /// The folder with the files.
    pub fn folder(&self) -> &Path {
        self.process.folder()
    }

    /// Sends a GET to a listener, over a connection of its own.
    ///
    /// # Panics
    ///
    /// Panics if no listener has that name.
    pub async fn get(&self, listener: &str, path: &str) -> Answer {
        Client::unpooled(self.listeners[listener]).get(path).await
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
}

/// Lets the kernel choose the ports of the admin interface and of all listeners in a file, YAML or
/// JSON, in place of those that users know.
pub fn free_ports(text: &str) -> String {
    PORTS.replace_all(text, "${1}0").into_owned()
}
