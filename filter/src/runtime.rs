//! What all requests of one configuration share.

use std::cell::{Cell, RefCell, RefMut};
use std::rc::Rc;

use spillway_core::TRIES;
use spillway_core::engine::{self, Capabilities};
use spillway_core::policy::Config;
use spillway_core::time::Instant;

use crate::facts::Dialect;
use crate::host::records::SharedRecords;
use crate::host::{self, Map, MetricKind, Status};
use crate::report::Reporter;
use crate::ticker::Ticker;

/// The engine over the host's records.
pub(crate) type Engine = engine::Engine<SharedRecords>;

/// One configuration. Requests that began under it end under it, even if another has replaced
/// it by then.
pub(crate) struct Runtime {
    engine: RefCell<Engine>,
    clock: Clock,
    abilities: Rc<Abilities>,
    /// How the host names clusters and routes.
    pub dialect: Dialect,
    /// Where events go.
    pub reporter: Reporter,
}

/// What is known of the host, shared by all configurations of a root context.
#[derive(Default)]
pub(crate) struct Host {
    /// The timer.
    pub ticker: Ticker,
    /// Whether it sends requests for the filter, and ticks. `None` until it was asked.
    sends_requests: Cell<Option<bool>>,
}

/// What the host can do, as far as a configuration has seen.
struct Abilities {
    host: Rc<Host>,
    reports_ends: Cell<bool>,
}

/// The host's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Clock {
    Monotonic,
    /// The wall clock, which may step. After a step back, time stands still.
    Wall,
    /// Nothing that depends on time can be decided.
    None,
}

impl Capabilities for Abilities {
    fn sends_requests(&self) -> bool {
        let ask = || host::sends_requests() && self.host.ticker.works();
        let sends = self.host.sends_requests.get().unwrap_or_else(ask);
        self.host.sends_requests.set(Some(sends));
        sends
    }

    fn reports_ends(&self) -> bool {
        self.reports_ends.get()
    }
}

impl Runtime {
    /// Finds out what the host has, once, and logs it. `hash` is the configuration's.
    pub(crate) fn new(mut config: Config, hash: u64, root: Rc<Host>) -> Runtime {
        let clock = if host::monotonic_time().is_ok() {
            Clock::Monotonic
        } else if host::wall_time().is_ok() {
            Clock::Wall
        } else {
            Clock::None
        };
        let metrics =
            host::define_metric(MetricKind::Counter, "spillway.internal_errors_total").is_ok();
        let properties = host::property("plugin_root_id").is_ok();
        let plugin = host::property("plugin_name").unwrap_or_default();
        let records = SharedRecords::new(&String::from_utf8_lossy(&plugin));
        log::info!(
            "spillway: {} policies; the host has clock: {clock:?}, metrics: {metrics}, \
             properties: {properties}, shared data: {}",
            config.policies.len(),
            records.is_shared()
        );
        let seed = host::random_word()
            .or_else(|_| host::wall_time().map(|since_1970| since_1970.as_ns()))
            .unwrap_or_default();
        let now = clock.now().unwrap_or_default();
        let reporter = Reporter::new(config.events.take());
        let abilities = Rc::new(Abilities {
            host: root,
            reports_ends: Cell::new(false),
        });
        let mut engine = Engine::new(config, seed, records, abilities.clone(), now);
        if metrics {
            reporter.begin(&engine, hash);
        }
        reporter.report(&mut engine);
        Runtime {
            engine: RefCell::new(engine),
            clock,
            abilities,
            dialect: Dialect::default(),
            reporter,
        }
    }

    /// Reports what a call has caused, and asks for a tick if some of it can wait.
    pub(crate) fn follow_up(&self, engine: &mut Engine, now: Instant) {
        self.reporter.report(engine);
        if let Some(due) = engine.next_tick(now) {
            self.ask_tick(due, now);
        }
        self.reporter.report_late_aliases(engine, now);
        if let Some(due) = self.reporter.poll_events(now) {
            self.ask_tick(due, now);
        }
    }

    /// Makes sure that a tick comes by `due`.
    pub(crate) fn ask_tick(&self, due: Instant, now: Instant) {
        self.abilities.host.ticker.ask(due, now);
    }

    /// Does what has waited for a tick, and returns when the next one is needed.
    pub(crate) fn tick(&self, now: Instant) -> Option<Instant> {
        let mut engine = self.engine()?;
        engine.tick(now);
        self.reporter.report(&mut engine);
        self.reporter.report_aliases(&engine);
        self.reporter.send_events(now);
        let events = self.reporter.poll_events(now);
        engine.next_tick(now).into_iter().chain(events).min()
    }

    /// Notes the response to a call. Returns false if the call did not send events. `answered`
    /// says whether there is a response.
    pub(crate) fn events_answered(&self, call: u32, answered: bool) -> bool {
        let is_2xx = || {
            let status = host::header(Map::CallResponseHeaders, ":status");
            status.is_ok_and(|status| status.first() == Some(&b'2'))
        };
        let mine = self.reporter.events_answered(call, || answered && is_2xx());
        if mine && let Some(now) = self.now() {
            // More may have come in the meantime.
            if let Some(due) = self.reporter.poll_events(now) {
                self.ask_tick(due, now);
            }
        }
        mine
    }

    /// Borrows the engine, or `None` if it is already borrowed (a bug).
    pub(crate) fn engine(&self) -> Option<RefMut<'_, Engine>> {
        let engine = self.engine.try_borrow_mut().ok();
        if engine.is_none() {
            self.reporter.internal_error("the engine is in use");
        }
        engine
    }

    /// The time, or `None` if the host has no clock.
    pub(crate) fn now(&self) -> Option<Instant> {
        let now = self.clock.now();
        if now.is_none() {
            self.reporter.internal_error("the host has no clock");
        }
        now
    }

    /// Notes that the host reports how streams end.
    pub(crate) fn note_end(&self) {
        self.abilities.reports_ends.set(true);
    }

    /// Whether the host took a response. A refusal is counted.
    pub(crate) fn is_taken(&self, sent: Result<(), Status>) -> bool {
        if sent.is_err() {
            self.reporter
                .internal_error("the host refuses the local reply");
        }
        sent.is_ok()
    }
}

impl Clock {
    fn now(self) -> Option<Instant> {
        match self {
            Clock::Monotonic => host::monotonic_time().ok(),
            Clock::Wall => host::wall_time()
                .ok()
                .map(|since_1970| Instant::from_ns(since_1970.as_ns())),
            Clock::None => None,
        }
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        let engine = self.engine.get_mut();
        let now = self.clock.now().unwrap_or_default();
        engine.retire(now);
        self.reporter.report(engine);
        // Another worker may have set the same gauges in between.
        for _ in 0..TRIES {
            if !engine.confirm_gauges(now) {
                break;
            }
            self.reporter.report(engine);
        }
        self.reporter.report_aliases(engine);
        self.reporter.drop_events();
        self.reporter.end();
    }
}
