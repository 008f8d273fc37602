mod chains;
mod endings;
mod load;
mod replay;

use std::collections::BTreeMap;

use super::*;
use crate::model::spec::{
    Arrivals, ClientRetry, Cluster, Direct, Fault, FaultKind, Latency, MaxStreamDuration, Percent,
    Request, RetryPolicy, Route, Shape, Traffic, Upload,
};
use crate::proxy::{Host, Setup};
use crate::record::{Outcome, What};

struct Ignore;

impl Observer for Ignore {
    fn mark(&mut self, _: usize, _: &World) {}
    fn progress(&mut self, _: Time) {}
}

fn ms(ms: u64) -> Span {
    Span::from_ms(ms)
}

/// Ten requests in one second, to a cluster with a latency of ten milliseconds.
fn plan() -> Plan {
    Plan {
        seed: 1,
        workers: 1,
        duration: ms(1_000),
        clusters: vec![("up".into(), Cluster::default())],
        routes: vec![Route {
            name: "main".into(),
            cluster: Some("up".into()),
            timeout: ms(1_000),
            ..Route::default()
        }],
        traffic: vec![Traffic {
            rate: Some(10.5),
            arrivals: Arrivals::Constant,
            ..Traffic::default()
        }],
        ..Plan::default()
    }
}

fn faulty(fault: FaultKind) -> Plan {
    let fault = Fault {
        cluster: "up".into(),
        from: Span::ZERO,
        to: None,
        share: Percent::ALL,
        fault,
        headers: BTreeMap::new(),
    };
    Plan {
        faults: vec![fault],
        ..plan()
    }
}

fn run(plan: Plan) -> World {
    let workers = plan.workers;
    let host = Host::start(
        Setup {
            workers,
            ..Setup::default()
        },
        Time::ZERO,
    )
    .unwrap();
    let mut world = World::new(plan, host).unwrap();
    world.run(&mut Ignore).unwrap();
    assert_eq!(world.unfinished(), 0);
    assert!(world.calls.is_empty() && world.by_stream.is_empty());
    world
}

/// How all ten requests ended: code, flags, details, attempts of the proxy.
fn ending(plan: Plan) -> (u32, String, String, u64) {
    let record = run(plan).record;
    let [reason] = &record.reasons.all[..] else {
        panic!("requests ended differently: {:?}", record.reasons);
    };
    assert_eq!(reason.requests, 10);
    let tries = record.total.attempts() / 10;
    (
        reason.code.unwrap_or(0),
        reason.flags_text(),
        reason.details.to_string(),
        tries,
    )
}

fn retrying(fault: FaultKind, retry_on: &str) -> Plan {
    let mut plan = faulty(fault);
    plan.routes[0].retry = RetryPolicy {
        retry_on: retry_on.into(),
        num_retries: 2,
        per_try_timeout: ms(200),
        ..RetryPolicy::default()
    };
    plan.clusters[0].1.limits.max_retries = 100;
    plan
}

/// Returns the plan with its cluster changed.
fn with_cluster(mut plan: Plan, change: impl FnOnce(&mut Cluster)) -> Plan {
    change(&mut plan.clusters[0].1);
    plan
}
