//! Updates of the configuration while circuits are open and requests are in flight.

use host_sim::sim::clock::Time;

use super::{Workers, policy};
use crate::proxy::GET;

const BREAKER: &str = r#"{"failure_rate_threshold": 0, "consecutive_failures": 5,
    "open": {"duration": "20s", "multiplier": 1, "jitter": 0}, "half_open": {"permits": 3}}"#;

const TRIPPED: &str = "closed>open consecutive_failures";

impl Workers {
    fn update(&mut self, file: &str) {
        self.proxy.host.update(file.into()).unwrap();
    }
}

fn with(more: &str) -> String {
    policy(BREAKER).replacen('{', &format!("{{{more},"), 1)
}

fn changed(from: &str, to: &str) -> String {
    let file = policy(BREAKER);
    assert!(file.contains(from));
    file.replacen(from, to, 1)
}

/// Files whose keys have the same slots as those of the plain file.
fn with_the_same_slots() -> Vec<String> {
    let count = r#"{"window": {"type": "count", "size": 10}, "failure_rate_threshold""#;
    vec![
        with(r#""description": "another""#),
        with(r#""sync": {"interval": "50ms"}"#),
        changed("20s", "10s"),
        changed(r#"{"failure_rate_threshold""#, count),
    ]
}

#[test]
fn circuits_survive_an_update() {
    let other_slots = [10, 20, 5_000].map(|keys| with(&format!(r#""limits": {{"keys": {keys}}}"#)));
    for next in with_the_same_slots().into_iter().chain(other_slots) {
        let mut proxy = Workers::new(3, &policy(BREAKER));
        proxy.fail(0, 5);
        proxy.update(&next);
        for worker in 0..3 {
            assert!(proxy.rejects(worker), "{next}, {worker}");
        }
        assert_eq!(proxy.gauges(), (1, 1), "{next}");
        proxy.run_to(Time::from_ms(19_999));
        assert!(proxy.rejects(1), "{next}");
        proxy.run_to(Time::from_ms(20_000));
        (0..3).for_each(|worker| assert!(proxy.serve(worker, "200")));
        let expected = [
            TRIPPED,
            "open>half_open open_elapsed",
            "half_open>closed probes_succeeded",
        ];
        assert_eq!(proxy.history(), expected, "{next}");
        assert_eq!(proxy.gauges(), (1, 0), "{next}");
    }
}

#[test]
fn a_request_from_before_an_update_counts_in_the_same_circuit() {
    for next in with_the_same_slots() {
        let mut proxy = Workers::new(3, &policy(BREAKER));
        let old: Vec<_> = (0..5).map(|n| proxy.ask(n % 3).unwrap()).collect();
        proxy.update(&next);
        proxy.run_to(Time::from_ms(1_000));
        old.into_iter().for_each(|it| proxy.respond(it, "503"));
        proxy.run_to(Time::from_ms(1_100));
        assert_eq!(proxy.history(), [TRIPPED], "{next}");
        (0..3).for_each(|worker| assert!(proxy.rejects(worker), "{next}"));
        assert_eq!(proxy.gauges(), (1, 1), "{next}");
    }
}

#[test]
fn outcomes_that_are_pending_at_an_update_are_not_lost() {
    for under_way in [false, true] {
        let mut proxy = Workers::new(2, &policy(BREAKER));
        let old = under_way.then(|| proxy.ask(0).unwrap());
        proxy.fail(0, 4);
        proxy.update(&with(r#""description": "another""#));
        // A draining root still ticks; one without streams has merged already.
        proxy.run_to(Time::from_ms(if under_way { 100 } else { 0 }));
        proxy.fail(1, 1);
        assert_eq!(proxy.history(), [TRIPPED], "{under_way}");
        old.into_iter().for_each(|it| proxy.respond(it, "200"));
    }
}

#[test]
fn a_changed_threshold_applies_to_earlier_outcomes() {
    let four = changed(
        r#""consecutive_failures": 5"#,
        r#""consecutive_failures": 4"#,
    );
    let mut proxy = Workers::new(2, &policy(BREAKER));
    proxy.fail(0, 3);
    proxy.run_to(Time::from_ms(1_000));
    proxy.update(&four);
    proxy.fail(1, 1);
    assert_eq!(proxy.history(), [TRIPPED]);
    proxy.update(&policy(BREAKER));
    proxy.run_to(Time::from_ms(21_000));
    (0..3).for_each(|_| assert!(proxy.serve(0, "200")));
    for worker in [0, 1, 0, 1] {
        proxy.fail(worker, 1);
    }
    proxy.run_to(Time::from_ms(22_000));
    assert_eq!(proxy.history().len(), 3, "four are not enough any more");
    proxy.fail(1, 1);
    assert_eq!(proxy.history()[3..], [TRIPPED]);
}

#[test]
fn a_removed_policy_leaves_its_slots_empty() {
    let tenants = changed(
        r#""name": "p""#,
        r#""name": "p", "key": [{"header": "x-tenant"}]"#,
    );
    let mut proxy = Workers::new(2, &tenants);
    let ask = |proxy: &mut Workers, tenant: &str| {
        let pairs = [&GET[..], &[("x-tenant", tenant)]].concat();
        proxy.ask_with(0, &pairs)
    };
    for number in 0..100 {
        let stream = ask(&mut proxy, &number.to_string()).unwrap();
        proxy.respond(stream, "200");
    }
    let old = ask(&mut proxy, "late").unwrap();
    for _ in 0..5 {
        let stream = ask(&mut proxy, "7").unwrap();
        proxy.respond(stream, "503");
    }
    assert_eq!((proxy.occupied_slots("p"), proxy.gauges()), (101, (101, 1)));
    proxy.update(&changed(r#""p""#, r#""q""#));
    assert_eq!((proxy.occupied_slots("p"), proxy.gauges()), (0, (0, 0)));
    // An outcome under the removed policy leaves no record.
    proxy.respond(old, "503");
    proxy.run_to(Time::from_ms(1_000));
    assert_eq!((proxy.occupied_slots("p"), proxy.gauges()), (0, (0, 0)));
    proxy.update(&tenants);
    assert!(ask(&mut proxy, "7").is_some());
    assert_eq!((proxy.occupied_slots("p"), proxy.gauges()), (1, (1, 0)));
}

#[test]
fn a_request_from_a_configuration_with_other_slots_leaves_no_circuit() {
    let other_keys = r#""name": "p", "key": ["cluster", "method"]"#;
    for next in [
        with(r#""limits": {"keys": 20}"#),
        changed(r#""name": "p""#, other_keys),
    ] {
        let mut proxy = Workers::new(2, &policy(BREAKER));
        let old: Vec<_> = (0..5).map(|_| proxy.ask(1).unwrap()).collect();
        proxy.update(&next);
        assert!(proxy.serve(0, "200"));
        old.into_iter().for_each(|it| proxy.respond(it, "503"));
        proxy.run_to(Time::from_ms(3_600_000));
        (0..2).for_each(|worker| assert!(proxy.serve(worker, "200")));
        assert_eq!(
            (proxy.occupied_slots("p"), proxy.gauges()),
            (1, (1, 0)),
            "{next}"
        );
    }
}
