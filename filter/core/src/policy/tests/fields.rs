//! The value that each field is parsed to.

use super::*;
use crate::time::Span;

/// The first entry, which is a fixed response.
fn respond(policy: &Policy) -> &Respond {
    match &policy.fallback[0].from {
        FallbackType::Respond(respond) => respond,
        other => panic!("{other:?}"),
    }
}

/// Fields of a policy, and a check of the result.
type Row = (&'static str, fn(&Policy) -> bool);

#[test]
fn every_word_of_the_outcome_is_parsed() {
    let rows: &[Row] = &[
        (r#""judge_at": "end""#, |p| !p.judges_at_headers()),
        (r#""judge_at": "headers""#, Policy::judges_at_headers),
        (r#""overflow": "ignore""#, |p| {
            p.outcome.overflow == Outcome::Ignored
        }),
        (r#""overflow": "failure""#, |p| {
            p.outcome.overflow == Outcome::Failure
        }),
    ];
    for (fields, holds) in rows {
        let policy = policy(&format!(r#""outcome": {{{fields}}}"#));
        assert!(holds(&policy), "{fields}: {policy:?}");
    }
}

#[test]
fn every_field_of_the_breaker_is_parsed() {
    let rows: &[Row] = &[
        (r#""window": {"duration": "100ms"}"#, |p| {
            p.breaker.window
                == WindowShape::Time {
                    duration: Span::from_ms(100),
                }
        }),
        (r#""window": {"type": "count", "size": 7}"#, |p| {
            p.breaker.window == WindowShape::Count { size: 7 }
        }),
        (r#""window": {"type": "count"}"#, |p| {
            p.breaker.window == WindowShape::Count { size: 100 }
        }),
        (r#""minimum_requests": 7"#, |p| {
            p.breaker.minimum_requests == 7
        }),
        (r#""failure_rate_threshold": 0.01"#, |p| {
            p.breaker.failure_rate_bp == 1
        }),
        (r#""failure_rate_threshold": 33.33"#, |p| {
            p.breaker.failure_rate_bp == 3_333
        }),
        (r#""failure_count_threshold": 7"#, |p| {
            p.breaker.failure_count == 7
        }),
        (r#""slow_threshold": "1.5s""#, |p| {
            p.breaker.slow_threshold == Some(Span::from_ms(1_500))
        }),
        (r#""slow_until": "end""#, |p| {
            p.breaker.slow_until == SlowUntil::End
        }),
        (r#""slow_rate_threshold": 12.5"#, |p| {
            p.breaker.slow_rate_bp == 1_250
        }),
        (r#""consecutive_failures": 5"#, |p| {
            p.breaker.consecutive_failures == 5
        }),
        (r#""open": {"duration": "250ms"}"#, |p| {
            p.breaker.open.duration == Span::from_ms(250)
        }),
        (
            r#""open": {"duration": "1ms", "max_duration": "1ms"}"#,
            |p| {
                p.breaker.open.duration == Span::from_ms(1)
                    && p.breaker.open.max_duration == Span::from_ms(1)
            },
        ),
        (r#""open": {"multiplier": 1.25}"#, |p| {
            p.breaker.open.multiplier_bp == 12_500
        }),
        (r#""open": {"max_duration": "1m30s"}"#, |p| {
            p.breaker.open.max_duration == Span::from_secs(90)
        }),
        (r#""open": {"jitter": 0.5}"#, |p| {
            p.breaker.open.jitter_bp == 50
        }),
        (r#""open": {"retry_after_max": "0s"}"#, |p| {
            p.breaker.open.retry_after_max == Span::ZERO
        }),
        (r#""half_open": {"permits": 9}"#, |p| {
            p.breaker.half_open.permits == 9
        }),
        (r#""half_open": {"lease": "2s"}"#, |p| {
            p.breaker.half_open.lease == Span::from_secs(2)
        }),
        (r#""recovery": {"duration": "2m"}"#, |p| {
            p.breaker.recovery.duration == Span::from_secs(120)
        }),
        (r#""recovery": {"start_percent": 0}"#, |p| {
            p.breaker.recovery.start_bp == 0
        }),
        // A long open time raises the default maximum.
        (r#""open": {"duration": "5m"}"#, |p| {
            p.breaker.open.max_duration == Span::from_secs(300)
        }),
    ];
    for (fields, holds) in rows {
        let policy = policy(&format!(r#""circuit_breaker": {{{fields}}}"#));
        assert!(holds(&policy), "{fields}: {policy:?}");
    }
}

#[test]
fn every_other_field_is_parsed() {
    let rows: &[Row] = &[
        (r#""mode": "shadow""#, |p| p.mode == Mode::Shadow),
        (r#""mode": "disabled""#, |p| p.mode == Mode::Disabled),
        (r#""mode": "forced_open""#, |p| p.mode == Mode::ForcedOpen),
        (r#""mode": "forced_closed""#, |p| {
            p.mode == Mode::ForcedClosed
        }),
        (r#""enforce_percent": 0.07"#, |p| p.enforce_bp == 7),
        (r#""label": false"#, |p| !p.label),
        (r#""timeout": "0s""#, |p| p.timeout.is_none()),
        (r#""timeout": "1ms""#, |p| {
            p.timeout == Some(Span::from_ms(1))
        }),
        (r#""timeout": "1h""#, |p| {
            p.timeout == Some(Span::from_secs(3_600))
        }),
        (r#""key": []"#, |p| p.key.is_empty()),
        (
            r#""key": ["route", "authority", "method", {"header": "X-A"}]"#,
            |p| {
                p.key
                    == [
                        KeyPart::Route,
                        KeyPart::Authority,
                        KeyPart::Method,
                        KeyPart::Header("x-a".into()),
                    ]
            },
        ),
        (r#""match": {"authorities": ["A.Example", "*.B"]}"#, |p| {
            p.matcher.authorities
                == [
                    Authority::Exact("a.example".into()),
                    Authority::Suffix(".b".into()),
                ]
        }),
        (
            r#""match": {"headers": [{"name": "X-A", "exact": ""}]}"#,
            |p| {
                p.matcher.headers
                    == [HeaderCondition {
                        name: "x-a".into(),
                        test: HeaderTest::Exact("".into()),
                    }]
            },
        ),
        (r#""outcome": {"failure_status": []}"#, |p| {
            p.outcome.failure_status == StatusSet::default()
        }),
        (r#""outcome": {"failure_grpc_status": ["ABORTED"]}"#, |p| {
            p.outcome.failure_grpc == 1 << 10
        }),
        (r#""fallback": [{"type": "respond"}]"#, |p| {
            respond(p).status == 503 && p.fallback[0].on == OnSet::default().with(On::Open)
        }),
        (
            r#""fallback": [{"type": "respond", "grpc_status": "OK"}]"#,
            |p| respond(p).grpc_status == 0,
        ),
        (
            r#""fallback": [{"type": "respond", "variants": {"html": "h", "json": 1}}]"#,
            |p| {
                let kinds: Vec<Media> = respond(p).variants.iter().map(|it| it.0).collect();
                kinds == [Media::Json, Media::Html] && respond(p).headers.is_empty()
            },
        ),
        (r#""fallback": [{"type": "stale"}]"#, |p| {
            let max_age = Span::from_secs(600);
            let stale = StaleConfig {
                max_age,
                shared: false,
                ignore_query: Vec::new(),
            };
            p.fallback[0].from == FallbackType::Stale(stale)
        }),
        (
            r#""fallback": [{"type": "stale", "max_age": "24h", "shared": true}]"#,
            |p| {
                let max_age = Span::from_secs(86_400);
                let stale = StaleConfig {
                    max_age,
                    shared: true,
                    ignore_query: Vec::new(),
                };
                p.fallback[0].from == FallbackType::Stale(stale)
            },
        ),
        (
            r#""fallback": [{"type": "cluster", "cluster": "b", "authority": "B.c:1"}]"#,
            |p| {
                let FallbackType::Cluster(config) = &p.fallback[0].from else {
                    return false;
                };
                config.authority.as_deref() == Some("B.c:1")
            },
        ),
        (
            r#""fallback": [{"type": "stale", "ignore_query": ["gclid", "utm_*"]}]"#,
            |p| p.ignored_query() == ["gclid".into(), "utm_*".into()],
        ),
        (
            r#""fallback": [{"type": "stale", "ignore_query": ["a"]}, {"type": "stale"}]"#,
            |p| p.ignored_query().is_empty(),
        ),
        (
            r#""fallback": [{"type": "cluster", "cluster": "b"}]"#,
            |p| {
                p.fallback[0].from
                    == FallbackType::Cluster(ClusterConfig {
                        cluster: "b".into(),
                        path: None,
                        authority: None,
                        timeout: Span::from_ms(1_000),
                    })
            },
        ),
        (
            r#""fallback": [{"type": "route", "header": {"name": "X-To", "value": "b"}}]"#,
            |p| {
                p.fallback[0].from
                    == FallbackType::Route(RouteConfig {
                        name: "x-to".into(),
                        value: "b".into(),
                    })
            },
        ),
    ];
    for (fields, holds) in rows {
        let policy = policy(fields);
        assert!(holds(&policy), "{fields}: {policy:?}");
    }
}

