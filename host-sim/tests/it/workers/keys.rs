//! Keys that clients invent. The host's shared data can be neither listed nor deleted, so it
//! must not grow with them.

use std::collections::BTreeSet;

use host_sim::sim::clock::Time;

use super::Workers;
use crate::proxy::GET;

const WORKERS: usize = 8;
const KEYS: usize = 1_000;
const INVENTED: usize = 200_000;

/// Returns a policy with a circuit for each tenant, which a header names.
fn tenants(breaker: &str) -> String {
    format!(
        r#"{{"policies": [{{"name": "p", "key": [{{"header": "x-tenant"}}],
            "circuit_breaker": {breaker}}}], "limits": {{"keys": {KEYS}}}}}"#
    )
}

const THREE_IN_A_ROW: &str = r#"{"failure_rate_threshold": 0, "consecutive_failures": 3,
    "open": {"duration": "1h", "max_duration": "1h", "jitter": 0}}"#;

fn serve(proxy: &mut Workers, worker: usize, tenant: &str, status: &str) -> bool {
    let pairs = [&GET[..], &[("x-tenant", tenant)]].concat();
    let stream = proxy.ask_with(worker, &pairs);
    let passed = stream.is_some();
    stream.into_iter().for_each(|it| proxy.respond(it, status));
    passed
}

#[test]
fn invented_keys_create_no_more_names_than_slots_and_appear_in_none() {
    let mut proxy = Workers::new(WORKERS, &tenants(THREE_IN_A_ROW));
    (0..3).for_each(|_| assert!(serve(&mut proxy, 0, "known", "503")));
    for number in 0..INVENTED {
        proxy.run_to(Time::from_ms(number as u64 / 10));
        let tenant = format!("invented-{number}");
        assert!(serve(&mut proxy, number % WORKERS, &tenant, "200"));
    }
    let slots = (0..KEYS).map(|slot| format!("spillway/4/plugin/p/{slot}"));
    let others = ["", "/p", "/.history", "/.survey/p"].map(|end| format!("spillway/4/plugin{end}"));
    let allowed: BTreeSet<_> = slots.chain(others).collect();
    let names: BTreeSet<_> = proxy.records().into_iter().map(|(name, _)| name).collect();
    assert!(
        names.is_subset(&allowed),
        "{:?}",
        names.difference(&allowed)
    );
    // Every slot was in use, and no open circuit was evicted.
    assert_eq!(proxy.metric("keys"), KEYS as u64);
    for worker in 0..WORKERS {
        assert!(!serve(&mut proxy, worker, "known", "200"), "{worker}");
    }
    assert_eq!(proxy.history(), ["closed>open consecutive_failures"]);
}

#[test]
fn a_key_that_all_workers_first_see_at_once_has_one_record() {
    const WORKERS: usize = 64;
    let breaker = THREE_IN_A_ROW.replace('3', "64");
    let mut proxy = Workers::new(WORKERS, &tenants(&breaker));
    for worker in 0..WORKERS {
        assert_eq!(proxy.history(), [""; 0], "{worker}");
        assert!(serve(&mut proxy, worker, "new", "503"), "{worker}");
    }
    assert_eq!(proxy.history(), ["closed>open consecutive_failures"]);
    assert_eq!((proxy.occupied_slots("p"), proxy.gauges()), (1, (1, 1)));
}

#[test]
fn a_circuit_that_lost_its_slot_gets_a_new_one() {
    let mut proxy = Workers::new(2, &tenants(THREE_IN_A_ROW));
    assert!(serve(&mut proxy, 0, "known", "503"));
    for number in 0..3 * KEYS {
        assert!(serve(&mut proxy, 1, &number.to_string(), "200"));
    }
    proxy.run_to(Time::from_ms(1_000));
    // Another key has its slot by now. Worker 0 moves its copy of the circuit to a new slot.
    (0..2).for_each(|_| assert!(serve(&mut proxy, 0, "known", "503")));
    assert_eq!(proxy.history(), ["closed>open consecutive_failures"]);
    assert!(!serve(&mut proxy, 1, "known", "200"));
}
