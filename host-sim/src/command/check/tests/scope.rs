use super::{expect, expect_file};

#[test]
fn modes_and_shares_without_effect_are_found() {
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
    expect(
        r#""circuit_breaker": {"open": {"jitter": 0}}, "mode": "forced_closed",
           "fallback": [{"type": "respond"}]"#,
        &["note forced-closed mode"],
    );
    expect(
        r#""circuit_breaker": {}, "mode": "forced_closed", "enforce_percent": 0"#,
        &[
            "note forced-closed mode",
            "warning nothing-enforced enforce_percent",
        ],
    );
}

#[test]
fn keys_and_outcomes_without_effect_are_found() {
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
fn keys_that_callers_choose_need_a_high_limit() {
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
fn a_cluster_for_many_services_needs_the_authority_in_the_key() {
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
fn a_policy_after_one_that_matches_all_its_requests_is_never_reached() {
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
