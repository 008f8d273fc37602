//! Responses in place of the upstream's.

use super::*;

const ON_FAILURE: &str = r#""fallback": [{"type": "respond", "on": ["failure"], "status": 299,
    "body": "{policy} {path} {request_id}"}]"#;

const ON_TIMEOUT: &str = r#""fallback": [{"type": "respond", "on": ["timeout"], "status": 298}]"#;

fn with(fallback: &str) -> String {
    format!("{FRAGILE}, {fallback}")
}

fn request() -> TestRequest {
    TestRequest::cluster("c")
        .with(":path", "/a?b")
        .with("x-request-id", "id-1")
}

fn timed_out() -> TestResponse {
    TestResponse {
        details: Some("response_timeout"),
        flags: 0x4,
        ..TestResponse::status(504)
    }
}

#[test]
fn a_failure_is_replaced_and_still_counts() {
    let mut bench = Bench::new(&[&with(ON_FAILURE)]);
    let mut ticket = bench.pass(&request());
    assert!(ticket.watches_response() && ticket.note().is_none());
    bench.events();
    let answer = bench
        .head(&mut ticket, &TestResponse::status(503))
        .expect("an answer");
    assert_eq!((answer.status, answer.details), (299, "spillway_failure"));
    assert_eq!(answer.body, b"p0 /a?b id-1");
    let labels = [
        ("x-circuit-fallback".to_string(), b"respond".to_vec()),
        ("x-circuit-state".to_string(), b"closed".to_vec()),
    ];
    assert!(labels.iter().all(|label| answer.headers.contains(label)));
    let note = ticket.note().expect("a note");
    assert_eq!(
        (note.state, note.decision),
        (StateName::Closed, Decision::Fallback)
    );
    // At the end the host sees the filter's own response, which must not hide the failure.
    bench.settle(ticket, &TestResponse::status(299));
    assert_eq!(
        bench.events(),
        ["p0 fallback Failure respond", "p0 failure"]
    );
}

#[test]
fn replaced_failures_open_the_circuit() {
    let mut bench = Bench::new(&[&with(ON_FAILURE)]);
    for _ in 0..2 {
        let mut ticket = bench.pass(&request());
        assert!(
            bench
                .head(&mut ticket, &TestResponse::status(503))
                .is_some()
        );
        bench.settle(ticket, &TestResponse::status(299));
    }
    let (answer, _) = bench.reject(&request());
    assert_eq!((answer.status, answer.kind), (503, Kind::Default));
}

#[test]
fn a_replaced_response_that_is_abandoned_is_still_a_failure() {
    let mut bench = Bench::new(&[&with(ON_FAILURE)]);
    let mut ticket = bench.pass(&request());
    assert!(
        bench
            .head(&mut ticket, &TestResponse::status(503))
            .is_some()
    );
    bench.engine.abandon(ticket, bench.now);
    assert_eq!(bench.events().last().unwrap(), "p0 failure");
}

#[test]
fn responses_that_are_not_failures_are_not_replaced() {
    let mut bench = Bench::new(&[&with(ON_FAILURE)]);
    let direct = TestResponse {
        details: Some("direct_response"),
        attempts: Some(0),
        ..TestResponse::status(503)
    };
    for ending in [TestResponse::status(200), TestResponse::status(404), direct] {
        let mut ticket = bench.pass(&request());
        assert_eq!(bench.head(&mut ticket, &ending), None);
        bench.settle(ticket, &ending);
        assert_eq!(bench.count("p0 too late"), 0);
    }
}

#[test]
fn a_timeout_has_its_own_trigger_and_is_also_a_failure() {
    let rows = [
        (ON_TIMEOUT, timed_out(), Some(298), "spillway_timeout"),
        (ON_TIMEOUT, TestResponse::status(504), None, ""),
        (ON_FAILURE, timed_out(), Some(299), "spillway_timeout"),
    ];
    for (fallback, ending, status, details) in rows {
        let mut bench = Bench::new(&[&with(fallback)]);
        let mut ticket = bench.pass(&request());
        bench.events();
        let answer = bench.head(&mut ticket, &ending);
        assert_eq!(answer.as_ref().map(|a| a.status), status);
        assert_eq!(answer.map_or("", |a| a.details), details);
        bench.settle(ticket, &ending);
        assert_eq!(bench.events().last().unwrap(), "p0 failure");
    }
}

