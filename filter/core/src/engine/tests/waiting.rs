//! Requests that hang: counted while they wait, with and without traffic or ticks.

use super::workers::Workers;
use super::*;
use crate::admin::Circuits;
use crate::circuit::window::Counts;

const SLOW: &str = r#"{"minimum_requests": 20, "slow_threshold": "300ms",
    "open": {"duration": "1s", "multiplier": 1, "jitter": 0}, "half_open": {"permits": 1, "lease": "10s"}}"#;

fn slow(fields: &str) -> String {
    workers::json(
        &SLOW.replace("{\"minimum", &format!("{{{fields}\"minimum")),
        10,
    )
}

/// Requests that begin to hang, spread over the workers.
fn hang(workers: &mut Workers, requests: usize) -> Vec<(usize, Box<Ticket>)> {
    let count = workers.engines.len();
    (0..requests)
        .map(|n| (n % count, workers.pass(n % count)))
        .collect()
}

fn counts(workers: &mut Workers) -> Counts {
    let now = workers.now;
    let views = workers.engines[0]
        .operator(now)
        .circuits(&["p0"], first(10))
        .circuits;
    views[0].automatic.counts
}

fn timed_out() -> TestResponse {
    TestResponse {
        details: Some("response_timeout"),
        flags: 0x4,
        ..TestResponse::status(504)
    }
}

fn left() -> TestResponse {
    TestResponse {
        details: Some("downstream_remote_disconnect"),
        flags: 0x4000,
        attempts: Some(1),
        ..TestResponse::default()
    }
}

#[test]
fn ticks_alone_open_the_circuit_of_a_service_that_hangs() {
    for count in [1, 4] {
        let mut workers = Workers::new(count, &slow(""));
        let hanging = hang(&mut workers, 30);
        for _ in 0..3 {
            workers.wait(100);
            workers.tick();
        }
        assert!(workers.engines.iter().all(Engine::has_pending));
        assert!(
            workers.events(">open").is_empty(),
            "not longer than the threshold"
        );
        for _ in 0..2 {
            workers.wait(100);
            workers.tick();
        }
        assert_eq!(
            workers.events(">open"),
            ["p0 closed>open", "p0 [c] closed>open slow_rate"]
        );
        for worker in 0..count as usize {
            assert!(workers.rejects(worker));
        }
        // When they end, aborted or not, they do not count for the new state.
        for (n, (worker, ticket)) in hanging.into_iter().enumerate() {
            let ending = if n % 2 == 0 { timed_out() } else { left() };
            workers.engines[worker].settle(ticket, &ending, workers.now);
        }
        workers.wait(200);
        workers.tick();
        assert!(!workers.engines.iter().any(Engine::has_pending));
        assert_eq!(counts(&mut workers), Counts::default());
    }
}

#[test]
fn traffic_opens_the_circuit_of_a_service_that_hangs_without_ticks() {
    let mut workers = Workers::new(1, &slow(""));
    let _hanging = hang(&mut workers, 20);
    workers.wait(300);
    assert!(!workers.rejects(0));
    workers.now = workers.now.after(Span::from_ns(1));
    assert!(workers.rejects(0));
}

#[test]
fn a_request_counts_once_however_it_ends() {
    let in_window = |requests, failures, slow| Counts {
        requests,
        failures,
        slow,
    };
    let rows = [
        (
            TestResponse::status(200),
            in_window(1, 0, 1),
            ["p0 success", "p0 slow"],
        ),
        (timed_out(), in_window(1, 1, 1), ["p0 failure", "p0 slow"]),
        (left(), in_window(1, 0, 1), ["p0 success", "p0 slow"]),
    ];
    for (ending, expected, told) in &rows {
        let mut workers = Workers::new(2, &slow(""));
        workers.serve(0, 200);
        let ticket = workers.pass(0);
        workers.wait(301);
        workers.tick();
        assert_eq!(counts(&mut workers), in_window(2, 0, 1));
        workers.events("");
        workers.engines[0].settle(ticket, ending, workers.now);
        assert_eq!(workers.events("p0 "), *told);
        workers.wait(100);
        workers.tick();
        let mut all = *expected;
        all.add(false, false);
        assert_eq!(counts(&mut workers), all, "{ending:?}");
    }
}

