use super::{Found, check};

/// Checks a whole file: `severity code path` of every finding.
#[track_caller]
fn expect_file(json: &str, expected: &[&str]) {
    let findings = match check(json.as_bytes()) {
        Found::Findings(findings) => findings,
        Found::Errors(errors) => panic!("{json} is refused: {errors:?}"),
        Found::Schema => panic!("{json} is a schema"),
        Found::Nothing(words) => panic!("{json}: {words}"),
    };
    let seen: Vec<String> = findings
        .iter()
        .map(|f| format!("{} {} {}", f.severity.name(), f.code, f.path))
        .collect();
    assert_eq!(seen, expected, "{json}");
    for finding in findings {
        assert!(!finding.reason.is_empty() && !finding.mend.is_empty());
    }
}

/// Checks one policy with these fields; paths are seen from it.
#[track_caller]
fn expect(fields: &str, expected: &[&str]) {
    let json = format!("{{\"policies\": [{{\"name\": \"p\", {fields}}}]}}");
    let expected: Vec<String> = expected
        .iter()
        .map(|row| {
            let (kind, path) = row.rsplit_once(' ').unwrap_or((row, ""));
            let dot = if path.is_empty() { "" } else { "." };
            format!("{kind} policies[0]{dot}{path}")
        })
        .collect();
    let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
    expect_file(&json, &expected);
}

/// The same for the fields of `circuit_breaker`, seen from it.
#[track_caller]
fn expect_breaker(fields: &str, expected: &[&str]) {
    let expected: Vec<String> = expected
        .iter()
        .map(|row| match row.rsplit_once(' ') {
            Some((kind, ".")) => format!("{kind} circuit_breaker"),
            Some((kind, path)) => format!("{kind} circuit_breaker.{path}"),
            None => panic!("{row}"),
        })
        .collect();
    let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
    expect(&format!("\"circuit_breaker\": {{{fields}}}"), &expected);
}

