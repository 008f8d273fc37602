//! When a closed circuit opens, and for how long.

use super::*;

#[test]
fn the_circuit_opens_when_failures_reach_their_share_of_enough_requests() {
    check(
        r#""minimum_requests": 4, "failure_rate_threshold": 50, "open": {"jitter": 0}"#,
        "admit 9           : pass x9
         ok, fail, ok      :
         fail              : closed>open failure_rate 4/2/0 #1 5000ms
         admit             : no open 5000
         wait 1, admit     : no open 4999
         wait 4998, admit  : no open 1
         wait 1, admit     : open>half_open open_elapsed 0/0/0 #1, probe",
    );
}

#[test]
fn a_failure_rate_just_below_the_threshold_does_not_open() {
    let fields = r#""minimum_requests": 3, "failure_rate_threshold": 33.34, "open": {"jitter": 0}"#;
    check(
        fields,
        "admit 9          : pass x9
         ok 2, fail       :
         ok 3             :
         fail             :
         fail             : closed>open failure_rate 8/3/0 #1 5000ms",
    );
    // One third is exactly more than 33.33 percent.
    check(
        &fields.replace("33.34", "33.33"),
        "admit 3, ok 2, fail : pass x3, closed>open failure_rate 3/1/0 #1 5000ms",
    );
}

#[test]
fn the_circuit_stays_closed_below_the_minimum_of_requests() {
    check(
        r#""minimum_requests": 20, "failure_rate_threshold": 1, "open": {"jitter": 0}"#,
        "admit 30, fail 19 : pass x30
         ignored 5         :
         fail              : closed>open failure_rate 20/20/0 #1 5000ms",
    );
}

#[test]
fn the_request_that_reaches_the_minimum_opens_even_if_it_succeeds() {
    check(
        r#""minimum_requests": 4, "failure_rate_threshold": 75, "open": {"jitter": 0}"#,
        "admit 4, fail 3, ok : pass x4, closed>open failure_rate 4/3/0 #1 5000ms",
    );
}

#[test]
fn a_count_window_limits_the_minimum_to_its_size() {
    check(
        r#""window": {"type": "count", "size": 3}, "minimum_requests": 20, "open": {"jitter": 0}"#,
        "admit 9, fail 2     : pass x9
         ok                  : closed>open failure_rate 3/2/0 #1 5000ms",
    );
}

#[test]
fn a_count_window_forgets_by_number_and_a_time_window_by_age() {
    check(
        r#""window": {"type": "count", "size": 4}, "minimum_requests": 4,
           "failure_rate_threshold": 75, "open": {"jitter": 0}"#,
        "admit 20, fail 2, ok 4, fail 2 : pass x20
         wait 3600000, fail             : closed>open failure_rate 4/3/0 #1 5000ms",
    );
    check(
        r#""window": {"type": "time", "duration": "10s"}, "minimum_requests": 3,
           "open": {"jitter": 0}"#,
        "admit 20, fail 2               : pass x20
         wait 10000, fail               :
         wait 9000, fail                :
         fail                           : closed>open failure_rate 3/3/0 #1 5000ms",
    );
}

