//! Spillway itself in both: the same policy and requests lead to the same responses, transitions
//! and counts.

use std::fs;
use std::time::Duration;

use host_sim::model::spec::{Arrivals, Fault, FaultKind, Latency, Request, Shape, Traffic};
use host_sim::model::world::{Plan, World};
use host_sim::proxy::Module;
use host_sim::proxy::{Host, MetricKind, Part, Plugin, Setup};
use host_sim::sim::clock::Time;
use host_sim::sim::span::Span;
use serde_json::{Value, json};
use spillway_tests::{Envoy, Reply, Upstream, places};
use tokio::time::sleep;

use super::sim::{Nobody, cluster, fault, got, to_upstream};

/// One request: its delay after the previous one, the upstream's behaviour, the tenant, and the
/// query.
struct Step(u64, Does, &'static str, &'static str);

#[derive(Clone, Copy, PartialEq)]
enum Does {
    Good,
    Fail,
    Slow,
}

use Does::{Fail, Good, Slow};

/// Duration of a slow response.
const SLOW: u64 = 80;

struct Case {
    name: &'static str,
    policy: Value,
    steps: Vec<Step>,
}

/// The observations of a case.
#[derive(Debug, PartialEq)]
struct Seen {
    answers: Vec<String>,
    transitions: Vec<Value>,
    metrics: Vec<String>,
}

