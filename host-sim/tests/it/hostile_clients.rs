//! What one hostile client can change for four honest ones.
//!
//! Each row is an input that a client controls: method, path, authority, a header, a body, an
//! upload, or when it disconnects. The client sends it 100 times a second for a minute. This
//! must change neither the responses of the honest clients nor the memory of a VM beyond its
//! limits. An outage in the middle of the minute puts circuits, budgets and fallbacks in use.
//! The responses of the honest clients are compared with a run without a hostile client.

use std::path::Path;

use host_sim::record::{Outcome, State, Tally};
use host_sim::scenario::Scenario;
use host_sim::scenario::play::{Run, play};
use host_sim::sim::span::Span;

use crate::proxy::{built, spillway_module};

/// A label, and the request of the hostile client in the syntax of a scenario's traffic.
type Row = (&'static str, &'static str);

const ROWS: &[Row] = &[
    // Methods.
    ("HEAD", "{path: /items/1, method: HEAD}"),
    (
        "DELETE of what others read",
        "{path: /items/1, method: DELETE, headers: {x-status: '404'}}",
    ),
    ("OPTIONS", "{path: /items/1, method: OPTIONS}"),
    ("PROPFIND", "{path: /items/1, method: PROPFIND}"),
    (
        "a method that nobody knows",
        "{path: /items/1, method: 'X{n}'}",
    ),
    ("a method in lower case", "{path: /items/1, method: get}"),
    // Paths.
    ("invented paths", "{path: '/items/{uuid}'}"),
    ("invented queries", "{path: '/items/1?{uuid}'}"),
    ("a path of 4 KB", "{path: '/items/LONG'}"),
    (
        "a path with markup",
        "{path: '/items/<script>{n}</script>'}",
    ),
    // Authorities, with their ports.
    (
        "invented ports",
        "{path: /v/1, authority: 'shop.example:{n}'}",
    ),
    (
        "invented authorities",
        "{path: /v/1, authority: '{uuid}.example'}",
    ),
    (
        "an authority in upper case",
        "{path: /v/1, authority: SHOP.EXAMPLE}",
    ),
    ("an authority of 4 KB", "{path: /v/1, authority: LONG}"),
    // The headers that keys, rules and the router read.
    (
        "invented tenants",
        "{path: /t/1, headers: {x-tenant: '{uuid}'}}",
    ),
    (
        "a tenant of 4 KB",
        "{path: /t/1, headers: {x-tenant: LONG}}",
    ),
    (
        "a claim to be gRPC",
        "{path: /items/1, headers: {content-type: application/grpc}}",
    ),
    (
        "a gRPC deadline",
        "{path: /items/1, headers: {content-type: application/grpc, grpc-timeout: 1m}}",
    ),
    (
        "gRPC attempts",
        "{path: /items/1, headers: {grpc-previous-rpc-attempts: '9'}}",
    ),
    (
        "a deadline of 1 ms",
        "{path: /items/1, headers: {x-envoy-upstream-rq-timeout-ms: '1'}}",
    ),
    (
        "a deadline for a try",
        "{path: /items/1, headers: {x-envoy-upstream-rq-per-try-timeout-ms: '1'}}",
    ),
    (
        "retries",
        "{path: /items/1, headers: {x-envoy-retry-on: '5xx,retriable-4xx,connect-failure', x-envoy-max-retries: '100'}}",
    ),
    (
        "gRPC retries",
        "{path: /items/1, headers: {x-envoy-retry-grpc-on: unavailable, x-envoy-max-retries: '100'}}",
    ),
    (
        "an attempt count",
        "{path: /items/1, headers: {x-envoy-attempt-count: '7'}}",
    ),
    (
        "an idempotency key",
        "{path: /items/1, method: POST, headers: {idempotency-key: '{uuid}'}, body_bytes: 10}",
    ),
    (
        "another path for Envoy",
        "{path: /items/1, headers: {x-envoy-original-path: /t/1}}",
    ),
    (
        "the header of a route",
        "{path: /v/1, authority: shop.example, headers: {x-divert: 'yes'}}",
    ),
    (
        "credentials",
        "{path: /items/1, headers: {authorization: 'Bearer {uuid}', cookie: 'id={n}'}}",
    ),
    ("a range", "{path: /items/1, headers: {range: 'bytes=0-1'}}"),
    (
        "conditions",
        "{path: /items/1, headers: {if-none-match: '*', if-modified-since: 'Thu, 01 Jan 1970 00:00:00 GMT'}}",
    ),
    (
        "cache control",
        "{path: /items/1, headers: {cache-control: 'no-store, max-age=0', pragma: no-cache}}",
    ),
    (
        "invented variants",
        "{path: /items/1, headers: {accept-language: '{uuid}'}}",
    ),
    (
        "accept",
        "{path: /items/1, headers: {accept: 'text/html;q=0.{random:9}'}}",
    ),
    (
        "a request id with markup",
        "{path: /items/1, headers: {x-request-id: '\"><script>{n}'}}",
    ),
    (
        "another protocol",
        "{path: /items/1, headers: {upgrade: websocket, connection: upgrade}}",
    ),
    (
        "hops",
        "{path: /items/1, headers: {connection: 'x-tenant, accept', te: trailers}}",
    ),
    (
        "an expectation",
        "{path: /items/1, method: POST, headers: {expect: 100-continue}, body_bytes: 10}",
    ),
    // Bodies.
    ("a GET with a body", "{path: /items/1, body_bytes: 100}"),
    (
        "a body of 200 KB",
        "{path: /items/1, method: POST, body_bytes: 200000}",
    ),
    (
        "trailers",
        "{path: /items/1, method: PUT, body_bytes: 10, trailers: {x-t: '1'}}",
    ),
    (
        "a slow upload",
        "{path: /items/1, method: POST, body_bytes: 1000, upload: {chunks: 10, interval: 1s}}",
    ),
    (
        "an upload that never ends",
        "{path: /items/1, method: POST, body_bytes: 1000, upload: {chunks: 2, interval: 10ms, unfinished: true}}",
    ),
    (
        "large uploads that never end",
        "{path: /items/1, method: PUT, body_bytes: 60000, upload: {chunks: 2, interval: 10ms, unfinished: true}}",
    ),
    (
        "a PUT that never ends",
        "{path: /items/1, method: PUT, body_bytes: 1000, upload: {chunks: 2, interval: 10ms, unfinished: true}}",
    ),
    // When it leaves.
    ("leaves at once", "{path: /items/1, timeout: 1ns}"),
    (
        "leaves in its upload",
        "{path: /items/1, method: PUT, body_bytes: 100, upload: {chunks: 10, interval: 10ms}, timeout: 50ms}",
    ),
    (
        "leaves before the response",
        "{path: /items/1, timeout: 10ms}",
    ),
    ("leaves in the response", "{path: /items/1, timeout: 25ms}"),
];

