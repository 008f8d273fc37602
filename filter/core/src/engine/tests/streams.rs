//! Streams under `judge_at: "headers"`: settled when the response's headers arrive.

use super::*;

const BY_HEADERS: &str = r#""outcome": {"judge_at": "headers"}"#;

fn bench() -> Bench {
    let mut bench = Bench::new(&[&format!("{FRAGILE}, {BY_HEADERS}")]);
    bench.serve(&TestRequest::cluster("c"), 200);
    bench.events();
    bench
}

fn cut() -> TestResponse {
    TestResponse {
        details: Some("upstream_reset_after_response_started{connection_termination}"),
        flags: 0x40,
        ..TestResponse::status(200)
    }
}

#[test]
fn a_stream_counts_once_and_at_its_headers() {
    let mut bench = bench();
    for abandoned in [false, true] {
        let mut ticket = bench.pass(&TestRequest::cluster("c"));
        assert!(ticket.watches_response());
        assert_eq!(bench.head(&mut ticket, &TestResponse::status(200)), None);
        assert_eq!(bench.events(), ["p0 success"]);
        match abandoned {
            false => bench.settle(ticket, &cut()),
            true => bench.engine.abandon(ticket, bench.now),
        }
        assert_eq!(bench.events(), [""; 0]);
    }
}

#[test]
fn failing_headers_open_the_circuit_while_their_streams_continue() {
    let mut bench = bench();
    bench.wait(20_000);
    let mut streams = [0, 1].map(|_| bench.pass(&TestRequest::cluster("c")));
    for ticket in &mut streams {
        assert_eq!(bench.head(ticket, &TestResponse::status(503)), None);
    }
    assert!(bench.happened("p0 closed>open"));
    for ticket in streams {
        bench.settle(ticket, &TestResponse::status(503));
    }
    assert!(!bench.happened("p0 failure"));
}

#[test]
fn a_probe_that_streams_closes_the_circuit_at_its_headers() {
    let mut bench = bench();
    bench.wait(20_000);
    bench.trip(&TestRequest::cluster("c"));
    bench.wait(1_000);
    let mut probe = bench.pass(&TestRequest::cluster("c"));
    assert_eq!(bench.head(&mut probe, &TestResponse::status(200)), None);
    assert!(bench.happened("p0 half_open>closed"));
    bench.settle(probe, &cut());
    assert!(!bench.happened("p0 failure"));
}

#[test]
fn a_request_without_headers_is_judged_by_its_end() {
    let mut bench = bench();
    let ticket = bench.pass(&TestRequest::cluster("c"));
    let left = TestResponse {
        details: Some("downstream_remote_disconnect"),
        flags: 0x4000,
        attempts: Some(1),
        ..TestResponse::default()
    };
    bench.settle(ticket, &left);
    assert_eq!(bench.events(), ["p0 ignored"]);
}
