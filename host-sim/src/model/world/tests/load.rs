use super::*;

#[test]
fn a_client_leaves_after_its_timeout() {
    let mut plan = faulty(FaultKind::Hang);
    plan.traffic[0].timeout = Some(ms(300));
    let world = run(plan);
    let total = &world.record.total;
    assert_eq!(total.outcome(Outcome::GaveUp), 10);
    assert_eq!(world.record.reasons.all[0].flags_text(), "DC");
    assert_eq!(total.percentile(100.0).map(Span::as_ms), Some(300));
}

#[test]
fn retries_of_clients_multiply_the_load_of_the_upstream() {
    let mut plan = faulty(FaultKind::Status(503));
    plan.traffic[0].retry = Some(ClientRetry {
        max: 2,
        ..ClientRetry::default()
    });
    let total = run(plan).record.total;
    assert_eq!((total.calls, total.calls_succeeded), (10, 0));
    // Calls are not retried after the end of the traffic.
    assert!((25..=30).contains(&total.requests), "{}", total.requests);
    assert!(total.amplification() > 2.4);
}

#[test]
fn a_closed_loop_waits_for_its_responses() {
    let mut plan = plan();
    plan.clusters[0].1.latency = Latency(Shape::Constant(ms(100)));
    plan.traffic[0] = Traffic {
        clients: Some(5),
        think: Latency(Shape::Constant(ms(100))),
        ..Traffic::default()
    };
    let total = run(plan).record.total;
    assert_eq!(total.calls, 25);
    assert_eq!(total.clusters[0].serving_max, 5);
}

#[test]
fn overload_makes_responses_late() {
    let mut plan = plan();
    plan.duration = ms(10_000);
    plan.clusters[0].1.capacity = Some(1);
    plan.traffic[0].rate = Some(90.0);
    let calm = run(plan.clone()).record.total;
    assert!(calm.percentile(99.0) < Some(ms(20)));
    plan.traffic[0].rate = Some(120.0);
    let busy = run(plan).record.total;
    assert!(
        busy.percentile(99.0) > Some(ms(1_000)),
        "{:?}",
        busy.percentile(99.0)
    );
    assert!(busy.clusters[0].line_max > 100);
}

#[test]
fn grpc_calls_are_classified_by_their_grpc_status() {
    let grpc = |fault| {
        let mut plan = faulty(fault);
        plan.traffic[0].requests = vec![Request {
            grpc: true,
            ..Request::default()
        }];
        let record = run(plan).record;
        let total = &record.total;
        (
            total.outcome(Outcome::Success),
            total.outcome(Outcome::Error),
        )
    };
    assert_eq!(grpc(FaultKind::Slower(2.0)), (10, 0));
    assert_eq!(grpc(FaultKind::GrpcStatus(14)), (0, 10));
    assert_eq!(grpc(FaultKind::GrpcStatusInTrailers(13)), (0, 10));
    assert_eq!(grpc(FaultKind::Refused), (0, 10));
}

#[test]
fn a_fault_with_a_share_fails_that_share_of_requests() {
    let mut plan = faulty(FaultKind::Status(500));
    plan.faults[0].share = Percent::from_bp(2_500);
    plan.traffic[0].rate = Some(2_000.0);
    let total = run(plan).record.total;
    let failed = total.outcome(Outcome::Error);
    assert!(
        (430..570).contains(&failed),
        "{failed} of {}",
        total.requests
    );
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let digest = |seed| {
        let mut plan = retrying(FaultKind::Status(503), "5xx");
        plan.seed = seed;
        plan.workers = 3;
        plan.faults[0].share = Percent::from_bp(3_000);
        plan.traffic[0].arrivals = Arrivals::Poisson;
        plan.traffic[0].rate = Some(500.0);
        let (median, p99) = (ms(10), ms(100));
        plan.clusters[0].1.latency = Latency(Shape::Lognormal { median, p99 });
        run(plan).record.trace.digest()
    };
    assert_eq!(digest(1), digest(1));
    assert_ne!(digest(1), digest(2));
    // The same on every platform, in debug and release builds.
    assert_eq!(
        format!("{:032x}", digest(1)),
        "a009ab7933d25a0eeec783931df4015b"
    );
}