fn cases() -> Vec<Case> {
    let open = json!({"duration": "150ms", "jitter": 0, "multiplier": 2});
    let few = json!({"percent": 0, "min_retry_rate": {"count": 3, "interval": "10s"}});
    let plain = |steps: &[(u64, Does)]| steps.iter().map(|s| Step(s.0, s.1, "", "")).collect();
    vec![
        Case {
            name: "failures in a row, a failed probe, a good one",
            policy: json!({"circuit_breaker": {"consecutive_failures": 2, "failure_rate_threshold": 0,
                "open": open, "half_open": {"permits": 1}}}),
            steps: plain(&[
                (0, Good),
                (0, Fail),
                (0, Fail),
                (0, Good),
                (0, Good),
                (220, Fail),
                (0, Good),
                (380, Good),
                (0, Good),
                (0, Fail),
                (0, Good),
            ]),
        },
        Case {
            name: "a failure rate over a count window, with a body of its own",
            policy: json!({
                "circuit_breaker": {"window": {"type": "count", "size": 4}, "minimum_requests": 4,
                    "open": open, "half_open": {"permits": 2}},
                "fallback": [{"type": "respond", "on": ["open"], "status": 203,
                    "json": {"path": "{path}", "policy": "{policy}"}}],
            }),
            steps: plain(&[
                (0, Good),
                (0, Good),
                (0, Good),
                (0, Fail),
                (0, Fail),
                (0, Good),
                (220, Good),
                (0, Good),
                (0, Good),
            ]),
        },
        Case {
            name: "a wildcard in the name of the cluster",
            policy: json!({"match": {"clusters": ["none", "u*str*m"]},
                "circuit_breaker": {"consecutive_failures": 1, "open": open}}),
            steps: plain(&[(0, Fail), (0, Good)]),
        },
        Case {
            name: "a wildcard for another cluster",
            policy: json!({"match": {"clusters": ["u*|*", "*s"]},
                "circuit_breaker": {"consecutive_failures": 1, "open": open}}),
            steps: plain(&[(0, Fail), (0, Good)]),
        },
        Case {
            name: "a number of failures at any share",
            policy: json!({"circuit_breaker": {"failure_rate_threshold": 0,
                "failure_count_threshold": 2, "open": open, "half_open": {"permits": 1}}}),
            steps: plain(&[
                (0, Fail),
                (0, Good),
                (0, Good),
                (0, Fail),
                (0, Good),
                (220, Fail),
                (0, Good),
            ]),
        },
        Case {
            name: "an open time of a millisecond",
            policy: json!({"circuit_breaker": {"consecutive_failures": 1,
                "open": {"duration": "1ms", "multiplier": 1, "jitter": 0},
                "half_open": {"permits": 1}}}),
            steps: plain(&[(0, Fail), (20, Fail), (20, Good), (0, Good)]),
        },
        Case {
            name: "a timeout of the policy's own",
            policy: json!({"timeout": "40ms", "circuit_breaker": {"consecutive_failures": 2,
                "failure_rate_threshold": 0, "open": open, "half_open": {"permits": 1}}}),
            steps: plain(&[
                (0, Good),
                (0, Slow),
                (0, Slow),
                (0, Good),
                (220, Slow),
                (0, Good),
            ]),
        },
        Case {
            name: "a timeout with a response of its own",
            policy: json!({"timeout": "40ms", "circuit_breaker": {"open": open},
                "fallback": [{"type": "respond", "on": ["timeout"], "status": 203,
                    "json": {"late": true}}]}),
            steps: plain(&[(0, Good), (0, Slow), (0, Fail), (0, Good)]),
        },
        Case {
            name: "slow answers",
            policy: json!({"circuit_breaker": {"minimum_requests": 2, "slow_threshold": "40ms",
                "slow_rate_threshold": 50, "open": open, "half_open": {"permits": 1}}}),
            steps: plain(&[(0, Good), (0, Slow), (0, Good), (220, Slow), (0, Good)]),
        },
        Case {
            name: "failures that are answered in the upstream's place",
            policy: json!({
                "circuit_breaker": {"consecutive_failures": 2, "open": open},
                "fallback": [{"type": "respond", "on": ["failure"], "status": 200, "body": "instead"}],
            }),
            steps: plain(&[(0, Fail), (0, Good), (0, Fail), (0, Fail), (0, Good)]),
        },
        Case {
            name: "shadow",
            policy: json!({"mode": "shadow", "circuit_breaker": {"consecutive_failures": 1,
                "open": open, "half_open": {"permits": 1}}}),
            steps: plain(&[(0, Fail), (0, Good), (0, Fail), (220, Good), (0, Good)]),
        },
        Case {
            name: "tenants",
            policy: json!({"key": [{"header": "x-tenant"}],
                "circuit_breaker": {"consecutive_failures": 1, "open": open}}),
            steps: vec![
                Step(0, Fail, "a", ""),
                Step(0, Good, "a", ""),
                Step(0, Good, "b", ""),
                Step(0, Good, "", ""),
                Step(0, Fail, "b", ""),
                Step(0, Good, "b", ""),
            ],
        },
        Case {
            name: "a stored response for other values of ignored parameters",
            policy: json!({
                "circuit_breaker": {"consecutive_failures": 9, "open": open},
                "fallback": [{"type": "stale", "on": ["failure"], "shared": true,
                    "ignore_query": ["utm_*"]}],
            }),
            steps: vec![
                Step(0, Good, "", "?id=1&utm_source=a"),
                Step(0, Fail, "", "?utm_source=b&id=1"),
                Step(0, Fail, "", "?id=1"),
                Step(0, Fail, "", "?id=2&utm_source=a"),
                Step(0, Fail, "", "?id=1&utm%5Fsource=a"),
                Step(0, Fail, "", ""),
            ],
        },
        Case {
            name: "forced open",
            policy: json!({"mode": "forced_open", "label": false, "circuit_breaker": {}}),
            steps: plain(&[(0, Good), (0, Good)]),
        },
        Case {
            name: "forced closed",
            policy: json!({"mode": "forced_closed", "circuit_breaker": {
                "consecutive_failures": 1, "open": open}}),
            steps: plain(&[(0, Fail), (0, Fail), (0, Good)]),
        },
        Case {
            name: "a ramp from nothing",
            policy: json!({"circuit_breaker": {"consecutive_failures": 1, "open": open,
                "half_open": {"permits": 1}, "recovery": {"duration": "10s", "start_percent": 0}}}),
            steps: plain(&[(0, Fail), (220, Good), (0, Good)]),
        },
        Case {
            name: "retries of the router until the budget is spent",
            policy: json!({"retry": {"max_retries": 2, "budget": few}}),
            steps: plain(&[
                (0, Good),
                (250, Fail),
                (250, Fail),
                (250, Fail),
                (250, Good),
            ]),
        },
        Case {
            name: "retries of the filter until the budget is spent",
            policy: json!({"retry": {"engine": "filter", "replay": "as_received",
                "max_retries": 2, "budget": few}}),
            steps: plain(&[
                (0, Good),
                (250, Fail),
                (250, Fail),
                (250, Fail),
                (250, Good),
            ]),
        },
        Case {
            name: "no retries of what may not be repeated",
            policy: json!({"retry": {"methods": []}}),
            steps: plain(&[(0, Fail), (250, Good)]),
        },
    ]
}

