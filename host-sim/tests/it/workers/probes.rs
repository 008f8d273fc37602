//! Probes: the proxy admits `permits` of them, however many workers request one at once.

use std::time::Duration;

use host_sim::proxy::StreamId;
use host_sim::proxy::stream::info::flag;
use host_sim::record::State;
use host_sim::sim::clock::Time;
use host_sim::sim::queue::Queue;

use super::{Workers, policy};

const WORKERS: usize = 64;
const PERMITS: usize = 3;

const BREAKER: &str = r#"{"failure_rate_threshold": 60, "minimum_requests": 10,
    "open": {"duration": "200ms", "multiplier": 1, "jitter": 0}, "half_open": {"permits": 3}}"#;

/// Latency of the upstream. All workers request another probe meanwhile.
const HELD: Duration = Duration::from_millis(250);

/// A proxy under heavy load: every worker gets a request each millisecond.
struct Rush {
    proxy: Workers,
    now: Time,
    /// Requests at the upstream, and whether each is a probe.
    under_way: Queue<(StreamId, bool)>,
    probes: usize,
    probes_out: usize,
    probes_out_max: usize,
}

impl Rush {
    /// Returns a proxy whose circuit has just opened.
    fn new() -> Rush {
        let mut proxy = Workers::new(WORKERS, &policy(BREAKER));
        // Every worker has used the circuit while it was closed.
        (0..WORKERS).for_each(|worker| assert!(proxy.serve(worker, "200")));
        while proxy.changes().is_empty() {
            proxy.fail(0, 1);
        }
        Rush {
            proxy,
            now: Time::ZERO,
            under_way: Queue::default(),
            probes: 0,
            probes_out: 0,
            probes_out_max: 0,
        }
    }

    fn state(&mut self) -> State {
        self.proxy.changes().last().unwrap().to
    }

    /// Runs the next millisecond. Requests whose latency has passed end by `end`.
    fn step(&mut self, end: impl Fn(&mut Workers, StreamId)) {
        self.now = self.now + Duration::from_millis(1);
        self.proxy.run_to(self.now);
        while self.under_way.next_at().is_some_and(|at| at <= self.now) {
            let (_, (stream, is_probe)) = self.under_way.pop().unwrap();
            self.probes_out -= usize::from(is_probe);
            end(&mut self.proxy, stream);
        }
        for worker in 0..WORKERS {
            if let Some(stream) = self.proxy.ask(worker) {
                let is_probe = self.state() == State::HalfOpen;
                self.under_way.push(self.now + HELD, (stream, is_probe));
                self.probes += usize::from(is_probe);
                self.probes_out += usize::from(is_probe);
                self.probes_out_max = self.probes_out_max.max(self.probes_out);
            }
        }
    }
}

fn fail(proxy: &mut Workers, stream: StreamId) {
    proxy.respond(stream, "503");
}

fn succeed(proxy: &mut Workers, stream: StreamId) {
    proxy.respond(stream, "200");
}

/// Ends a request whose client disconnects, which says nothing about the upstream.
fn leave(proxy: &mut Workers, stream: StreamId) {
    let host = &mut proxy.proxy.host;
    host.info_mut(stream).unwrap().flags |= flag::DOWNSTREAM_DISCONNECT;
    host.close(stream);
}

#[test]
fn all_workers_together_send_only_the_permitted_probes() {
    for (end, verdict) in [
        (fail as fn(&mut _, _), State::Open),
        (succeed, State::Closed),
    ] {
        let mut rush = Rush::new();
        while rush.state() != State::HalfOpen {
            rush.step(fail);
        }
        while rush.state() == State::HalfOpen {
            rush.step(end);
        }
        assert_eq!((rush.probes, rush.state()), (PERMITS, verdict));
        assert_eq!(rush.proxy.metric("probes_total"), PERMITS as u64);
    }
}

#[test]
fn a_failing_upstream_gets_only_the_permitted_probes_each_time() {
    let mut rush = Rush::new();
    while rush.now < Time::from_ms(3_000) {
        rush.step(fail);
    }
    let changes = rush.proxy.changes().iter();
    let times = changes.filter(|it| it.to == State::HalfOpen).count();
    assert!((6..=7).contains(&times), "{times}");
    assert_eq!(rush.probes, times * PERMITS);
    assert_eq!(rush.proxy.metric("permits_given_up_total"), 0);
}

#[test]
fn a_returned_permit_goes_to_one_other_worker() {
    let mut rush = Rush::new();
    while rush.now < Time::from_ms(2_000) {
        rush.step(leave);
    }
    assert_eq!(rush.state(), State::HalfOpen);
    assert_eq!(rush.probes_out_max, PERMITS);
    assert!(rush.probes > 5 * PERMITS, "{}", rush.probes);
}
