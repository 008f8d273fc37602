//! The ramp from the last good probe to full traffic.

use super::*;

const RAMP: &str = r#""minimum_requests": 2, "failure_rate_threshold": 50,
    "open": {"duration": "1s", "jitter": 0}, "half_open": {"permits": 1},
    "recovery": {"duration": "10s", "start_percent": 20}"#;

/// A breaker that has just begun to recover.
fn recovering(fields: &str) -> Bench {
    let mut bench = Bench::new(fields);
    for step in ["admit 2", "fail 2", "wait 1000", "admit", "ok"] {
        bench.step(step);
    }
    assert_eq!(bench.breaker.state(), StateName::Recovering);
    bench
}

#[test]
fn the_admitted_share_rises_linearly_from_its_start() {
    let rows = [
        (0, 20.0),
        (1, 20.0),
        (2_500, 40.0),
        (5_000, 60.0),
        (7_500, 80.0),
        (9_990, 99.9),
    ];
    for (elapsed_ms, percent) in rows {
        let mut bench = recovering(RAMP);
        bench.step(&format!("wait {elapsed_ms}"));
        let draws = 20_000;
        let passed = (0..draws).filter(|_| bench.admit(true) == "pass").count();
        let share = passed as f64 * 100.0 / f64::from(draws);
        assert!((share - percent).abs() < 1.5, "{elapsed_ms} ms: {share} %");
        assert!(bench.transitions.is_empty());
    }
}

#[test]
fn a_start_of_zero_percent_admits_nothing_and_of_all_admits_all() {
    let nothing = RAMP.replace("\"start_percent\": 20", "\"start_percent\": 0");
    assert!((0..5_000).all(|_| recovering(&nothing).admit(true) == "no recovering 0"));
    let all = RAMP.replace("\"start_percent\": 20", "\"start_percent\": 100");
    let mut bench = recovering(&all);
    assert!((0..5_000).all(|_| bench.admit(true) == "pass"));
}

#[test]
fn the_next_request_after_the_ramp_closes_the_circuit() {
    let ramp = RAMP.replace("\"start_percent\": 20", "\"start_percent\": 100");
    let outage = "
         admit 2, fail 2          : pass x2, closed>open failure_rate 2/2/0 #1 1000ms
         wait 1000, admit, ok     : open>half_open open_elapsed 0/0/0 #1, probe, \
             half_open>recovering probes_succeeded 1/0/0 #1";
    check(
        &ramp,
        &format!(
            "{outage}
             wait 9999, admit    : pass
             wait 1, admit       : recovering>closed recovered 0/0/0 #1, pass"
        ),
    );
    // A settlement can be the first call after the end of the ramp.
    check(
        &ramp,
        &format!(
            "{outage}
             admit, wait 10000, ok : pass, recovering>closed recovered 0/0/0 #1"
        ),
    );
}

#[test]
fn the_rules_apply_during_the_ramp() {
    check(
        &RAMP.replace("\"start_percent\": 20", "\"start_percent\": 100"),
        "admit 2, fail 2      : pass x2, closed>open failure_rate 2/2/0 #1 1000ms
         wait 1000, admit, ok : open>half_open open_elapsed 0/0/0 #1, probe, \
             half_open>recovering probes_succeeded 1/0/0 #1
         wait 500, admit 2    : pass x2
         fail                 :
         fail                 : recovering>open failure_rate 2/2/0 #2 2000ms
         admit                : no open 2000",
    );
}

#[test]
fn the_closed_state_after_a_ramp_keeps_window_run_and_generation() {
    let ramp = RAMP.replace("\"start_percent\": 20", "\"start_percent\": 100");
    let outage = "
         admit 2, fail 2          : pass x2, closed>open failure_rate 2/2/0 #1 1000ms
         wait 1000, admit, ok     : open>half_open open_elapsed 0/0/0 #1, probe, \
             half_open>recovering probes_succeeded 1/0/0 #1";
    // One failure during the ramp and one after it add up to two.
    check(
        &ramp,
        &format!(
            "{outage}
             wait 9000, admit 2, fail : pass x2
             wait 1000, fail : recovering>closed recovered 0/0/0 #1, \
                 closed>open failure_rate 2/2/0 #1 1000ms"
        ),
    );
    let runs = ramp.replace(
        "\"minimum_requests\": 2,",
        "\"minimum_requests\": 900, \"consecutive_failures\": 2,",
    );
    check(
        &runs,
        "admit 2, fail 2      : pass x2, closed>open consecutive_failures 2/2/0 #1 1000ms
         wait 1000, admit, ok : open>half_open open_elapsed 0/0/0 #1, probe, \
             half_open>recovering probes_succeeded 1/0/0 #1
         admit 2, fail        : pass x2
         wait 20000, fail     : recovering>closed recovered 0/0/0 #1, \
             closed>open consecutive_failures 1/1/0 #1 1000ms",
    );
}

#[test]
fn a_failing_ramp_soon_after_an_outage_opens_for_longer() {
    let ramp = RAMP.replace("\"start_percent\": 20", "\"start_percent\": 100");
    for (ms, expected) in [(999, "#2 2000ms"), (1_000, "#1 1000ms")] {
        check(
            &ramp,
            &format!(
                "admit 2, fail 2      : pass x2, closed>open failure_rate 2/2/0 #1 1000ms
                 wait 1000, admit, ok : open>half_open open_elapsed 0/0/0 #1, probe, \
                     half_open>recovering probes_succeeded 1/0/0 #1
                 wait {ms}, admit 2, fail 2 : pass x2, \
                     recovering>open failure_rate 2/2/0 {expected}"
            ),
        );
    }
}

#[test]
fn without_a_ramp_good_probes_close_the_circuit_at_once() {
    check(
        &RAMP.replace("\"10s\"", "\"0s\""),
        "admit 2, fail 2      : pass x2, closed>open failure_rate 2/2/0 #1 1000ms
         wait 1000, admit, ok : open>half_open open_elapsed 0/0/0 #1, probe, \
             half_open>closed probes_succeeded 1/0/0 #1
         admit 50             : pass x50",
    );
}
