//! One request's decisions: the core beside circuit breakers and retry budgets of other crates.
//!
//! The engine does more in this time than they do: it selects the policy of the request, finds the
//! circuit of its key in a table, classifies the response, and shares its counts with other workers
//! as they become due. It does not read the clock, since time is an argument, and takes no lock,
//! since each worker has its own engine. The others read clocks where their windows need it, and
//! are locked, since they are shared by threads.

mod engine;
mod others;

use criterion::{Criterion, criterion_group, criterion_main};

use engine::Worker;
use others::{Failsafe, Resilience};

/// A policy with a breaker's defaults.
const BREAKER: &str = r#"{"policies": [{"name": "p", "circuit_breaker": {}}]}"#;

/// Opened by one failure, for longer than a benchmark.
const OPEN: &str = r#"{"policies": [{"name": "p", "circuit_breaker":
    {"consecutive_failures": 1, "open": {"duration": "24h"}}}]}"#;

const RETRY: &str = r#"{"policies": [{"name": "p", "circuit_breaker": {}, "retry": {}}]}"#;

/// A request that passes and succeeds.
fn closed(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("closed");
    let mut worker = Worker::new(BREAKER);
    group.bench_function("spillway-core", |bencher| {
        bencher.iter(|| assert!(worker.request(200)))
    });
    let failsafe = Failsafe::new();
    group.bench_function("failsafe", |bencher| {
        bencher.iter(|| assert!(failsafe.request(true)))
    });
    let recloser = others::recloser();
    group.bench_function("recloser", |bencher| {
        bencher.iter(|| assert!(others::ask_recloser(&recloser, true)));
    });
    let mut resilience = Resilience::new();
    group.bench_function("tower-resilience", |bencher| {
        bencher.iter(|| assert!(resilience.request(true)));
    });
    group.finish();
}

/// A request that is rejected.
fn open(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("open");
    let mut worker = Worker::new(OPEN);
    worker.request(503);
    group.bench_function("spillway-core", |bencher| {
        bencher.iter(|| assert!(!worker.request(503)))
    });
    let failsafe = Failsafe::new();
    while failsafe.request(false) {}
    group.bench_function("failsafe", |bencher| {
        bencher.iter(|| assert!(!failsafe.request(true)))
    });
    let recloser = others::recloser();
    while others::ask_recloser(&recloser, false) {}
    group.bench_function("recloser", |bencher| {
        bencher.iter(|| assert!(!others::ask_recloser(&recloser, true)));
    });
    let mut resilience = Resilience::new();
    while resilience.request(false) {}
    group.bench_function("tower-resilience", |bencher| {
        bencher.iter(|| assert!(!resilience.request(true)));
    });
    group.finish();
}

/// A request that succeeds and pays into the budget. In the core it is granted its retries first,
/// and the breaker counts it too.
fn budget(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("budget");
    let mut worker = Worker::new(RETRY);
    group.bench_function("spillway-core, with its breaker", |bencher| {
        bencher.iter(|| assert!(worker.request(200)));
    });
    let budget = others::budget();
    group.bench_function("tower, a deposit", |bencher| {
        bencher.iter(|| others::deposit(&budget))
    });
    group.bench_function("tower, five deposits and a retry", |bencher| {
        bencher.iter(|| others::pay_for_a_retry(&budget));
    });
    group.finish();
}

criterion_group!(benches, closed, open, budget);
criterion_main!(benches);
