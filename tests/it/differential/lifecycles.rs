//! Events of the plugin as a whole: modules that do not load, starts, traps, local replies of
//! filters closer to the client.

use std::fs;
use std::time::Duration;

use host_sim::headers::HeaderMap;
use host_sim::model::spec::{Arrivals, Request, Response, Traffic};
use host_sim::model::world::{Plan, World};
use host_sim::proxy::Module;
use host_sim::proxy::stream::info::StreamInfo;
use host_sim::proxy::{FailurePolicy, Host, Part, Plugin, Setup};
use host_sim::sim::clock::Time;
use host_sim::sim::span::Span;
use serde_json::{Value, json};
use spillway_tests::envoy::Setting;
use spillway_tests::{Envoy, Upstream, eventually, places};
use tempfile::TempDir;
use tokio::time::sleep;

use super::sim::{Nobody, cluster, to_upstream};

fn witness() -> Module {
    let bytes = fs::read(places::witness()).expect("the witness");
    Module::from_bytes(&bytes).expect("a module")
}

fn in_front_of(upstream: &Upstream, module: &std::path::Path, configuration: &str) -> Setting {
    Envoy::in_front_of(upstream.address())
        .policy_text(configuration)
        .plugin(json!({"vm_config": {
            "vm_id": "witness",
            "runtime": "envoy.wasm.runtime.v8",
            "code": {"local": {"filename": module}},
        }}))
}

/// The witness's log lines of a row, without their prefix.
fn lines<'a>(log: impl Iterator<Item = &'a str>, row: &str) -> Vec<String> {
    let prefix = format!("witness {row} ");
    let found = log.filter_map(|line| Some(line[line.find(&prefix)? + prefix.len()..].trim()));
    found.map(str::to_owned).collect()
}

#[tokio::test]
async fn a_module_that_does_not_load_gives_the_same_error() {
    let upstream = Upstream::start().await;
    let folder = TempDir::new().expect("a folder");
    let modules = [
        r#"(module (memory (export "memory") 1))"#,
        r#"(module (func (export "proxy_abi_version_0_2_1")))"#,
        r#"(module (import "env" "nosuch" (func)) (memory (export "memory") 1)
            (func (export "malloc") (param i32) (result i32) i32.const 1024)
            (func (export "proxy_abi_version_0_2_1")))"#,
        r#"(module (import "env" "proxy_log" (func (param i64) (result i32)))
            (memory (export "memory") 1)
            (func (export "malloc") (param i32) (result i32) i32.const 1024)
            (func (export "proxy_abi_version_0_2_1")))"#,
    ];
    for text in modules {
        let bytes = wat::parse_str(text).expect("a module");
        let path = folder.path().join("module.wasm");
        fs::write(&path, &bytes).expect("a file");
        let refused = in_front_of(&upstream, &path, "").try_start().await;
        let log = refused.err().expect("a refusal").log;
        let loaded = Module::from_bytes(&bytes).map_err(|error| error.to_string());
        let started = loaded.and_then(|module| {
            let setup = Setup {
                plugin: Some(Plugin::new(module, "")),
                ..Setup::default()
            };
            Host::start(setup, Time::ZERO).map_err(|error| error.to_string())
        });
        let simulated = started.err().expect("a refusal");
        assert!(log.contains(&simulated), "{simulated:?} is not in\n{log}");
    }
}

#[tokio::test]
async fn a_plugin_is_started_and_configured_equally_often() {
    let upstream = Upstream::start().await;
    let envoy = in_front_of(&upstream, &places::witness(), "")
        .concurrency(2)
        .start()
        .await;
    let setup = Setup {
        plugin: Some(Plugin::new(witness(), "")),
        workers: 2,
        ..Setup::default()
    };
    let mut host = Host::start(setup, Time::ZERO).expect("a host");
    let log = host.take_log();
    let simulated = lines(log.iter().map(|line| line.text.as_str()), "root");
    // Envoy's threads interleave in any order.
    let sorted = |mut lines: Vec<String>| {
        lines.sort();
        lines
    };
    let real = lines(envoy.log().lines(), "root");
    assert_eq!(sorted(real), sorted(simulated));
}

#[tokio::test]
async fn a_local_reply_of_an_earlier_filter_is_only_logged() {
    let upstream = Upstream::start().await;
    let fault = json!({
        "name": "fault",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault",
            "abort": {"http_status": 429, "percentage": {"numerator": 100}},
        },
    });
    let setting = in_front_of(&upstream, &places::witness(), "").before(fault);
    let envoy = setting.start().await;
    assert_eq!(envoy.get("/").await.status, 429);
    let seen = || lines(envoy.log().lines(), "");
    eventually("the end of the stream", async || !seen().is_empty()).await;
    let setup = Setup {
        plugin: Some(Plugin::new(witness(), "")),
        ..Setup::default()
    };
    let mut host = Host::start(setup, Time::ZERO).expect("a host");
    host.take_log();
    let stream = host.open(StreamInfo::default());
    let headers = |name, value| Some(HeaderMap::from([(name, value)]));
    host.answered_elsewhere(stream, headers(":path", "/"), headers(":status", "429"));
    host.close(stream);
    let log = host.take_log();
    let simulated = lines(log.iter().map(|line| line.text.as_str()), "");
    assert_eq!(seen(), simulated);
}

