//! Off is off: what an earlier configuration or an expired command has left in the shared
//! records never acts under a configuration that has switched it off.

use super::workers::Workers;
use super::*;
use crate::admin::{Action, CircuitView, Circuits};
use crate::circuit::Forced;

const MINUTE: Span = Span::from_secs(60);

/// The earlier configurations, all with a breaker.
const BEFORE: [&str; 4] = [
    r#""circuit_breaker": {"consecutive_failures": 5, "failure_rate_threshold": 0, OPEN}"#,
    r#""circuit_breaker": {"minimum_requests": 5, "failure_rate_threshold": 100, OPEN}"#,
    r#""circuit_breaker": {"window": {"type": "count", "size": 5}, "failure_rate_threshold": 100,
        OPEN, "recovery": {"duration": "10m", "start_percent": 1}}, "retry": RETRY"#,
    r#""circuit_breaker": {"consecutive_failures": 5, OPEN,
        "recovery": {"duration": "10m", "start_percent": 1}}, "retry": RETRY"#,
];

/// Configurations in which nothing may be rejected.
const WITHOUT: [&str; 7] = [
    "",
    r#""retry": RETRY"#,
    r#""circuit_breaker": {"consecutive_failures": 1, "failure_rate_threshold": 0}, "mode": "shadow""#,
    r#""circuit_breaker": {"consecutive_failures": 1, "failure_rate_threshold": 0}, "mode": "disabled""#,
    r#""circuit_breaker": {"consecutive_failures": 1, "failure_rate_threshold": 0}, "mode": "forced_closed""#,
    r#""circuit_breaker": {"minimum_requests": 1}, "mode": "forced_closed", "retry": RETRY"#,
    r#""retry": RETRY, "fallback": [{"type": "respond", "on": ["open"]}]"#,
];

const OPEN: &str = r#""open": {"duration": "10m", "max_duration": "10m", "jitter": 0},
    "half_open": {"permits": 3, "lease": "10m"}"#;

const RETRY: &str = r#"{"budget": {"percent": 0, "interval": "1s",
    "min_retry_rate": {"count": 2, "interval": "1s"}}}"#;

/// The state of the record when the next configuration is loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    Counted,
    Open,
    HalfOpen,
    NoPermits,
    Recovering,
    ForceOver(Forced),
}

const LEFT: [Left; 7] = [
    Left::Counted,
    Left::Open,
    Left::HalfOpen,
    Left::NoPermits,
    Left::Recovering,
    Left::ForceOver(Forced::Open),
    Left::ForceOver(Forced::Closed),
];

