//! The rows in the simulator: a world for each, with the clusters and routes of the Envoy that the
//! rows meet in `envoy.rs`.

use std::collections::BTreeMap;
use std::fs;

use host_sim::host::{Host, Part, Plugin, Setup};
use host_sim::model::spec::{
    Answer, Arrivals, Cluster, Direct, Fault, FaultKind, HeaderMatch, Latency, Match, Percent,
    Request, RetryPolicy, Route, Shape, Traffic,
};
use host_sim::model::world::{Plan, Watcher, World};
use host_sim::sim::clock::Time;
use host_sim::sim::span::Span;
use host_sim::vm::Module;
use spillway_tests::places;

use super::rows::Row;
use super::view::{Got, View};

/// Plays the rows one after another.
pub fn run(rows: &[Row]) -> Vec<View> {
    let bytes = fs::read(places::witness()).expect("the witness");
    let module = Module::from_bytes(&bytes).expect("a module");
    rows.iter().map(|row| play(row, &module)).collect()
}

fn play(row: &Row, module: &Module) -> View {
    let plugin = Plugin {
        name: "spillway".into(),
        vm_id: "witness".into(),
        ..Plugin::new(module.clone(), "")
    };
    let setup = Setup {
        plugin: Some(plugin),
        ..Setup::default()
    };
    let host = Host::start(setup, Time::ZERO).expect("a host");
    let mut world = World::new(plan(row), host).expect("a world");
    world.listen();
    let ran = world.run(&mut Nobody);
    ran.unwrap_or_else(|stopped| panic!("{}: {stopped:?}", row.name));
    let prefix = format!("witness {} ", row.name);
    let heard = world.heard();
    let log = heard.log.iter().filter_map(|line| {
        let at = line.find(&prefix)?;
        Some(line[at + prefix.len()..].trim_end().to_owned())
    });
    View {
        row: row.name.to_owned(),
        log: log.collect(),
        client: got(&heard.answer, heard.broken).filter(|_| !row.leaves),
    }
}

/// Nobody looks on.
pub struct Nobody;

impl Watcher for Nobody {
    fn mark(&mut self, _number: usize, _world: &World) {}
    fn progress(&mut self, _now: Time) {}
}

/// An answer from its parts; none without headers.
pub fn got(parts: &[Part], broken: bool) -> Option<Got> {
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
    let status = head.text(":status").and_then(|status| status.parse().ok());
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
    let names = [
        "gone",
        "empty",
        "hung",
        "other",
        "resetting",
        "breaking",
        "upstream",
    ];
    let mut clusters: Vec<(String, Cluster)> = names
        .iter()
        .map(|name| ((*name).to_owned(), cluster(Answer::default())))
        .collect();
    let mut faults = vec![
        fault("gone", FaultKind::Refused),
        fault("empty", FaultKind::Unhealthy),
        fault("hung", FaultKind::Hang),
        fault("resetting", FaultKind::Reset),
        fault("breaking", FaultKind::ResetAfterHeaders),
    ];
    let mut answer = Answer {
        body_bytes: 2,
        ..Answer::default()
    };
    for word in row.upstream.split_whitespace() {
        match word.split_once('=') {
            Some(("status", status)) => answer.status = status.parse().expect("a status"),
            Some(("body", text)) => answer.body_bytes = text.len() as u32,
            Some((name, value)) => {
                answer.headers.insert(name.to_owned(), value.to_owned());
            }
            None if word == "hang_mid_body" => answer.body_time = Span::from_ms(60_000),
            None => faults.push(fault("upstream", ending(word))),
        }
    }
    // The rest of a body that hangs, which never comes.
    if answer.body_time > Span::ZERO {
        answer.body_bytes = 1;
    }
    clusters.retain(|(name, _)| name != "upstream" && name != "other");
    clusters.push(("other".into(), cluster(answer.clone())));
    clusters.push(("upstream".into(), cluster(answer)));
    clusters.sort_by(|a, b| a.0.cmp(&b.0));
    Plan {
        workers: 1,
        duration: Span::from_ms(1_500),
        clusters,
        routes: routes(),
        traffic: vec![traffic(row)],
        faults,
        ..Plan::default()
    }
}

/// A cluster that answers so within a millisecond.
pub fn cluster(answer: Answer) -> Cluster {
    Cluster {
        latency: Latency(Shape::Constant(Span::from_ms(1))),
        answer,
        address: "127.0.0.1:10000".into(),
        ..Cluster::default()
    }
}

fn ending(word: &str) -> FaultKind {
    match word {
        "reset" => FaultKind::Reset,
        "reset_mid_body" => FaultKind::ResetAfterHeaders,
        "hang" => FaultKind::Hang,
        _ => panic!("no word {word}"),
    }
}

/// What befalls a cluster all the time.
pub fn fault(cluster: &str, fault: FaultKind) -> Fault {
    Fault {
        cluster: cluster.to_owned(),
        from: Span::ZERO,
        to: None,
        share: Percent::ALL,
        fault,
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
        timeout: Span::from_ms(15_000),
        ..Route::default()
    };
    let upstream = || Some("upstream".to_owned());
    vec![
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
            matches: Match {
                headers: vec![HeaderMatch {
                    name: "x-to".into(),
                    exact: None,
                    present: Some(false),
                }],
                ..Match::default()
            },
            ..to_upstream()
        },
    ]
}

/// The route of all requests.
pub fn to_upstream() -> Route {
    Route {
        cluster: Some("upstream".into()),
        timeout: Span::from_ms(15_000),
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
    row.headers
        .iter()
        .for_each(|(name, value)| add(name, value));
    Traffic {
        // One request: the next would come after the end.
        rate: Some(1.0),
        arrivals: Arrivals::Constant,
        requests: vec![Request {
            method: row.method.to_owned(),
            path: "/path?query=1".to_owned(),
            authority: "127.0.0.1:10000".to_owned(),
            headers,
            body_bytes: row.body.len() as u32,
            ..Request::default()
        }],
        timeout: row.leaves.then(|| Span::from_ms(60)),
        ..Traffic::default()
    }
}
