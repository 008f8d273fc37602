//! Requests that hang, to the millisecond.

use host_sim::proxy::StreamId;

use crate::proxy::{GET, Proxy, body, headers, spillway};

const POLICY: &str = r#"{"policies": [{
    "name": "p",
    "circuit_breaker": {
        "minimum_requests": 20,
        "slow_threshold": "300ms",
        "slow_rate_threshold": 100,
        "open": {"duration": "1s", "multiplier": 1, "jitter": 0},
        "half_open": {"permits": 1}
    }
}]}"#;

/// Opens requests whose upstream never responds.
fn hang(proxy: &mut Proxy, workers: usize, requests: usize) -> Vec<StreamId> {
    (0..requests)
        .map(|number| {
            let stream = proxy.open_on(number % workers);
            proxy.host.request(stream, headers(true, &GET));
            stream
        })
        .collect()
}

fn steps(proxy: &mut Proxy) -> usize {
    let log = proxy.log();
    log.iter()
        .filter(|line| line.contains(r#""event":"transition""#))
        .count()
}

/// Ends a request whose client disconnects before a response.
fn leave(proxy: &mut Proxy, stream: StreamId) {
    let info = proxy.host.info_mut(stream).unwrap();
    info.details = "downstream_remote_disconnect".into();
    info.flags = 0x4000;
    info.attempts = Some(1);
    proxy.host.close(stream);
}

#[test]
fn a_hang_opens_the_circuit_within_a_tick_after_the_slow_threshold() {
    for workers in [1, 4] {
        for (leaves, traffic) in [(false, false), (false, true), (true, false), (true, true)] {
            let case = format!("{workers} workers, clients leave: {leaves}, traffic: {traffic}");
            let mut proxy = Proxy::start(spillway(POLICY), workers).unwrap();
            proxy.run_to(1_000);
            let streams = hang(&mut proxy, workers, 30);
            proxy.run_to(1_300);
            assert_eq!(steps(&mut proxy), 0, "{case}");
            proxy.run_to(1_301);
            if leaves {
                for stream in streams {
                    leave(&mut proxy, stream);
                }
            }
            if traffic {
                hang(&mut proxy, workers, workers);
            }
            // A single worker needs no tick to evaluate what it observes itself.
            let at_once = workers == 1 && (leaves || traffic);
            let early = steps(&mut proxy);
            assert_eq!(early, usize::from(at_once), "{case}");
            proxy.run_to(1_399);
            assert_eq!(steps(&mut proxy), 0, "{case}");
            proxy.run_to(1_400);
            assert_eq!(early + steps(&mut proxy), 1, "{case}");
        }
    }
}

#[test]
fn a_single_upload_that_hangs_is_noticed_without_other_traffic() {
    let policy = POLICY.replace(r#""minimum_requests": 20"#, r#""minimum_requests": 1"#);
    let mut proxy = Proxy::start(spillway(policy), 1).unwrap();
    proxy.run_to(1_000);
    let stream = proxy.open_on(0);
    proxy.host.request(stream, headers(false, &GET));
    proxy.run_to(2_000);
    proxy.host.request(stream, body("all of it", true));
    proxy.run_to(2_300);
    assert_eq!(steps(&mut proxy), 0);
    proxy.run_to(2_400);
    assert_eq!(steps(&mut proxy), 1);
}
