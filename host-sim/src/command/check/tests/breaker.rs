use super::expect_breaker;

#[test]
fn a_policy_with_defaults_is_clean() {
    expect_breaker("", &[]);
}

#[test]
fn a_breaker_without_a_rule_never_opens() {
    let never = ["warning breaker-never-opens ."];
    expect_breaker(r#""failure_rate_threshold": 0"#, &never);
    expect_breaker(
        r#""failure_rate_threshold": 0, "slow_threshold": "1s", "slow_rate_threshold": 0"#,
        &[
            "warning breaker-never-opens .",
            "note slow-without-rate slow_threshold",
        ],
    );
    expect_breaker(
        r#""failure_rate_threshold": 0, "consecutive_failures": 5"#,
        &[],
    );
    expect_breaker(
        r#""failure_rate_threshold": 0, "slow_threshold": "1s", "half_open": {"permits": 1}"#,
        &[],
    );
}

#[test]
fn a_minimum_above_the_size_of_a_count_window_is_found() {
    let window = r#""window": {"type": "count", "size": 10}"#;
    expect_breaker(window, &[]);
    expect_breaker(&format!(r#"{window}, "minimum_requests": 10"#), &[]);
    expect_breaker(
        &format!(r#"{window}, "minimum_requests": 11"#),
        &["warning minimum-over-window minimum_requests"],
    );
}

#[test]
fn a_minimum_that_a_time_window_cannot_reach_is_found() {
    let window = r#""window": {"duration": "1s"}"#;
    expect_breaker(&format!(r#"{window}, "minimum_requests": 100000"#), &[]);
    expect_breaker(
        &format!(r#"{window}, "minimum_requests": 100001"#),
        &["warning minimum-out-of-reach minimum_requests"],
    );
    expect_breaker(
        &format!(
            r#"{window}, "minimum_requests": 100001, "failure_rate_threshold": 0,
               "consecutive_failures": 5"#
        ),
        &[],
    );
}

#[test]
fn a_run_of_failures_that_cannot_decide_is_found() {
    let late = ["warning consecutive-out-of-reach consecutive_failures"];
    let rows: &[(&str, u32, &[&str])] = &[
        (r#""size": 100"#, 49, &[]),
        (r#""size": 100"#, 50, &late),
        (r#""size": 100"#, 101, &late),
        (r#""size": 10"#, 9, &[]),
        (r#""size": 10"#, 10, &late),
    ];
    for (size, run, expected) in rows {
        expect_breaker(
            &format!(r#""window": {{"type": "count", {size}}}, "consecutive_failures": {run}"#),
            expected,
        );
    }
    expect_breaker(
        r#""window": {"type": "count", "size": 10}, "failure_rate_threshold": 0,
           "consecutive_failures": 500"#,
        &[],
    );
    expect_breaker(r#""consecutive_failures": 5000"#, &[]);
}

#[test]
fn a_number_of_failures_above_the_size_of_a_count_window_is_found() {
    let window = r#""window": {"type": "count", "size": 10}, "failure_count_threshold""#;
    expect_breaker(&format!("{window}: 10"), &[]);
    expect_breaker(
        &format!("{window}: 11"),
        &["warning failure-count-over-window failure_count_threshold"],
    );
    expect_breaker(r#""failure_count_threshold": 11"#, &[]);
}

#[test]
fn a_rule_by_which_one_failure_opens_gets_a_note() {
    expect_breaker(
        r#""minimum_requests": 1"#,
        &["note one-failure-opens failure_rate_threshold"],
    );
    expect_breaker(
        r#""minimum_requests": 2"#,
        &["note one-failure-opens failure_rate_threshold"],
    );
    expect_breaker(r#""minimum_requests": 3"#, &[]);
    expect_breaker(
        r#""failure_rate_threshold": 0, "consecutive_failures": 1"#,
        &["note one-failure-opens consecutive_failures"],
    );
    expect_breaker(
        r#""failure_count_threshold": 1"#,
        &["note one-failure-opens failure_count_threshold"],
    );
    expect_breaker(
        r#""failure_rate_threshold": 0, "failure_count_threshold": 2"#,
        &[],
    );
}

#[test]
fn slow_rules_need_a_threshold_and_a_rate() {
    expect_breaker(
        r#""slow_rate_threshold": 50"#,
        &["warning slow-rate-without-threshold slow_rate_threshold"],
    );
    expect_breaker(r#""slow_rate_threshold": 0"#, &[]);
    expect_breaker(
        r#""slow_until": "end""#,
        &["warning slow-until-without-threshold slow_until"],
    );
    expect_breaker(
        r#""slow_threshold": "1s", "slow_rate_threshold": 0"#,
        &["note slow-without-rate slow_threshold"],
    );
    expect_breaker(r#""slow_threshold": "1s", "slow_until": "end""#, &[]);
}

#[test]
fn open_times_without_jitter_growth_or_reachable_maximum_are_found() {
    expect_breaker(r#""open": {"jitter": 0}"#, &["note no-jitter open.jitter"]);
    expect_breaker(
        r#""open": {"duration": "60s"}"#,
        &["note no-room-to-grow open.max_duration"],
    );
    expect_breaker(
        r#""open": {"duration": "60s", "multiplier": 2}"#,
        &["warning no-room-to-grow open.max_duration"],
    );
    expect_breaker(r#""open": {"duration": "60s", "multiplier": 1}"#, &[]);
    expect_breaker(
        r#""open": {"multiplier": 1, "max_duration": "7s"}"#,
        &["warning cap-out-of-reach open.max_duration"],
    );
    expect_breaker(r#""open": {"multiplier": 1, "max_duration": "6s"}"#, &[]);
    expect_breaker(r#""open": {"multiplier": 1}"#, &[]);
}

#[test]
fn probes_without_effect_are_found() {
    let spare = ["note spare-permits half_open.permits"];
    expect_breaker(
        r#""failure_rate_threshold": 100, "half_open": {"permits": 10}"#,
        &spare,
    );
    expect_breaker(
        r#""failure_rate_threshold": 70, "half_open": {"permits": 3}"#,
        &spare,
    );
    expect_breaker(
        r#""failure_rate_threshold": 70"#,
        &["note spare-permits half_open.permits"],
    );
    expect_breaker(
        r#""failure_rate_threshold": 100, "half_open": {"permits": 1}"#,
        &[],
    );
    expect_breaker(
        r#""failure_rate_threshold": 60, "half_open": {"permits": 3}"#,
        &[],
    );
    expect_breaker(
        r#""failure_rate_threshold": 50, "slow_threshold": "1s", "half_open": {"permits": 10}"#,
        &[],
    );
    expect_breaker(
        r#""failure_rate_threshold": 0, "consecutive_failures": 5, "half_open": {"permits": 10}"#,
        &[],
    );
}

#[test]
fn a_lease_must_be_longer_than_the_slow_threshold() {
    let hides = ["warning lease-hides-slowness half_open.lease"];
    let with_lease =
        |lease: &str| format!(r#""slow_threshold": "2s", "half_open": {{"lease": "{lease}"}}"#);
    expect_breaker(&with_lease("1s"), &hides);
    expect_breaker(&with_lease("2s"), &hides);
    expect_breaker(&with_lease("2001ms"), &[]);
}

#[test]
fn a_recovery_needs_a_duration_and_a_start_below_100_percent() {
    expect_breaker(
        r#""recovery": {"duration": "10s", "start_percent": 100}"#,
        &["warning ramp-starts-full recovery.start_percent"],
    );
    expect_breaker(
        r#""recovery": {"start_percent": 10}"#,
        &["warning start-without-ramp recovery.start_percent"],
    );
    expect_breaker(r#""recovery": {"duration": "10s"}"#, &[]);
}
