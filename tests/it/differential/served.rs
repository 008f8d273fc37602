//! Runs the rows in `host-sim serve`.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;

use spillway_tests::places;
use spillway_tests::serve::Serve;
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

use super::envoy::{LONGEST, POLL, lines, send, shown, upstream};
use super::rows::Row;
use super::view::View;

/// Starts the proxy with the names of Envoy's setting.
async fn start(upstream: SocketAddr) -> Serve {
    let folder = TempDir::new().expect("a folder");
    // The plugin has the name of its file.
    let module = folder.path().join("spillway.wasm");
    fs::copy(places::witness(), &module).expect("the witness");
    let url = format!("http://{upstream}");
    let mut command = Command::new(places::host_sim());
    command.args(["serve", "--upstream", &url, "--workers", "1"]);
    command.arg("--module").arg(&module);
    for option in ["--listen", "--operators"] {
        command.args([option, "127.0.0.1:0"]);
    }
    command.args(["--cluster", &format!("http2=h2c://{upstream}")]);
    command.args(["--cluster", "gone=http://127.0.0.1:1"]);
    for name in ["other", "hung", "resetting", "breaking"] {
        command.args(["--cluster", &format!("{name}={url}")]);
    }
    Serve::run(command, folder).await
}

/// Sends the rows one after another and reads the log lines of each.
pub(super) async fn run(rows: &[Row]) -> Vec<View> {
    let upstream = upstream().await;
    let serve = start(upstream.address()).await;
    let client = serve.client();
    let mut views = Vec::new();
    for row in rows {
        upstream.forget();
        let response = send(&client, serve.address(), row).await;
        let ended = format!("witness {} done\n", row.name);
        // A stream that does not end lacks this line, and so its row differs.
        let _ended = timeout(LONGEST, async {
            while !serve.log().contains(&ended) {
                sleep(POLL).await;
            }
        })
        .await;
        views.push(View {
            row: row.name.to_owned(),
            log: Vec::new(),
            upstream: Vec::new(),
            upstream_body: shown(&upstream, row),
            client: response,
        });
    }
    // A row's last steps are logged after the line that ends it.
    let end = client.get("/").await;
    assert_eq!(end.status, 200);
    let log = serve.log();
    for view in &mut views {
        view.log = lines(&log, &view.row);
        for line in &mut view.log {
            // The VM has the name of the plugin.
            *line = line.replace(
                "plugin_vm_id -> 0 \"spillway\"",
                "plugin_vm_id -> 0 \"witness\"",
            );
        }
    }
    views
}
