//! `/metrics` beside Envoy's `/stats/prometheus`.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use host_sim::prometheus;
use host_sim::proxy::{Host, Module, Plugin, Setup};
use host_sim::sim::clock::Time;
use serde_json::{Value, json};
use spillway_tests::client::Client;
use spillway_tests::eventually::{PATIENCE, found};
use spillway_tests::metrics::Series;
use spillway_tests::{Envoy, Reply, Serve, Upstream, places};
use tempfile::TempDir;
use tokio::time::timeout;

use crate::scene::{file, named, touchy};

const COUNTER: u32 = 0;
const GAUGE: u32 = 1;
const HISTOGRAM: u32 = 2;

/// Metrics of a plugin: kind, name, and what is added to it or recorded in it.
const METRICS: &[(u32, &[u8], &[i64])] = &[
    (COUNTER, b"plain", &[1]),
    (COUNTER, b"zero", &[]),
    (COUNTER, b"a.b", &[1]),
    (COUNTER, b"a-b", &[2]),
    (COUNTER, b"a_b", &[3]),
    (GAUGE, b"a_b", &[3]),
    (GAUGE, b"gauge", &[7, -2]),
    (GAUGE, b"negative", &[-5]),
    (COUNTER, b"1digit", &[1]),
    (COUNTER, b"", &[1]),
    (COUNTER, b"...", &[1]),
    (COUNTER, b"end.", &[1]),
    (COUNTER, b".start", &[1]),
    (COUNTER, b"dots..two", &[1]),
    (COUNTER, b"with space\"quote\\back\nline", &[1]),
    (COUNTER, b"nul\0x", &[1]),
    (COUNTER, b"colon:x", &[1]),
    (COUNTER, "\u{fc}n\u{ef}".as_bytes(), &[1]),
    (COUNTER, "\u{1f600}z".as_bytes(), &[1]),
    (COUNTER, b"\xed\xa0\x80z", &[1]),
    (COUNTER, b"bad\xff\xfe", &[1]),
    (COUNTER, b"x\xe2\x82y", &[1]),
    (COUNTER, b"\xc0\x80z", &[1]),
    (COUNTER, b"up_rq_503", &[1]),
    (COUNTER, b"up_rq_5xx", &[1]),
    (COUNTER, b"up_rq_503.tail", &[1]),
    (COUNTER, b"tail_rq_200_rq_503", &[1]),
    (COUNTER, b"_rq_404", &[1]),
    (COUNTER, b"http.ingress.rq_total", &[1]),
    (COUNTER, b"cluster.c.x", &[1]),
    (COUNTER, b"wasmcustom.x", &[1]),
    (COUNTER, b"B.x", &[1]),
    (COUNTER, b"b.x", &[1]),
    (COUNTER, b"b0.x", &[1]),
    (COUNTER, b"b-.x", &[1]),
    (COUNTER, b"b", &[1]),
    (COUNTER, b"b.x.y", &[1]),
    (
        COUNTER,
        b"spillway.policy.checkout.outcome.failure.requests_total",
        &[7],
    ),
    (
        COUNTER,
        b"spillway.policy.a.outcome.success.requests_total",
        &[7],
    ),
    (COUNTER, b"spillway.policy.p.t_rq_503", &[7]),
    (COUNTER, b"spillway.policy.a b.x", &[7]),
    (COUNTER, b"spillway.policy.a.policy.b.x", &[7]),
    (COUNTER, b"spillway.policy.\xff.x", &[7]),
    (COUNTER, b"spillway.policy.q", &[7]),
    (COUNTER, b"spillway.policy.q.", &[7]),
    (
        COUNTER,
        b"spillway.version.0.1.0.policy_hash.abcdef.build_info",
        &[7],
    ),
    (HISTOGRAM, b"empty_ms", &[]),
    (HISTOGRAM, b"spillway.policy.a.took_ms", &[3]),
    (
        HISTOGRAM,
        b"many",
        &[
            0, 1, 1, 5, 10, 10, 11, 25, 99, 100, 105, 109, 110, 259, 260, 1000, 2599, 2600, 12345,
            30999, 3_600_000, 9_999_999,
        ],
    ),
    (HISTOGRAM, b"below_zero", &[-5, -123_456, i64::MIN, -1]),
    (HISTOGRAM, b"large", &[i64::MAX]),
];