#[test]
fn a_policy_of_defaults_is_clean() {
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
fn a_count_window_bounds_the_minimum_that_is_written() {
    let window = r#""window": {"type": "count", "size": 10}"#;
    expect_breaker(window, &[]);
    expect_breaker(&format!(r#"{window}, "minimum_requests": 10"#), &[]);
    expect_breaker(
        &format!(r#"{window}, "minimum_requests": 11"#),
        &["warning minimum-over-window minimum_requests"],
    );
}

#[test]
fn a_time_window_bounds_the_minimum_by_what_a_proxy_can_forward() {
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
fn a_run_that_the_failure_rate_always_overtakes_never_decides() {
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
fn that_one_failure_opens_is_worth_a_note() {
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
}

#[test]
fn slowness_needs_both_its_threshold_and_its_rate() {
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
fn open_times_that_cannot_spread_grow_or_reach_their_cap_are_found() {
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
fn permits_that_no_verdict_needs_are_found() {
    let spare = ["warning spare-permits half_open.permits"];
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
fn a_lease_has_to_outlast_the_slow_threshold() {
    let hides = ["warning lease-hides-slowness half_open.lease"];
    let with_lease =
        |lease: &str| format!(r#""slow_threshold": "2s", "half_open": {{"lease": "{lease}"}}"#);
    expect_breaker(&with_lease("1s"), &hides);
    expect_breaker(&with_lease("2s"), &hides);
    expect_breaker(&with_lease("2001ms"), &[]);
}

#[test]
fn a_ramp_needs_a_length_and_a_start_below_all() {
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

#[test]
fn a_fallback_behind_one_for_the_same_occasions_never_answers() {
    let entries = |first: &str, second: &str| {
        let entry = |on| format!(r#"{{"type": "respond", "on": [{on}]}}"#);
        let (first, second) = (entry(first), entry(second));
        format!(r#""circuit_breaker": {{}}, "fallback": [{first}, {second}]"#)
    };
    let (open, failure, timeout) = (r#""open""#, r#""failure""#, r#""timeout""#);
    let both = r#""open", "failure""#;
    let never = ["warning fallback-never-answers fallback[1]"];
    let partly = ["note fallback-partly-idle fallback[1].on"];
    expect(&entries(open, open), &never);
    expect(&entries(both, open), &never);
    expect(&entries(failure, timeout), &never);
    expect(&entries(open, both), &partly);
    expect(&entries(timeout, failure), &partly);
    expect(&entries(open, failure), &[]);
}

#[test]
fn a_fallback_behind_one_that_may_have_no_answer_has_its_turn() {
    let entries = |first: &str| {
        format!(
            r#""match": {{"methods": ["GET"]}}, "circuit_breaker": {{}}, "fallback": [{first}, {{"type": "respond"}}]"#
        )
    };
    expect(&entries(r#"{"type": "stale"}"#), &[]);
    expect(&entries(r#"{"type": "cluster", "cluster": "b"}"#), &[]);
    expect(
        &entries(r#"{"type": "route", "header": {"name": "x-a", "value": "b"}}"#),
        &["warning fallback-never-answers fallback[1]"],
    );
}

#[test]
fn a_fallback_that_no_request_could_get_is_found() {
    let with = |matcher: &str, entry: &str| {
        format!(r#""match": {matcher}, "circuit_breaker": {{}}, "fallback": [{entry}]"#)
    };
    let grpc = r#"{"headers": [{"name": "content-type", "exact": "application/grpc"}]}"#;
    let (stale, cluster) = (
        r#"{"type": "stale"}"#,
        r#"{"type": "cluster", "cluster": "b"}"#,
    );
    let never_kept = ["warning stale-never-kept fallback[0]"];
    expect(&with(grpc, stale), &never_kept);
    expect(&with(r#"{"methods": ["POST"]}"#, stale), &never_kept);
    expect(&with(r#"{"methods": ["HEAD"]}"#, stale), &never_kept);
    for name in ["authorization", "cookie"] {
        let with_it = format!(r#"{{"headers": [{{"name": "{name}", "present": true}}]}}"#);
        expect(&with(&with_it, stale), &never_kept);
        let without = format!(r#"{{"headers": [{{"name": "{name}", "present": false}}]}}"#);
        expect(&with(&without, stale), &[]);
    }
    expect(&with(r#"{"methods": ["GET", "POST"]}"#, stale), &[]);
    expect(
        &with(grpc, cluster),
        &["warning cluster-never-called fallback[0]"],
    );
    let passed_over = ["note cluster-without-bodies fallback[0].on"];
    expect(&with("{}", cluster), &passed_over);
    expect(
        &with(r#"{"methods": ["GET", "PUT"]}"#, cluster),
        &passed_over,
    );
    expect(&with(r#"{"methods": ["GET", "HEAD"]}"#, cluster), &[]);
    let later = r#"{"type": "cluster", "cluster": "b", "on": ["failure"]}"#;
    expect(&with("{}", later), &[]);
}

#[test]
fn what_only_other_fallbacks_need_is_noted() {
    let file = |entry: &str| {
        format!(
            r#"{{"policies": [{{"name": "p", "circuit_breaker": {{}}, "fallback": [{entry}]}}],
                "limits": {{"stale_bytes": 100000}}, "host": {{"headers_stop_iteration": true}}}}"#
        )
    };
    let (stale, host) = (
        "note stale-bytes-unused limits.stale_bytes",
        "note host-unused host.headers_stop_iteration",
    );
    expect_file(&file(r#"{"type": "respond"}"#), &[stale, host]);
    expect_file(&file(r#"{"type": "stale"}"#), &[host]);
    let limit = "note buffer-limit-assumed host.buffer_limit_bytes";
    expect_file(
        &file(r#"{"type": "cluster", "cluster": "b"}"#),
        &[stale, limit],
    );
}

#[test]
fn a_fallback_needs_something_that_rejects_or_fails() {
    expect(
        r#""fallback": [{"type": "respond"}]"#,
        &["warning fallback-never-answers fallback[0]"],
    );
    expect(
        r#""fallback": [{"type": "respond", "on": ["open", "failure"]}]"#,
        &["note fallback-partly-idle fallback[0].on"],
    );
    expect(
        r#""fallback": [{"type": "respond", "on": ["failure"]}]"#,
        &[],
    );
    expect(
        r#""mode": "forced_open", "fallback": [{"type": "respond"}]"#,
        &["note forced-open mode"],
    );
    expect(
        r#""mode": "forced_open", "fallback": [{"type": "respond", "on": ["failure"]}]"#,
        &[
            "note forced-open mode",
            "warning fallback-never-answers fallback[0]",
        ],
    );
    expect(
        r#""mode": "forced_open", "enforce_percent": 50,
           "fallback": [{"type": "respond", "on": ["failure"]}]"#,
        &["note forced-open mode"],
    );
}

#[test]
fn answers_are_written_in_what_their_callers_speak() {
    let with = |matcher: &str, fields: &str| {
        format!(
            r#""match": {matcher}, "circuit_breaker": {{}},
               "fallback": [{{"type": "respond", {fields}}}]"#
        )
    };
    let of_type =
        |value: &str| format!(r#"{{"headers": [{{"name": "content-type", "exact": "{value}"}}]}}"#);
    let (grpc, json) = (of_type("application/grpc"), of_type("application/json"));
    expect(
        &with(&grpc, r#""body": "x""#),
        &["warning body-never-sent fallback[0].body"],
    );
    expect(&with(&grpc, r#""grpc_message": "x""#), &[]);
    expect(
        &with(&json, r#""grpc_message": "x""#),
        &["warning grpc-never-sent fallback[0].grpc_message"],
    );
    expect(
        &with(r#"{"methods": ["GET"]}"#, r#""grpc_status": "ABORTED""#),
        &["warning grpc-never-sent fallback[0].grpc_status"],
    );
    expect(&with("{}", r#""body": "x", "grpc_status": "ABORTED""#), &[]);
}

#[test]
fn modes_and_shares_that_apply_nothing_are_found() {
    expect(r#""mode": "disabled""#, &["note disabled mode"]);
    expect(
        r#""circuit_breaker": {}, "enforce_percent": 0"#,
        &["warning nothing-enforced enforce_percent"],
    );
    expect(
        r#""circuit_breaker": {}, "mode": "shadow", "enforce_percent": 50"#,
        &["note share-of-nothing enforce_percent"],
    );
    expect(r#""circuit_breaker": {}, "mode": "shadow""#, &[]);
    expect(r#""match": {"methods": ["GET"]}"#, &["note only-counts "]);
}

#[test]
fn keys_and_outcomes_that_settle_nothing_are_found() {
    expect(
        r#""circuit_breaker": {}, "key": ["cluster", {"header": "x-a"}],
           "match": {"headers": [{"name": "X-A", "present": false}]}"#,
        &["warning constant-key key[1]"],
    );
    expect(
        r#""circuit_breaker": {}, "outcome": {"ignore_status": ["500-599"]}"#,
        &["warning failures-ignored outcome.ignore_status"],
    );
    expect(
        r#""circuit_breaker": {}, "outcome": {"ignore_status": ["501"]}"#,
        &[],
    );
    let until_end = |judge_at: &str| {
        format!(
            r#""circuit_breaker": {{"slow_threshold": "1s", "slow_until": "end"}},
               "outcome": {{"judge_at": "{judge_at}"}}"#
        )
    };
    expect(
        &until_end("headers"),
        &["warning slow-until-after-judgement circuit_breaker.slow_until"],
    );
    expect(&until_end("end"), &[]);
    expect(
        r#""circuit_breaker": {}, "outcome": {"failure_status": [], "ignore_status": ["5xx"]}"#,
        &[],
    );
}

#[test]
fn keys_that_callers_choose_need_room() {
    let file = |key: &str, keys: u32| {
        format!(
            r#"{{"policies": [{{"name": "p", "circuit_breaker": {{}}, "key": [{key}]}}],
                "limits": {{"keys": {keys}}}}}"#
        )
    };
    let tenant = r#"{"header": "x-tenant"}"#;
    expect_file(&file(tenant, 99), &["warning few-keys limits.keys"]);
    expect_file(&file(tenant, 100), &[]);
    expect_file(&file(r#""cluster""#, 5), &[]);
}

#[test]
fn workers_have_to_hear_of_each_other_within_a_bucket_and_an_open_time() {
    let window = |severity: &str| format!("{severity} sync-behind-window sync.interval");
    let (note, warning) = (window("note"), window("warning"));
    let open = "warning sync-behind-open sync.interval";
    let rows: &[(&str, &str, &[&str])] = &[
        ("100ms", r#""window": {"duration": "1s"}"#, &[]),
        ("101ms", r#""window": {"duration": "1s"}"#, &[&note]),
        ("999ms", r#""window": {"duration": "1s"}"#, &[&note]),
        ("1s", r#""window": {"duration": "1s"}"#, &[&warning]),
        ("10ms", r#""window": {"duration": "100ms"}"#, &[]),
        ("4s", r#""window": {"type": "count", "size": 100}"#, &[]),
        (
            "4s",
            r#""failure_rate_threshold": 0, "consecutive_failures": 5"#,
            &[],
        ),
        ("100ms", r#""open": {"duration": "101ms"}"#, &[]),
        ("100ms", r#""open": {"duration": "100ms"}"#, &[open]),
        ("5s", "", &[&note, open]),
        (
            "5s",
            r#""window": {"duration": "50s"}, "open": {"duration": "6s"}"#,
            &[],
        ),
    ];
    for (interval, fields, expected) in rows {
        let file = format!(
            r#"{{"policies": [{{"name": "p", "circuit_breaker": {{{fields}}}}}],
                "sync": {{"interval": "{interval}"}}}}"#
        );
        expect_file(&file, expected);
    }
    expect_file(
        r#"{"policies": [{"name": "p", "circuit_breaker": {"window": {"duration": "500ms"}}}]}"#,
        &[&note],
    );
}

#[test]
fn circuits_that_never_open_need_no_news_of_them() {
    let file = |mode: &str, fields: &str| {
        format!(
            r#"{{"policies": [{{"name": "p", "mode": "{mode}"{fields}}}],
                "sync": {{"interval": "5s"}}}}"#
        )
    };
    let breaker = r#", "circuit_breaker": {}"#;
    expect_file(
        &file("disabled", breaker),
        &["note disabled policies[0].mode"],
    );
    expect_file(
        &file("forced_open", breaker),
        &["note forced-open policies[0].mode"],
    );
    expect_file(&file("enforce", ""), &["note only-counts policies[0]"]);
    expect_file(
        &file(
            "enforce",
            r#", "circuit_breaker": {"failure_rate_threshold": 0}"#,
        ),
        &["warning breaker-never-opens policies[0].circuit_breaker"],
    );
}

#[test]
fn the_shortest_times_of_a_file_are_the_ones_to_keep_up_with() {
    let json = r#"{"sync": {"interval": "2s"}, "policies": [
        {"name": "a", "match": {"clusters": ["a"]}, "circuit_breaker": {}},
        {"name": "b", "match": {"clusters": ["b"]},
         "circuit_breaker": {"window": {"duration": "1s"}, "open": {"duration": "2s"}}},
        {"name": "c", "circuit_breaker": {"window": {"duration": "3s"}}}]}"#;
    let Found::Findings(findings) = check(json.as_bytes()) else {
        panic!("{json}");
    };
    let seen: Vec<&str> = findings.iter().map(|f| f.mend.as_str()).collect();
    let expected = [
        "set it to 100ms or less, or lengthen policies[1].circuit_breaker.window.duration to 20s \
         or more",
        "lengthen policies[1].circuit_breaker.open.duration beyond 2s, or shorten this",
    ];
    assert_eq!(seen, expected);
}

#[test]
fn an_admin_wants_a_listener_of_its_own() {
    let among = ["note admin-among-clients admin"];
    let policy = r#"{"name": "p", "circuit_breaker": {}}"#;
    expect_file(r#"{"policies": [], "admin": {}}"#, &[]);
    expect_file(&format!(r#"{{"policies": [{policy}]}}"#), &[]);
    expect_file(
        &format!(r#"{{"policies": [{policy}], "admin": {{}}}}"#),
        &among,
    );
}

#[test]
fn a_policy_behind_one_that_takes_all_its_requests_is_never_reached() {
    let rows: &[(&str, &str, bool)] = &[
        ("{}", "{}", true),
        ("{}", r#"{"clusters": ["a"]}"#, true),
        (r#"{"clusters": ["a"]}"#, "{}", false),
        (
            r#"{"clusters": ["a", "b"]}"#,
            r#"{"clusters": ["b"]}"#,
            true,
        ),
        (
            r#"{"clusters": ["a"]}"#,
            r#"{"clusters": ["a", "b"]}"#,
            false,
        ),
        (
            r#"{"routes": ["a"]}"#,
            r#"{"routes": ["a"], "methods": ["GET"]}"#,
            true,
        ),
        (r#"{"methods": ["GET"]}"#, r#"{"methods": ["POST"]}"#, false),
        (
            r#"{"authorities": ["A.com"]}"#,
            r#"{"authorities": ["a.com:80"]}"#,
            true,
        ),
        (
            r#"{"authorities": ["a.com:80"]}"#,
            r#"{"authorities": ["a.com"]}"#,
            false,
        ),
        (
            r#"{"authorities": ["*.com"]}"#,
            r#"{"authorities": ["a.com:80"]}"#,
            true,
        ),
        (
            r#"{"authorities": ["*.com"]}"#,
            r#"{"authorities": ["*.a.com"]}"#,
            true,
        ),
        (
            r#"{"authorities": ["*.a.com"]}"#,
            r#"{"authorities": ["*.com"]}"#,
            false,
        ),
        (
            r#"{"authorities": ["*.a.com"]}"#,
            r#"{"authorities": ["a.com"]}"#,
            false,
        ),
        (
            r#"{"paths": [{"prefix": "/a"}]}"#,
            r#"{"paths": [{"exact": "/ab"}]}"#,
            true,
        ),
        (
            r#"{"paths": [{"prefix": "/a/"}]}"#,
            r#"{"paths": [{"prefix": "/a"}]}"#,
            false,
        ),
        (
            r#"{"paths": [{"prefix": "/a/"}]}"#,
            r#"{"paths": [{"template": "/a/{b}"}]}"#,
            true,
        ),
        (
            r#"{"paths": [{"prefix": "/a/b"}]}"#,
            r#"{"paths": [{"template": "/a/{b}"}]}"#,
            false,
        ),
        (
            r#"{"paths": [{"template": "/{x}/b"}]}"#,
            r#"{"paths": [{"exact": "/a/b"}]}"#,
            true,
        ),
        (
            r#"{"paths": [{"template": "/{x}"}]}"#,
            r#"{"paths": [{"exact": "/"}]}"#,
            false,
        ),
        (
            r#"{"paths": [{"template": "/{x}/b"}]}"#,
            r#"{"paths": [{"template": "/a/{y}"}]}"#,
            false,
        ),
        (
            r#"{"paths": [{"template": "/{x}/{z}"}]}"#,
            r#"{"paths": [{"template": "/a/{y}"}]}"#,
            true,
        ),
        (
            r#"{"paths": [{"exact": "/a"}]}"#,
            r#"{"paths": [{"template": "/a"}]}"#,
            true,
        ),
        (
            r#"{"paths": [{"exact": "/a"}]}"#,
            r#"{"paths": [{"prefix": "/a"}]}"#,
            false,
        ),
        (
            r#"{"headers": [{"name": "x-a", "present": true}]}"#,
            r#"{"headers": [{"name": "X-A", "exact": "1"}]}"#,
            true,
        ),
        (
            r#"{"headers": [{"name": "x-a", "exact": "1"}]}"#,
            r#"{"headers": [{"name": "x-a", "present": true}]}"#,
            false,
        ),
        (
            r#"{"headers": [{"name": "x-a", "present": false}]}"#,
            r#"{"headers": [{"name": "x-a", "exact": "1"}]}"#,
            false,
        ),
    ];
    for (first, second, never) in rows {
        let policy = |name: &str, matcher: &str| {
            format!(r#"{{"name": "{name}", "match": {matcher}, "circuit_breaker": {{}}}}"#)
        };
        let file = format!(
            r#"{{"policies": [{}, {}]}}"#,
            policy("a", first),
            policy("b", second)
        );
        let expected: &[&str] = match never {
            true => &["warning policy-never-reached policies[1].match"],
            false => &[],
        };
        expect_file(&file, expected);
    }
}

#[test]
fn disabled_policies_neither_shadow_nor_are_shadowed() {
    let file = |first: &str, second: &str| {
        format!(
            r#"{{"policies": [
                {{"name": "a", "mode": "{first}", "circuit_breaker": {{}}}},
                {{"name": "b", "mode": "{second}", "circuit_breaker": {{}}}}]}}"#
        )
    };
    expect_file(
        &file("disabled", "enforce"),
        &["note disabled policies[0].mode"],
    );
    expect_file(
        &file("enforce", "disabled"),
        &["note disabled policies[1].mode"],
    );
    expect_file(
        &file("shadow", "enforce"),
        &["warning policy-never-reached policies[1].match"],
    );
}

#[test]
fn retries_that_are_never_made_and_budgets_that_limit_nothing_are_found() {
    let rows: [(&str, &[&str]); 9] = [
        ("", &[]),
        (
            r#""max_retries": 0, "budget": {"percent": 0, "min_retry_rate": {"count": 0}}"#,
            &["note retry-off retry.max_retries"],
        ),
        (
            r#""budget": {"percent": 0, "min_retry_rate": {"count": 0}}"#,
            &["warning retry-budget-empty retry.budget"],
        ),
        (r#""budget": {"percent": 0}"#, &[]),
        (r#""budget": {"min_retry_rate": {"count": 0}}"#, &[]),
        (r#""budget": {"percent": 199.99}"#, &[]),
        (
            r#""budget": {"percent": 200}"#,
            &["note retry-budget-wide retry.budget.percent"],
        ),
        (
            r#""engine": "filter", "replay": "as_received", "timeout": "1s", "per_try_timeout": "1s""#,
            &["warning retry-try-beyond-timeout retry.per_try_timeout"],
        ),
        (
            r#""replay": "as_received", "timeout": "1s", "per_try_timeout": "1s""#,
            &["note retry-replay-unused retry.replay"],
        ),
    ];
    for (fields, expected) in rows {
        expect(&format!("\"retry\": {{{fields}}}"), expected);
    }
}

#[test]
fn a_cluster_that_stands_for_many_services_needs_the_authority_in_the_key() {
    let shared = ["warning shared-cluster match.clusters[1]"];
    let rows: [(&str, &str, &[&str]); 8] = [
        ("PassthroughCluster", r#"["cluster"]"#, &shared),
        ("InboundPassthroughCluster", r#"["cluster"]"#, &shared),
        ("dynamic_forward_proxy_cluster", r#"["route"]"#, &shared),
        ("original-dst", r#"["cluster"]"#, &shared),
        ("PassthroughCluster", r#"["cluster", "method"]"#, &shared),
        ("PassthroughCluster", r#"["cluster", "authority"]"#, &[]),
        ("PassthroughCluster", r#"["authority"]"#, &[]),
        ("outbound|80||shop.svc", r#"["cluster"]"#, &[]),
    ];
    for (name, key, expected) in rows {
        let fields = format!(
            r#""match": {{"clusters": ["a", "{name}"]}}, "key": {key}, "circuit_breaker": {{}}"#
        );
        expect(&fields, expected);
    }
}

#[test]
fn saved_requests_that_have_no_room_are_found() {
    let saves = r#""retry": {"engine": "filter", "replay": "as_received"}"#;
    let calls = r#""circuit_breaker": {}, "fallback": [{"type": "cluster", "on": ["failure"], "cluster": "b"}]"#;
    let rows: [(&str, &str, &[&str]); 6] = [
        (saves, r#""copies_bytes": 16777216"#, &[]),
        (
            r#""retry": {}"#,
            r#""copies_bytes": 16777216"#,
            &["note copies-unused limits.copies_bytes"],
        ),
        (
            saves,
            r#""copies_bytes": 65536"#,
            &["warning copies-too-small limits.copies_bytes"],
        ),
        (
            calls,
            r#""replay_body_bytes": 16777216"#,
            &["warning copies-too-small limits.copies_bytes"],
        ),
        (
            calls,
            r#""replay_body_bytes": 4000000"#,
            &["note copies-few limits.copies_bytes"],
        ),
        (calls, r#""replay_body_bytes": 2000000"#, &[]),
    ];
    for (fields, limits, expected) in rows {
        let file =
            format!(r#"{{"policies": [{{"name": "a", {fields}}}], "limits": {{{limits}}}}}"#);
        expect_file(&file, expected);
    }
}

#[test]
fn a_buffer_limit_that_is_assumed_or_of_no_use_is_found() {
    let rows: [(&str, &[&str]); 3] = [
        (
            r#""headers_stop_iteration": true"#,
            &["note buffer-limit-assumed host.buffer_limit_bytes"],
        ),
        (
            r#""headers_stop_iteration": true, "buffer_limit_bytes": 32768"#,
            &[],
        ),
        (
            r#""buffer_limit_bytes": 32768"#,
            &["note buffer-limit-unused host.buffer_limit_bytes"],
        ),
    ];
    for (host, expected) in rows {
        let file = format!(
            r#"{{"policies": [{{"name": "a", "circuit_breaker": {{}}, "fallback":
                [{{"type": "cluster", "on": ["failure"], "cluster": "b"}}]}}],
                "host": {{{host}}}}}"#
        );
        expect_file(&file, expected);
    }
}
