//! A folder in which the commands of a document run. It has copies of the files that they read, so
//! that they cannot change the project.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output};

use spillway_tests::places;
use tempfile::TempDir;

/// Folders that the commands read.
const COPIED: [&str; 7] = [
    "policies",
    "tests/scenarios",
    "tests/logs",
    "tests/plugins",
    "tests/policies",
    "host-sim/tests/policies",
    "host-sim/tests/it/import/inputs",
];

pub(super) struct Sandbox {
    folder: TempDir,
}

impl Sandbox {
    pub(super) fn new() -> Self {
        let folder = TempDir::with_prefix("spillway-docs-").expect("a temporary folder");
        for copied in COPIED {
            for path in files(&places::root().join(copied), &|_| true) {
                let path = Path::new(copied).join(path);
                let to = folder.path().join(&path);
                fs::create_dir_all(to.parent().expect("a folder")).expect("a writable folder");
                fs::copy(places::root().join(&path), to).expect("a readable file");
            }
        }
        let bin = folder.path().join("bin");
        fs::create_dir(&bin).expect("a writable folder");
        symlink(places::host_sim(), bin.join("host-sim")).expect("a writable folder");
        let built = folder.path().join("target/wasm32-wasip1/release");
        fs::create_dir_all(&built).expect("a writable folder");
        symlink(places::probe(), built.join("probe.wasm")).expect("a writable folder");
        Self { folder }
    }

    /// Saves an example as a file, for the commands after it.
    pub(super) fn write(&self, name: &str, text: &str) {
        fs::write(self.folder.path().join(name), text).expect("a writable folder");
    }

    /// Runs a line of shell.
    pub(super) fn run(&self, line: &str) -> Output {
        self.command(line).output().expect("a shell")
    }

    /// A line of shell that is to be run.
    pub(super) fn command(&self, line: &str) -> Command {
        let mut path = OsString::from(self.folder.path().join("bin"));
        path.push(":");
        path.push(env::var_os("PATH").unwrap_or_default());
        let mut command = Command::new("sh");
        command
            .args(["-c", line])
            .current_dir(self.folder.path())
            .env("PATH", path)
            .env_remove("SPILLWAY_WASM");
        command
    }

    /// The copied files that commands wrote over with something else: the files of the project are
    /// then not what their commands make.
    pub(super) fn changed(&self) -> Vec<String> {
        let copied = COPIED.iter().flat_map(|folder| {
            let files = files(&places::root().join(folder), &|_| true);
            files
                .into_iter()
                .map(move |path| format!("{folder}/{path}"))
        });
        let differs = |path: &String| {
            let bytes = |folder: &Path| fs::read(folder.join(path)).expect("a readable file");
            bytes(places::root()) != bytes(self.folder.path())
        };
        copied.filter(differs).collect()
    }
}

/// Relative paths of all wanted files under a folder. Skips folders that git does not track.
pub(super) fn files(folder: &Path, wanted: &dyn Fn(&str) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    let mut waiting = vec![String::new()];
    while let Some(within) = waiting.pop() {
        for entry in fs::read_dir(folder.join(&within)).expect("a readable folder") {
            let entry = entry.expect("a readable entry");
            let name = entry.file_name().into_string().expect("a readable name");
            let path = format!("{within}{name}");
            if entry.file_type().expect("a type").is_dir() {
                if ![".git", ".venv", "target"].contains(&name.as_str()) {
                    waiting.push(format!("{path}/"));
                }
            } else if wanted(&name) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}