fn file(fields: &str) -> String {
    let comma = if fields.is_empty() { "" } else { "," };
    let text =
        format!(r#"{{"policies": [{{"name": "p0"{comma} {fields}}}], "limits": {{"keys": 10}}}}"#);
    text.replace("OPEN", OPEN).replace("RETRY", RETRY)
}

fn get() -> TestRequest {
    TestRequest::cluster("c").with(":method", "GET")
}

/// A worker whose configuration leaves this behind.
fn left(before: &str, state: Left) -> Workers {
    let mut workers = Workers::new(1, &file(before));
    let fails = if state == Left::Counted { 4 } else { 5 };
    (0..fails).for_each(|_| workers.serve_to(0, &get(), 503));
    let probes = match state {
        Left::HalfOpen => 1,
        Left::NoPermits | Left::Recovering => 3,
        _ => 0,
    };
    if probes > 0 {
        workers.wait(600_000);
    }
    let out: Vec<_> = (0..probes).map(|_| workers.pass(0)).collect();
    if state == Left::Recovering {
        out.into_iter().for_each(|it| workers.settle(0, it, 200));
    }
    if let Left::ForceOver(to) = state {
        let now = workers.now;
        let reached =
            workers.engines[0]
                .operator(now)
                .control("p0", None, Action::Force(to, MINUTE));
        assert_eq!(reached, Ok(1));
        workers.wait(60_000);
    }
    workers.wait(100);
    workers.tick();
    workers
}

/// Gives the worker another configuration. The earlier one continues if it `drains`.
fn update(workers: &mut Workers, fields: &str, drains: bool) {
    workers.wait(1);
    let next = workers.another(7, &file(fields));
    workers.engines.insert(0, next);
    if !drains {
        let now = workers.now;
        workers.engines.remove(1).retire(now);
    }
}

fn view(workers: &mut Workers) -> CircuitView {
    let now = workers.now;
    let mut views = workers.engines[0]
        .operator(now)
        .circuits(&["p0"], first(10))
        .circuits;
    assert_eq!(views.len(), 1);
    views.remove(0)
}

fn each(mut check: impl FnMut(&str, Left)) {
    for before in BEFORE {
        for state in LEFT {
            if state != Left::Recovering || before.contains("recovery") {
                check(before, state);
            }
        }
    }
}

#[test]
fn a_breaker_that_is_off_rejects_nothing_whatever_the_records_say() {
    each(|before, state| {
        for next in WITHOUT {
            for drains in [false, true] {
                let row = format!("{before}\n{state:?}\n{next}\n{drains}");
                let mut workers = left(before, state);
                update(&mut workers, next, drains);
                workers.events("");
                for _ in 0..30 {
                    match workers.engines[0].admit(&get(), true, workers.now) {
                        Admission::Unmatched => assert!(next.contains("disabled"), "{row}"),
                        Admission::Reject(..) | Admission::Count(..) => panic!("{row}"),
                        Admission::Pass(ticket, _) => {
                            let note = ticket.note();
                            assert!(note.is_none() || next.contains("shadow"), "{row}");
                            workers.settle(0, ticket, 503);
                        }
                    }
                    workers.wait(50);
                }
                if !next.contains("circuit_breaker") {
                    let view = view(&mut workers);
                    let standing = view.automatic;
                    assert_eq!(standing.state, StateName::Closed, "{row}");
                    assert_eq!((standing.counts.requests, standing.opens), (0, 0), "{row}");
                    let gauges = workers.events("p0 OpenCircuits");
                    let last = gauges.last().is_none_or(|it| it == "p0 OpenCircuits 0");
                    assert!(last, "{row}");
                }
            }
        }
    });
}

#[test]
fn retries_are_granted_as_the_configuration_says_whatever_the_records_say() {
    each(|before, state| {
        for (next, orders) in [(r#""retry": RETRY"#, Some(2)), ("", None)] {
            let row = format!("{before}\n{state:?}\n{next}");
            let mut workers = left(before, state);
            // The retries of the earlier configuration stay withdrawn.
            workers.wait(2_000);
            update(&mut workers, next, false);
            let ticket = workers.engines[0].admit(&get(), true, workers.now);
            let Admission::Pass(ticket, _) = ticket else {
                panic!("{row}");
            };
            let order = ticket.ordered();
            assert_eq!(order, orders, "{row}");
        }
    });
}

#[test]
fn a_breaker_that_is_switched_on_again_starts_fresh() {
    each(|before, state| {
        let mut workers = left(before, state);
        update(&mut workers, "", false);
        for _ in 0..3 {
            workers.serve_to(0, &get(), 503);
            workers.wait(100);
        }
        update(&mut workers, before, false);
        for _ in 0..4 {
            workers.serve_to(0, &get(), 503);
        }
        assert!(!workers.rejects(0), "{before}\n{state:?}");
        workers.serve_to(0, &get(), 503);
        assert!(workers.rejects(0), "{before}\n{state:?}");
    });
}

#[test]
fn a_disabled_policy_leaves_no_circuit_behind() {
    let disabled = format!(r#"{}, "mode": "disabled""#, BEFORE[0]);
    let mut workers = left(BEFORE[0], Left::Open);
    update(&mut workers, &disabled, false);
    assert_eq!(workers.names_in_directory(), [""; 0]);
    update(&mut workers, BEFORE[0], false);
    assert!(!workers.rejects(0));
}

/// Each row: the configurations before and after, the state that the earlier one leaves, and the
/// longest time after the update for which the circuit still rejects, in milliseconds.
#[test]
fn no_earlier_open_time_lease_or_ramp_outlasts_the_current_configuration() {
    let plain = r#""circuit_breaker": {"consecutive_failures": 5, "failure_rate_threshold": 0"#;
    let shorter = r#""open": {"duration": "1s", "multiplier": 1, "max_duration": "1s", "jitter": 0,
        "retry_after_max": "0s"}, "half_open": {"permits": 3, "lease": "1s"}"#;
    let one_permit = OPEN.replace("\"permits\": 3", "\"permits\": 1");
    let ramp = r#""recovery": {"duration": "10m", "start_percent": 1}"#;
    let with = |fields: &str| format!("{plain}, {fields}}}");
    let rows = [
        (with(OPEN), with(shorter), Left::Open, 1_000),
        (with(OPEN), with(shorter), Left::NoPermits, 1_000),
        (with(OPEN), with(shorter), Left::HalfOpen, 0),
        (with(OPEN), with(OPEN), Left::HalfOpen, 0),
        (with(OPEN), with(&one_permit), Left::Counted, 0),
        (
            with(&format!("{OPEN}, {ramp}")),
            with(OPEN),
            Left::Recovering,
            0,
        ),
    ];
    for (before, next, state, ms) in rows {
        let mut workers = left(&before, state);
        update(&mut workers, &next, false);
        if ms > 0 {
            assert!(
                workers.rejects(0) || state == Left::Open,
                "{next} {state:?}"
            );
        }
        workers.wait(ms);
        // The expired leases failed, and open the circuit for its new time.
        if workers.rejects(0) {
            assert_eq!(state, Left::NoPermits, "{next}");
            workers.wait(1_000);
            assert!(!workers.rejects(0), "{next} {state:?}");
        }
    }
}

#[test]
fn fewer_permits_are_judged_by_the_current_configuration() {
    let fields = BEFORE[0];
    let fewer = file(fields).replace("\"permits\": 3", "\"permits\": 1");
    let mut workers = left(fields, Left::Open);
    workers.wait(600_000);
    let mut out: Vec<_> = (0..3).map(|_| workers.pass(0)).collect();
    let first = out.remove(0);
    workers.settle(0, first, 200);
    workers.wait(100);
    let next = workers.another(7, &fewer);
    workers.engines[0] = next;
    // One success is enough; the two probes under way do not delay it.
    let _ = workers.admit(0);
    workers.wait(100);
    workers.serve_to(0, &get(), 200);
    assert_eq!(view(&mut workers).automatic.state, StateName::Closed);
}

#[test]
fn a_window_of_another_shape_starts_empty() {
    let shapes = [
        r#"{"type": "time", "duration": "10m"}"#,
        r#"{"type": "time", "duration": "20m"}"#,
        r#"{"type": "count", "size": 10}"#,
        r#"{"type": "count", "size": 11}"#,
    ];
    let fields = |shape: &str| {
        format!(
            r#""circuit_breaker": {{"window": {shape}, "minimum_requests": 8,
                "failure_rate_threshold": 100}}"#
        )
    };
    for before in shapes {
        for next in shapes {
            let mut workers = Workers::new(1, &file(&fields(before)));
            (0..7).for_each(|_| workers.serve_to(0, &get(), 503));
            workers.wait(100);
            workers.tick();
            update(&mut workers, &fields(next), false);
            workers.serve_to(0, &get(), 503);
            assert_eq!(workers.rejects(0), before == next, "{before} {next}");
        }
    }
}

