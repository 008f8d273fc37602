use std::collections::BTreeMap;

use super::*;
use crate::model::spec::{Calls, HeaderMatch, Match};
use crate::record::ClusterTally;

fn calls(path: &str) -> Calls {
    serde_json::from_value(serde_json::json!({"path": path})).unwrap()
}

/// Like [`plan`], with three services: `a` calls `b`, which calls `c`.
fn chain() -> Plan {
    let cluster = |name: &str, callee: Option<&str>| {
        let cluster = Cluster {
            calls: callee.map(calls),
            ..Cluster::default()
        };
        (name.to_owned(), cluster)
    };
    let route = |name: &str| Route {
        name: name.into(),
        matches: prefix(&format!("/{name}")),
        cluster: Some(name.into()),
        timeout: ms(1_000),
        ..Route::default()
    };
    let mut plan = plan();
    plan.clusters = vec![
        cluster("a", Some("/b")),
        cluster("b", Some("/c")),
        cluster("c", None),
    ];
    plan.routes = ["a", "b", "c"].map(route).into();
    plan.traffic[0].requests[0].path = "/a".into();
    plan
}

fn prefix(prefix: &str) -> Match {
    Match {
        prefix: Some(prefix.into()),
        ..Match::default()
    }
}

fn fault(plan: &mut Plan, cluster: &str, fault: FaultKind) {
    plan.faults.push(Fault {
        cluster: cluster.into(),
        from: Span::ZERO,
        to: None,
        share: Percent::ALL,
        fault,
        headers: BTreeMap::new(),
    });
}

fn retrying(plan: &mut Plan, retries: u32) {
    for route in &mut plan.routes {
        route.retry = RetryPolicy {
            retry_on: "5xx".into(),
            num_retries: retries,
            ..RetryPolicy::default()
        };
        route.timeout = Span::ZERO;
    }
    for (_, cluster) in &mut plan.clusters {
        cluster.limits.max_retries = 1_000;
    }
}

/// Attempts at each cluster per client call, which must be the same for all ten.
fn attempts_per_call(world: &World) -> Vec<u64> {
    let each = |it: &ClusterTally| {
        assert_eq!(it.attempts % 10, 0, "{it:?}");
        it.attempts / 10
    };
    world.record.total.clusters.iter().map(each).collect()
}

#[test]
fn a_service_responds_after_the_service_that_it_calls() {
    let world = run(chain());
    let total = &world.record.total;
    assert_eq!((total.calls, total.calls_succeeded), (10, 10));
    assert_eq!(total.latency_max().map(Span::as_ms), Some(30));
    assert_eq!(attempts_per_call(&world), [1, 1, 1]);
}

#[test]
fn calls_of_services_do_not_count_as_calls_of_clients() {
    let mut plan = chain();
    fault(&mut plan, "c", FaultKind::Status(500));
    let world = run(plan);
    let total = &world.record.total;
    assert_eq!((total.calls, total.requests), (10, 10));
    assert_eq!(total.outcomes.iter().sum::<u64>(), 10);
    let [reason] = &world.record.reasons.all[..] else {
        panic!("{:?}", world.record.reasons);
    };
    assert_eq!((reason.code, reason.requests), (Some(503), 10));
    let failures = total.clusters.iter().map(|it| it.failures);
    assert_eq!(failures.collect::<Vec<_>>(), [10, 10, 10]);
}

#[test]
fn a_failed_call_makes_the_calling_service_respond_503() {
    let rows = [
        (FaultKind::Status(404), 200),
        (FaultKind::Status(500), 503),
        (FaultKind::Reset, 503),
        (FaultKind::Refused, 503),
        (FaultKind::ResetAfterHeaders, 503),
        (FaultKind::Unhealthy, 503),
        (FaultKind::Hang, 503),
    ];
    for (kind, expected) in rows {
        let mut plan = chain();
        plan.routes[2].timeout = ms(500);
        fault(&mut plan, "c", kind.clone());
        assert_eq!(ending(plan).0, expected, "{kind:?}");
    }
}

/// How all calls ended: code and details.
fn ending(plan: Plan) -> (u32, String) {
    let record = run(plan).record;
    let [reason] = &record.reasons.all[..] else {
        panic!("{:?}", record.reasons);
    };
    (reason.code.unwrap_or(0), reason.details.to_string())
}

#[test]
fn a_service_with_a_fault_of_its_own_calls_nobody() {
    let mut plan = chain();
    fault(&mut plan, "a", FaultKind::Status(500));
    let world = run(plan);
    assert_eq!(attempts_per_call(&world), [1, 0, 0]);
}

#[test]
fn retries_multiply_along_a_chain() {
    let mut plan = chain();
    retrying(&mut plan, 3);
    fault(&mut plan, "c", FaultKind::Status(503));
    let world = run(plan);
    assert_eq!(attempts_per_call(&world), [4, 16, 64]);
}

