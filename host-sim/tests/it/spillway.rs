//! The shipped module with a policy.

use host_sim::proxy::{MetricKind, Part, StreamId};

use crate::proxy::{self, GET, OK, Proxy, body, headers};

const POLICY: &str = r#"{"policies": [{
    "name": "p",
    "circuit_breaker": {
        "consecutive_failures": 3,
        "open": {"duration": "2s", "multiplier": 1, "jitter": 0},
        "half_open": {"permits": 1}
    }
}]}"#;

fn spillway(workers: usize) -> Proxy {
    Proxy::start(proxy::spillway(POLICY), workers).unwrap()
}

fn exchange(proxy: &mut Proxy, worker: usize, status: &'static str) -> Vec<String> {
    let stream = proxy.open_on(worker);
    proxy.host.request(stream, headers(true, &GET));
    let mut seen = proxy.effects();
    if seen.iter().any(|effect| effect.starts_with("up:")) {
        respond(proxy, stream, status);
        seen.extend(proxy.effects());
    }
    proxy.host.close(stream);
    seen
}

fn respond(proxy: &mut Proxy, stream: StreamId, status: &'static str) {
    let info = proxy.host.info_mut(stream).unwrap();
    info.code = status.parse().ok();
    info.details = "via_upstream".into();
    info.attempts = Some(1);
    proxy
        .host
        .response(stream, headers(false, &[(":status", status)]));
    proxy.host.response(stream, body("hi", true));
}

#[test]
fn a_healthy_upstream_is_not_affected() {
    let mut proxy = spillway(1);
    let seen = exchange(&mut proxy, 0, "200");
    assert_eq!(
        seen,
        ["up: :path=/x.", "client: :status=200", "client: 'hi'."]
    );
    let outcome = "spillway.policy.p.outcome.success.requests_total";
    assert_eq!(proxy.host.metrics().value(outcome), 1);
}

#[test]
fn a_failing_upstream_opens_the_circuit_and_a_good_probe_closes_it() {
    let mut proxy = spillway(1);
    for _ in 0..3 {
        exchange(&mut proxy, 0, "503");
    }
    let log = proxy.log();
    let opened = log
        .iter()
        .any(|line| line.contains(r#""from":"closed","to":"open""#));
    assert!(opened, "{log:?}");
    let stream = proxy.open_on(0);
    proxy.host.request(stream, headers(true, &GET));
    let seen = proxy.effects();
    assert!(
        seen[0].contains(":status=503") && seen[0].contains("x-circuit-state=open"),
        "{seen:?}"
    );
    assert!(seen[1].contains(r#""policy":"p""#), "{seen:?}");
    let info = proxy.host.close(stream).unwrap();
    assert_eq!(&*info.details, "spillway_open");
    assert_eq!(
        info.filter_state.get(&b"spillway"[..]).unwrap(),
        b"policy=p state=open decision=reject"
    );
    assert_eq!(
        proxy
            .host
            .metrics()
            .value("spillway.policy.p.rejected_requests_total"),
        1
    );
    proxy.run_to(2_001);
    assert_eq!(exchange(&mut proxy, 0, "200")[0], "up: :path=/x.");
    let gauges = proxy.host.metrics().iter();
    let open: Vec<_> = gauges
        .filter(|(name, ..)| name.ends_with(b".open_circuits"))
        .collect();
    assert_eq!(
        open,
        [(
            &b"spillway.policy.p.open_circuits"[..],
            MetricKind::Gauge,
            0
        )]
    );
}

#[test]
fn an_invalid_policy_gives_envoys_error_and_a_line_for_each_reason() {
    let plugin = proxy::spillway(r#"{"policies": [{"nme": "p"}]}"#);
    let error = Proxy::start(plugin, 1).map(|_| ()).unwrap_err();
    assert_eq!(error.to_string(), "Failed to configure base Wasm plugin");
}

#[test]
fn the_same_events_give_the_same_effects() {
    let run = || {
        let mut proxy = spillway(4);
        let mut seen = Vec::new();
        for number in 0..40 {
            proxy.run_to(number * 100);
            let status = if number % 3 == 0 { "200" } else { "500" };
            seen.extend(exchange(&mut proxy, number as usize, status));
        }
        (seen, proxy.log(), proxy.host.counts().fuel())
    };
    assert_eq!(run(), run());
}

#[test]
fn a_request_and_a_response_with_bodies_pass_in_chunks() {
    let mut proxy = spillway(1);
    let stream = proxy.open_on(0);
    proxy.host.request(stream, headers(false, &GET));
    proxy.host.request(stream, body("a", false));
    proxy.host.request(stream, body("b", true));
    assert_eq!(proxy.effects(), ["up: :path=/x", "up: 'a'", "up: 'b'."]);
    proxy.host.response(stream, headers(false, &OK));
    proxy.host.response(
        stream,
        Part::Trailers {
            map: [("t", "1")].into(),
        },
    );
    assert_eq!(
        proxy.effects(),
        ["client: :status=200 server=up", "client: 1 trailers."]
    );
}
