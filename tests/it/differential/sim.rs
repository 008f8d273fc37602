//! Runs the rows in the simulator: one world per row, with the same clusters and routes as the
//! Envoy of `envoy.rs`.

use std::collections::BTreeMap;
use std::fs;

use host_sim::model::spec::{
    Arrivals, Cluster, Direct, Fault, FaultKind, HeaderMatch, Latency, Match, MaxStreamDuration,
    Percent, Request, Response, RetryPolicy, Route, Shape, Traffic, Upload, UpstreamProtocol,
};
use host_sim::model::world::{Observer, Plan, World};
use host_sim::proxy::{BUFFER_LIMIT_BYTES, Halt, Host, Module, Part, Plugin, Setup};
use host_sim::sim::clock::Time;
use host_sim::sim::span::Span;
use spillway_tests::places;

use super::Conditions;
use super::rows::{AUTHORITY, GRPC_STREAM, Row, TARGET};
use super::view::{Got, View};

/// Runs the rows one after another.
pub(super) fn run(rows: &[Row], conditions: Conditions) -> Vec<View> {
    let module = witness();
    let play = |row| play(row, conditions, &module);
    rows.iter().map(play).collect()
}

/// Returns what ended the run of a row early, with another script.
pub(super) fn halt(row: &Row, script: &str) -> Option<Halt> {
    let mut plan = plan(row);
    for request in plan.traffic.iter_mut().flat_map(|it| &mut it.requests) {
        request.headers.insert("x-witness".into(), script.into());
    }
    let ran = world(plan, Conditions::default(), &witness()).run(&mut Nobody);
    ran.err().map(|stopped| stopped.why)
}

fn witness() -> Module {
    let bytes = fs::read(places::witness()).expect("the witness");
    Module::from_bytes(&bytes).expect("a module")
}

fn world(plan: Plan, conditions: Conditions, module: &Module) -> World {
    let plugin = Plugin {
        name: "spillway".into(),
        vm_id: "witness".into(),
        allow_on_headers_stop_iteration: conditions.allow_on_headers_stop_iteration,
        ..Plugin::new(module.clone(), "")
    };
    let limit = conditions.per_connection_buffer_limit_bytes;
    let setup = Setup {
        plugin: Some(plugin),
        per_connection_buffer_limit_bytes: limit.unwrap_or(BUFFER_LIMIT_BYTES),
        ..Setup::default()
    };
    let host = Host::start(setup, Time::ZERO).expect("a host");
    World::new(plan, host).expect("a world")
}

fn play(row: &Row, conditions: Conditions, module: &Module) -> View {
    let plan = Plan {
        suppress_envoy_headers: conditions.suppress_envoy_headers,
        ..plan(row)
    };
    let mut world = world(plan, conditions, module);
    world.record_transcript();
    let ran = world.run(&mut Nobody);
    ran.unwrap_or_else(|stopped| panic!("{}: {stopped:?}", row.name));
    let prefix = format!("witness {} ", row.name);
    let transcript = world.transcript();
    let log = transcript.log.iter().filter_map(|line| {
        let at = line.find(&prefix)?;
        Some(line[at + prefix.len()..].trim_end().to_owned())
    });
    View {
        row: row.name.to_owned(),
        log: log.collect(),
        upstream: Vec::new(),
        upstream_body: transcript.request.filter(|_| row.shows_request).map(text),
        client: got(&transcript.response, transcript.reset).filter(|_| !row.leaves),
    }
}

/// An observer that ignores everything.
pub(super) struct Nobody;