#[test]
fn a_request_that_is_ignored_at_its_end_leaves_the_window() {
    let fields = r#"{"policies":[{"name":"p0", "circuit_breaker": SLOW,
        "outcome": {"ignore_status": ["404"]}}]}"#;
    let mut workers = Workers::new(1, &fields.replace("SLOW", SLOW));
    let mut hanging = hang(&mut workers, 1);
    workers.wait(400);
    workers.tick();
    assert_eq!(counts(&mut workers).slow, 1);
    let (_, ticket) = hanging.remove(0);
    workers.settle(0, ticket, 404);
    workers.wait(100);
    workers.tick();
    assert_eq!(counts(&mut workers), Counts::default());
}

#[test]
fn a_probe_that_hangs_opens_the_circuit_again_without_traffic() {
    let mut workers = Workers::new(2, &slow(""));
    let hanging = hang(&mut workers, 20);
    workers.wait(301);
    workers.tick();
    workers.wait(1_000);
    let probe = workers.pass(1);
    workers.events("");
    workers.wait(301);
    workers.tick();
    assert_eq!(workers.events("[c]"), ["p0 [c] half_open>open probes_slow"]);
    workers.settle(1, probe, 200);
    drop(hanging);
    assert!(workers.rejects(0) && workers.rejects(1));
}

