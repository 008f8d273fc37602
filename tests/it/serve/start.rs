//! Starts that fail, with their messages and exit codes.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};
use spillway_tests::{Upstream, places};
use tempfile::TempDir;

use super::lasting;
use crate::scene::policy;

#[tokio::test]
async fn a_proxy_that_cannot_start_says_why() {
    let upstream = Upstream::start().await;
    let url = format!("http://{}", upstream.address());
    let rows: [(Value, &[&str], i32, &str); 5] = [
        (
            lasting(),
            &["--listen", "127.0.0.1:port"],
            2,
            "invalid value '127.0.0.1:port'",
        ),
        (lasting(), &["--workers", "0"], 2, "invalid value '0'"),
        (lasting(), &["--cluster", "nothing"], 2, "--cluster: "),
        (
            lasting(),
            &["--module", "missing.wasm"],
            2,
            "missing.wasm: cannot be read",
        ),
        (policy(json!({"retry": 5})), &[], 1, "policies[0].retry"),
    ];
    for (policy, arguments, code, message) in rows {
        let folder = TempDir::new().expect("a folder");
        let file = folder.path().join("policy.json");
        fs::write(&file, policy.to_string()).expect("a file");
        let output = Command::new(places::host_sim())
            .args(["serve", "--upstream", &url, "--policy"])
            .arg(file)
            .env("SPILLWAY_WASM", places::module())
            .args(["--operators", "127.0.0.1:0"])
            .args(arguments)
            .output()
            .expect("host-sim runs");
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(told.contains(message), "{message:?} is not in\n{told}");
        assert_eq!(output.status.code(), Some(code), "{told}");
        assert_eq!(output.stdout, b"", "{arguments:?}");
    }
    let taken = upstream.address().to_string();
    let output = Command::new(places::host_sim())
        .args(["serve", "--upstream", &url, "--listen", &taken])
        .args(["--operators", "127.0.0.1:0"])
        .env("SPILLWAY_WASM", places::empty())
        .output()
        .expect("host-sim runs");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(
        told.contains(&format!("cannot listen on {taken}")),
        "{told}"
    );
    assert_eq!(output.status.code(), Some(2));
}
