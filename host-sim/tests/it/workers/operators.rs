//! Operator commands: each applies to all workers, whichever worker receives it.

use host_sim::proxy::StreamId;
use host_sim::sim::clock::Time;

use super::{Workers, policy};
use crate::proxy::headers;

const WORKERS: usize = 16;

const BREAKER: &str = r#"{"failure_rate_threshold": 0, "consecutive_failures": 5,
    "open": {"duration": "60s", "jitter": 0}}"#;

fn administered() -> String {
    policy(BREAKER).replacen('{', r#"{"admin": {"path_prefix": "/spillway"},"#, 1)
}

/// A proxy whose workers have all used the circuit just before the first second ends.
fn met(file: &str) -> Workers {
    let mut proxy = Workers::new(WORKERS, file);
    proxy.run_to(Time::from_ms(999));
    assert_eq!(passed(&mut proxy), WORKERS);
    proxy.run_to(Time::from_ms(1_000));
    proxy
}

fn passed(proxy: &mut Workers) -> usize {
    let mut workers = 0..WORKERS;
    workers
        .by_ref()
        .filter(|worker| proxy.serve(*worker, "200"))
        .count()
}

/// Sends an operator's request to one worker and returns the response.
fn operate(proxy: &mut Workers, worker: usize, method: &str, path: &str) -> String {
    let stream: StreamId = proxy.proxy.open_on(worker);
    let head = [
        (":method", method),
        (":path", path),
        (":authority", "localhost"),
    ];
    proxy.proxy.host.request(stream, headers(true, &head));
    let response = proxy.proxy.effects().join("\n");
    proxy.proxy.host.close(stream);
    response
}

const FORCE: &str = "/spillway/circuits/p?action=force_open&for=10s";

#[test]
fn a_forced_state_reaches_every_worker_within_the_interval_and_expires() {
    let mut proxy = met(&administered());
    let response = operate(&mut proxy, 3, "PUT", FORCE);
    assert!(response.ends_with(r#"'{"changed":1}'."#), "{response}");
    proxy.run_to(Time::from_ms(1_099));
    assert_eq!(passed(&mut proxy), 0);
    for worker in 0..WORKERS {
        let list = operate(&mut proxy, worker, "GET", "/spillway/circuits");
        assert!(list.contains(r#""state":"forced_open""#), "{list}");
    }
    proxy.run_to(Time::from_ms(10_999));
    assert_eq!(passed(&mut proxy), 0);
    proxy.run_to(Time::from_ms(11_000));
    assert_eq!(passed(&mut proxy), WORKERS);
    assert_eq!(proxy.history(), [""; 0]);
}

#[test]
fn a_reset_closes_the_circuit_on_all_workers() {
    let mut proxy = met(&administered());
    proxy.fail(0, 5);
    proxy.run_to(Time::from_ms(2_000));
    assert_eq!(passed(&mut proxy), 0);
    operate(&mut proxy, 7, "PUT", "/spillway/circuits/p?action=reset");
    proxy.run_to(Time::from_ms(2_100));
    assert_eq!(passed(&mut proxy), WORKERS);
    assert_eq!(proxy.history()[1..], ["open>closed reset"]);
    assert_eq!(proxy.metric("open_circuits"), 0);
}

#[test]
fn a_forced_state_survives_an_update() {
    let mut proxy = met(&administered());
    operate(&mut proxy, 0, "PUT", FORCE);
    let next = administered().replace("60s", "30s");
    proxy.proxy.host.update(next.into()).unwrap();
    assert_eq!(passed(&mut proxy), 0);
    proxy.run_to(Time::from_ms(11_000));
    assert_eq!(passed(&mut proxy), WORKERS);
}

#[test]
fn without_admin_the_path_belongs_to_the_upstream() {
    let mut proxy = met(&policy(BREAKER));
    for (method, path) in [
        ("PUT", FORCE),
        ("GET", "/spillway/"),
        ("GET", "/spillway/circuits"),
    ] {
        let response = operate(&mut proxy, 3, method, path);
        assert!(response.starts_with("up: "), "{response}");
    }
    proxy.run_to(Time::from_ms(2_000));
    assert_eq!(passed(&mut proxy), WORKERS);
}
