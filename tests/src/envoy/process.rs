//! An Envoy process and its folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use super::bootstrap::TRAPPING;
use super::{Refusal, Setting, bootstrap};
use crate::client::Client;
use crate::eventually::found;
use crate::places;
use crate::running::Running;
use crate::trap::trapping;

pub(super) struct Process(Running);

impl Process {
    pub(super) fn spawn(setting: &Setting) -> Self {
        let folder = TempDir::with_prefix("spillway-").expect("a temporary folder");
        let config = folder.path().join("envoy.json");
        write(&config, &bootstrap::bootstrap(setting, folder.path()));
        if setting.listener_on_disk {
            let listener = bootstrap::discovery(setting, folder.path(), 1);
            write(&folder.path().join("listeners.json"), &listener);
        }
        if let Some(callback) = &setting.trap_in {
            write_trapping(&folder.path().join(TRAPPING), callback);
        }
        Self::run(folder, &config, setting.concurrency)
    }

    /// Starts Envoy with a file that is there already.
    pub(super) fn run(folder: TempDir, config: &Path, concurrency: usize) -> Self {
        let command = command(config, folder.path(), concurrency);
        Self(Running::start("Envoy", command, folder).expect("Envoy runs"))
    }

    /// The admin interface's client, once it is up.
    pub(super) async fn admin(&self) -> Result<Client, Refusal> {
        let file = self.folder().join("admin");
        self.while_alive("Envoy's admin address", async || {
            fs::read_to_string(&file).ok()?.trim().parse().ok()
        })
        .await
        .map(Client::new)
    }

    /// Waits until `look` finds something, or until the process exits.
    pub(super) async fn while_alive<T>(
        &self,
        what: &str,
        mut look: impl AsyncFnMut() -> Option<T>,
    ) -> Result<T, Refusal> {
        found(what, async || match look().await {
            Some(it) => Some(Ok(it)),
            None => self.0.has_ended().then(|| Err(Refusal { log: self.log() })),
        })
        .await
    }

    pub(super) fn log(&self) -> String {
        self.0.log()
    }

    pub(super) fn has_ended(&self) -> bool {
        self.0.has_ended()
    }

    pub(super) fn access_log(&self) -> String {
        self.0.read("access.log")
    }

    pub(super) fn resident_kib(&self) -> u64 {
        self.0.status_kib("VmRSS:")
    }

    pub(super) fn id(&self) -> u32 {
        self.0.id()
    }

    pub(super) fn folder(&self) -> &Path {
        self.0.folder()
    }

    /// Replaces a file atomically. Envoy watches for the move and must never read half a file.
    pub(super) fn replace(&self, name: &str, value: &Value) {
        let next = self.folder().join("next");
        write(&next, value);
        fs::rename(next, self.folder().join(name)).expect("a file in its place");
    }
}

/// Validates a bootstrap without starting Envoy. `Err` has Envoy's output.
pub fn validate(bootstrap: &Value) -> Result<(), String> {
    let folder = TempDir::with_prefix("spillway-").expect("a temporary folder");
    let config = folder.path().join("envoy.json");
    write(&config, bootstrap);
    let mut command = command(&config, folder.path(), 1);
    let output = command
        .args(["--mode", "validate"])
        .output()
        .expect("Envoy runs");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() {
        Ok(())
    } else {
        Err(told)
    }
}

fn command(config: &Path, folder: &Path, concurrency: usize) -> Command {
    let path = |name: &str| -> PathBuf { folder.join(name) };
    let mut command = Command::new(places::envoy());
    // Hot restart would leave shared memory behind after the process is killed.
    command.arg("--disable-hot-restart");
    command.arg("--config-path").arg(config);
    command.arg("--admin-address-path").arg(path("admin"));
    command.args(["--concurrency", &concurrency.to_string()]);
    // At startup the main component lists every extension, which takes pages.
    command.args([
        "--log-level",
        "info",
        "--component-log-level",
        "main:warning",
    ]);
    command.args(["--file-flush-interval-msec", "20"]);
    // Drains connections of a replaced configuration soon and not after ten minutes.
    command.args(["--drain-time-s", "1"]);
    command
}

fn write_trapping(path: &Path, callback: &str) {
    let module = fs::read(places::module()).expect("a readable module");
    fs::write(path, trapping(&module, callback)).expect("a writable folder");
}

fn write(path: &Path, value: &Value) {
    fs::write(path, value.to_string()).expect("a writable folder");
}
