//! Spillway on many workers: one breaker for the proxy, whatever thread a request is on.
//!
//! Each worker has a virtual machine of its own, and they meet only in the host's shared
//! data; so these tests play the world themselves, to say which worker gets which request,
//! and when.

mod configurations;
mod damage;
mod history;
mod keys;
mod many;
mod operators;
mod probes;
mod scope;
mod storms;
mod ticks;
mod traps;
mod trips;

use std::time::Duration;

use host_sim::proxy::{Effect, Plugin, StreamId};
use host_sim::record::{Circuits, Transition};
use host_sim::sim::clock::Time;

use crate::proxy::{GET, Proxy, built, headers};

/// How long workers may not know of each other's outcomes.
const INTERVAL: Duration = Duration::from_millis(100);

/// The workers of one proxy under Spillway, and what circuits they have told of.
struct Workers {
    proxy: Proxy,
    circuits: Circuits,
}

/// A file with one policy, `p`.
fn policy(breaker: &str) -> String {
    format!(r#"{{"policies": [{{"name": "p", "circuit_breaker": {breaker}}}]}}"#)
}

/// The shipped module with this policy file.
fn spillway(file: &str) -> Plugin {
    Plugin::new(built("spillway"), file)
}

impl Workers {
    fn new(workers: usize, file: &str) -> Workers {
        Workers::start(workers, spillway(file))
    }

    fn start(workers: usize, plugin: Plugin) -> Workers {
        Workers {
            proxy: Proxy::start(plugin, workers).unwrap(),
            circuits: Circuits::default(),
        }
    }

    /// Goes on to this time, with all ticks on the way.
    fn run_to(&mut self, at: Time) {
        let host = &mut self.proxy.host;
        while let Some(next) = host.next_timer().filter(|next| *next <= at) {
            host.advance_to(next);
            host.run_timers();
        }
        host.advance_to(at);
    }

    /// A request to a worker: its stream if it was let through, and nothing if the filter
    /// has answered.
    fn ask(&mut self, worker: usize) -> Option<StreamId> {
        self.ask_with(worker, &GET)
    }

    fn ask_with(&mut self, worker: usize, pairs: &[(&str, &str)]) -> Option<StreamId> {
        let stream = self.proxy.open_on(worker);
        self.proxy.host.request(stream, headers(true, pairs));
        let mut passed = false;
        while let Some(effect) = self.proxy.host.next_effect() {
            passed |= matches!(effect, Effect::ToUpstream { .. });
        }
        if !passed {
            self.proxy.host.close(stream);
        }
        passed.then_some(stream)
    }

    /// The upstream's whole answer to a request that was let through.
    fn answer(&mut self, stream: StreamId, status: &str) {
        let host = &mut self.proxy.host;
        let info = host.info_mut(stream).unwrap();
        info.code = status.parse().ok();
        info.details = "via_upstream".into();
        host.response(stream, headers(true, &[(":status", status)]));
        while host.next_effect().is_some() {}
        host.close(stream);
    }

    /// A request that is answered at once; says whether it was let through.
    fn serve(&mut self, worker: usize, status: &str) -> bool {
        let stream = self.ask(worker);
        let passed = stream.is_some();
        stream.into_iter().for_each(|it| self.answer(it, status));
        passed
    }

    /// Whether the filter rejects a request, rather than the host in its place.
    fn rejects(&mut self, worker: usize) -> bool {
        let before = self.metric("rejected_total");
        let passed = self.ask(worker).is_some();
        assert_eq!(self.metric("rejected_total") - before, u64::from(!passed));
        !passed
    }

    /// So many failures, one after the other, on one worker.
    fn fail(&mut self, worker: usize, times: usize) {
        (0..times).for_each(|_| assert!(self.serve(worker, "503")));
    }

    /// All changes of state that were told of so far.
    fn changes(&mut self) -> &[Transition] {
        for line in self.proxy.host.take_log() {
            self.circuits.read(&line);
        }
        &self.circuits.transitions
    }

    /// The same in words.
    fn history(&mut self) -> Vec<String> {
        self.changes().iter().map(told).collect()
    }

    /// A counter or gauge of policy `p`.
    fn metric(&self, name: &str) -> u64 {
        let name = format!("spillway.policy.p.{name}");
        self.proxy.host.metrics().value(&name)
    }

    /// How many keys `p` has, and how many of their circuits are open.
    fn gauges(&self) -> (u64, u64) {
        (self.metric("keys"), self.metric("open_circuits"))
    }

    /// Names in shared data, and their records.
    fn records(&self) -> Vec<(String, Vec<u8>)> {
        let data = self.proxy.host.shared_data();
        let record = |name| data.value(b"", name).unwrap().0.to_vec();
        let text = |name| String::from_utf8_lossy(name).into_owned();
        data.keys(b"")
            .map(|name| (text(name), record(name)))
            .collect()
    }

    /// The slots of a policy that hold a circuit. An empty one is as short as a record can be.
    fn taken(&self, policy: &str) -> usize {
        let slot = format!("spillway/3/plugin/{policy}/");
        let records = self.records();
        let held = |(name, record): &&(String, Vec<u8>)| {
            name.starts_with(&slot) && record.len() > VACANT_BYTES
        };
        records.iter().filter(held).count()
    }
}

/// A record's head, "nothing", and its checksum.
const VACANT_BYTES: usize = 5 + 1 + 8;

fn told(change: &Transition) -> String {
    format!("{}>{} {}", change.from.name(), change.to.name(), change.why)
}
