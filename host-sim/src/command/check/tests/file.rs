use super::{Checked, check, expect, expect_file};

#[test]
fn workers_must_sync_within_a_bucket_and_within_an_open_time() {
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
fn circuits_that_never_open_need_no_sync() {
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
    expect_file(
        &file("forced_closed", breaker),
        &["note forced-closed policies[0].mode"],
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
fn findings_of_sync_name_the_shortest_times_of_the_file() {
    let json = r#"{"sync": {"interval": "2s"}, "policies": [
        {"name": "a", "match": {"clusters": ["a"]}, "circuit_breaker": {}},
        {"name": "b", "match": {"clusters": ["b"]},
         "circuit_breaker": {"window": {"duration": "1s"}, "open": {"duration": "2s"}}},
        {"name": "c", "circuit_breaker": {"window": {"duration": "3s"}}}]}"#;
    let Checked::Findings(findings) = check(json.as_bytes()) else {
        panic!("{json}");
    };
    let seen: Vec<&str> = findings.iter().map(|f| f.fix.as_str()).collect();
    let expected = [
        "set it to 100ms or less, or policies[1].circuit_breaker.window.duration to 20s or more",
        "set policies[1].circuit_breaker.open.duration above 2s, or lower this",
    ];
    assert_eq!(seen, expected);
}

#[test]
fn an_admin_endpoint_next_to_policies_gets_a_note() {
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
fn retries_that_are_never_made_and_budgets_without_effect_are_found() {
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
            r#""engine": "filter", "replay": "as_received", "timeout": "1s",
               "per_try_timeout": "1s""#,
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
fn times_that_the_timeout_of_the_policy_cuts_short_are_found() {
    let timeout = r#""timeout": "1s""#;
    let rows: [(&str, &[&str]); 5] = [
        (r#""retry": {"per_try_timeout": "999ms"}"#, &[]),
        (
            r#""retry": {"per_try_timeout": "1s"}"#,
            &["warning retry-try-beyond-timeout retry.per_try_timeout"],
        ),
        (
            r#""circuit_breaker": {"slow_threshold": "999ms", "slow_rate_threshold": 50}"#,
            &[],
        ),
        (
            r#""circuit_breaker": {"slow_threshold": "1s", "slow_rate_threshold": 50}"#,
            &["note slow-beyond-timeout circuit_breaker.slow_threshold"],
        ),
        (r#""circuit_breaker": {}"#, &[]),
    ];
    for (fields, expected) in rows {
        expect(&format!("{timeout}, {fields}"), expected);
    }
}

#[test]
fn a_limit_too_low_for_saved_requests_is_found() {
    let saves = r#""retry": {"engine": "filter", "replay": "as_received"}"#;
    let calls = r#""circuit_breaker": {},
        "fallback": [{"type": "cluster", "on": ["failure"], "cluster": "b"}]"#;
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