#[test]
fn every_field_beside_the_policies_is_parsed() {
    let at = |path_prefix: &str| {
        Some(Admin {
            path_prefix: path_prefix.into(),
        })
    };
    let rows = [
        ("", 100, None),
        (r#", "sync": {}"#, 100, None),
        (r#", "sync": {"interval": "10ms"}"#, 10, None),
        (r#", "sync": {"interval": "1.5s"}"#, 1_500, None),
        (r#", "admin": {}"#, 100, at("/spillway")),
        (
            r#", "admin": {"path_prefix": "/ops/v1.0"}"#,
            100,
            at("/ops/v1.0"),
        ),
    ];
    for (fields, interval_ms, admin) in rows {
        let parsed = config(&format!(r#"{{"policies": [{{"name": "p"}}]{fields}}}"#));
        assert_eq!(parsed.sync.interval, Span::from_ms(interval_ms), "{fields}");
        assert_eq!(parsed.admin, admin, "{fields}");
    }
}

#[test]
fn the_number_of_circuits_with_series_is_bounded() {
    let circuits = |fields: &str| {
        let file = format!(r#"{{"policies": [{{"name": "p"}}]{fields}}}"#);
        Config::parse(file.as_bytes()).map(|parsed| parsed.metrics.circuits)
    };
    for (fields, expected) in [
        ("", 0),
        (r#", "metrics": {}"#, 0),
        (r#", "metrics": {"circuits": 0}"#, 0),
        (r#", "metrics": {"circuits": 1000}"#, 1_000),
    ] {
        assert_eq!(circuits(fields), Ok(expected), "{fields}");
    }
    let errors = circuits(r#", "metrics": {"circuits": 1001}"#).unwrap_err();
    let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(texts, ["metrics.circuits is 1001, allowed 0 to 1000"]);
}

#[test]
fn events_have_a_cluster_and_a_path() {
    let events = |fields: &str| {
        let file = format!(r#"{{"policies": [{{"name": "p"}}], "events": {fields}}}"#);
        Config::parse(file.as_bytes()).map(|parsed| {
            let events = parsed.events.expect("events");
            format!("{} {}", events.cluster, events.path)
        })
    };
    for (fields, expected) in [
        (r#"{"cluster": "otel"}"#, "otel /v1/logs"),
        (r#"{"cluster": "a|b", "path": "/x?y"}"#, "a|b /x?y"),
    ] {
        assert_eq!(events(fields).as_deref(), Ok(expected), "{fields}");
    }
    for (fields, expected) in [
        ("{}", "events.cluster is missing"),
        (
            r#"{"cluster": "otel", "path": "v1/logs"}"#,
            "events.path is \"v1/logs\", allowed a path such as /lite or /lite?a=b, of visible \
             ASCII characters without #",
        ),
        (
            r#"{"cluster": "otel", "pth": "/"}"#,
            "events.pth is not a known field, did you mean path?",
        ),
    ] {
        let errors = events(fields).unwrap_err();
        let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(texts, [expected], "{fields}");
    }
}

#[test]
fn a_file_with_an_admin_needs_no_policies() {
    let parsed = config(r#"{"policies": [], "admin": {}}"#);
    assert_eq!(parsed.policies, []);
}

#[test]
fn a_body_sets_its_content_type() {
    let rows = [
        (r#""body": "x""#, Some("text/plain; charset=utf-8")),
        (r#""json": 5"#, Some("application/json")),
        (
            r#""json": 5, "headers": {"Content-Type": "application/x+json"}"#,
            Some("application/x+json"),
        ),
        (r#""status": 200"#, None),
    ];
    for (fields, expected) in rows {
        let policy = policy(&format!(r#""fallback": [{{"type": "respond", {fields}}}]"#));
        let headers = &respond(&policy).headers;
        let types: Vec<String> = headers.iter().map(|(_, value)| value.literal()).collect();
        assert_eq!(types.first().map(String::as_str), expected, "{fields}");
        assert!(types.len() <= 1 && headers.iter().all(|(name, _)| &**name == "content-type"));
    }
}
