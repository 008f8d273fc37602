//! A proxy with the plugin, whose upstream answers every request at once.
//!
//! A scenario's world costs much more than the plugin, so thousands of keys are met without one.

use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;

use crate::command::Failure;
use crate::headers::HeaderMap;
use crate::proxy::stream::info::{RouteInfo, StreamInfo};
use crate::proxy::{Callback, Effect, Host, Module, Part, Plugin, Setup};
use crate::scenario::play::PlayError;
use crate::sim::clock::Time;

/// Time from one request to the next: far less than the default `sync.interval`.
const STEP: Duration = Duration::from_micros(100);

/// A proxy with the plugin.
pub(super) struct Subject {
    pub host: Host,
    now: Time,
    /// Instructions of the longest tick.
    pub tick: u64,
}

/// A request, and the response that it gets.
#[derive(Clone, Debug)]
pub(super) struct Exchange {
    pub worker: usize,
    pub cluster: Rc<str>,
    pub request: HeaderMap,
    pub response: HeaderMap,
    pub body: Bytes,
}

/// Cost of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Spent {
    /// Wasm instructions.
    pub fuel: u64,
    pub hostcalls: u64,
}

impl Exchange {
    /// A request without a body that is answered by 200.
    pub(super) fn get(path: &str) -> Exchange {
        let request = [
            (":authority", "example.com"),
            (":path", path),
            (":method", "GET"),
            (":scheme", "http"),
        ];
        Exchange {
            worker: 0,
            cluster: "upstream".into(),
            request: request.into(),
            response: [(":status", "200")].into(),
            body: Bytes::new(),
        }
    }
}

impl Subject {
    /// Starts a proxy with `workers`.
    ///
    /// # Errors
    ///
    /// If the plugin refuses the policy.
    pub(super) fn start(
        module: &Module,
        policy: impl Into<Vec<u8>>,
        workers: usize,
    ) -> Result<Subject, Failure> {
        let setup = Setup {
            plugin: Some(Plugin::new(module.clone(), policy)),
            workers,
            seed: 1,
            ..Setup::default()
        };
        let host = Host::start(setup, Time::ZERO).map_err(PlayError::from)?;
        Ok(Subject {
            host,
            now: Time::ZERO,
            tick: 0,
        })
    }

    /// Sends a request through the proxy, a moment after the one before.
    ///
    /// # Errors
    ///
    /// If the plugin rejects the request.
    pub(super) fn serve(&mut self, exchange: &Exchange) -> Result<Spent, Failure> {
        self.wait(STEP);
        let before = self.spent();
        let route = RouteInfo {
            name: "route".into(),
            cluster: exchange.cluster.clone(),
            virtual_host: "host".into(),
        };
        let stream = self.host.open(StreamInfo {
            worker: exchange.worker,
            start: self.now,
            route: Some(route.into()),
            ..StreamInfo::default()
        });
        let headers = |map: &HeaderMap, end| Part::Headers {
            map: map.clone(),
            end,
        };
        self.host.request(stream, headers(&exchange.request, true));
        let mut passed = false;
        while let Some(effect) = self.host.next_effect() {
            passed |= matches!(effect, Effect::ToUpstream { .. });
        }
        if let Some(info) = self.host.info_mut(stream) {
            info.code = Some(200);
            info.details = "via_upstream".into();
            info.attempts = Some(1);
        }
        let is_empty = exchange.body.is_empty();
        self.host
            .response(stream, headers(&exchange.response, is_empty));
        if !is_empty {
            let data = exchange.body.clone();
            self.host.response(stream, Part::Body { data, end: true });
        }
        while self.host.next_effect().is_some() {}
        self.host.close(stream);
        let after = self.spent();
        match passed {
            true => Ok(Spent {
                fuel: after.fuel - before.fuel,
                hostcalls: after.hostcalls - before.hostcalls,
            }),
            false => Err(Failure::Usage("the plugin rejected a request".into())),
        }
    }

    /// Lets time pass, with the ticks that are due.
    pub(super) fn wait(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(next) = self.host.next_timer().filter(|next| *next <= until) {
            self.host.advance_to(next);
            let before = self.ticks();
            self.host.run_timers();
            let after = self.ticks();
            if after.1 > before.1 {
                self.tick = self.tick.max((after.0 - before.0) / (after.1 - before.1));
            }
        }
        self.host.advance_to(until);
        self.host.take_log();
        self.now = until;
    }

    /// Size of the largest VM's linear memory.
    pub(super) fn memory_kib(&self) -> u64 {
        self.host.vm_bytes() as u64 / 1_024
    }

    /// Instructions of all ticks, and their number.
    fn ticks(&self) -> (u64, u64) {
        let counts = self.host.counts();
        let tick = Callback::Tick;
        (counts.fuel_of(tick), counts.callback(tick))
    }

    fn spent(&self) -> Spent {
        let counts = self.host.counts();
        Spent {
            fuel: counts.fuel(),
            hostcalls: counts.hostcalls().map(|(_, count)| count).sum(),
        }
    }
}
