use std::collections::BTreeMap;

use super::*;
use crate::model::spec::{Fault, FaultKind, Latency, Percent, RetryBudget, Shape};
use crate::sim::rng::Seed;

/// A cluster and the log of its events.
struct Bench {
    upstream: Upstream<u32>,
    wakes: Wakes,
    log: Vec<(u64, u32, &'static str)>,
}

impl Bench {
    fn new(spec: Cluster) -> Bench {
        Bench {
            upstream: Upstream::new(spec, Seed(1).split("test")),
            wakes: Wakes::new(),
            log: Vec::new(),
        }
    }

    fn send(&mut self, owner: u32, at_ms: u64) -> Result<JobKey, Refusal> {
        let at = Time::from_ms(at_ms);
        let attempt = Attempt {
            writable: true,
            owner,
            grpc: false,
            whole: true,
            headers: None,
            ending: None,
        };
        self.upstream.begin(attempt, at, &mut self.wakes)
    }

    fn fault(&mut self, fault: FaultKind) {
        let fault = Fault {
            cluster: String::new(),
            from: Span::ZERO,
            to: None,
            share: Percent::ALL,
            fault,
            headers: BTreeMap::new(),
        };
        self.upstream.faults.begin(0, &fault);
    }

    /// Runs until all jobs have ended. Returns who got which event when, in milliseconds.
    fn run(mut self) -> Vec<(u64, u32, &'static str)> {
        while let Some(first) = (0..self.wakes.len()).min_by_key(|i| self.wakes[*i]) {
            let (at, key) = self.wakes.remove(first);
            if let Some((owner, event)) = self.upstream.wake(key, at, &mut self.wakes) {
                self.log.push((at.as_ns() / 1_000_000, owner, name(event)));
            }
        }
        assert_eq!(
            (
                self.upstream.serving,
                self.upstream.connected,
                self.upstream.pending
            ),
            (0, 0, 0)
        );
        self.log
    }
}

fn name(event: UpstreamEvent) -> &'static str {
    match event {
        UpstreamEvent::Response(Response { status: 200, .. }) => "200",
        UpstreamEvent::Response(_) => "503",
        UpstreamEvent::Chunk(_) => "chunk",
        UpstreamEvent::Rest => "rest",
        UpstreamEvent::Break => "break",
        UpstreamEvent::Refused => "refused",
        UpstreamEvent::Unreachable => "unreachable",
        UpstreamEvent::Reset => "reset",
        UpstreamEvent::Unwritable => "unwritable",
        UpstreamEvent::ByProxy(_) => "by proxy",
    }
}

fn ten_ms(capacity: u32) -> Cluster {
    Cluster {
        latency: Latency(Shape::Constant(Span::from_ms(10))),
        capacity: Some(capacity),
        ..Cluster::default()
    }
}

#[test]
fn a_request_waits_in_the_queue_while_all_workers_are_busy() {
    let mut bench = Bench::new(ten_ms(1));
    for owner in 1..=3 {
        bench.send(owner, 0).unwrap();
    }
    assert_eq!(bench.upstream.load(), (1, 2));
    assert_eq!(
        bench.run(),
        [(10, 1, "200"), (20, 2, "200"), (30, 3, "200")]
    );
}

#[test]
fn a_full_queue_rejects_requests() {
    let mut bench = Bench::new(Cluster {
        line: 1,
        ..ten_ms(1)
    });
    for owner in 1..=3 {
        bench.send(owner, 0).unwrap();
    }
    assert_eq!(bench.run(), [(0, 3, "503"), (10, 1, "200"), (20, 2, "200")]);
}

#[test]
fn the_work_for_a_caller_that_left_is_finished() {
    let mut bench = Bench::new(ten_ms(1));
    let first = bench.send(1, 0).unwrap();
    bench.send(2, 0).unwrap();
    bench
        .upstream
        .cancel(first, Time::from_ms(1), &mut bench.wakes);
    assert_eq!(bench.run(), [(20, 2, "200")]);
}

#[test]
fn a_service_that_notices_cancels_the_work_for_a_caller_that_left() {
    let mut bench = Bench::new(Cluster {
        notices_cancel: true,
        ..ten_ms(1)
    });
    let first = bench.send(1, 0).unwrap();
    bench.send(2, 0).unwrap();
    let third = bench.send(3, 0).unwrap();
    bench
        .upstream
        .cancel(third, Time::from_ms(1), &mut bench.wakes);
    bench
        .upstream
        .cancel(first, Time::from_ms(1), &mut bench.wakes);
    assert_eq!(bench.run(), [(11, 2, "200")]);
}

