//! The defaults of all fields.

use super::*;
use crate::time::Span;

/// Every default, as in the documentation's table of fields.
pub(super) fn defaults() -> Policy {
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
            failure_count: 0,
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
        timeout: None,
        retry: None,
        fallback: Vec::new(),
    }
}

/// The meaning of `"retry": {}`.
pub(super) fn default_retry() -> RetryConfig {
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
        metrics: Metrics { circuits: 0 },
        events: None,
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