#[test]
fn an_expired_force_denies_no_retry() {
    for engine in ["router", "filter"] {
        for to in [Forced::Open, Forced::Closed] {
            let fields =
                format!(r#""circuit_breaker": {{}}, "retry": {{"engine": {engine:?} REPLAY}}"#);
            let replay = match engine {
                "filter" => r#", "replay": "as_received""#,
                _ => "",
            };
            let mut workers = Workers::new(1, &file(&fields.replace("REPLAY", replay)));
            workers.serve_to(0, &get(), 200);
            let now = workers.now;
            let reached =
                workers.engines[0]
                    .operator(now)
                    .control("p0", None, Action::Force(to, MINUTE));
            assert_eq!(reached, Ok(1));
            workers.wait(60_000);
            // No worker has written the record since.
            for _ in 0..2 {
                let Admission::Pass(mut ticket, _) =
                    workers.engines[0].admit(&get(), true, workers.now)
                else {
                    panic!("{engine} {to:?}");
                };
                if engine == "router" {
                    let order = ticket.ordered();
                    assert_eq!(order, Some(2), "{to:?}");
                } else {
                    let (ending, now) = (TestResponse::status(503), workers.now);
                    let step = workers.engines[0].response_headers(&mut ticket, &ending, now);
                    assert!(matches!(step, Step::Retry(_)), "{to:?}: {step:?}");
                    let replay = workers.engines[0].replay(&mut ticket, now);
                    assert!(replay.is_ok(), "{to:?}: {replay:?}");
                }
                workers.wait(100);
            }
        }
    }
}

#[test]
fn a_record_without_an_account_gets_one_if_the_policy_has_retries() {
    // A configuration without retries is loaded again, as after a trap, and is newer.
    let with = file(&format!(r#""retry": {RETRY}"#));
    let without = file("");
    let mut workers = Workers::new(1, &with);
    workers.wait(1);
    workers.engines.push(workers.another(2, &without));
    workers.serve_to(1, &get(), 200);
    workers.wait(100);
    for _ in 0..3 {
        let Admission::Pass(ticket, _) = workers.engines[0].admit(&get(), true, workers.now) else {
            panic!("closed");
        };
        let order = ticket.ordered();
        assert_eq!(order, Some(2));
        workers.settle(0, ticket, 200);
        workers.wait(2_000);
    }
}