/// Traffic of the honest clients, with the share of it that the outage may affect.
const HONEST: &str = r"
- {name: reader, rate: 10, arrivals: constant, requests: [{path: '/items/{random:5}'}]}
- {name: writer, rate: 10, arrivals: constant, requests: [{path: /items/w, method: POST, body_bytes: 100}]}
- {name: tenant, rate: 10, arrivals: constant, requests: [{path: /t/1, headers: {x-tenant: gold}}]}
- {name: vhost, rate: 10, arrivals: constant, requests: [{path: /v/1, authority: shop.example}]}
";

/// Limits of the cluster, out of reach. Unfinished uploads would reach Envoy's default of 1,024
/// requests within ten seconds, and no filter can help requests that the host rejects.
const LIMITS: &str =
    "{max_connections: 100000, max_pending_requests: 100000, max_requests: 100000}";

/// Request of the last client in the run without a hostile one.
const BENIGN: &str = "{path: '/items/{random:5}'}";

const NAMES: [&str; 4] = ["reader", "writer", "tenant", "vhost"];

/// Start and end in seconds of the windows before, in and after the outage. The gap after the
/// outage is two open durations long, so that circuits can close.
const WINDOWS: [(u32, u32); 3] = [(0, 20), (20, 40), (50, 60)];

