//! A client that invents keys on all workers at once.

use serde_json::json;
use spillway_tests::{Client, Reply, Upstream};
use tokio::task::JoinSet;

use super::{every_worker_rejects, lasting, on_all_workers};
use crate::scene::{count, count_is, outcomes_are, policy, untouched, with};

/// Number of tenants invented per round, and number of rounds.
const INVENTED: usize = 20_000;
const ROUNDS: usize = 10;

/// Key limit of the policy.
const KEYS: u64 = 1_000;

/// Concurrent requests per worker.
const CALLERS: usize = 16;

/// How much the process may grow after the first round. Without a limit the later rounds would take
/// some 50 MB; with one, only allocator overhead changes.
const GROWTH_KIB_MAX: u64 = 4_000;

#[tokio::test]
async fn invented_tenants_neither_grow_memory_nor_evict_an_open_circuit_on_many_workers() {
    let upstream = Upstream::start().await;
    let fields = json!({
        "key": [{"header": "x-tenant"}],
        "circuit_breaker": lasting(json!({})),
    });
    let envoy = on_all_workers(&upstream)
        .policy(with(policy(fields), json!({"limits": {"keys": KEYS}})))
        // An access log line per request would dominate the cost of this test.
        .manager(json!({"access_log": []}))
        .start()
        .await;
    let workers = envoy.client_per_worker().await;
    // A missing tenant is a key as well; it is the victim.
    upstream.reply(Reply::status(503));
    untouched(&workers[0].get("/").await);
    upstream.reply(Reply::status(200));
    count_is(&envoy, "spillway_open_circuits", 1).await;
    every_worker_rejects(&upstream, &workers, "/", "open").await;

    let mut after_first = 0;
    for round in 0..ROUNDS {
        invent(&workers, round).await;
        upstream.forget();
        if round == 0 {
            after_first = envoy.resident_kib();
        }
    }
    let grown = envoy.resident_kib().saturating_sub(after_first);
    assert!(grown < GROWTH_KIB_MAX, "{grown} KiB");

    every_worker_rejects(&upstream, &workers, "/", "open").await;
    assert_eq!(upstream.hits(), 0);
    let keys = count(&envoy, "spillway_keys").await;
    assert!((KEYS / 2..=KEYS).contains(&keys), "{keys} keys");
    assert_eq!(count(&envoy, "spillway_open_circuits").await, 1);
    outcomes_are(&envoy, "p", [(ROUNDS * INVENTED) as u64, 1, 0]).await;
}

/// Sends one request for each of [`INVENTED`] tenants, spread over the workers.
async fn invent(workers: &[Client], round: usize) {
    let mut callers = JoinSet::new();
    let all = workers.len() * CALLERS;
    for (first, worker) in workers.iter().cycle().take(all).cloned().enumerate() {
        callers.spawn(async move {
            for number in (first..INVENTED).step_by(all) {
                let tenant = format!("{round} {number}");
                let answer = worker.get_with("/", &[("x-tenant", &tenant)]).await;
                assert_eq!(answer.status, 200);
            }
        });
    }
    callers.join_all().await;
}