/// Retries at `a` take another route to the spare cluster if `a` forwards the attempt count.
#[test]
fn services_forward_the_attempt_count() {
    let spared = |include| {
        let mut plan = chain();
        retrying(&mut plan, 1);
        plan.include_attempt_count = include;
        plan.clusters.push(("spare".into(), Cluster::default()));
        let second = HeaderMatch {
            name: "x-envoy-attempt-count".into(),
            exact: Some("2".into()),
            present: None,
        };
        let mut route = plan.routes[1].clone();
        route.cluster = Some("spare".into());
        route.matches.headers = vec![second];
        plan.routes.insert(0, route);
        fault(&mut plan, "b", FaultKind::Status(503));
        attempts_per_call(&run(plan))
    };
    assert_eq!(spared(true), [2, 2, 0, 1]);
    assert_eq!(spared(false), [2, 4, 0, 0]);
}

#[test]
fn a_service_keeps_its_worker_while_it_waits_for_another() {
    let mut plan = chain();
    plan.clusters[0].1.capacity = Some(1);
    plan.clusters[2].1.latency = Latency(Shape::Constant(ms(80)));
    plan.traffic[0] = Traffic {
        clients: Some(5),
        think: Latency(Shape::Constant(Span::ZERO)),
        requests: plan.traffic[0].requests.clone(),
        ..Traffic::default()
    };
    let total = run(plan).record.total;
    assert!((10..=15).contains(&total.calls), "{}", total.calls);
    let [a, _, c] = &total.clusters[..] else {
        panic!("{:?}", total.clusters);
    };
    assert_eq!((a.serving_max, a.line_max, c.serving_max), (1, 4, 1));
}

#[test]
fn a_service_stops_waiting_after_its_timeout() {
    let mut plan = chain();
    plan.clusters[1].1.calls.as_mut().unwrap().timeout = Some(ms(50));
    fault(&mut plan, "c", FaultKind::Hang);
    let total = run(plan).record.total;
    assert_eq!(total.outcome(Outcome::Error), 10);
    assert_eq!(total.latency_max().map(Span::as_ms), Some(70));
}

#[test]
fn a_nested_call_continues_after_its_caller_left_unless_the_service_notices() {
    let replies_of_c = |notices| {
        let mut plan = chain();
        plan.traffic[0].timeout = Some(ms(25));
        for (_, cluster) in &mut plan.clusters {
            cluster.notices_cancel = notices;
        }
        let world = run(plan);
        let total = &world.record.total;
        assert_eq!(total.outcome(Outcome::GaveUp), 10);
        assert_eq!(attempts_per_call(&world), [1, 1, 1]);
        let responded = |what: What| matches!(what, What::Response { cluster: 2, .. });
        let entries = world.record.trace.last();
        entries.filter(|it| responded(it.what)).count()
    };
    assert_eq!(replies_of_c(false), 10);
    assert_eq!(replies_of_c(true), 0);
}

#[test]
fn a_failed_grpc_call_makes_the_calling_service_respond_unavailable() {
    let mut plan = chain();
    plan.traffic[0].requests[0].grpc = true;
    for (_, cluster) in &mut plan.clusters {
        if let Some(calls) = &mut cluster.calls {
            calls.grpc = true;
        }
    }
    let healthy = run(plan.clone()).record.total;
    assert_eq!(healthy.outcome(Outcome::Success), 10);
    fault(&mut plan, "c", FaultKind::GrpcStatusInTrailers(13));
    let record = run(plan).record;
    assert_eq!(record.total.outcome(Outcome::Error), 10);
    assert_eq!(record.reasons.all[0].code, Some(200));
}

#[test]
fn a_chain_gives_the_same_run_every_time() {
    let digest = |seed| {
        let mut plan = chain();
        plan.seed = seed;
        plan.workers = 3;
        plan.traffic[0].arrivals = Arrivals::Poisson;
        plan.traffic[0].rate = Some(200.0);
        retrying(&mut plan, 2);
        fault(&mut plan, "c", FaultKind::Status(503));
        plan.faults[0].share = Percent::from_bp(3_000);
        run(plan).record.trace.digest()
    };
    assert_eq!(digest(1), digest(1));
    assert_ne!(digest(1), digest(2));
}

#[test]
fn calls_of_a_service_are_reported_under_its_name() {
    let world = run(chain());
    let shown = world.record.trace.last();
    let shown: Vec<_> = shown.filter_map(|it| world.record.names.show(it)).collect();
    let has = |text: &str| shown.iter().any(|line| line.ends_with(text));
    assert!(has("GET /a by clients") && has("GET /b by a") && has("GET /c by b"));
}