const POLICY: &str = r#"
  limits: {keys: 100}
  policies:
  - name: tenants
    match: {paths: [{prefix: /t/}]}
    key: [{header: x-tenant}]
    circuit_breaker: &breaker
      window: {type: time, duration: 10s}
      minimum_requests: 20
      slow_threshold: 500ms
      slow_rate_threshold: 50
      consecutive_failures: 10
      open: {duration: 2s, max_duration: 4s}
      half_open: {permits: 5}
    fallback: [{type: respond, on: [open, failure], status: 200, json: {tenant: true}}]
  - name: vhosts
    match: {paths: [{prefix: /v/}]}
    key: [authority]
    circuit_breaker: *breaker
    fallback:
    - {type: respond, on: [open, failure], status: 200, json: {at: "{path}"}}
  - name: items
    circuit_breaker: *breaker
    retry: {max_retries: 2}
    fallback:
    - {type: stale, on: [open, failure], shared: true}
    - {type: respond, on: [open, failure], status: 200, json: {at: "{path}", id: "{request_id}"}}
"#;

fn run(request: &str) -> Run {
    let request = request.replace("LONG", &"x".repeat(4096));
    let mut expect = String::new();
    for name in NAMES {
        for (from, to) in WINDOWS {
            let line =
                format!("- {{between: [{from}s, {to}s], client: calls, source: {name}, min: 1}}\n");
            expect.push_str(&line);
        }
    }
    let text = format!(
        "policy:{POLICY}
duration: 60s
workers: 2
clusters: {{items: {{latency: 20ms, answer: {{body_bytes: 500, body_time: 10ms}}, limits: {LIMITS}}}}}
traffic:{HONEST}- {{name: other, rate: 100, arrivals: constant, requests: [{request}]}}
faults: [{{cluster: items, from: 20s, to: 40s, fault: {{status: 503}}}}]
expect:
{expect}- {{metric: machine_bytes, max: 67108864}}
- {{metric: shared_data_bytes, max: 16777216}}
- {{metric: shared_data_names, max: 20000}}
"
    );
    let scenario = Scenario::parse(&text, Path::new("."));
    let scenario = scenario.unwrap_or_else(|problems| panic!("{problems:?}\n{text}"));
    let module = spillway_module(&scenario.plugin.as_ref().unwrap().configuration);
    play(&scenario, Some(&module), 1, &mut |_| ()).unwrap()
}

/// Returns the tallies of an honest client: before, in and after the outage.
fn tallies<'a>(run: &'a Run, name: &str) -> Vec<&'a Tally> {
    let names = &run.record.names.sources;
    let place = names.iter().position(|it| it == name);
    let windows = run.record.windows.iter();
    windows
        .filter(|it| it.source == place)
        .map(|it| &it.tally)
        .collect()
}

/// Percentage of the ended calls that succeeded, fallbacks included.
fn good(tally: &Tally) -> f64 {
    tally.success_percent()
}

/// Lists the differences between the run of a row and the honest run.
fn differences(row: &Row, honest: &Run) -> Vec<String> {
    let run = run(row.1);
    let mut wrong = Vec::new();
    for verdict in run.verdicts.iter().filter(|verdict| !verdict.held) {
        wrong.push(format!("{}: {}", verdict.text, verdict.seen));
    }
    if run.record.errors_total > 0 {
        wrong.push(format!("errors logged: {:?}", run.record.errors.first()));
    }
    for name in NAMES {
        let (seen, wanted) = (tallies(&run, name), tallies(honest, name));
        for (place, when) in [(0, "before the outage"), (2, "after the outage")] {
            let (seen, calls) = (
                seen[place].outcome(Outcome::Success),
                seen[place].calls_ended,
            );
            if seen != calls {
                wrong.push(format!(
                    "{name} {when}: {seen} of {calls} answered by the upstream"
                ));
            }
        }
        let (seen, wanted) = (good(seen[1]), good(wanted[1]));
        if seen < wanted - 1.0 {
            wrong.push(format!(
                "{name} in the outage: {seen:.1} % good, {wanted:.1} % without"
            ));
        }
    }
    wrong
}

