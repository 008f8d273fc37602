//! A running `host-sim serve`: the filter in a real proxy, without Envoy.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, ExitStatus};

use serde_json::Value;
use tempfile::TempDir;

use crate::client::Client;
use crate::eventually::found;
use crate::metrics::Metrics;
use crate::places;
use crate::running::Running;

/// Names of the files of its folder.
const POLICY: &str = "policy.json";
const MODULE: &str = "module.wasm";

/// A running `host-sim serve` on two free ports. Dropping it kills the process and removes its
/// files.
pub struct Serve {
    running: Running,
    listen: SocketAddr,
    operators: Client,
}

impl Serve {
    /// Starts the proxy with two workers in front of `upstream`, such as `http://127.0.0.1:8080`,
    /// with the module for this policy.
    ///
    /// # Panics
    ///
    /// Panics with its output if it does not start.
    pub async fn start(upstream: &str, policy: &Value) -> Self {
        let text = policy.to_string();
        Self::start_with(&places::module_for(&text), upstream, &text, &[]).await
    }

    /// Like [`Serve::start`], with a module and further arguments.
    pub async fn start_with(
        module: &Path,
        upstream: &str,
        policy: &str,
        arguments: &[&str],
    ) -> Self {
        let folder = TempDir::with_prefix("spillway-").expect("a temporary folder");
        let file = |name| folder.path().join(name);
        fs::write(file(POLICY), policy).expect("a writable folder");
        fs::copy(module, file(MODULE)).expect("a writable folder");
        let mut command = Command::new(places::host_sim());
        command.args(["serve", "--upstream", upstream]);
        command.arg("--policy").arg(file(POLICY));
        command.arg("--module").arg(file(MODULE));
        for option in ["--listen", "--operators"] {
            command.args([option, "127.0.0.1:0"]);
        }
        command.args(arguments);
        Self::run(command, folder).await
    }

    /// Starts a proxy by any command. The folder is removed with the proxy.
    ///
    /// # Panics
    ///
    /// Panics with its output if it does not start.
    pub async fn run(command: Command, folder: TempDir) -> Self {
        let running = Running::start("host-sim", command, folder).expect("host-sim runs");
        let (listen, operators) = found("the addresses of host-sim serve", async || {
            let log = running.log();
            assert!(!running.has_ended(), "host-sim ended:\n{log}");
            let operators = address(&log, "operators on ")?;
            Some((address(&log, "listening on ")?, operators))
        })
        .await;
        Self {
            running,
            listen,
            operators: Client::new(operators),
        }
    }

    /// The address for clients.
    pub fn address(&self) -> SocketAddr {
        self.listen
    }

    /// A client of the operators' address.
    pub fn operators(&self) -> &Client {
        &self.operators
    }

    /// A new client that reuses its connections.
    pub fn client(&self) -> Client {
        Client::new(self.listen)
    }

    /// All that it printed.
    pub fn log(&self) -> String {
        self.running.log()
    }

    /// The current metrics.
    pub async fn metrics(&self) -> Metrics {
        Metrics::parse(&self.operators.get("/metrics").await.text())
    }

    /// Replaces the policy file atomically.
    pub fn write_policy(&self, text: &str) {
        self.replace(POLICY, text.as_bytes());
    }

    /// Replaces the module's file atomically.
    pub fn write_module(&self, bytes: &[u8]) {
        self.replace(MODULE, bytes);
    }

    fn replace(&self, name: &str, bytes: &[u8]) {
        let next = self.running.folder().join("next");
        fs::write(&next, bytes).expect("a writable folder");
        fs::rename(next, self.running.folder().join(name)).expect("a file in its place");
    }

    /// Waits until it has printed this line this many times.
    pub async fn prints(&self, line: &str, times: usize) {
        found(&format!("{times} times {line:?}"), async || {
            (self.log().matches(line).count() == times).then_some(())
        })
        .await;
    }

    /// The most memory that it had so far, in KiB.
    pub fn peak_kib(&self) -> u64 {
        self.running.status_kib("VmHWM:")
    }

    /// Sends a signal by its name, such as `TERM`.
    pub fn signal(&self, name: &str) {
        let id = self.running.id();
        let sent = Command::new("sh")
            .args(["-c", &format!("kill -{name} {id}")])
            .status();
        assert!(sent.expect("a shell runs").success());
    }

    /// Waits until the process has ended.
    pub async fn ended(&self) -> ExitStatus {
        found("the end of host-sim serve", async || self.running.status()).await
    }
}

/// The address in the line that begins with `name`.
fn address(log: &str, name: &str) -> Option<SocketAddr> {
    let mut lines = log.lines().filter_map(|line| line.strip_prefix(name));
    let url = lines.next()?.strip_prefix("http://")?;
    url.trim_end_matches('/').parse().ok()
}
