//! The policy's limit on the time of a request.

use super::retries::get;
use super::*;

const TIMEOUT: &str = r#""timeout": "2s""#;
const WHOLE: &str = "x-envoy-upstream-rq-timeout-ms";
const EXPECTED: &str = "x-envoy-expected-rq-timeout-ms";

/// The limits that the router is told, in order.
fn limits(engine: &Engine<Memory>, admission: &Admission) -> Vec<(String, String)> {
    let mut edits = engine.edits(admission);
    edits.retain(|(name, _)| name.ends_with("-rq-timeout-ms"));
    edits
}

#[test]
fn the_router_is_told_the_timeout_unless_the_caller_has_a_shorter_one() {
    type Pairs = &'static [(&'static str, &'static str)];
    let whole: Pairs = &[(WHOLE, "2000")];
    let both: Pairs = &[(WHOLE, "2000"), (EXPECTED, "2000")];
    let rows: [(Pairs, Pairs); 12] = [
        (&[], whole),
        (&[(WHOLE, "1999")], &[]),
        (&[(WHOLE, "2000")], &[]),
        (&[(WHOLE, "2001")], whole),
        // Without any limit, and nothing that the router understands.
        (&[(WHOLE, "0")], whole),
        (&[(WHOLE, "")], whole),
        (&[(WHOLE, "1s")], whole),
        (&[(WHOLE, "-1")], whole),
        (&[(WHOLE, "99999999999999999999999")], whole),
        (&[(EXPECTED, "2001")], both),
        (&[(EXPECTED, "0")], both),
        (&[(EXPECTED, "5"), (WHOLE, "5")], &[]),
    ];
    for (sent, told) in rows {
        let mut bench = Bench::new(&[TIMEOUT]);
        let mut request = get();
        for (name, value) in sent {
            request = request.with(name, value);
        }
        let admission = bench.admit(&request);
        let told = told.iter().map(|(name, ms)| ((*name).into(), (*ms).into()));
        let told: Vec<(String, String)> = told.collect();
        assert_eq!(limits(&bench.engine, &admission), told, "{sent:?}");
        bench.engine.abandon(passed(admission), bench.now);
    }
}

#[test]
fn only_a_policy_that_acts_limits_the_time() {
    let rows = [
        (r#""timeout": "2s""#, 1),
        (r#""timeout": "0s""#, 0),
        (r#""mode": "shadow", "timeout": "2s""#, 0),
        (r#""enforce_percent": 0, "timeout": "2s""#, 0),
        (r#""mode": "forced_closed", "timeout": "2s""#, 1),
        (
            r#""retry": {"engine": "filter", "replay": "as_received"}, "timeout": "2s""#,
            1,
        ),
        (r#""retry": {"timeout": "1s"}"#, 0),
    ];
    for (fields, expected) in rows {
        let mut bench = Bench::new(&[fields]);
        let admission = bench.admit(&get());
        assert_eq!(
            limits(&bench.engine, &admission).len(),
            expected,
            "{fields}"
        );
        bench.engine.abandon(passed(admission), bench.now);
    }
}

/// What the router reports if it gave up.
fn expired() -> TestResponse {
    TestResponse {
        details: Some("response_timeout"),
        flags: 4,
        ..TestResponse::status(504)
    }
}

#[test]
fn the_policys_deadline_counts_and_the_callers_does_not() {
    let rows = [
        // The caller's limit in milliseconds, and what its end counts as.
        (None, 2_000, "p0 failure"),
        (Some("60000"), 2_000, "p0 failure"),
        (Some("0"), 2_000, "p0 failure"),
        (Some("100"), 100, "p0 ignored"),
    ];
    for (sent, waited, expected) in rows {
        let mut bench = Bench::new(&[TIMEOUT]);
        let request = sent.map_or_else(get, |ms| get().with(WHOLE, ms));
        let ticket = bench.pass(&request);
        bench.wait(waited);
        bench.settle(ticket, &expired());
        assert!(bench.happened(expected), "{sent:?}");
    }
}

#[test]
fn the_timeout_bounds_the_retries_of_the_filter() {
    let rows = [
        (r#""timeout": "400ms""#, 400),
        // The shorter of the two.
        (r#""timeout": "20s""#, 15_000),
    ];
    for (timeout, most) in rows {
        let fields = format!(
            r#""retry": {{"engine": "filter", "replay": "as_received"}}, {timeout},
               "fallback": [{{"type": "respond", "on": ["timeout"], "status": 298}}]"#
        );
        let mut bench = Bench::new(&[&fields]);
        let started = bench.now;
        let mut ticket = bench.pass(&get());
        let first =
            bench
                .engine
                .response_headers(&mut ticket, &TestResponse::status(503), bench.now);
        let Step::Retry(wait) = first else {
            panic!("{first:?}");
        };
        bench.now = bench.now.after(wait);
        let left = bench
            .engine
            .replay(&mut ticket, bench.now)
            .expect("time is left");
        let due = bench.now.after(left);
        assert!(due.since(started) <= Span::from_ms(most), "{fields}");
        assert!(due.since(started) > Span::from_ms(most - 2), "{fields}");
        bench.engine.replay_sent(&mut ticket, bench.now);
        bench.now = due;
        // The host's response to a call that took too long.
        let host = TestResponse::status(504);
        let last = bench.engine.replayed(&mut ticket, &host, true, bench.now);
        assert!(
            matches!(&last, Step::Respond(reply) if reply.status == 298),
            "{last:?}"
        );
        bench.engine.settle(ticket, &host, bench.now);
        assert!(bench.happened("p0 failure"));
    }
}

#[test]
fn a_504_before_the_hosts_timer_is_the_upstreams_own() {
    let rows = [
        (0, 504, false),
        (394, 504, false),
        (396, 504, true),
        (400, 503, false),
    ];
    for (waited, status, is_timeout) in rows {
        let mut bench = Bench::new(&[r#""retry": {"engine": "filter", "replay": "as_received",
                "max_retries": 1, "per_try_timeout": "400ms"},
               "fallback": [{"type": "respond", "on": ["timeout"], "status": 298}]"#]);
        let mut ticket = bench.pass(&get());
        let first =
            bench
                .engine
                .response_headers(&mut ticket, &TestResponse::status(503), bench.now);
        assert!(matches!(first, Step::Retry(_)), "{first:?}");
        bench.wait(100);
        let left = bench.engine.replay(&mut ticket, bench.now);
        assert_eq!(left, Ok(Span::from_ms(400)));
        bench.engine.replay_sent(&mut ticket, bench.now);
        bench.wait(waited);
        let response = TestResponse::status(status);
        let last = bench
            .engine
            .replayed(&mut ticket, &response, true, bench.now);
        assert_eq!(
            matches!(last, Step::Respond(_)),
            is_timeout,
            "{waited} {status}"
        );
        bench.engine.settle(ticket, &response, bench.now);
    }
}