#[test]
fn only_a_complete_request_waits_and_only_for_its_response() {
    // The client is still sending.
    let mut workers = Workers::new(1, &slow(""));
    let admission = workers.engines[0].admit(&TestRequest::cluster("c"), false, workers.now);
    let Admission::Pass(mut upload, _) = admission else {
        panic!("{admission:?}");
    };
    assert!(!workers.engines[0].has_pending());
    workers.wait(10_000);
    workers.engines[0].request_complete(&mut upload, Some(workers.now));
    assert!(workers.engines[0].has_pending());
    workers.wait(300);
    // The response has begun.
    let begun = TestResponse::status(200);
    workers.engines[0].response_headers(&mut upload, &begun, workers.now);
    assert!(!workers.engines[0].has_pending());
    workers.wait(10_000);
    workers.tick();
    workers.settle(0, upload, 200);
    assert!(workers.events("slow").is_empty());
    // To the end of the response, if the policy measures to there.
    let mut workers = Workers::new(1, &slow(r#""slow_until": "end", "#));
    let mut ticket = workers.pass(0);
    workers.engines[0].response_headers(&mut ticket, &begun, workers.now);
    workers.wait(301);
    workers.tick();
    assert_eq!(counts(&mut workers).slow, 1);
    workers.settle(0, ticket, 200);
}

#[test]
fn nothing_counts_early_without_a_rule_for_slow_requests() {
    let never = slow(r#""slow_rate_threshold": 0, "#);
    let shadow = slow("").replace(r#""name":"p0""#, r#""name":"p0", "mode": "shadow""#);
    let forced = slow("").replace(
        r#""name":"p0""#,
        r#""name":"p0", "mode": "forced_open", "enforce_percent": 0"#,
    );
    for (json, early) in [(never, false), (shadow, true), (forced, false)] {
        let mut workers = Workers::new(1, &json);
        let ticket = workers.pass(0);
        assert_eq!(workers.engines[0].has_pending(), early, "{json}");
        workers.settle(0, ticket, 200);
    }
}

#[test]
fn a_request_that_is_sent_again_waits_again() {
    let json = r#"{"policies":[{"name":"p0", "circuit_breaker": SLOW,
        "retry": {"engine": "filter", "replay": "as_received", "max_retries": 1}}]}"#;
    let json = json.replace("SLOW", &SLOW.replace("20", "3"));
    let mut workers = Workers::new(1, &json);
    let get = TestRequest::cluster("c").with(":method", "GET");
    let Admission::Pass(mut ticket, _) = workers.engines[0].admit(&get, true, workers.now) else {
        panic!("a closed circuit");
    };
    workers.wait(301);
    workers.tick();
    let failed = TestResponse::status(503);
    let step = workers.engines[0].response_headers(&mut ticket, &failed, workers.now);
    let Step::Retry(wait) = step else {
        panic!("{step:?}");
    };
    workers.now = workers.now.after(wait);
    assert!(workers.engines[0].replay(&mut ticket, workers.now).is_ok());
    workers.engines[0].replay_sent(&mut ticket, workers.now);
    workers.wait(300);
    workers.tick();
    let expected = |requests, failures, slow| Counts {
        requests,
        failures,
        slow,
    };
    workers.wait(1);
    workers.tick();
    workers.wait(100);
    workers.tick();
    assert_eq!(counts(&mut workers), expected(2, 1, 2));
    let answered = TestResponse::status(200);
    workers.engines[0].replayed(&mut ticket, &answered, true, workers.now);
    workers.engines[0].settle(ticket, &answered, workers.now);
    workers.wait(100);
    workers.tick();
    assert_eq!(counts(&mut workers), expected(2, 1, 2));
}

#[test]
fn requests_that_end_in_time_leave_nothing_behind() {
    let mut workers = Workers::new(1, &slow(""));
    let oldest = workers.pass(0);
    for _ in 0..100_000 {
        workers.serve(0, 200);
    }
    assert!(workers.engines[0].workspace.waiting.entries_held() <= 2);
    workers.settle(0, oldest, 200);
    assert!(workers.engines[0].workspace.waiting.is_empty());
}

/// Random requests on three workers: once all have ended and were merged, the window
/// holds each outcome once, and meanwhile never more failures than requests.
#[test]
fn each_request_ends_up_in_the_shared_window_once() {
    for shape in [
        r#"{"type": "time", "duration": "10m"}"#,
        r#"{"type": "count", "size": 1000}"#,
    ] {
        for seed in 0..60 {
            let mut random = Random::new(seed);
            let fields = format!(r#""window": {shape}, "failure_rate_threshold": 0, "#);
            let json = slow(&fields).replace("20", "10000");
            let mut workers = Workers::new(3, &json);
            let mut under_way = Vec::new();
            let mut expected = Counts::default();
            // The key has its slot before writes are lost.
            for worker in 0..3 {
                workers.serve(worker, 200);
                expected.add(false, false);
            }
            for _ in 0..200 {
                let worker = random.between(0, 2) as usize;
                if random.chance(500) {
                    workers.memory.lose(random.between(1, 9) as usize);
                }
                match random.between(0, 5) {
                    0 | 1 => under_way.push((worker, workers.pass(worker), workers.now)),
                    2 | 3 if !under_way.is_empty() => {
                        let at = random.between(0, under_way.len() as u64 - 1) as usize;
                        let (worker, ticket, since) = under_way.swap_remove(at);
                        let failed = random.chance(5_000);
                        let ending = if failed {
                            timed_out()
                        } else {
                            TestResponse::status(200)
                        };
                        workers.engines[worker].settle(ticket, &ending, workers.now);
                        expected.add(failed, workers.now.since(since) > Span::from_ms(300));
                    }
                    4 => workers.tick(),
                    _ => workers.wait(random.between(1, 250)),
                }
                if random.chance(1_000) {
                    let Counts {
                        requests,
                        failures,
                        slow,
                    } = counts(&mut workers);
                    assert!(failures <= requests && slow <= requests);
                }
            }
            for (worker, ticket, since) in under_way {
                workers.settle(worker, ticket, 200);
                expected.add(false, workers.now.since(since) > Span::from_ms(300));
            }
            for _ in 0..3 {
                workers.memory.lose(0);
                workers.wait(200);
                workers.tick();
            }
            assert_eq!(counts(&mut workers), expected, "{shape}, seed {seed}");
        }
    }
}
