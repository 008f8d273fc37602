//! A program that runs beside a test, with its folder.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::thread;

use tempfile::TempDir;

/// The file of the folder with all that the program prints.
const LOG: &str = "log";

/// Number of log lines that a failing test prints.
const LOG_TAIL: usize = 60;

/// A running program. Dropping it kills the process and removes its folder; a failing test prints
/// the end of its log first.
pub(crate) struct Running {
    name: &'static str,
    child: Mutex<Child>,
    folder: TempDir,
}

impl Running {
    /// Starts a command, which may use files of the folder.
    ///
    /// # Errors
    ///
    /// If the program cannot be run.
    pub(crate) fn start(
        name: &'static str,
        mut command: Command,
        folder: TempDir,
    ) -> io::Result<Self> {
        let log = File::create(folder.path().join(LOG)).expect("a log file");
        let child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle"))
            .stderr(log)
            .spawn()?;
        Ok(Self {
            name,
            child: Mutex::new(child),
            folder,
        })
    }

    pub(crate) fn log(&self) -> String {
        self.read(LOG)
    }

    /// The text of a file of the folder; empty if it is missing.
    pub(crate) fn read(&self, name: &str) -> String {
        let bytes = fs::read(self.folder.path().join(name)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.lock().expect("the child").id()
    }

    /// A size in the kernel's status of the process, such as `VmRSS:`, in KiB.
    pub(crate) fn status_kib(&self, name: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id()));
        let status = status.expect("a live process");
        let mut lines = status.lines();
        let line = lines.find_map(|line| line.strip_prefix(name));
        let number = line.and_then(|line| line.trim().strip_suffix(" kB"));
        number.and_then(|n| n.parse().ok()).expect("a size in kB")
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.status().is_some()
    }

    /// How the program ended; `None` while it runs.
    pub(crate) fn status(&self) -> Option<ExitStatus> {
        let ended = self.child.lock().expect("the child").try_wait();
        ended.expect("a child to ask")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let child = self.child.get_mut().expect("the child");
        let _already_ended = child.kill();
        let _status = child.wait();
        if thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            let tail = &lines[lines.len().saturating_sub(LOG_TAIL)..];
            eprintln!("the end of {}'s log:\n{}", self.name, tail.join("\n"));
        }
    }
}
