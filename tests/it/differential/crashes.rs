//! Actions of a plugin that crash Envoy. The simulator's run has to end at exactly these.

use std::time::Duration;

use host_sim::proxy::Halt;
use spillway_tests::{Client, Envoy, Upstream, client, eventually};
use tokio::time::timeout;

use super::Conditions;
use super::rows::{GET, POST, Row};
use super::{envoy, sim};

/// A callback: the script that leads to it, its name in scripts, and its request.
const CALLBACKS: [(&str, &str, Row); 10] = [
    ("", "reqh", GET),
    ("", "reqh", POST),
    ("", "reqb@1", POST),
    ("", "resh", GET),
    ("", "resb@1", GET),
    ("reqh pause;reqh call upstream /called 1000;", "call", GET),
    ("resh pause;resh call upstream /called 1000;", "call", GET),
    // The callbacks for a local reply of the plugin itself.
    ("reqh local 417 own own -1;", "resh@1", GET),
    ("", "log", GET),
    ("", "done", GET),
];

const REPLY: &str = "local 418 first first -1";
const OTHER: &str = "local 419 second second -1";
const CLOSE: &str = "close 0";
const RESUME: &str = "resume response";

/// What the plugin does in the callback.
const ACTIONS: [&[&str]; 8] = [
    &[REPLY],
    &[CLOSE],
    &[REPLY, OTHER],
    &[REPLY, CLOSE],
    &[CLOSE, REPLY],
    &[CLOSE, CLOSE],
    &[REPLY, "resume request"],
    &[CLOSE, RESUME],
];

/// How long a client waits. A plugin may leave its stream without a response.
const PATIENCE: Duration = Duration::from_millis(500);

#[tokio::test]
async fn the_simulator_ends_where_envoy_crashes() {
    let upstream = Upstream::start().await;
    let mut real = None;
    let (mut crashes, mut different) = (0, Vec::new());
    for (before, callback, row) in CALLBACKS {
        for actions in ACTIONS {
            let steps = actions.iter().map(|action| format!("{callback} {action}"));
            let script = format!("{before}{}", steps.collect::<Vec<_>>().join(";"));
            let envoy = match real.take() {
                Some(envoy) => envoy,
                None => envoy::world(&upstream, Conditions::default()).start().await,
            };
            let crashed = has_crashed(&envoy, &row, &script).await;
            let halt = sim::halt(&row, &script);
            if crashed != matches!(halt, Some(Halt::Crash(_))) {
                let (method, seen) = (row.method, if crashed { "crashes" } else { "goes on" });
                different.push(format!(
                    "{method} {script}: Envoy {seen}, host-sim: {halt:?}"
                ));
            }
            crashes += usize::from(crashed);
            real = Some(envoy).filter(|_| !crashed);
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
    // Without crashes, the test would compare nothing.
    assert!(crashes > 30, "{crashes}");
}

async fn has_crashed(envoy: &Envoy, row: &Row, script: &str) -> bool {
    let headers = [("x-row", "crash"), ("x-witness", script)];
    let request = client::request(row.method, "/", &headers, row.body);
    // Envoy ends the connection of a stream that its plugin closed.
    let client = Client::unpooled(envoy.address());
    let _answer = timeout(PATIENCE, client.try_send(request)).await;
    // The only worker serves the next request once it is done with this one.
    let next = client::request("GET", "/", &[], "");
    let crashed = client.try_send(next).await.is_err();
    if crashed {
        eventually("the end of the process", async || envoy.has_ended()).await;
    }
    crashed
}