/// A plugin that defines the metrics once in each VM.
fn plugin() -> Vec<u8> {
    let (mut code, mut data, mut at) = (String::new(), String::new(), 4096);
    for (kind, name, numbers) in METRICS {
        let len = name.len();
        code += &format!(
            "(drop (call $define (i32.const {kind}) (i32.const {at}) (i32.const {len})
                (i32.const 16)))\n"
        );
        let call = match *kind {
            HISTOGRAM => "$record",
            _ => "$add",
        };
        for number in *numbers {
            code +=
                &format!("(drop (call {call} (i32.load (i32.const 16)) (i64.const {number})))\n");
        }
        data.extend(name.iter().map(|byte| format!("\\{byte:02x}")));
        at += len;
    }
    let text = format!(
        r#"(module
            (import "env" "proxy_define_metric"
                (func $define (param i32 i32 i32 i32) (result i32)))
            (import "env" "proxy_increment_metric" (func $add (param i32 i64) (result i32)))
            (import "env" "proxy_record_metric" (func $record (param i32 i64) (result i32)))
            (memory (export "memory") 2)
            (data (i32.const 4096) "{data}")
            (func (export "malloc") (param i32) (result i32) i32.const 1024)
            (func (export "proxy_abi_version_0_2_1"))
            (func (export "proxy_on_context_create") (param i32 i32))
            (func (export "proxy_on_configure") (param i32 i32) (result i32)
                {code} i32.const 1))"#
    );
    wat::parse_str(text).expect("a module")
}

/// The lines of Envoy's page that are not of Envoy's own metrics.
async fn of_plugins(envoy: &Envoy) -> Vec<String> {
    let admin = Client::new(envoy.admin_address());
    let page = admin.get("/stats/prometheus").await.body;
    let lines = lines(&page).into_iter().filter(|line| {
        let name = line.strip_prefix("# TYPE ").unwrap_or(line);
        name.starts_with("envoy_wasmcustom") || !name.starts_with("envoy_")
    });
    lines.collect()
}

/// The lines of a page, with what is not ASCII escaped.
fn lines(page: &[u8]) -> Vec<String> {
    let lines = page.split(|byte| *byte == b'\n');
    let lines = lines.filter(|line| !line.is_empty());
    lines.map(|line| line.escape_ascii().to_string()).collect()
}

/// A line, with the first digits of a sum. Envoy writes 32 of them.
fn rounded(line: String) -> String {
    let sum = line
        .rsplit_once(' ')
        .filter(|(name, _)| name.contains("_sum{"))
        .and_then(|(name, sum)| Some((name, sum.parse::<f64>().ok()?)));
    match sum {
        Some((name, sum)) => format!("{name} {sum:.9e}"),
        None => line,
    }
}

#[tokio::test]
async fn the_page_is_that_of_envoy_for_any_plugin() {
    let upstream = Upstream::start().await;
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("module.wasm");
    let module = plugin();
    fs::write(&path, &module).expect("a file");
    let envoy = Envoy::in_front_of(upstream.address())
        .policy_text("")
        .plugin(json!({"vm_config": {
            "vm_id": "metrics",
            "runtime": "envoy.wasm.runtime.v8",
            "code": {"local": {"filename": path}},
        }}))
        .start()
        .await;
    let module = Module::from_bytes(&module).expect("a module");
    let setup = Setup {
        plugin: Some(Plugin::new(module, "")),
        ..Setup::default()
    };
    let host = Host::start(setup, Time::ZERO).expect("a host");
    let page = prometheus::page(host.metrics());
    let simulated: Vec<String> = lines(&page).into_iter().map(rounded).collect();
    let mut real = Vec::new();
    // Envoy collects histograms from its threads every few seconds.
    let equal = found("equal pages", async || {
        real = of_plugins(&envoy).await.into_iter().map(rounded).collect();
        (real == simulated).then_some(())
    });
    if timeout(PATIENCE / 2, equal).await.is_err() {
        assert_eq!(real, simulated);
    }
}

