//! The probes of the half-open state.

use super::*;

/// Opens at the first failure for a second. `more` adds fields.
fn half_open(more: &str) -> String {
    format!(
        r#""minimum_requests": 1, "open": {{"duration": "1s", "multiplier": 1, "jitter": 0}}{more}"#
    )
}

/// From closed to one probe in flight.
const FIRST_PROBE: &str = "
    admit, fail      : pass, closed>open failure_rate 1/1/0 #1 1000ms
    wait 1000, admit : open>half_open open_elapsed 0/0/0 #1, probe
";

fn check_probes(more: &str, script: &str) {
    check(&half_open(more), &format!("{FIRST_PROBE}{script}"));
}

/// Like [`check_probes`], but the first probe is incomplete.
fn check_uploads(more: &str, script: &str) {
    let first = FIRST_PROBE.replace("1000, admit", "1000, begin");
    check(&half_open(more), &format!("{first}{script}"));
}

#[test]
fn exactly_as_many_probes_as_permits_are_admitted() {
    check_probes(
        r#", "half_open": {"permits": 4}, "failure_rate_threshold": 100"#,
        "admit 9 : probe x3, no half_open 0 x6
         ok      : half_open>closed probes_succeeded 1/0/0 #1
         admit 9 : pass x9",
    );
}

#[test]
fn permits_limit_all_probes_not_concurrent_ones() {
    // Two failures are bad, so no judgement is certain before the third probe.
    check_probes(
        r#", "half_open": {"permits": 3}, "failure_rate_threshold": 50"#,
        "ok, admit 5   : probe x2, no half_open 0 x3
         fail, admit   : no half_open 0
         ok            : half_open>closed probes_succeeded 3/1/0 #1",
    );
}

