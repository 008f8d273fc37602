//! What each field becomes.

use super::*;
use crate::policy::template::Template;
use crate::policy::{Media, Outcome};

/// Every default, as the table of fields in the documentation has it.
fn defaults() -> Policy {
    let mut server_errors = StatusSet::default();
    server_errors.insert(500, 599);
    Policy {
        name: "default".into(),
        mode: Mode::Enforce,
        enforce_bp: 10_000,
        label: true,
        matcher: Match::default(),
        key: alloc::vec![KeyPart::Cluster],
        outcome: OutcomeRules {
            failure_status: server_errors,
            ignore_status: StatusSet::default(),
            failure_grpc: 0b1110_0000_0001_0100,
            judge_at: JudgeAt::End,
            overflow: Outcome::Ignored,
        },
        breaker: BreakerConfig {
            enabled: true,
            window: WindowShape::Time {
                duration: Span::from_secs(10),
            },
            minimum_requests: 20,
            failure_rate_bp: 5_000,
            slow_threshold: None,
            slow_until: SlowUntil::Headers,
            slow_rate_bp: 10_000,
            consecutive_failures: 0,
            open: OpenConfig {
                duration: Span::from_secs(5),
                multiplier_bp: 20_000,
                max_duration: Span::from_secs(60),
                jitter_bp: 2_000,
                retry_after_max: Span::from_secs(60),
            },
            half_open: HalfOpenConfig {
                permits: 3,
                lease: Span::from_secs(30),
            },
            recovery: RecoveryConfig {
                duration: Span::ZERO,
                start_bp: 1_000,
            },
        },
        retry: None,
        fallback: Vec::new(),
    }
}

/// What `"retry": {}` means.
fn default_retry() -> RetryConfig {
    let mut retry_on = Conditions::default();
    for row in Condition::ALL {
        if ["5xx", "reset", "connect-failure", "refused-stream"].contains(&row.0) {
            retry_on.insert(row);
        }
    }
    RetryConfig {
        engine: RetryEngine::Router,
        max_retries: 2,
        retry_on,
        grpc_retry_on: "".into(),
        methods: ["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"]
            .map(Box::from)
            .into(),
        idempotency_header: "idempotency-key".into(),
        nested: false,
        per_try_timeout: None,
        timeout: Span::from_secs(15),
        backoff: BackoffConfig {
            base_interval: Span::from_ms(25),
            max_interval: Span::from_ms(250),
        },
        budget: BudgetConfig {
            percent_bp: 2_000,
            interval: Span::from_secs(10),
            min_count: 10,
            min_interval: Span::from_secs(1),
            lease: Span::from_secs(15),
        },
    }
}

