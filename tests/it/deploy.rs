//! What `host-sim deploy` and `make oci` write, used as their users would use it.
//!
//! Control planes are not here. Where one stands between a resource and Envoy, the test does with
//! the resource what that control plane does, and a real Envoy runs the result.

mod envoy;
mod gateway;
mod istio;
mod oci;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};
use spillway_tests::envoy::{Deployed, free_ports};
use spillway_tests::{Reply, Upstream, places};
use tempfile::TempDir;

/// Requests that are sent, and failures in a row that open the circuit.
const REQUESTS: u64 = 5;
const FAILURES: u64 = 2;

/// A policy that opens after [`FAILURES`].
fn touchy(name: &str) -> Value {
    json!({"policies": [{
        "name": name,
        "circuit_breaker": {"consecutive_failures": FAILURES, "open": {"duration": "1h"}},
    }]})
}

fn folder() -> TempDir {
    TempDir::with_prefix("spillway-deploy-").expect("a temporary folder")
}

/// Runs `host-sim deploy` with a policy.
///
/// # Panics
///
/// Panics if it fails.
fn deploy(policy: &Value, target: &str, options: &[&str]) -> String {
    let folder = folder();
    let file = folder.path().join("policy.json");
    fs::write(&file, policy.to_string()).expect("a writable folder");
    let output = Command::new(places::host_sim())
        .args(["deploy", "--for", target])
        .args(options)
        .arg(&file)
        .output()
        .expect("host-sim runs");
    let Output {
        status,
        stdout,
        stderr,
    } = output;
    assert!(status.success(), "{}", String::from_utf8_lossy(&stderr));
    String::from_utf8(stdout).expect("text")
}

/// The documents of a YAML file.
fn documents(text: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(text).expect("YAML")
}

/// The document of this kind.
fn of_kind<'a>(documents: &'a [Value], kind: &str) -> &'a Value {
    let found = documents.iter().find(|document| document["kind"] == kind);
    found.unwrap_or_else(|| panic!("there is no {kind}"))
}

/// Starts Envoy with this bootstrap, which may name files of the folder.
async fn started(folder: TempDir, bootstrap: &str, listeners: usize) -> Deployed {
    write(folder.path(), "envoy.yaml", &free_ports(bootstrap));
    let started = Deployed::start(folder, "envoy.yaml", listeners).await;
    started.unwrap_or_else(|refusal| panic!("{}", refusal.log))
}

fn write(folder: &Path, name: &str, text: &str) {
    fs::write(folder.join(name), text).expect("a writable folder");
}

/// Fails all requests to the upstream, and sends some.
async fn failing_requests(envoy: &Deployed, listener: &str, upstream: &Upstream) {
    upstream.reply(Reply::status(503));
    for _ in 0..REQUESTS {
        assert_eq!(envoy.get(listener, "/").await.status, 503);
    }
}

/// The circuits that operators see on this listener.
async fn circuits(envoy: &Deployed, listener: &str) -> Value {
    let answer = envoy.get(listener, "/spillway/circuits").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

/// Merges as protobuf does: lists are appended to, objects are merged, other values replaced.
fn merge(target: &mut Value, patch: &Value) {
    match (target, patch) {
        (Value::Object(target), Value::Object(patch)) => {
            for (name, value) in patch {
                merge(target.entry(name.clone()).or_insert(Value::Null), value);
            }
        }
        (Value::Array(target), Value::Array(patch)) => target.extend(patch.iter().cloned()),
        (target, patch) => *target = patch.clone(),
    }
}

/// What a control plane does with a module that has to be fetched: Envoy gets a local file.
fn fetched(code: &mut Value) {
    assert!(code["remote"]["http_uri"]["uri"].is_string(), "{code}");
    *code = json!({"local": {"filename": places::module()}});
}