#[test]
fn probes_are_judged_as_soon_as_the_result_is_certain() {
    struct Row {
        permits: u32,
        rules: &'static str,
        ends: &'static str,
        verdict: &'static str,
    }
    let row = |permits, rules, ends, verdict| Row {
        permits,
        rules,
        ends,
        verdict,
    };
    const HALF: &str = r#""failure_rate_threshold": 50"#;
    const SLOW: &str =
        r#""failure_rate_threshold": 0, "slow_threshold": "1s", "slow_rate_threshold": 60"#;
    const BOTH: &str =
        r#""failure_rate_threshold": 100, "slow_threshold": "1s", "slow_rate_threshold": 50"#;
    const COUNT: &str = r#""failure_rate_threshold": 0, "failure_count_threshold": 9,
        "slow_threshold": "1s", "slow_rate_threshold": 60"#;
    const NONE: &str = r#""failure_rate_threshold": 0, "consecutive_failures": 1"#;
    let rows = [
        // However small the share, it takes a failure.
        row(3, r#""failure_rate_threshold": 0.01"#, "ok 2", ""),
        row(3, r#""failure_rate_threshold": 0.01"#, "ok 3", "good 3/0/0"),
        row(
            3,
            r#""failure_rate_threshold": 0.01"#,
            "ok 2, fail",
            "failed 3/1/0",
        ),
        // Half of ten is five: bad at the fifth failure, good at the sixth success.
        row(10, HALF, "fail 4, ok 5", ""),
        row(10, HALF, "fail 5", "failed 5/5/0"),
        row(10, HALF, "fail 4, ok 5, fail", "failed 10/5/0"),
        row(10, HALF, "ok 5", ""),
        row(10, HALF, "ok 6", "good 6/0/0"),
        row(10, HALF, "fail 4, ok 6", "good 10/4/0"),
        // Half of three is two, not one.
        row(3, HALF, "fail", ""),
        row(3, HALF, "fail 2", "failed 2/2/0"),
        row(3, HALF, "ok 2", "good 2/0/0"),
        // All of them.
        row(3, r#""failure_rate_threshold": 100"#, "fail 2", ""),
        row(
            3,
            r#""failure_rate_threshold": 100"#,
            "fail 3",
            "failed 3/3/0",
        ),
        row(3, r#""failure_rate_threshold": 100"#, "ok", "good 1/0/0"),
        // 60 percent of 5 is 3. If only slowness trips, failures do not count.
        row(5, SLOW, "slow 2, ok 2", ""),
        row(5, SLOW, "slow 3", "slow 3/0/3"),
        row(5, SLOW, "slow 2, ok 3", "good 5/0/2"),
        row(5, SLOW, "fail 3", "good 3/3/0"),
        row(5, SLOW, "slow, ok, slowfail 2", "slow 4/2/3"),
        // Good only when neither rule can apply any more.
        row(4, BOTH, "ok 2", ""),
        row(4, BOTH, "ok 3", "good 3/0/0"),
        row(4, BOTH, "fail 3", ""),
        row(4, BOTH, "fail 3, ok", "good 4/3/0"),
        row(4, BOTH, "fail 2, slow 2", "slow 4/2/2"),
        // Without both rates one failure is bad, whatever number of failures in a row trips.
        row(3, NONE, "ok 2", ""),
        row(3, NONE, "ok 3", "good 3/0/0"),
        row(3, NONE, "fail", "failed 1/1/0"),
        row(3, COUNT, "ok 2", ""),
        row(3, COUNT, "fail", "failed 1/1/0"),
        row(
            3,
            r#""failure_rate_threshold": 0, "consecutive_failures": 1,
                  "slow_rate_threshold": 50"#,
            "slow 2",
            "",
        ),
    ];
    for Row {
        permits,
        rules,
        ends,
        verdict,
    } in rows
    {
        let fields = half_open(&format!(
            r#", "half_open": {{"permits": {permits}}}, {rules}"#
        ));
        let mut bench = Bench::new(&fields);
        let (breaker, mut context) = bench.context();
        breaker.open(Why::FailureRate, Counts::default(), None, &mut context);
        bench.step("wait 1000");
        let admitted = shortened(&bench.step(&format!("admit {permits}")));
        assert!(
            admitted.contains(&format!("probe x{permits}")),
            "{admitted}"
        );
        let results: Vec<String> = ends.split(',').flat_map(|s| bench.step(s)).collect();
        let expected = match verdict.split_once(' ') {
            None => String::new(),
            Some(("good", counts)) => format!("half_open>closed probes_succeeded {counts} #1"),
            Some((why, counts)) => format!("half_open>open probes_{why} {counts} #2 1000ms"),
        };
        assert_eq!(shortened(&results), expected, "{fields}: {ends}");
    }
}

#[test]
fn minimum_requests_and_consecutive_failures_do_not_apply_to_probes() {
    check(
        r#""minimum_requests": 3, "consecutive_failures": 2, "failure_rate_threshold": 100,
           "open": {"duration": "1s", "jitter": 0}, "half_open": {"permits": 3}"#,
        "admit 2, fail 2  : pass x2, closed>open consecutive_failures 2/2/0 #1 1000ms
         wait 1000, admit 3, fail 2 : open>half_open open_elapsed 0/0/0 #1, probe x3
         ok               : half_open>closed probes_succeeded 3/2/0 #1",
    );
}

#[test]
fn good_probes_close_the_circuit_without_earlier_counts() {
    check_probes(
        r#", "half_open": {"permits": 2}, "consecutive_failures": 2"#,
        "admit, ok, fail : probe, half_open>open probes_failed 2/1/0 #2 1000ms
         wait 1000, admit 2, ok 2 : open>half_open open_elapsed 0/0/0 #2, probe x2, \
             half_open>closed probes_succeeded 2/0/0 #2",
    );
    // Neither window nor consecutive failures from before.
    check(
        r#""minimum_requests": 2, "consecutive_failures": 3,
           "open": {"duration": "1s", "jitter": 0}, "half_open": {"permits": 1}"#,
        "admit 2, fail 2  : pass x2, closed>open failure_rate 2/2/0 #1 1000ms
         wait 1000, admit, ok : open>half_open open_elapsed 0/0/0 #1, probe, \
             half_open>closed probes_succeeded 1/0/0 #1
         admit 9, fail    : pass x9
         fail             : closed>open failure_rate 2/2/0 #2 2000ms",
    );
}

#[test]
fn an_ignored_probe_returns_its_permit() {
    check_probes(
        r#", "half_open": {"permits": 1}"#,
        "admit             : no half_open 0
         ignored, admit 2  : probe, no half_open 0
         ignored, admit, ok : probe, half_open>closed probes_succeeded 1/0/0 #1",
    );
}

const LEASE: &str = r#", "half_open": {"permits": 1, "lease": "3s"}"#;

#[test]
fn a_lost_probe_with_a_complete_request_fails_at_the_end_of_its_lease() {
    check_probes(
        LEASE,
        "sent, lose, wait 2999, admit : no half_open 0
         wait 1, admit                : half_open>open probes_failed 1/1/0 #2 1000ms, no open 1000",
    );
}

#[test]
fn a_lost_probe_with_an_incomplete_request_returns_its_permit() {
    check_uploads(
        LEASE,
        "lose, wait 3000, admit 2 : probe, no half_open 0
         ok                       : half_open>closed probes_succeeded 1/0/0 #1",
    );
}

#[test]
fn a_complete_request_displaces_an_incomplete_probe() {
    check_uploads(
        LEASE,
        "admit 2  : probe, no half_open 0
         fail, ok : half_open>closed probes_succeeded 1/0/0 #1",
    );
    // It displaces the oldest, but none that is complete or has response headers.
    let three = r#", "half_open": {"permits": 3}, "failure_rate_threshold": 100"#;
    check_uploads(
        three,
        "wait 1, begin, begin    : probe x2
         sent, admit 3           : probe x2, no half_open 0
         fail 3                  :
         fail 2                  : half_open>open probes_failed 3/3/0 #2 1000ms",
    );
    check_uploads(
        three,
        "head ok, wait 1, begin 2, admit 3 : probe x4, no half_open 0",
    );
}

#[test]
fn an_incomplete_probe_keeps_its_permit_for_a_short_time() {
    // From half to three halves of a thirty-second of the open time.
    check_uploads(
        LEASE,
        "wait 15, begin : no half_open 0
         wait 32, begin : probe
         begin          : no half_open 0
         last ok        : half_open>closed probes_succeeded 1/0/0 #1",
    );
    // A displaced probe takes a permit again when its request becomes complete.
    check_uploads(
        LEASE,
        "wait 47, begin    : probe
         sent, begin       : no half_open 0
         last ok           :
         ok                : half_open>closed probes_succeeded 1/0/0 #1",
    );
    // A complete one is not displaced.
    check_uploads(LEASE, "sent, wait 900, begin, admit : no half_open 0 x2");
    // Without others it may use its whole lease.
    check_uploads(
        LEASE,
        "wait 2900, sent, ok : half_open>closed probes_succeeded 1/0/0 #1",
    );
}

#[test]
fn uploads_that_never_end_do_not_block_other_probes() {
    for (seed, good) in [(1, "admit"), (2, "begin"), (3, "begin"), (4, "begin")] {
        let mut bench = Bench::new(&half_open(r#", "half_open": {"permits": 3}"#));
        bench.random = Random::new(seed);
        for step in ["admit", "fail", "wait 1000"] {
            bench.step(step);
        }
        // A hundred uploads a second, and ten good requests that take 5 ms each.
        for ms in 0..2_000 {
            if ms % 10 == 0 {
                bench.step("begin");
            }
            if ms % 100 == 5 && bench.step(good) == ["probe"] {
                let permit = bench.permits.back().expect("a probe").clone();
                bench.breaker.request_complete(&permit, bench.now);
                bench.step("wait 5");
                bench.step("last ok");
            } else {
                bench.step("wait 1");
            }
        }
        assert_eq!(bench.breaker.state(), StateName::Closed, "{seed} {good}");
    }
}

#[test]
fn a_service_that_receives_only_uploads_leaves_half_open() {
    let mut bench = Bench::new(&half_open(r#", "half_open": {"permits": 3}"#));
    for step in ["admit", "fail", "wait 1000"] {
        bench.step(step);
    }
    // Twenty uploads a second, each of which takes a second.
    let mut under_way = VecDeque::new();
    for ms in 0..2_000 {
        if ms % 50 == 0 && bench.step("begin") == ["probe"] {
            let permit = bench.permits.pop_back().expect("a probe");
            under_way.push_back((ms, permit));
        }
        if under_way
            .front()
            .is_some_and(|(begun, _)| ms == begun + 1_000)
        {
            let (_, permit) = under_way.pop_front().expect("an upload");
            bench.breaker.request_complete(&permit, bench.now);
            bench.permits.push_back(permit);
            bench.step("ok");
        }
        bench.step("wait 1");
    }
    assert_eq!(bench.breaker.state(), StateName::Closed);
}

#[test]
fn a_probe_is_slow_as_soon_as_it_passes_the_threshold() {
    let slow = r#", "slow_threshold": "1s", "slow_rate_threshold": 60, "half_open": {"permits": 3},
        "failure_rate_threshold": 100"#;
    check_probes(
        slow,
        "overdue        :
         admit, overdue : probe
         admit          : probe
         overdue 2      : half_open>open probes_slow 2/0/2 #2 1000ms
         fail 3         :",
    );
    // It counts once, however it ends.
    check_probes(
        slow,
        "overdue, slow, admit 3 : probe x2, no half_open 0
         ok 2                   : half_open>closed probes_succeeded 3/0/1 #1",
    );
    check_probes(
        slow,
        "overdue, slowfail, admit 3 : probe x2, no half_open 0
         overdue                    : half_open>open probes_slow 2/1/2 #2 1000ms",
    );
    check_probes(
        slow,
        "overdue, ignored, admit 4 : probe x3, no half_open 0
         ok 2                      : half_open>closed probes_succeeded 2/0/0 #1",
    );
    // At the end of its lease it is a failure as well.
    check_probes(
        slow,
        "overdue, lose, wait 30000, admit 3 : probe x2, no half_open 0
         fail                               :
         slow                               : half_open>open probes_slow 3/2/2 #2 1000ms",
    );
}

#[test]
fn a_probe_is_judged_by_response_headers_within_its_lease() {
    let slow = format!(r#"{LEASE}, "slow_threshold": "1s", "slow_rate_threshold": 100"#);
    check_probes(
        LEASE,
        "sent, head ok, wait 3000, admit : half_open>closed probes_succeeded 1/0/0 #1, pass
         fail : ",
    );
    check_probes(
        LEASE,
        "head fail, wait 3000, admit : half_open>open probes_failed 1/1/0 #2 1000ms, no open 1000",
    );
    check_probes(LEASE, "head ignored, wait 3000, admit : probe");
    // They decide after a quarter of the open time, not only at the end of the lease.
    check_probes(
        LEASE,
        "wait 500, head ok, wait 249, admit : no half_open 0
         wait 1, admit                      : half_open>closed probes_succeeded 1/0/0 #1, pass
         fail                               :",
    );
    check_uploads(
        LEASE,
        "head ok, wait 250, begin : half_open>closed probes_succeeded 1/0/0 #1, pass",
    );
    check_probes(
        LEASE,
        "head ok, wait 249, fail : half_open>open probes_failed 1/1/0 #2 1000ms",
    );
    check_probes(
        &slow,
        "head slow, wait 3000, admit : half_open>open probes_slow 1/0/1 #2 1000ms, no open 1000",
    );
}

#[test]
fn events_after_the_lease_change_nothing_even_if_no_call_saw_its_end() {
    check_uploads(LEASE, "wait 3000, sent, admit : probe");
    check_probes(
        LEASE,
        "sent, wait 3000, head ok, admit : half_open>open probes_failed 1/1/0 #2 1000ms, \
            no open 1000",
    );
    check_uploads(LEASE, "wait 3000, fail, admit : probe");
    check_probes(
        LEASE,
        "sent, wait 3000, ok : half_open>open probes_failed 1/1/0 #2 1000ms",
    );
}

#[test]
fn settling_after_the_lease_is_a_no_op() {
    check_uploads(
        r#", "half_open": {"permits": 2, "lease": "3s"}, "failure_rate_threshold": 100"#,
        "wait 3000, admit 2   : probe x2
         fail                 :
         fail 2               : half_open>open probes_failed 2/2/0 #2 1000ms",
    );
}

#[test]
fn every_probe_has_its_own_lease() {
    check_probes(
        r#", "half_open": {"permits": 2, "lease": "3s"}, "failure_rate_threshold": 100"#,
        "wait 2000, admit, wait 1000, admit : probe, no half_open 0
         wait 1999, admit                   : no half_open 0
         wait 1, admit                      : half_open>open probes_failed 2/2/0 #2 1000ms, \
             no open 1000",
    );
}

#[test]
fn a_late_response_from_before_the_outage_changes_nothing() {
    check(
        &half_open(r#", "half_open": {"permits": 2}"#),
        "admit 9, fail        : pass x9, closed>open failure_rate 1/1/0 #1 1000ms
         ok, fail             :
         wait 1000, admit     : open>half_open open_elapsed 0/0/0 #1, probe
         ok, fail             :
         admit 2              : probe, no half_open 0
         last ok, last ok     : half_open>closed probes_succeeded 2/0/0 #1
         fail                 :
         admit, last fail     : pass, closed>open failure_rate 1/1/0 #2 1000ms",
    );
}

#[test]
fn a_probe_of_an_earlier_half_open_state_changes_nothing() {
    check_probes(
        r#", "half_open": {"permits": 2}"#,
        "admit, last fail      : probe, half_open>open probes_failed 1/1/0 #2 1000ms
         wait 1000, admit      : open>half_open open_elapsed 0/0/0 #2, probe
         ok                    :
         admit 2               : probe, no half_open 0
         ok 2                  : half_open>closed probes_succeeded 2/0/0 #2",
    );
}

#[test]
fn a_new_breaker_rejects_a_permit_of_its_predecessor() {
    let mut bench = Bench::new(&half_open(""));
    bench.step("admit");
    bench.now = bench.now.after(Span::from_ns(1));
    bench.breaker = Breaker::new(&bench.config, bench.now);
    assert!(bench.step("fail").is_empty());
    assert_eq!(bench.breaker.state(), StateName::Closed);
}

#[test]
fn only_the_hint_of_the_last_probe_lengthens_the_open_time() {
    let both = r#", "half_open": {"permits": 2}, "failure_rate_threshold": 100,
        "slow_threshold": "1s", "slow_rate_threshold": 50"#;
    check_probes(
        both,
        "admit, fail, hint 9000 : probe, half_open>open probes_failed 2/2/0 #2 9000ms",
    );
    check_probes(
        both,
        "admit, hint 9000, fail : probe, half_open>open probes_failed 2/2/0 #2 1000ms",
    );
    check_probes(
        both,
        "admit, hint 9000, slow : probe, half_open>open probes_slow 2/1/1 #2 1000ms",
    );
}