#[test]
fn an_empty_retry_has_every_default() {
    assert_eq!(policy(r#""retry": {}"#).retry, Some(default_retry()));
    assert_eq!(policy("").retry, None);
}

#[test]
fn the_smallest_useful_file_has_every_default() {
    let parsed = config(r#"{"policies":[{"name":"default","circuit_breaker":{}}]}"#);
    let expected = Config {
        policies: alloc::vec![defaults()],
        limits: Limits {
            keys: 1_000,
            keys_total: 16_384,
            replay_body_bytes: 65_536,
            copies_bytes: 16_777_216,
            replay_answer_bytes: 1_048_576,
            stale_bytes: 8_388_608,
            recording_bytes: 8_388_608,
        },
        sync: Sync {
            interval: Span::from_ms(100),
        },
        host: Host::default(),
        admin: None,
    };
    assert_eq!(parsed, expected);
}

#[test]
fn without_a_circuit_breaker_nothing_can_open() {
    let mut expected = defaults();
    expected.name = "p".into();
    expected.breaker.enabled = false;
    expected.breaker.failure_rate_bp = 0;
    expected.breaker.slow_rate_bp = 0;
    assert_eq!(policy(""), expected);
}

#[test]
fn empty_objects_are_their_defaults() {
    let mut expected = defaults();
    expected.name = "p".into();
    let empty = r#""circuit_breaker": {"window": {}, "open": {}, "half_open": {}, "recovery": {}},
                   "match": {}, "outcome": {}, "fallback": []"#;
    assert_eq!(policy(empty), expected);
}

#[test]
fn the_full_example_is_read_field_by_field() {
    let (path, json) = files("valid", 1)
        .into_iter()
        .find(|(path, _)| path.ends_with("full_example.json"))
        .expect("the example");
    let mut parsed = Config::parse(&json).expect("a good file");
    let mut expected = defaults();
    let text = |text: &str| Template::new(text, crate::policy::template::Escape::Header);
    expected.name = "checkout".into();
    expected.matcher = Match {
        clusters: alloc::vec!["outbound|8080||checkout.shop.svc.cluster.local".into()],
        routes: alloc::vec!["checkout".into()],
        authorities: alloc::vec![Authority::Suffix(".example.com".into())],
        paths: [
            ("/api/", PathKind::Prefix),
            ("/pay", PathKind::Exact),
            ("/users/{id}/orders", PathKind::Template),
        ]
        .map(|(text, kind)| PathPattern {
            text: text.into(),
            kind,
        })
        .into(),
        methods: alloc::vec!["GET".into()],
        headers: alloc::vec![
            HeaderCondition {
                name: "x-tenant".into(),
                test: HeaderTest::Exact("gold".into()),
            },
            HeaderCondition {
                name: "x-debug".into(),
                test: HeaderTest::Present(false),
            },
        ],
    };
    expected.key.push(KeyPart::Header("x-tenant".into()));
    expected.breaker.slow_threshold = Some(Span::from_secs(2));
    expected.retry = Some(default_retry());
    let open = OnSet::default().with(On::Open);
    let entry = |on, from| Fallback { on, from };
    expected.fallback = alloc::vec![
        entry(
            open.with(On::Failure),
            FallbackType::Stale(StaleConfig {
                max_age: Span::from_secs(600),
                shared: true,
            }),
        ),
        entry(
            open,
            FallbackType::Cluster(ClusterConfig {
                cluster: "checkout-lite".into(),
                path: Some("/lite".into()),
                timeout: Span::from_ms(500),
            }),
        ),
        entry(
            open,
            FallbackType::Route(RouteConfig {
                name: "x-fallback".into(),
                value: "yes".into(),
            }),
        ),
        entry(
            open.with(On::Failure),
            FallbackType::Respond(Respond {
                status: 200,
                headers: alloc::vec![("content-type".into(), text("application/json"))],
                body: Template::new(
                    r#"{"items":[],"degraded":true}"#,
                    crate::policy::template::Escape::Json
                ),
                variants: alloc::vec![],
                grpc_status: 14,
                grpc_message: Template::default(),
            }),
        ),
    ];
    assert_eq!(parsed.limits.stale_bytes, 8_388_608);
    assert!(parsed.host.headers_stop_iteration);
    assert_eq!(parsed.limits.keys, 1_000, "{path:?}");
    assert_eq!(parsed.policies.remove(0), expected);
}

/// The first entry, which is a fixed answer.
fn respond(policy: &Policy) -> &Respond {
    match &policy.fallback[0].from {
        FallbackType::Respond(respond) => respond,
        other => panic!("{other:?}"),
    }
}

/// A policy, and what one of its fields must have become.
type Row = (&'static str, fn(&Policy) -> bool);

#[test]
fn every_word_of_the_outcome_arrives() {
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
fn every_field_of_the_breaker_arrives() {
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
        // A long first open time takes the default cap along.
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
fn every_other_field_arrives() {
    let rows: &[Row] = &[
        (r#""mode": "shadow""#, |p| p.mode == Mode::Shadow),
        (r#""mode": "disabled""#, |p| p.mode == Mode::Disabled),
        (r#""mode": "forced_open""#, |p| p.mode == Mode::ForcedOpen),
        (r#""enforce_percent": 0.07"#, |p| p.enforce_bp == 7),
        (r#""label": false"#, |p| !p.label),
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
                };
                p.fallback[0].from == FallbackType::Stale(stale)
            },
        ),
        (
            r#""fallback": [{"type": "cluster", "cluster": "b"}]"#,
            |p| {
                p.fallback[0].from
                    == FallbackType::Cluster(ClusterConfig {
                        cluster: "b".into(),
                        path: None,
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
fn every_field_beside_the_policies_arrives() {
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
fn a_file_with_an_admin_needs_no_policies() {
    let parsed = config(r#"{"policies": [], "admin": {}}"#);
    assert_eq!(parsed.policies, []);
}

#[test]
fn a_body_has_the_content_type_that_goes_with_it() {
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

#[test]
fn a_timeout_is_a_failure_too_but_not_the_other_way_round() {
    let set = |on: &str| {
        let policy = policy(&format!(
            r#""fallback": [{{"type": "respond", "on": {on}}}]"#
        ));
        policy.fallback[0].on
    };
    let rows = [
        (r#"["open"]"#, [true, false, false], false),
        (r#"["failure"]"#, [false, true, true], true),
        (r#"["timeout"]"#, [false, false, true], true),
        (r#"["open", "timeout"]"#, [true, false, true], true),
        (
            r#"["open", "failure", "timeout"]"#,
            [true, true, true],
            true,
        ),
    ];
    for (on, expected, wants_response) in rows {
        let set = set(on);
        let found = [On::Open, On::Failure, On::Timeout].map(|on| set.contains(on));
        assert_eq!(found, expected, "{on}");
        assert_eq!(set.wants_response(), wants_response, "{on}");
    }
}

#[test]
fn only_what_is_said_after_the_headers_are_gone_is_remembered() {
    let rows = [
        (r#""on": ["open"], "body": "{path}""#, false),
        (
            r#""on": ["failure"], "body": "{policy} {retry_after}""#,
            false,
        ),
        (r#""on": ["failure"], "body": "{path}""#, true),
        (r#""on": ["timeout"], "grpc_message": "{request_id}""#, true),
        (r#""on": ["failure"], "headers": {"x": "{path}"}"#, true),
        (r#""on": ["failure"], "variants": {"plain": "x"}"#, true),
    ];
    for (fields, expected) in rows {
        let policy = policy(&format!(r#""fallback": [{{"type": "respond", {fields}}}]"#));
        assert_eq!(policy.echoes_request_later(), expected, "{fields}");
    }
}

#[test]
fn a_set_of_statuses_holds_what_was_put_into_it() {
    let rows = [
        (500, 599),
        (0, 0),
        (63, 64),
        (64, 127),
        (100, 999),
        (503, 503),
        (0, 999),
    ];
    for (low, high) in rows {
        let mut set = StatusSet::default();
        set.insert(low, high);
        for status in 0..1_100 {
            let within = (low..=high).contains(&status);
            assert_eq!(set.contains(status), within, "{status} of {low}-{high}");
        }
    }
}