#[test]
fn requests_wait_for_a_connection_up_to_max_pending_requests() {
    let mut spec = ten_ms(9);
    spec.limits.max_connections = 1;
    spec.limits.max_pending_requests = 1;
    let mut bench = Bench::new(spec);
    bench.send(1, 0).unwrap();
    bench.send(2, 0).unwrap();
    assert_eq!(bench.send(3, 0), Err(Refusal::PendingOverflow));
    assert_eq!(bench.run(), [(10, 1, "200"), (20, 2, "200")]);
}

#[test]
fn a_cancelled_pending_request_frees_its_slot() {
    let mut spec = ten_ms(9);
    spec.limits.max_connections = 1;
    spec.limits.max_pending_requests = 1;
    let mut bench = Bench::new(spec);
    bench.send(1, 0).unwrap();
    let waiting = bench.send(2, 0).unwrap();
    bench
        .upstream
        .cancel(waiting, Time::from_ms(1), &mut bench.wakes);
    bench.send(3, 1).unwrap();
    assert_eq!(bench.run(), [(10, 1, "200"), (20, 3, "200")]);
}

#[test]
fn many_requests_share_a_connection_over_http2_up_to_max_requests() {
    let mut spec = ten_ms(9);
    spec.protocol = UpstreamProtocol::Http2;
    spec.limits.max_connections = 1;
    spec.limits.max_requests = 2;
    let mut bench = Bench::new(spec);
    bench.send(1, 0).unwrap();
    bench.send(2, 0).unwrap();
    assert_eq!(bench.send(3, 0), Err(Refusal::Overflow));
    assert_eq!(bench.run(), [(10, 1, "200"), (10, 2, "200")]);
}

#[test]
fn a_request_that_hangs_holds_its_worker_until_it_is_cancelled() {
    let mut bench = Bench::new(ten_ms(1));
    bench.fault(FaultKind::Hang);
    let hung = bench.send(1, 0).unwrap();
    bench.upstream.faults.end(0);
    bench.send(2, 0).unwrap();
    assert!(bench.wakes.is_empty());
    bench
        .upstream
        .cancel(hung, Time::from_ms(50), &mut bench.wakes);
    assert_eq!(bench.run(), [(60, 2, "200")]);
}

#[test]
fn each_fault_has_its_own_events() {
    let rows = [
        (FaultKind::Status(503), vec![(10, 1, "503")]),
        (FaultKind::Reset, vec![(10, 1, "reset")]),
        (FaultKind::Refused, vec![(0, 1, "refused")]),
        (
            FaultKind::ResetAfterHeaders,
            vec![(10, 1, "200"), (12, 1, "break")],
        ),
        (
            FaultKind::Slower(2.0),
            vec![(20, 1, "200"), (22, 1, "rest")],
        ),
    ];
    for (fault, expected) in rows {
        let mut spec = ten_ms(1);
        spec.answer.body_time = Span::from_ms(2);
        let mut bench = Bench::new(spec);
        bench.fault(fault.clone());
        bench.send(1, 0).unwrap();
        assert_eq!(bench.run(), expected, "{fault:?}");
    }
}

#[test]
fn capacity_that_comes_back_serves_the_queue_at_once() {
    let mut bench = Bench::new(ten_ms(2));
    bench.fault(FaultKind::Capacity(0));
    bench.send(1, 0).unwrap();
    bench.send(2, 0).unwrap();
    bench.upstream.faults.end(0);
    bench.upstream.refresh(Time::from_ms(100), &mut bench.wakes);
    assert_eq!(bench.run(), [(110, 1, "200"), (110, 2, "200")]);
}

#[test]
fn an_unhealthy_cluster_refuses_attempts() {
    let mut bench = Bench::new(ten_ms(1));
    bench.fault(FaultKind::Unhealthy);
    assert_eq!(bench.send(1, 0), Err(Refusal::NoHealthyHost));
}

#[test]
fn concurrent_retries_are_limited() {
    let mut upstream = Upstream::<u32>::new(ten_ms(1), Seed(1).split("test"));
    assert_eq!(
        [(); 4].map(|()| upstream.begin_retry()),
        [true, true, true, false]
    );
    upstream.end_retry();
    assert!(upstream.begin_retry());
}

#[test]
fn a_retry_budget_grows_with_the_load() {
    let mut spec = ten_ms(100);
    spec.limits.retry_budget = Some(RetryBudget {
        budget_percent: Percent::from_bp(5_000),
        min_retry_concurrency: 1,
    });
    let mut bench = Bench::new(spec);
    assert_eq!(
        [(); 2].map(|()| bench.upstream.begin_retry()),
        [true, false]
    );
    for owner in 0..6 {
        bench.send(owner, 0).unwrap();
    }
    assert_eq!(
        [(); 3].map(|()| bench.upstream.begin_retry()),
        [true, true, false]
    );
}