#[tokio::test]
async fn a_panic_of_go_shows_its_message() {
    let upstream = Upstream::start().await;
    let folder = TempDir::new().expect("a folder");
    let guest = places::root().join("tests/guests/go_panic.wat");
    let bytes = wat::parse_file(guest).expect("a module");
    let path = folder.path().join("module.wasm");
    fs::write(&path, &bytes).expect("a file");
    let envoy = in_front_of(&upstream, &path, "").start().await;
    assert_eq!(envoy.get("/").await.status, 503);
    let log = envoy.log();
    let module = Module::from_bytes(&bytes).expect("a module");
    let setup = Setup {
        plugin: Some(Plugin::new(module, "")),
        ..Setup::default()
    };
    let mut host = Host::start(setup, Time::ZERO).expect("a host");
    let stream = host.open(StreamInfo::default());
    let map = HeaderMap::from([(":method", "GET"), (":path", "/")]);
    host.request(stream, Part::Headers { map, end: true });
    let simulated: Vec<_> = host.take_log().into_iter().map(|line| line.text).collect();
    let [message, waits, trap] = simulated.as_slice() else {
        panic!("{simulated:?}");
    };
    assert_eq!(message, "panic: boom");
    let trap = trap.lines().next().unwrap_or_default();
    for line in [message.as_str(), waits, trap] {
        assert!(log.contains(line), "{line:?} is not in\n{log}");
    }
}

/// Arrival times in milliseconds after the start. The second request traps; the last arrives when a
/// new VM may have started.
const TIMES: [u64; 4] = [50, 60, 70, 2_500];
const TRAPPING: usize = 1;

#[tokio::test]
async fn a_trap_fails_the_same_requests_under_each_policy() {
    let policies = [
        ("FAIL_CLOSED", FailurePolicy::Closed),
        ("FAIL_OPEN", FailurePolicy::Open),
        ("FAIL_RELOAD", FailurePolicy::Reload),
    ];
    for (name, policy) in policies {
        let phases = ["reqh", "resh", "log"];
        for phase in phases {
            let script = format!("{phase} trap");
            let real = trapped_in_envoy(name, &script).await;
            let simulated = trapped_in_simulator(policy, &script);
            assert_eq!(
                real, simulated,
                "left: Envoy, right: host-sim: {name}, {phase}"
            );
        }
    }
}

async fn trapped_in_envoy(policy: &str, script: &str) -> Vec<u16> {
    let upstream = Upstream::start().await;
    let mut setting = in_front_of(&upstream, &places::witness(), "");
    let mut plugin: Value = json!({"failure_policy": policy});
    plugin["vm_config"] = json!({
        "vm_id": "witness",
        "runtime": "envoy.wasm.runtime.v8",
        "code": {"local": {"filename": places::witness()}},
    });
    setting = setting.plugin(plugin);
    let envoy = setting.start().await;
    let mut statuses = Vec::new();
    for (number, at) in TIMES.iter().enumerate() {
        let before = number.checked_sub(1).map_or(0, |before| TIMES[before]);
        sleep(Duration::from_millis(at - before)).await;
        let probe = if number == TRAPPING { script } else { "" };
        statuses.push(envoy.get_with("/", &[("x-witness", probe)]).await.status);
    }
    statuses
}

fn trapped_in_simulator(policy: FailurePolicy, script: &str) -> Vec<u16> {
    let plugin = Plugin {
        failure_policy: policy,
        ..Plugin::new(witness(), "")
    };
    let setup = Setup {
        plugin: Some(plugin),
        ..Setup::default()
    };
    let host = Host::start(setup, Time::ZERO).expect("a host");
    let traffic = TIMES.iter().enumerate().map(|(number, at)| {
        let probe = if number == TRAPPING { script } else { "" };
        Traffic {
            rate: Some(1_000.0),
            arrivals: Arrivals::Constant,
            from: Span::from_ms(at - 1),
            to: Some(Span::from_ns(at * 1_000_000 + 500_000)),
            requests: vec![Request {
                headers: [("x-witness".to_owned(), probe.to_owned())].into(),
                ..Request::default()
            }],
            ..Traffic::default()
        }
    });
    let plan = Plan {
        workers: 1,
        duration: Span::from_ms(3_000),
        clusters: vec![("upstream".into(), cluster(Response::default()))],
        routes: vec![to_upstream()],
        traffic: traffic.collect(),
        ..Plan::default()
    };
    let mut world = World::new(plan, host).expect("a world");
    world.record_transcript();
    world.run(&mut Nobody).expect("a run");
    let statuses = world
        .transcript()
        .response
        .into_iter()
        .filter_map(|part| match part {
            Part::Headers { map, .. } => map.text(":status")?.parse().ok(),
            Part::Body { .. } | Part::Trailers { .. } => None,
        });
    statuses.collect()
}
