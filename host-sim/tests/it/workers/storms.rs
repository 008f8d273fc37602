//! Random requests, traps and updates: the reported transitions of a circuit always form one
//! history.

use std::collections::BTreeMap;

use host_sim::proxy::StreamId;
use host_sim::record::State;
use host_sim::sim::clock::Time;
use host_sim::sim::rng::{Rng, Seed};

use super::traps::{reloading, with_repeated_header_search};
use super::{Workers, transition_text};
use crate::proxy::GET;

const SEEDS: u64 = 100;
const STEPS: usize = 400;
const KEYS: u64 = 4;
const PERMITS: u64 = 2;

/// Returns one of six configurations for the same keys.
fn file(version: u64, recovery: &str) -> String {
    let (in_a_row, open_ms) = (3 + version % 2, 200 + 100 * (version % 3));
    format!(
        r#"{{"policies": [{{"name": "p", "key": [{{"header": "x-tenant"}}], "circuit_breaker": {{
            "window": {{"duration": "1s"}}, "minimum_requests": 4,
            "consecutive_failures": {in_a_row},
            "open": {{"duration": "{open_ms}ms", "multiplier": 1, "jitter": 0}},
            "half_open": {{"permits": {PERMITS}, "lease": "500ms"}},
            "recovery": {{"duration": "{recovery}"}}}}}}], "limits": {{"keys": {KEYS}}}}}"#
    )
}

struct Storm {
    rng: Rng,
    proxy: Workers,
    workers: u64,
    recovery: &'static str,
    version: u64,
    now_ms: u64,
    under_way: Vec<(StreamId, u64)>,
}

impl Storm {
    fn new(seed: u64) -> Storm {
        let mut rng = Seed(seed).split("storm");
        let workers = 1 + rng.below(6);
        let recovery = ["0s", "300ms"][rng.below(2) as usize];
        Storm {
            proxy: reloading(workers as usize, &file(0, recovery)),
            rng,
            workers,
            recovery,
            version: 0,
            now_ms: 2_000,
            under_way: Vec::new(),
        }
    }

    fn step(&mut self) {
        let worker = self.rng.below(self.workers) as usize;
        match self.rng.below(400) {
            0..160 => self.ask(worker),
            160..320 => self.end(),
            320..322 => self.proxy.trap(worker),
            322..325 => {
                self.version += 1;
                let next = with_repeated_header_search(&file(self.version, self.recovery));
                self.proxy.proxy.host.update(next.into()).unwrap();
            }
            _ => {
                self.now_ms += self.rng.below(120);
                self.proxy.run_to(Time::from_ms(self.now_ms));
            }
        }
    }

    fn ask(&mut self, worker: usize) {
        let key = self.rng.below(KEYS);
        let tenant = format!("t{key}");
        let pairs = [&GET[..], &[("x-tenant", &*tenant)]].concat();
        let stream = self.proxy.ask_with(worker, &pairs);
        self.under_way.extend(stream.map(|stream| (stream, key)));
    }

    /// Ends a random request. Services fail in three of six seconds, each at its own time.
    fn end(&mut self) {
        if self.under_way.is_empty() {
            return;
        }
        let at = self.rng.below(self.under_way.len() as u64) as usize;
        let (stream, key) = self.under_way.swap_remove(at);
        let ill = (self.now_ms / 3_000 + key).is_multiple_of(2) && self.rng.below(10) < 8;
        self.proxy.respond(stream, if ill { "503" } else { "200" });
    }

    /// Ends all requests and runs all timers.
    fn calm_down(&mut self) {
        for (stream, _) in self.under_way.drain(..) {
            self.proxy.respond(stream, "200");
        }
        self.proxy.run_to(Time::from_ms(self.now_ms + 10_000));
    }

    /// Checks the reported transitions and returns their number.
    fn judge(mut self, seed: u64) -> usize {
        let changes = self.proxy.changes().to_vec();
        let mut states = BTreeMap::new();
        for change in &changes {
            let state = states.entry(change.circuit).or_insert(State::Closed);
            assert_eq!(
                *state,
                change.from,
                "seed {seed}: {}",
                transition_text(change)
            );
            *state = change.to;
        }
        let taken = self.proxy.occupied_slots("p") as u64;
        // No circuit counts as open: all open durations have elapsed.
        assert_eq!(self.proxy.gauges(), (taken, 0), "seed {seed}");
        let half_opens = changes.iter().filter(|it| it.to == State::HalfOpen).count() as u64;
        let probes = self.proxy.metric("probes_total");
        assert!(probes <= PERMITS * half_opens, "seed {seed}: {probes}");
        let host = &self.proxy.proxy.host;
        assert_eq!(host.next_timer(), None, "seed {seed}");
        for metric in ["internal_errors_total", "records_discarded_total"] {
            let name = format!("spillway.{metric}");
            assert_eq!(host.metrics().value(&name), 0, "seed {seed}: {metric}");
        }
        changes.len()
    }
}

#[test]
fn random_traps_and_updates_leave_one_history() {
    let mut changes = 0;
    for seed in 0..SEEDS {
        let mut storm = Storm::new(seed);
        (0..STEPS).for_each(|_| storm.step());
        storm.calm_down();
        changes += storm.judge(seed);
    }
    assert!(changes > 1_000, "{changes}");
}