/// Policies that have most of the filter's metrics. `held` has circuits with series.
fn policies() -> Value {
    let retry =
        json!({"budget": {"percent": 0, "min_retry_rate": {"count": 1, "interval": "10s"}}});
    let stale = json!([{"type": "stale", "on": ["failure"], "shared": true}]);
    let breaker = touchy(json!({"open": {"duration": "10m", "jitter": 0}}));
    let mut policies = file(json!([
        named("open", json!({"mode": "forced_open"})),
        named(
            "plain-1_A",
            json!({"key": [{"header": "x-tenant"}], "circuit_breaker": breaker})
        ),
        named(
            "shadow",
            json!({"mode": "shadow", "circuit_breaker": breaker})
        ),
        named("retries", json!({"retry": retry})),
        named("kept", json!({"fallback": stale})),
    ]));
    policies["metrics"] = json!({"circuits": 2});
    policies
}

/// Requests: policy, tenant, script, and the status of the response.
const TRAFFIC: [(&str, &str, &str, u16); 12] = [
    ("open", "", "", 503),
    ("plain-1_A", "a.b state.open..", "status=503", 503),
    ("plain-1_A", "a.b state.open..", "", 503),
    ("plain-1_A", "b", "status=200", 200),
    ("plain-1_A", "c", "status=503", 503),
    ("shadow", "", "status=503", 503),
    ("shadow", "", "status=503", 503),
    ("retries", "", "status=503", 503),
    ("retries", "", "status=503", 503),
    ("kept", "", "status=200", 200),
    ("kept", "", "status=503", 200),
    ("none", "", "status=503", 503),
];

async fn send_all(client: &Client) {
    for (policy, tenant, script, status) in TRAFFIC {
        let headers = [
            ("x-policy", policy),
            ("x-tenant", tenant),
            ("x-script", script),
        ];
        let answer = client.get_with("/", &headers).await;
        assert_eq!(answer.status, status, "{policy}, {tenant}, {script}");
    }
}

/// Names, labels and values of the filter's series, in the order of the page. The hash is
/// that of a text, and the operators' configuration has another one in Envoy.
fn text(series: &Series) -> String {
    let mut series = series.clone();
    if let Some(hash) = series.labels.get_mut("policy_hash") {
        assert_eq!(hash.len(), 16);
        *hash = "of 16 digits".into();
    }
    series.to_string()
}

#[tokio::test]
async fn the_filters_series_are_those_of_envoy_after_the_same_traffic() {
    let upstream = Upstream::start().await;
    upstream.reply(Reply::status(200));
    let policies = policies().to_string();
    let envoy = Envoy::in_front_of(upstream.address())
        .full_module()
        .policy_text(&policies)
        .admin_listener(json!({"policies": [], "admin": {"path_prefix": "/spillway"}}))
        .start()
        .await;
    let url = format!("http://{}", upstream.address());
    let module = places::module();
    let serve = Serve::start_with(&module, &url, &policies, &["--workers", "1"]).await;
    send_all(envoy.client()).await;
    send_all(&serve.client()).await;
    let (mut real, mut served) = (Vec::new(), Vec::new());
    let equal = found("equal series", async || {
        real = envoy
            .metrics()
            .await
            .beginning("spillway_")
            .map(text)
            .collect();
        served = serve
            .metrics()
            .await
            .beginning("spillway_")
            .map(text)
            .collect();
        (real == served).then_some(())
    });
    if timeout(PATIENCE / 2, equal).await.is_err() {
        assert_eq!(real, served);
    }
    assert!(served.len() > 60, "{}", served.join("\n"));
}

#[tokio::test]
async fn promtool_finds_no_errors_in_the_page() {
    let upstream = Upstream::start().await;
    let serve = Serve::start(&format!("http://{}", upstream.address()), &policies()).await;
    send_all(&serve.client()).await;
    let page = serve.operators().get("/metrics").await.body;
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool runs (on Debian: apt-get install prometheus)");
    let mut stdin = promtool.stdin.take().expect("a pipe");
    stdin.write_all(&page).expect("a reader");
    drop(stdin);
    let told = promtool.wait_with_output().expect("an end");
    let text = String::from_utf8_lossy(&told.stderr).into_owned();
    // It wants help texts, which Envoy's page has not either.
    let other: Vec<&str> = text
        .lines()
        .filter(|line| !line.ends_with("no help text"))
        .collect();
    assert_eq!(other, [""; 0]);
    assert!(
        text.contains("spillway_requests_total no help text"),
        "{text}"
    );
}