#[tokio::test]
async fn the_filter_decides_alike_in_the_simulator_and_in_envoy() {
    for mut case in cases() {
        case.policy["name"] = json!("p");
        let policy = json!({"policies": [case.policy]});
        let real = in_envoy(&policy, &case.steps).await;
        let simulated = in_simulator(&policy, &case.steps);
        assert_eq!(
            real, simulated,
            "left: Envoy, right: host-sim: {}",
            case.name
        );
    }
}

async fn in_envoy(policy: &Value, steps: &[Step]) -> Seen {
    let upstream = Upstream::start().await;
    let setting = Envoy::in_front_of(upstream.address()).policy(policy.clone());
    let envoy = setting.start().await;
    let mut answers = Vec::new();
    for Step(wait, does, tenant, query) in steps {
        sleep(Duration::from_millis(*wait)).await;
        upstream.reply(match does {
            Good => Reply::status(200).body(".."),
            Fail => Reply::status(503).body(".."),
            Slow => Reply::status(200)
                .body("..")
                .after(Duration::from_millis(SLOW)),
        });
        let headers = [("x-tenant", *tenant)];
        let headers = if tenant.is_empty() { &[][..] } else { &headers };
        let answer = envoy.get_with(&format!("/path{query}"), headers).await;
        let header = |name: &str| answer.header(name).to_owned();
        answers.push(shown(answer.status.into(), header, &answer.text()));
    }
    let transitions = envoy.transitions().into_iter().map(without_times);
    Seen {
        answers,
        transitions: transitions.collect(),
        metrics: metrics(&envoy).await,
    }
}

/// How long after the last response both sides read their metrics. The last request is counted only
/// after its response, and the gauge of open circuits falls at the end of an open time. Every open
/// time of the cases has ended by then.
const SETTLING_MS: u64 = 1_000;

async fn metrics(envoy: &Envoy) -> Vec<String> {
    sleep(Duration::from_millis(SETTLING_MS)).await;
    let page = envoy.admin("/stats?format=json&filter=^wasmcustom").await;
    let page = page.json();
    let all = page["stats"].as_array().expect("a list");
    sorted(all.iter().filter_map(|entry| {
        let name = entry["name"].as_str()?.strip_prefix("wasmcustom.")?;
        Some((name.to_owned(), entry["value"].as_u64()?))
    }))
}

fn in_simulator(policy: &Value, steps: &[Step]) -> Seen {
    let bytes = fs::read(places::module()).expect("the module");
    let module = Module::from_bytes(&bytes).expect("a module");
    let setup = Setup {
        plugin: Some(Plugin::new(module, policy.to_string())),
        ..Setup::default()
    };
    let host = Host::start(setup, Time::ZERO).expect("a host");
    let mut world = World::new(plan(steps), host).expect("a world");
    world.record_transcript();
    world.run(&mut Nobody).expect("a run");
    let transcript = world.transcript();
    let transitions = transcript.log.iter().filter_map(|line| {
        let line: Value = serde_json::from_str(line).ok()?;
        (line["event"] == "transition").then(|| without_times(line))
    });
    let metrics = world.host.metrics().iter();
    let metrics = metrics.filter(|(_, kind, _)| *kind != MetricKind::Histogram);
    Seen {
        answers: answers(&transcript.response),
        transitions: transitions.collect(),
        metrics: sorted(
            metrics.map(|(name, _, value)| (String::from_utf8_lossy(name).into_owned(), value)),
        ),
    }
}

