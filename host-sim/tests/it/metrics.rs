//! Which series exist, and what they cost.

use std::time::Duration;

use host_sim::proxy::Hostcall;
use host_sim::sim::clock::Time;

use crate::proxy::{self, Proxy};
use crate::workers::Workers;

const TOUCHY: &str = r#"{"policies": [{"name": "p", "circuit_breaker": {
    "failure_rate_threshold": 0, "consecutive_failures": 5,
    "open": {"duration": "60s", "jitter": 0}}}]}"#;

/// Names of the plugin's metrics, in order.
fn names(proxy: &Proxy) -> Vec<String> {
    let metrics = proxy.host.metrics().iter();
    let mut names: Vec<String> = metrics
        .map(|(name, ..)| String::from_utf8_lossy(name).into_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn the_series_of_a_policy_exist_with_value_0_before_its_first_request() {
    let proxy = Proxy::start(proxy::spillway(TOUCHY), 2).unwrap();
    let names = names(&proxy);
    for name in [
        "spillway.policy.p.outcome.failure.requests_total",
        "spillway.policy.p.rejected_requests_total",
        "spillway.policy.p.from.closed.to.open.transitions_total",
        "spillway.policy.p.probes_total",
        "spillway.policy.p.open_circuits",
        "spillway.policy.p.keys",
    ] {
        assert!(names.contains(&name.into()), "{name}: {names:?}");
        assert_eq!(proxy.host.metrics().value(name), 0, "{name}");
    }
    for part in ["retries", "retry", "stale", "slow", "would"] {
        let found = names.iter().find(|name| name.contains(part));
        assert_eq!(found, None, "the policy cannot have it");
    }
}

/// The host keeps every name forever.
#[test]
fn ten_thousand_policies_have_the_series_of_two_hundred() {
    let policy = |n| {
        format!(r#"{{"name": "p{n}", "match": {{"clusters": ["{n}"]}}, "circuit_breaker": {{}}}}"#)
    };
    let file = |count| {
        let policies: Vec<String> = (0..count).map(policy).collect();
        format!(r#"{{"policies": [{}]}}"#, policies.join(","))
    };
    let series = |count| names(&Proxy::start(proxy::spillway(file(count)), 1).unwrap()).len();
    let (few, many) = (series(200), series(10_000));
    assert_eq!(few, many);
    assert!((2_000..=4_000).contains(&many), "{many}");
}

/// The values of `spillway_build_info`, by the hash in its name.
fn builds(proxy: &Proxy) -> Vec<u64> {
    let metrics = proxy.host.metrics().iter();
    let builds = metrics.filter(|(name, ..)| name.ends_with(b".build_info"));
    let mut builds: Vec<u64> = builds.map(|(_, _, value)| value).collect();
    builds.sort_unstable();
    builds
}

#[test]
fn the_build_info_of_an_earlier_configuration_becomes_0() {
    let mut proxy = Proxy::start(proxy::spillway(TOUCHY), 2).unwrap();
    assert_eq!(builds(&proxy), [1]);
    let other = TOUCHY.replace("60s", "61s");
    proxy.host.update(other.into_bytes()).unwrap();
    assert_eq!(builds(&proxy), [0, 1]);
    proxy.host.update(TOUCHY.as_bytes().into()).unwrap();
    assert_eq!(builds(&proxy), [0, 1], "the first configuration is back");
    let hashed: Vec<String> = names(&proxy)
        .into_iter()
        .filter(|name| name.ends_with("build_info"))
        .collect();
    let version = format!(
        "spillway.version.{}.policy_hash.",
        env!("CARGO_PKG_VERSION")
    );
    assert!(hashed[0].starts_with(&version), "{hashed:?}");
}

/// The host gives a metric another id each time that it is defined, and forgets none.
#[test]
fn an_update_defines_only_what_is_new() {
    let mut proxy = Proxy::start(proxy::spillway(TOUCHY), 2).unwrap();
    let defined = |proxy: &Proxy| proxy.host.counts().hostcall(Hostcall::DefineMetric);
    let mut before = defined(&proxy);
    for seconds in 61..65 {
        let other = TOUCHY.replace("60s", &format!("{seconds}s"));
        proxy.host.update(other.into_bytes()).unwrap();
        // On three threads: the new build info, and one metric that tells whether the host has
        // metrics. The main thread has a second VM for a moment, which defines all.
        let more = defined(&proxy) - before;
        assert!(more <= 40, "{more}");
        before = defined(&proxy);
    }
}

#[test]
fn a_rejection_increments_one_counter_and_its_earlier_name_follows_within_a_second() {
    let mut workers = Workers::new(1, TOUCHY);
    workers.fail(0, 5);
    workers.run_to(Time::from_ms(500));
    let increments = |workers: &Workers| {
        let counts = workers.proxy.host.counts();
        counts.hostcall(Hostcall::IncrementMetric)
    };
    let before = increments(&workers);
    for number in 0..100 {
        workers.run_to(Time::from_ms(500 + number));
        assert!(workers.rejects(0));
    }
    // Each rejection is counted, and the response in place of the upstream's.
    assert_eq!(increments(&workers) - before, 200);
    assert_eq!(workers.metric("rejected_total"), 0);
    workers.run_to(Time::ZERO + Duration::from_millis(1_600));
    assert!(workers.rejects(0));
    assert_eq!(increments(&workers) - before, 203);
    assert_eq!(workers.metric("rejected_total"), 101);
    assert_eq!(workers.metric("rejected_requests_total"), 101);
}
