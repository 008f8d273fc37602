//! What a VM costs before the first request: its memory, and loading policies.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::command::Failure;
use crate::proxy::{Callback, Counts, Module};
use crate::scenario::play::PlayError;

use super::policies;
use super::subject::{Exchange, Subject};

/// A VM that has loaded something.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub(super) struct Start {
    pub what: &'static str,
    /// Wasm instructions to load the configuration.
    pub instructions: Option<u64>,
    /// Time to load it, on this computer.
    pub ms: Option<f64>,
    /// Linear memory of a worker's VM.
    pub memory_kib: u64,
}

/// Number of keys in the row about keys.
const KEYS: u64 = 1_000;

const POLICIES: u64 = 10_000;

/// Number of updates after those that have rows of their own.
const UPDATES: u64 = 10;

/// Measures all rows that the module has.
///
/// # Errors
///
/// If the module refuses a policy that it should take.
pub(super) fn measure(module: &Module) -> Result<Vec<Start>, Failure> {
    let mut rows = Vec::new();
    for (what, policy) in [
        ("idle, `circuit_breaker`", policies::one(&json!({}))),
        ("idle, and `slow_threshold`", slow()),
        ("idle, and `retry`", policies::one(&json!({"retry": {}}))),
        ("idle, and `stale`", policies::stale()),
    ] {
        // The lite module takes no policy that stores responses.
        match loaded(module, &policy) {
            Ok((subject, load)) => rows.push(load.row(what, &subject)),
            Err(Failure::Policy(_)) => {}
            Err(other) => return Err(other),
        }
    }
    rows.push(with_keys(module)?);
    rows.extend(with_policies(module)?);
    Ok(rows)
}

fn slow() -> String {
    policies::one(&json!({"circuit_breaker": {"slow_threshold": "1s"}}))
}

/// Cost of a load in one VM.
struct Load {
    instructions: u64,
    time: Duration,
}

impl Load {
    fn row(&self, what: &'static str, subject: &Subject) -> Start {
        Start {
            what,
            instructions: Some(self.instructions),
            ms: Some(self.time.as_secs_f64() * 1e3),
            memory_kib: subject.memory_kib(),
        }
    }
}

fn loaded(module: &Module, policy: &str) -> Result<(Subject, Load), Failure> {
    let (subject, time) = timed(|| Subject::start(module, policy, 1));
    let subject = subject?;
    let load = per_vm(&Counts::default(), subject.host.counts(), time);
    Ok((subject, load))
}

fn with_keys(module: &Module) -> Result<Start, Failure> {
    let mut subject = Subject::start(module, policies::keys(), 1)?;
    for number in 0..KEYS {
        let mut exchange = Exchange::get("/items");
        let tenant = format!("tenant-{number}");
        exchange.request.add(b"x-tenant", tenant.as_bytes());
        subject.serve(&exchange)?;
    }
    Ok(Start {
        what: "1,000 keys",
        instructions: None,
        ms: None,
        memory_kib: subject.memory_kib(),
    })
}

fn with_policies(module: &Module) -> Result<Vec<Start>, Failure> {
    let file = |prefix: &str, breaker: &Value| policies::by_cluster(POLICIES, prefix, breaker);
    let changed = |number: u64| json!({"minimum_requests": number + 30});
    let (mut subject, load) = loaded(module, &file("a", &json!({})))?;
    let mut rows = vec![load.row("10,000 policies", &subject)];
    let load = update(&mut subject, file("a", &changed(0)))?;
    rows.push(load.row("update: each is changed", &subject));
    let load = update(&mut subject, file("b", &json!({})))?;
    rows.push(load.row("update: each is replaced by another", &subject));
    for number in 1..=UPDATES {
        update(&mut subject, file("b", &changed(number)))?;
    }
    rows.push(Start {
        what: "ten updates more",
        instructions: None,
        ms: None,
        memory_kib: subject.memory_kib(),
    });
    Ok(rows)
}

/// Loads other policies, and removes those that were loaded before.
fn update(subject: &mut Subject, policies: String) -> Result<Load, Failure> {
    let before = subject.host.counts().clone();
    let (updated, time) = timed(|| subject.host.update(policies.into_bytes()));
    updated.map_err(PlayError::from)?;
    Ok(per_vm(&before, subject.host.counts(), time))
}

/// The cost in one VM. Each makes each callback once: that of the main thread, that of the
/// worker, and, for the new configuration alone, the throwaway VM that tries it.
fn per_vm(before: &Counts, after: &Counts, time: Duration) -> Load {
    let of = |callback: Callback| {
        let fuel = after.fuel_of(callback) - before.fuel_of(callback);
        let count = after.callback(callback) - before.callback(callback);
        fuel.checked_div(count).unwrap_or(0)
    };
    let vms = after.callback(Callback::Configure) - before.callback(Callback::Configure);
    Load {
        instructions: Callback::ALL.into_iter().map(of).sum(),
        time: time / u32::try_from(vms.max(1)).unwrap_or(1),
    }
}

fn timed<T>(run: impl FnOnce() -> T) -> (T, Duration) {
    #[expect(
        clippy::disallowed_methods,
        reason = "the command reports how long it took"
    )]
    let began = Instant::now();
    let done = run();
    (done, began.elapsed())
}