impl Observer for Nobody {
    fn mark(&mut self, _number: usize, _world: &World) {}
    fn progress(&mut self, _now: Time) {}
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Assembles a response from its parts; `None` without headers.
pub(super) fn got(parts: &[Part], broken: bool) -> Option<Got> {
    let (mut head, mut body) = (None, Vec::new());
    for part in parts {
        match part {
            Part::Headers { map, .. } => head = Some(map.clone()),
            Part::Body { data, .. } => body.extend_from_slice(data),
            Part::Trailers { .. } => {}
        }
    }
    let head = head?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let status = head.status();
    let pairs: Vec<(String, Vec<u8>)> = head
        .iter()
        .map(|(name, value)| (text(name), value.to_vec()))
        .collect();
    let headers = pairs
        .iter()
        .filter(|(name, _)| !name.starts_with(':'))
        .map(|(name, value)| (name.as_str(), value.as_slice()));
    Some(Got::new(status.unwrap_or(0), headers, &body, !broken))
}

fn plan(row: &Row) -> Plan {
    let mut faults = vec![
        fault("gone", FaultKind::Refused),
        fault("empty", FaultKind::Unhealthy),
        fault("hung", FaultKind::Hang),
        fault("resetting", FaultKind::Reset),
        fault("breaking", FaultKind::ResetAfterHeaders),
        fault("forward", FaultKind::Unresolved),
        fault("silent", FaultKind::Unreachable),
    ];
    let mut early = false;
    let mut answer = Response {
        body_bytes: 2,
        ..Response::default()
    };
    for word in row.upstream.split_whitespace() {
        match word.split_once('=') {
            Some(("trailer", trailer)) => {
                let status = trailer.strip_prefix("grpc-status:").expect("a status");
                answer.grpc_status = status.parse().expect("a number");
            }
            Some(("status", status)) => answer.status = status.parse().expect("a status"),
            Some(("body", text)) => answer.body_bytes = text.len() as u32,
            Some((name, value)) => {
                answer.headers.insert(name.to_owned(), value.to_owned());
            }
            None if word == "hang_mid_body" => answer.body_time = Span::from_ms(60_000),
            None if word == "early" => early = true,
            None if word == "trickle" => {
                answer.body_time = Span::from_ms(60);
                answer.body_chunks = 2;
            }
            None => {
                for name in ["upstream", "brief"] {
                    faults.push(fault(name, ending(word, early)));
                }
            }
        }
    }
    // The rest of a hanging body never arrives.
    if answer.body_time > Span::from_ms(1_000) {
        answer.body_bytes = 1;
    }
    Plan {
        workers: 1,
        duration: Span::from_ms(1_500),
        clusters: clusters(&answer, early),
        routes: routes(),
        traffic: vec![traffic(row)],
        faults,
        ..Plan::default()
    }
}

/// All clusters, in the order of their names.
fn clusters(answer: &Response, answers_early: bool) -> Vec<(String, Cluster)> {
    let other = |name: &str| (name.to_owned(), cluster(Response::default()));
    let names = ["gone", "empty", "hung", "resetting", "breaking", "forward"];
    let mut clusters: Vec<_> = names.into_iter().map(other).collect();
    let mut add = |name: &str, change: fn(&mut Cluster)| {
        let mut cluster = Cluster {
            answers_early,
            ..cluster(answer.clone())
        };
        change(&mut cluster);
        clusters.push((name.to_owned(), cluster));
    };
    add("upstream", |_| {});
    add("other", |_| {});
    add("http2", |it| it.protocol = UpstreamProtocol::Http2);
    add("brief", |it| it.max_stream_duration = Span::from_ms(50));
    add("crowded", |it| it.limits.max_requests = 0);
    add("unqueued", |it| it.limits.max_pending_requests = 0);
    add("silent", |it| it.connect_timeout = Span::from_ms(100));
    clusters.sort_by(|a, b| a.0.cmp(&b.0));
    clusters
}

/// A cluster that responds like this within a millisecond.
pub(super) fn cluster(answer: Response) -> Cluster {
    Cluster {
        latency: Latency(Shape::Constant(Span::from_ms(1))),
        answer,
        address: "127.0.0.1:10000".into(),
        ..Cluster::default()
    }
}

fn ending(word: &str, early: bool) -> FaultKind {
    match word {
        "reset" if early => FaultKind::CutUpload,
        "reset" => FaultKind::Reset,
        "reset_mid_body" => FaultKind::ResetAfterHeaders,
        "hang" => FaultKind::Hang,
        _ => panic!("no word {word}"),
    }
}

/// The permanent faults of a cluster.
pub(super) fn fault(cluster: &str, fault: FaultKind) -> Fault {
    Fault {
        cluster: cluster.to_owned(),
        from: Span::ZERO,
        to: None,
        share: Percent::ALL,
        fault,
        headers: BTreeMap::new(),
    }
}

fn routes() -> Vec<Route> {
    let to = |name: &str| Route {
        name: name.to_owned(),
        matches: Match {
            headers: vec![HeaderMatch {
                name: "x-to".into(),
                exact: Some(name.to_owned()),
                present: None,
            }],
            ..Match::default()
        },
        cluster: Some(name.to_owned()),
        ..Route::default()
    };
    let upstream = || Some("upstream".to_owned());
    let lasting = |limits| Route {
        cluster: upstream(),
        timeout: Span::from_ms(20),
        max_stream_duration: Some(limits),
        ..Route::default()
    };
    vec![
        to("brief"),
        to("http2"),
        Route {
            name: "http2-lasting".into(),
            matches: to("http2-lasting").matches,
            cluster: Some("http2".into()),
            ..lasting(MaxStreamDuration {
                max_stream_duration: Some(Span::from_ms(50)),
                ..MaxStreamDuration::default()
            })
        },
        to("crowded"),
        to("unqueued"),
        to("silent"),
        to("forward"),
        Route {
            name: "lasting".into(),
            matches: to("lasting").matches,
            ..lasting(MaxStreamDuration {
                max_stream_duration: Some(Span::from_ms(50)),
                ..MaxStreamDuration::default()
            })
        },
        Route {
            name: "grpc-stream".into(),
            matches: to("grpc-stream").matches,
            ..lasting(MaxStreamDuration {
                grpc_timeout_header_max: Some(Span::ZERO),
                ..MaxStreamDuration::default()
            })
        },
        Route {
            cluster: upstream(),
            idle_timeout: Span::from_ms(50),
            ..to("quiet")
        },
        Route {
            cluster: upstream(),
            max_grpc_timeout: Some(Span::ZERO),
            ..to("grpc")
        },
        Route {
            cluster: Some("brief".into()),
            retry: RetryPolicy {
                retry_on: "5xx".into(),
                num_retries: 1,
                ..RetryPolicy::default()
            },
            ..to("brief-again")
        },
        to("other"),
        to("gone"),
        to("empty"),
        Route {
            cluster: None,
            cluster_header: Some("x-cluster".into()),
            ..to("none")
        },
        Route {
            cluster: upstream(),
            timeout: Span::from_ms(50),
            ..to("hurried")
        },
        Route {
            cluster: None,
            direct_response: Some(Direct {
                status: 201,
                body: "direct".into(),
            }),
            ..to("direct")
        },
        Route {
            cluster: upstream(),
            retry: RetryPolicy {
                retry_on: "5xx".into(),
                num_retries: 2,
                ..RetryPolicy::default()
            },
            ..to("retrying")
        },
        Route {
            name: "default".into(),
            ..to_upstream()
        },
    ]
}

/// The default route.
pub(super) fn to_upstream() -> Route {
    Route {
        cluster: Some("upstream".into()),
        ..Route::default()
    }
}

fn traffic(row: &Row) -> Traffic {
    let mut headers: BTreeMap<String, String> = BTreeMap::new();
    let mut add = |name: &str, value: &str| {
        if !value.is_empty() {
            headers.insert(name.to_owned(), value.to_owned());
        }
    };
    add("x-row", row.name);
    add("x-witness", row.probe);
    add("x-to", row.to);
    add("x-script", "..");
    let grpc = row.headers == GRPC_STREAM;
    // The simulator adds these to gRPC requests itself.
    for (name, value) in row.headers.iter().filter(|_| !grpc) {
        add(name, value);
    }
    Traffic {
        // Sends one request: the next would arrive after the end.
        rate: Some(1.0),
        arrivals: Arrivals::Constant,
        requests: vec![Request {
            method: row.method.to_owned(),
            path: TARGET.to_owned(),
            authority: AUTHORITY.to_owned(),
            headers,
            body_bytes: row.body.len() as u32,
            upload: row.unfinished.then(|| Upload {
                unfinished: true,
                ..Upload::default()
            }),
            grpc,
            ..Request::default()
        }],
        timeout: row.leaves.then(|| Span::from_ms(60)),
        ..Traffic::default()
    }
}
