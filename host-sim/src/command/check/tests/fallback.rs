use super::{expect, expect_file};

#[test]
fn a_fallback_after_one_for_the_same_occasions_never_responds() {
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
fn a_fallback_after_one_that_may_have_no_response_is_tried() {
    let entries = |first: &str| {
        format!(
            r#""match": {{"methods": ["GET"]}}, "circuit_breaker": {{}},
               "fallback": [{first}, {{"type": "respond"}}]"#
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
fn a_fallback_that_no_request_can_get_is_found() {
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
    let skipped = ["note cluster-without-bodies fallback[0].on"];
    expect(&with("{}", cluster), &skipped);
    expect(&with(r#"{"methods": ["GET", "PUT"]}"#, cluster), &skipped);
    expect(&with(r#"{"methods": ["GET", "HEAD"]}"#, cluster), &[]);
    let later = r#"{"type": "cluster", "cluster": "b", "on": ["failure"]}"#;
    expect(&with("{}", later), &[]);
}

#[test]
fn settings_for_other_types_of_fallbacks_get_a_note() {
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
fn a_fallback_needs_a_rule_that_rejects_or_an_occasion() {
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
fn a_response_that_does_not_suit_its_requests_is_found() {
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
fn an_assumed_or_unused_buffer_limit_is_found() {
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

#[test]
fn ignored_parameters_that_differ_between_stale_entries_are_found() {
    let entries = |first: &str, second: &str| {
        let entry = |on: &str, list: &str| format!(r#"{{"type": "stale", "on": ["{on}"] {list}}}"#);
        let (first, second) = (entry("open", first), entry("failure", second));
        format!(r#""circuit_breaker": {{}}, "fallback": [{first}, {second}]"#)
    };
    let (none, one, other) = (
        "",
        r#", "ignore_query": ["utm_*"]"#,
        r#", "ignore_query": ["gclid"]"#,
    );
    let found = |index| format!("warning ignore-query-differs fallback[{index}].ignore_query");
    expect(&entries(none, none), &[]);
    expect(&entries(one, one), &[]);
    expect(&entries(one, none), &[&*found(0)]);
    expect(&entries(none, one), &[&*found(1)]);
    expect(&entries(one, other), &[&*found(0), &*found(1)]);
}