#[test]
fn slow_responses_open_the_circuit_by_their_own_share() {
    let fields = r#""minimum_requests": 4, "failure_rate_threshold": 0, "slow_threshold": "1s",
                    "slow_rate_threshold": 50, "open": {"jitter": 0}"#;
    check(
        fields,
        "admit 9, ok, fail, slow : pass x9
         slowfail                : closed>open slow_rate 4/2/2 #1 5000ms",
    );
    // The default share is 100 percent.
    check(
        &fields.replace(r#""slow_rate_threshold": 50,"#, ""),
        "admit 9, slow 3, ok : pass x9
         slow 4              :",
    );
    check(
        &fields.replace(r#""slow_rate_threshold": 50,"#, ""),
        "admit 9, slow 4 : pass x9, closed>open slow_rate 4/0/4 #1 5000ms",
    );
}

#[test]
fn without_a_slow_threshold_or_rate_slow_responses_never_open() {
    check(
        r#""minimum_requests": 2, "slow_rate_threshold": 1"#,
        "admit 50, slow 50 : pass x50",
    );
    check(
        r#""minimum_requests": 2, "slow_threshold": "1ms", "slow_rate_threshold": 0"#,
        "admit 50, slow 50 : pass x50",
    );
}

#[test]
fn consecutive_failures_open_at_any_volume() {
    let fields = r#""minimum_requests": 1000, "consecutive_failures": 3, "open": {"jitter": 0}"#;
    check(
        fields,
        "admit 20, fail 2, ok, fail 2, slow, fail 2, ignored :  pass x20
         fail  : closed>open consecutive_failures 9/7/1 #1 5000ms",
    );
}

#[test]
fn consecutive_failures_outlive_the_window() {
    check(
        r#""window": {"type": "time", "duration": "1s"}, "consecutive_failures": 3,
           "open": {"jitter": 0}"#,
        "admit 3, fail, wait 60000, fail, wait 60000 : pass x3
         fail : closed>open consecutive_failures 1/1/0 #1 5000ms",
    );
}

#[test]
fn failures_in_the_window_open_at_any_share_and_volume() {
    let fields = r#""minimum_requests": 1000, "failure_count_threshold": 3, "open": {"jitter": 0}"#;
    check(
        fields,
        "admit 20, fail 2, ok 9, slow, ignored : pass x20
         fail  : closed>open failure_count 13/3/1 #1 5000ms",
    );
    // A time window forgets failures by their age, a count window by later outcomes.
    check(
        &fields.replace("1000,", r#"1000, "window": {"duration": "1s"},"#),
        "admit 9, fail 2, wait 1000, fail, wait 500, fail : pass x9
         wait 400, fail : closed>open failure_count 3/3/0 #1 5000ms",
    );
    check(
        &fields.replace(
            "1000,",
            r#"1000, "failure_rate_threshold": 0, "window": {"type": "count", "size": 4},"#,
        ),
        "admit 20, fail 2, ok 2, fail, ok, fail, ok, ok : pass x20
         fail 2 :
         fail   : closed>open failure_count 4/3/0 #1 5000ms",
    );
    check(
        &fields.replace("1000,", r#"1000, "window": {"type": "count", "size": 2},"#),
        "admit 20, fail 20 : pass x20, closed>open failure_rate 2/2/0 #1 5000ms",
    );
}

#[test]
fn the_first_of_rate_and_number_that_is_reached_opens() {
    for (number, expected) in [
        (1, "pass x9, closed>open failure_count 1/1/0 #1 5000ms"),
        (5, "pass x9, closed>open failure_rate 4/4/0 #1 5000ms"),
        (0, "pass x9, closed>open failure_rate 4/4/0 #1 5000ms"),
    ] {
        check(
            &format!(
                r#""minimum_requests": 4, "failure_count_threshold": {number},
                   "open": {{"jitter": 0}}"#
            ),
            &format!("admit 9, fail 9 : {expected}"),
        );
    }
}

#[test]
fn waiting_requests_are_no_failures_in_the_window() {
    let fields = HANGS.replace("50,", r#"0, "failure_count_threshold": 2,"#);
    check(
        &fields,
        "admit 9, last fail, overdue 2 : pass x9
         last fail : closed>open failure_count 4/2/2 #1 1000ms",
    );
}

#[test]
fn without_any_rule_the_circuit_stays_closed() {
    check(
        r#""minimum_requests": 1, "failure_rate_threshold": 0, "slow_threshold": "1ms",
           "slow_rate_threshold": 0, "consecutive_failures": 0"#,
        "admit 500, fail 250, slowfail 250 : pass x500",
    );
}

#[test]
fn one_failure_can_suffice_and_ignored_requests_never_count() {
    check(
        r#""minimum_requests": 1, "failure_rate_threshold": 100, "open": {"jitter": 0}"#,
        "admit 9, ignored 7, ok : pass x9
         fail                   :",
    );
    check(
        r#""minimum_requests": 1, "failure_rate_threshold": 100, "open": {"jitter": 0}"#,
        "admit 8, ignored 7, fail : pass x8, closed>open failure_rate 1/1/0 #1 5000ms",
    );
}

const QUICK: &str = r#""minimum_requests": 1, "failure_rate_threshold": 1,
    "open": {"duration": "1s", "multiplier": 3, "max_duration": "20s", "jitter": 0},
    "half_open": {"permits": 1}"#;

#[test]
fn each_opening_lasts_longer_up_to_the_cap() {
    check(
        QUICK,
        "admit, fail : pass, closed>open failure_rate 1/1/0 #1 1000ms
         wait 1000, admit, fail : open>half_open open_elapsed 0/0/0 #1, probe, \
             half_open>open probes_failed 1/1/0 #2 3000ms
         wait 3000, admit, fail : open>half_open open_elapsed 0/0/0 #2, probe, \
             half_open>open probes_failed 1/1/0 #3 9000ms
         wait 9000, admit, fail : open>half_open open_elapsed 0/0/0 #3, probe, \
             half_open>open probes_failed 1/1/0 #4 20000ms
         wait 20000, admit, fail : open>half_open open_elapsed 0/0/0 #4, probe, \
             half_open>open probes_failed 1/1/0 #5 20000ms",
    );
}

#[test]
fn an_open_time_of_a_millisecond_is_exact() {
    let fields = QUICK.replace("\"1s\"", "\"1ms\"");
    check(
        &fields,
        "admit 2, fail, admit : pass x2, closed>open failure_rate 1/1/0 #1 1ms, no open 1
         ok, wait 1           :
         admit, fail, admit   : open>half_open open_elapsed 0/0/0 #1, probe, \
             half_open>open probes_failed 1/1/0 #2 3ms, no open 3
         wait 3, admit        : open>half_open open_elapsed 0/0/0 #2, probe
         head ok              :
         wait 1, admit        : half_open>closed probes_succeeded 1/0/0 #2, pass",
    );
    check(
        &fields.replace("\"20s\"", "\"1ms\""),
        "admit, fail          : pass, closed>open failure_rate 1/1/0 #1 1ms
         wait 1, admit, fail  : open>half_open open_elapsed 0/0/0 #1, probe, \
             half_open>open probes_failed 1/1/0 #2 1ms",
    );
}

#[test]
fn openings_restart_at_one_after_a_closed_time_as_long_as_the_last_open_time() {
    let outage = "
         admit, fail : pass, closed>open failure_rate 1/1/0 #1 1000ms
         wait 1000, admit, fail : open>half_open open_elapsed 0/0/0 #1, probe, \
             half_open>open probes_failed 1/1/0 #2 3000ms
         wait 3000, admit, ok : open>half_open open_elapsed 0/0/0 #2, probe, \
             half_open>closed probes_succeeded 1/0/0 #2";
    for (closed_ms, expected) in [(0, "#3 9000ms"), (2_999, "#3 9000ms"), (3_000, "#1 1000ms")] {
        check(
            QUICK,
            &format!(
                "{outage}\n wait {closed_ms}, admit, fail : pass, \
                    closed>open failure_rate 1/1/0 {expected}"
            ),
        );
    }
}

#[test]
fn a_multiplier_of_one_keeps_the_open_time_constant() {
    check(
        &QUICK.replace("\"multiplier\": 3", "\"multiplier\": 1"),
        "admit, fail : pass, closed>open failure_rate 1/1/0 #1 1000ms
         wait 1000, admit, fail : open>half_open open_elapsed 0/0/0 #1, probe, \
             half_open>open probes_failed 1/1/0 #2 1000ms",
    );
}

#[test]
fn the_hint_of_the_failure_that_tripped_lengthens_the_open_time() {
    let fields = r#""minimum_requests": 2, "failure_rate_threshold": 100,
        "half_open": {"permits": 1}, "open": {"duration": "1s", "max_duration": "4s",
        "jitter": 0, "retry_after_max": "30s"}"#;
    let rows = [
        // The hint of an earlier failure does not count.
        ("hint 9000, fail", "#1 1000ms"),
        ("fail, hint 9000", "#1 9000ms"),
        ("fail, hint 30000", "#1 30000ms"),
        ("fail, hint 30001", "#1 30000ms"),
        ("fail, hint 999", "#1 1000ms"),
        ("fail, hint 0", "#1 1000ms"),
    ];
    for (ends, expected) in rows {
        check(
            fields,
            &format!("admit 2, {ends} : pass x2, closed>open failure_rate 2/2/0 {expected}"),
        );
    }
    check(
        fields,
        "admit 2, fail 2 : pass x2, closed>open failure_rate 2/2/0 #1 1000ms
         wait 1000, admit, hint 7000 : open>half_open open_elapsed 0/0/0 #1, probe, \
             half_open>open probes_failed 1/1/0 #2 7000ms
         wait 7000, admit, fail : open>half_open open_elapsed 0/0/0 #2, probe, \
             half_open>open probes_failed 1/1/0 #3 4000ms",
    );
}

#[test]
fn jitter_spreads_the_open_time_both_ways_and_a_hint_only_upwards() {
    let spread = |ends: &str| -> (u64, u64) {
        let fields = r#""minimum_requests": 1, "open": {"duration": "10s", "jitter": 20}"#;
        let mut bench = Bench::new(fields);
        let mut seen = Vec::new();
        for seed in 0..500 {
            bench.breaker = Breaker::new(&bench.config, bench.now);
            bench.random = Random::new(seed);
            bench.step("admit");
            bench.step(ends);
            seen.push(bench.breaker.last_open.as_ms());
        }
        (*seen.iter().min().unwrap(), *seen.iter().max().unwrap())
    };
    let (low, high) = spread("fail");
    assert!((8_000..8_100).contains(&low), "{low}");
    assert!((11_900..=12_000).contains(&high), "{high}");
    let (low, high) = spread("hint 20000");
    assert!((20_000..20_100).contains(&low), "{low}");
    assert!((23_900..=24_000).contains(&high), "{high}");
}

#[test]
fn with_a_stopped_clock_the_circuit_opens_and_stays_open() {
    check(
        r#""minimum_requests": 2, "open": {"jitter": 0}"#,
        "admit 3, fail 2 : pass x3, closed>open failure_rate 2/2/0 #1 5000ms
         admit 100       : no open 5000 x100
         ok              :
         admit           : no open 5000",
    );
}

#[test]
fn a_step_back_of_the_clock_only_prolongs_the_open_time() {
    check(
        r#""minimum_requests": 2, "open": {"jitter": 0}, "half_open": {"permits": 1}"#,
        "admit 2, fail 2            : pass x2, closed>open failure_rate 2/2/0 #1 5000ms
         back 1000, admit           : no open 6000
         wait 6000, admit           : open>half_open open_elapsed 0/0/0 #1, probe
         back 20000, admit          : no half_open 0
         ok                         : half_open>closed probes_succeeded 1/0/0 #1
         back 50000, admit 2, fail   : pass x2
         fail                       : closed>open failure_rate 2/2/0 #2 10000ms",
    );
}

#[test]
fn a_transition_has_the_duration_of_the_previous_state() {
    let mut bench = Bench::new(QUICK);
    let mut lasted = Vec::new();
    for step in [
        "wait 250",
        "admit",
        "fail",
        "wait 1500",
        "admit",
        "wait 40",
        "ok",
    ] {
        let (breaker, mut context) = bench.context();
        match step {
            "admit" => {
                let permit = breaker.try_acquire(true, &mut context);
                lasted.extend(context.transitions.drain(..).map(|t| t.lasted.as_ms()));
                bench.permits.push_back(permit.expect("admitted"));
            }
            "ok" | "fail" => {
                let permit = bench.permits.pop_front().expect("a request in flight");
                bench.settle(permit, verdict(step));
                lasted.extend(bench.transitions.drain(..).map(|t| t.lasted.as_ms()));
            }
            _ => drop(bench.step(step)),
        }
    }
    assert_eq!(lasted, [250, 1_500, 40]);
}

/// Trips at four requests if half of them fail or all are slow.
const HANGS: &str = r#""minimum_requests": 4, "failure_rate_threshold": 50,
    "slow_threshold": "1s", "slow_rate_threshold": 100,
    "open": {"duration": "1s", "multiplier": 1, "jitter": 0}"#;

#[test]
fn waiting_requests_open_the_circuit_before_any_of_them_ends() {
    check(
        HANGS,
        "admit 5, overdue 4 : pass x5, closed>open slow_rate 4/0/4 #1 1000ms
         fail 5             :",
    );
}

#[test]
fn a_waiting_request_counts_once_and_its_failure_is_not_lost() {
    // The outcome replaces the waiting request.
    let mut bench = Bench::new(HANGS);
    bench.step("admit 3");
    let waited_at = bench.now;
    bench.step("overdue 3");
    let counts = |requests, failures, slow| Counts {
        requests,
        failures,
        slow,
    };
    assert_eq!(bench.breaker.counts(), counts(3, 0, 3));
    // Once within the window, and once long after the waiting request has left it.
    for (wait, left) in [("wait 9000", 2), ("wait 60000", 0)] {
        bench.step(wait);
        let permit = bench.permits.pop_front().expect("a request in flight");
        bench.breaker.wait(&permit, waited_at, -1);
        bench.settle(permit, verdict("slowfail"));
        assert_eq!(bench.breaker.counts(), counts(1 + left, 1, 1 + left));
    }
    assert_eq!(bench.breaker.consecutive, 2);
    bench.step("wait 1000");
    let permit = bench.permits.pop_front().expect("a request in flight");
    bench.breaker.wait(&permit, waited_at, -1);
    bench.settle(permit, verdict("ignored"));
    assert_eq!(bench.breaker.counts(), counts(1, 1, 1));
}

#[test]
fn waiting_requests_do_not_hide_a_failure_rate() {
    // Half of the ended requests have failed while others wait.
    check(
        HANGS,
        "admit 20, last ok, last ok, overdue 5 : pass x20
         last fail                             :
         last fail                             : closed>open failure_rate 9/2/5 #1 1000ms",
    );
    // Waiting requests neither end a run of failures nor add to it.
    let run = HANGS.replace("50,", r#"0, "consecutive_failures": 3,"#);
    check(
        &run,
        "admit 9, last fail, last fail : pass x9
         overdue 2                     :
         last fail                     : closed>open consecutive_failures 5/3/2 #1 1000ms",
    );
}