/// Each row: the entries, the trigger, and the status of the response; 0 if the upstream's own
/// stands.
#[test]
fn the_first_entry_for_the_trigger_answers() {
    let each = r#"
        {"type": "respond", "on": ["timeout"], "status": 201},
        {"type": "respond", "on": ["failure"], "status": 202},
        {"type": "respond", "on": ["timeout", "open"], "status": 203},
        {"type": "respond", "on": ["open"], "status": 204}"#;
    let failure_first = r#"
        {"type": "respond", "on": ["failure"], "status": 202},
        {"type": "respond", "on": ["timeout"], "status": 201}"#;
    let on_open = r#"{"type": "respond", "on": ["open"], "status": 203}"#;
    let on_timeout = r#"{"type": "respond", "on": ["timeout"], "status": 201}"#;
    let rows = [
        (each, On::Open, 203),
        (each, On::Failure, 202),
        (each, On::Timeout, 201),
        // A timeout is a failure too, in the order of the entries.
        (failure_first, On::Timeout, 202),
        // A rejection always has a response.
        (failure_first, On::Open, 503),
        ("", On::Open, 503),
        ("", On::Failure, 0),
        ("", On::Timeout, 0),
        (on_open, On::Failure, 0),
        (on_open, On::Timeout, 0),
        (on_timeout, On::Failure, 0),
    ];
    for (entries, on, status) in rows {
        let mut bench = Bench::new(&[&with(&format!(r#""fallback": [{entries}]"#))]);
        let answer = match on {
            On::Open => {
                bench.trip(&request());
                Some(bench.reject(&request()).0)
            }
            On::Failure | On::Timeout => {
                let ending = match on {
                    On::Timeout => timed_out(),
                    _ => TestResponse::status(503),
                };
                let mut ticket = bench.pass(&request());
                let answer = bench.head(&mut ticket, &ending);
                bench.settle(ticket, &ending);
                answer
            }
        };
        let found = answer.as_ref().map_or(0, |it| it.status);
        assert_eq!(found, status, "{entries} {on:?}");
        assert!(answer.is_none_or(|it| it.on == on), "{entries} {on:?}");
    }
}

#[test]
fn a_failure_seen_only_at_the_end_counts_as_too_late() {
    let mut bench = Bench::new(&[&with(ON_FAILURE)]);
    let reset = TestResponse {
        details: Some("upstream_reset_after_response_started{protocol_error}"),
        flags: 0x80_0000,
        ..TestResponse::status(200)
    };
    let mut ticket = bench.pass(&request());
    assert_eq!(bench.head(&mut ticket, &TestResponse::status(200)), None);
    bench.events();
    bench.settle(ticket, &reset);
    assert_eq!(bench.events(), ["p0 too late", "p0 failure"]);
    // Only if there is a fallback for it.
    let mut bench = Bench::new(&[&with(ON_TIMEOUT)]);
    let ticket = bench.pass(&request());
    bench.settle(ticket, &reset);
    assert_eq!(bench.count("p0 too late"), 0);
}

#[test]
fn a_client_whose_request_was_transcoded_to_grpc_gets_an_http_response() {
    let call = request()
        .with("content-type", "application/grpc")
        .with("x-envoy-original-method", "GET");
    let fallback = r#""fallback": [{"type": "respond", "on": ["open", "failure"], "json": []}]"#;
    let mut bench = Bench::new(&[&with(fallback)]);
    let mut ticket = bench.pass(&call);
    let failed = TestResponse {
        grpc_status: Some(14),
        content_type: Some("application/grpc"),
        ..TestResponse::status(200)
    };
    let answer = bench.head(&mut ticket, &failed).expect("an answer");
    assert_eq!((answer.grpc_status, &*answer.body), (None, &b"[]"[..]));
    bench.settle(ticket, &failed);
    assert_eq!(bench.events().last().unwrap(), "p0 failure");
}

#[test]
fn a_grpc_failure_in_the_headers_is_replaced_and_one_in_the_trailers_is_too_late() {
    let call = request().with("content-type", "application/grpc");
    let status = |code| TestResponse {
        grpc_status: code,
        content_type: Some("application/grpc"),
        ..TestResponse::status(200)
    };
    let fallback = r#""fallback": [{"type": "respond", "on": ["failure"],
        "grpc_status": "OK", "grpc_message": "none today"}]"#;
    let mut bench = Bench::new(&[&with(fallback)]);
    let mut ticket = bench.pass(&call);
    let answer = bench
        .head(&mut ticket, &status(Some(14)))
        .expect("an answer");
    assert_eq!(answer.grpc_status, Some(0));
    let message = (String::from("grpc-message"), b"none today".to_vec());
    assert!(answer.headers.contains(&message));
    bench.settle(ticket, &status(Some(0)));
    assert_eq!(bench.events().last().unwrap(), "p0 failure");
    let mut ticket = bench.pass(&call);
    assert_eq!(bench.head(&mut ticket, &status(None)), None);
    bench.settle(ticket, &status(Some(13)));
    let events = bench.events();
    assert_eq!(events[..2], ["p0 too late", "p0 failure"]);
}

#[test]
fn a_probe_that_fails_is_replaced_and_still_decides() {
    let mut bench = Bench::new(&[&with(ON_FAILURE)]);
    bench.trip(&request());
    bench.wait(1_000);
    let mut probe = bench.pass(&request());
    let answer = bench
        .head(&mut probe, &TestResponse::status(503))
        .expect("an answer");
    let state = ("x-circuit-state".to_string(), b"half_open".to_vec());
    assert!(answer.headers.contains(&state));
    bench.settle(probe, &TestResponse::status(299));
    let events = bench.events();
    assert!(events.contains(&"p0 [c] half_open>open probes_failed".into()));
}

#[test]
fn a_rejection_echoes_path_and_id_only_if_the_policy_does() {
    let fallback = r#""fallback": [{"type": "respond", "body": "{path} {request_id}"}]"#;
    let mut bench = Bench::new(&[&with(fallback)]);
    bench.trip(&request());
    let (answer, _) = bench.reject(&request());
    assert_eq!(answer.body, b"/a?b id-1");
}

#[test]
fn without_a_fallback_for_failures_the_response_is_not_read() {
    let on_open = r#""fallback": [{"type": "respond", "on": ["open"]}]"#;
    let mut bench = Bench::new(&[&with(on_open)]);
    let mut ticket = bench.pass(&request());
    assert!(!ticket.watches_response());
    let ending = TestResponse::status(503);
    assert_eq!(bench.head(&mut ticket, &ending), None);
    assert!(ending.reads.borrow().is_empty());
    bench.settle(ticket, &ending);
    assert_eq!(bench.count("p0 too late"), 0);
}
