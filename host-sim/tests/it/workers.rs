//! Spillway on many workers: one breaker for the proxy, whichever thread handles a request.
//!
//! Each worker has its own VM, and they share only the host's shared data. These tests drive
//! the host directly, to choose the worker and the time of each request.

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

use crate::proxy::{self, GET, Proxy, headers};

/// The longest time until a worker learns of another's outcomes.
const INTERVAL: Duration = Duration::from_millis(100);

/// The workers of one proxy with Spillway, and the circuits that they have reported.
pub(crate) struct Workers {
    pub(crate) proxy: Proxy,
    circuits: Circuits,
}

/// Returns a file with one policy, `p`.
fn policy(breaker: &str) -> String {
    format!(r#"{{"policies": [{{"name": "p", "circuit_breaker": {breaker}}}]}}"#)
}

/// Returns the shipped module with this policy file.
fn spillway(file: &str) -> Plugin {
    proxy::spillway(file)
}

impl Workers {
    pub(crate) fn new(workers: usize, file: &str) -> Workers {
        Workers::start(workers, spillway(file))
    }

    pub(crate) fn start(workers: usize, plugin: Plugin) -> Workers {
        Workers {
            proxy: Proxy::start(plugin, workers).unwrap(),
            circuits: Circuits::default(),
        }
    }

    /// Advances to this time and runs all ticks that are due on the way.
    pub(crate) fn run_to(&mut self, at: Time) {
        let host = &mut self.proxy.host;
        while let Some(next) = host.next_timer().filter(|next| *next <= at) {
            host.advance_to(next);
            host.run_timers();
        }
        host.advance_to(at);
    }

    /// Sends a request to a worker. Returns its stream, or `None` if the filter rejects it.
    pub(crate) fn ask(&mut self, worker: usize) -> Option<StreamId> {
        self.ask_with(worker, &GET)
    }

    pub(crate) fn ask_with(&mut self, worker: usize, pairs: &[(&str, &str)]) -> Option<StreamId> {
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

    /// Sends the upstream's complete response to an admitted request.
    pub(crate) fn respond(&mut self, stream: StreamId, status: &str) {
        let host = &mut self.proxy.host;
        let info = host.info_mut(stream).unwrap();
        info.code = status.parse().ok();
        info.details = "via_upstream".into();
        host.response(stream, headers(true, &[(":status", status)]));
        while host.next_effect().is_some() {}
        host.close(stream);
    }

    /// Sends a request and its response at once. Returns whether the request was admitted.
    fn serve(&mut self, worker: usize, status: &str) -> bool {
        let stream = self.ask(worker);
        let passed = stream.is_some();
        stream.into_iter().for_each(|it| self.respond(it, status));
        passed
    }

    /// Whether the filter rejects a request. Panics if the host rejects it instead.
    pub(crate) fn rejects(&mut self, worker: usize) -> bool {
        let before = self.metric("rejected_requests_total");
        let passed = self.ask(worker).is_some();
        assert_eq!(
            self.metric("rejected_requests_total") - before,
            u64::from(!passed)
        );
        !passed
    }

    /// Sends `times` consecutive failures to one worker.
    pub(crate) fn fail(&mut self, worker: usize, times: usize) {
        (0..times).for_each(|_| assert!(self.serve(worker, "503")));
    }

    /// Returns all transitions reported so far.
    fn changes(&mut self) -> &[Transition] {
        for line in self.proxy.host.take_log() {
            self.circuits.read(&line);
        }
        &self.circuits.transitions
    }

    /// Returns the transitions as text.
    fn history(&mut self) -> Vec<String> {
        self.changes().iter().map(transition_text).collect()
    }

    /// Value of a counter or gauge of policy `p`.
    pub(crate) fn metric(&self, name: &str) -> u64 {
        let name = format!("spillway.policy.p.{name}");
        self.proxy.host.metrics().value(&name)
    }

    /// Number of keys of `p`, and of its open circuits.
    fn gauges(&self) -> (u64, u64) {
        (self.metric("keys"), self.metric("open_circuits"))
    }

    /// Names in shared data, with their records.
    fn records(&self) -> Vec<(String, Vec<u8>)> {
        let data = self.proxy.host.shared_data();
        let record = |name| data.value(b"", name).unwrap().0.to_vec();
        let text = |name| String::from_utf8_lossy(name).into_owned();
        data.keys(b"")
            .map(|name| (text(name), record(name)))
            .collect()
    }

    /// Number of slots of a policy that hold a circuit. An empty slot is the shortest valid record.
    fn occupied_slots(&self, policy: &str) -> usize {
        let slot = format!("spillway/4/plugin/{policy}/");
        let records = self.records();
        let occupied = |(name, record): &&(String, Vec<u8>)| {
            name.starts_with(&slot) && record.len() > VACANT_BYTES
        };
        records.iter().filter(occupied).count()
    }
}

/// The header of a record, an empty body and a checksum.
const VACANT_BYTES: usize = 5 + 1 + 8;

fn transition_text(change: &Transition) -> String {
    format!("{}>{} {}", change.from.name(), change.to.name(), change.why)
}
