//! What clients and upstreams do to probes, and what a probe finds out from a response.

use super::*;

/// A circuit that becomes half-open with the next request.
fn half_open(outcome: &str) -> Bench {
    let outcome = format!(r#"{FRAGILE}, "outcome": {{{outcome}}}"#);
    let mut bench = Bench::new(&[&outcome]);
    (0..2).for_each(|_| bench.serve(&TestRequest::cluster("c"), 500));
    bench.events();
    bench.wait(1_000);
    bench
}

const IGNORES: &str = r#""ignore_status": ["404", "503"]"#;

#[test]
fn a_response_with_an_ignored_status_shows_that_the_upstream_responds() {
    for status in [404, 503] {
        let mut bench = half_open(IGNORES);
        let mut probe = bench.pass(&TestRequest::cluster("c"));
        bench.head(&mut probe, &TestResponse::status(status));
        bench.events();
        bench.settle(probe, &TestResponse::status(status));
        assert_eq!(
            bench.events(),
            [
                "p0 ignored",
                "p0 half_open>closed",
                "p0 [c] half_open>closed probes_succeeded",
                "p0 HalfOpenCircuits 0",
            ]
        );
    }
}

/// The lite module sees a request at its headers and at its end.
#[test]
fn a_request_that_is_seen_only_twice_is_judged_as_a_probe() {
    let request = TestRequest::cluster("c");
    let rows = [
        (IGNORES, 404, "p0 half_open>closed"),
        ("", 200, "p0 half_open>closed"),
        ("", 500, "p0 half_open>open"),
    ];
    for (outcome, status, expected) in rows {
        let mut bench = half_open(outcome);
        let probes: Vec<_> = (0..8)
            .map(|_| {
                // After this time incomplete requests displace each other.
                bench.wait(50);
                passed(bench.engine.admit(&request, false, bench.now))
            })
            .collect();
        for probe in probes {
            bench.settle(probe, &TestResponse::status(status));
        }
        assert!(bench.happened(expected), "{outcome} {status}");
    }
}

#[test]
fn a_probe_without_a_response_returns_its_permit() {
    let request = TestRequest::cluster("c");
    let mut bench = half_open("");
    let elsewhere = TestResponse {
        details: Some("ext_authz_denied"),
        attempts: Some(0),
        ..TestResponse::status(403)
    };
    for _ in 0..3 {
        let mut probe = bench.pass(&request);
        bench.head(&mut probe, &elsewhere);
        bench.settle(probe, &elsewhere);
    }
    assert!(!bench.happened("p0 half_open>closed"));
    // A client that aborts before there is a response.
    let probe = bench.pass(&request);
    let left = TestResponse {
        details: Some("downstream_remote_disconnect"),
        flags: 0x4000,
        attempts: Some(1),
        ..TestResponse::default()
    };
    bench.settle(probe, &left);
    bench.serve(&request, 200);
    assert!(bench.happened("p0 half_open>closed"));
}

#[test]
fn an_abort_of_a_response_with_an_ignored_status_does_not_undo_its_probe() {
    let request = TestRequest::cluster("c");
    let mut bench = half_open(IGNORES);
    let mut probe = bench.pass(&request);
    bench.head(&mut probe, &TestResponse::status(404));
    let left = TestResponse {
        details: Some("downstream_remote_disconnect"),
        flags: 0x4000,
        ..TestResponse::status(404)
    };
    bench.settle(probe, &left);
    assert!(bench.happened("p0 half_open>closed"));
}

#[test]
fn uploads_that_never_end_keep_no_worker_from_probing() {
    let json = workers::json(workers::FIVE_IN_A_ROW, 10);
    let mut all = workers::Workers::new(4, &json);
    (0..5).for_each(|_| all.serve(0, 503));
    all.wait(1_000);
    let mut uploads = Vec::new();
    for round in 0..40 {
        let worker = round % 4;
        let admission = all.engines[worker].admit(&TestRequest::cluster("c"), false, all.now);
        if let Admission::Pass(ticket, _) = admission {
            uploads.push((worker, ticket));
        }
        all.wait(10);
    }
    // Uploads hold all permits, and yet each complete request gets one at once.
    assert!(uploads.len() >= 3);
    for worker in 0..3 {
        all.serve(worker, 200);
    }
    assert_eq!(all.events("[c] half_open>closed").len(), 1);
    for (worker, ticket) in uploads {
        all.settle(worker, ticket, 503);
    }
    all.wait(200);
    all.tick();
    (0..4).for_each(|worker| all.serve(worker, 200));
}