/// Delay between a response and the next request if a step sets none.
const NEXT: u64 = 6;

fn plan(steps: &[Step]) -> Plan {
    let (mut at, mut faults, mut traffic) = (1_000, Vec::new(), Vec::new());
    let waits = steps.iter().skip(1).map(|Step(wait, ..)| *wait);
    for (Step(wait, does, tenant, query), next) in steps.iter().zip(waits.chain([NEXT])) {
        // In Envoy a step immediately follows the previous response; the simulator needs explicit
        // times.
        at += wait.max(&NEXT);
        traffic.push(once(at, tenant, query));
        let slow = Latency(Shape::Constant(Span::from_ms(SLOW)));
        let kind = match does {
            Good => None,
            Fail => Some(FaultKind::Status(503)),
            Slow => Some(FaultKind::Latency(slow)),
        };
        faults.extend(kind.map(|kind| Fault {
            from: Span::from_ms(at - NEXT / 2),
            // Lasts until the next request, so that retries meet it too.
            to: Some(Span::from_ms(at + next.max(NEXT) - NEXT / 2)),
            ..fault("upstream", kind)
        }));
        at += if *does == Slow { SLOW } else { 0 };
    }
    Plan {
        workers: 1,
        duration: Span::from_ms(at + SETTLING_MS),
        clusters: vec![(
            "upstream".into(),
            cluster(host_sim::model::spec::Response {
                body_bytes: 2,
                ..Default::default()
            }),
        )],
        routes: vec![to_upstream()],
        traffic,
        faults,
        ..Plan::default()
    }
}

/// Sends one request at this millisecond.
fn once(at: u64, tenant: &str, query: &str) -> Traffic {
    let mut request = Request {
        path: format!("/path{query}"),
        ..Request::default()
    };
    if !tenant.is_empty() {
        request.headers.insert("x-tenant".into(), tenant.into());
    }
    Traffic {
        rate: Some(1.0),
        arrivals: Arrivals::Constant,
        from: Span::from_ms(at - 1_000),
        to: Some(Span::from_ms(at + 1)),
        requests: vec![request],
        ..Traffic::default()
    }
}

/// Each header block starts a response.
fn answers(parts: &[Part]) -> Vec<String> {
    let begins = |part: &Part| matches!(part, Part::Headers { .. });
    let each = parts.chunk_by(|_, next| !begins(next));
    each.filter_map(|parts| {
        let got = got(parts, false)?;
        let header = |name: &str| got.headers.get(name).cloned().unwrap_or_default();
        Some(shown(got.status, header, &got.body))
    })
    .collect()
}

/// The client's view of a decision.
fn shown(status: u64, header: impl Fn(&str) -> String, body: &str) -> String {
    let names = [
        "x-circuit-state",
        "x-circuit-fallback",
        "retry-after",
        "content-type",
    ];
    let headers = names.map(header).join(" ");
    format!("{status} {headers} {body}")
}

fn without_times(mut line: Value) -> Value {
    line["lasted_ms"].take();
    line
}

fn sorted(metrics: impl Iterator<Item = (String, u64)>) -> Vec<String> {
    let mut lines: Vec<String> = metrics
        .filter(|(name, value)| name.starts_with("spillway.") && *value > 0)
        .map(|(name, value)| format!("{name} {value}"))
        .collect();
    lines.sort();
    lines
}
