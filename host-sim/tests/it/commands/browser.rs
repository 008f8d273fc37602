//! A headless browser.

use std::path::Path;
use std::process::{Command, Output};

/// Result of loading a page.
pub(super) struct LoadedPage {
    /// DOM after the page's scripts have run.
    pub dom: String,
    /// Messages written to the console.
    pub console: Vec<String>,
}

/// Loads the page at `path`.
pub(super) fn load(path: &Path) -> LoadedPage {
    let output = chromium(path, "--dump-dom", "light");
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    let console = log
        .lines()
        .filter(|line| line.contains(":CONSOLE:") || line.contains("CONSOLE("));
    LoadedPage {
        dom: String::from_utf8(output.stdout).unwrap(),
        console: console.map(str::to_owned).collect(),
    }
}

/// Takes a screenshot of the page, with the color scheme `light` or `dark`.
pub(super) fn picture(page: &Path, scheme: &str) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("page.png");
    chromium(page, &format!("--screenshot={}", file.display()), scheme);
    std::fs::read(file).unwrap()
}

fn chromium(page: &Path, what: &str, scheme: &str) -> Output {
    let profile = tempfile::tempdir().unwrap();
    let preferred = if scheme == "dark" { 0 } else { 1 };
    let result = Command::new("chromium")
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--no-first-run",
        ])
        .args([
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
        ])
        .args(["--enable-logging=stderr", "--window-size=1100,1800"])
        .arg(format!("--blink-settings=preferredColorScheme={preferred}"))
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(what)
        .arg(format!("file://{}", page.display()))
        .output();
    let output = match result {
        Ok(output) => output,
        Err(error) => {
            panic!("chromium does not start ({error}); on Debian: apt-get install chromium")
        }
    };
    assert!(
        output.status.success(),
        "chromium: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    output
}