#[test]
fn a_hostile_client_changes_nothing_for_others() {
    let honest = run(BENIGN);
    for name in NAMES {
        let tallies = tallies(&honest, name);
        assert_eq!(tallies.len(), WINDOWS.len());
        assert!(tallies.iter().all(|it| it.calls_ended > 90), "{name}");
    }
    let mut wrong = Vec::new();
    for row in ROWS {
        let found = differences(row, &honest);
        wrong.extend(found.iter().map(|it| format!("{}: {it}", row.0)));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Well-behaved requests: complete with their headers, or with a body shortly after.
const GOOD: [&str; 2] = [
    "{path: /items/2}",
    "{path: /items/2, method: POST, body_bytes: 100}",
];

/// Requests that 100 clients a second send to a half-open circuit, beside 10 good requests.
const WEDGES: &[Row] = &[
    (
        "uploads that never end",
        "{path: /items/1, method: POST, body_bytes: 100, upload: {chunks: 2, interval: 10ms, unfinished: true}}",
    ),
    (
        "uploads that never begin",
        "{path: /items/1, method: POST, body_bytes: 100, upload: {chunks: 1, interval: 1h, unfinished: true}}",
    ),
    ("streams that last a minute", "{path: /streams/1}"),
    (
        "clients that leave at once",
        "{path: /items/1, timeout: 1ns}",
    ),
    (
        "clients that leave before the response",
        "{path: /items/1, timeout: 5ms}",
    ),
    ("only ignored statuses", "{path: /teapots/1}"),
];

const TWO_OPEN_TIMES: Span = Span::from_ms(4_000);

fn half_open(request: &str, good: &str) -> Run {
    let text = format!(
        "policy:
  policies:
  - name: p
    key: []
    outcome: {{ignore_status: ['418']}}
    circuit_breaker:
      window: {{type: time, duration: 10s}}
      consecutive_failures: 10
      open: {{duration: 2s, multiplier: 1, jitter: 0}}
      half_open: {{permits: 5, lease: 30s}}
duration: 60s
workers: 2
clusters:
  items: {{latency: 20ms, limits: {LIMITS}}}
  streams: {{latency: 20ms, answer: {{body_bytes: 100, body_time: 60s}}, limits: {LIMITS}}}
  teapots: {{latency: 20ms, answer: {{status: 418}}, limits: {LIMITS}}}
routes:
- {{match: {{prefix: /streams/}}, cluster: streams, timeout: 0s}}
- {{match: {{prefix: /teapots/}}, cluster: teapots}}
- {{cluster: items}}
traffic:
- {{name: good, rate: 10, arrivals: constant, requests: [{good}]}}
- {{name: other, rate: 100, arrivals: constant, requests: [{request}]}}
faults:
- {{cluster: items, from: 10s, to: 20s, fault: {{status: 503}}}}
- {{cluster: streams, from: 10s, to: 20s, fault: {{status: 503}}}}
- {{cluster: teapots, from: 10s, to: 20s, fault: {{status: 503}}}}
expect:
- {{at: 28s, circuit: p, state: closed}}
- {{between: [28s, 59s], client: success_rate, source: good, equals: 100}}
"
    );
    let scenario = Scenario::parse(&text, Path::new("."));
    let scenario = scenario.unwrap_or_else(|problems| panic!("{problems:?}\n{text}"));
    // The lite module does not promise this for streams.
    let module = built("spillway");
    play(&scenario, Some(&module), 1, &mut |_| ()).unwrap()
}

#[test]
fn no_client_keeps_a_circuit_half_open() {
    let mut wrong = Vec::new();
    let rows = WEDGES.iter().flat_map(|row| GOOD.map(|good| (row, good)));
    for ((name, request), good) in rows {
        let run = half_open(request, good);
        for verdict in run.verdicts.iter().filter(|verdict| !verdict.held) {
            wrong.push(format!("{name}: {}: {}", verdict.text, verdict.seen));
        }
        let changes = &run.record.circuits.transitions;
        assert!(changes.iter().any(|it| it.to == State::HalfOpen), "{name}");
        for pair in changes.windows(2) {
            let lasted = Span::between(pair[0].at, pair[1].at);
            if pair[0].to == State::HalfOpen && lasted > TWO_OPEN_TIMES {
                wrong.push(format!("{name}: half-open for {lasted}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
