//! The root context: configuration in, HTTP contexts out.

use std::cell::{Cell, RefCell, RefMut};
use std::rc::{Rc, Weak};

use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::ContextType;
use spillway_core::engine::{self, Capabilities};
use spillway_core::policy::Config;
use spillway_core::shared::records::TRIES;
use spillway_core::time::Instant;

use crate::facts::Dialect;
use crate::host::records::SharedRecords;
use crate::host::{self, MetricKind};
use crate::http::Http;
use crate::replay::paused::PausedStreams;
use crate::report::Reporter;

/// The engine over the host's records.
pub type Engine = engine::Engine<SharedRecords>;

/// What one configuration has in common: requests that began under it end under
/// it, even if another has taken over by then.
pub struct Runtime {
    engine: RefCell<Engine>,
    clock: Clock,
    /// What the host can do.
    pub abilities: Rc<Abilities>,
    /// How the host names clusters and routes.
    pub dialect: Dialect,
    /// Where events go.
    pub reporter: Reporter,
    /// Streams that are held back, under whichever configuration.
    pub held: Rc<PausedStreams>,
}

/// What the host can do, as it turns out.
pub struct Abilities {
    /// Whether it has said how a stream ended.
    pub reports_ends: Cell<bool>,
    held: Rc<PausedStreams>,
}

impl Capabilities for Abilities {
    fn sends_requests(&self) -> bool {
        self.held.is_served()
    }

    fn reports_ends(&self) -> bool {
        self.reports_ends.get()
    }
}

/// The clock that the host has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Clock {
    Monotonic,
    /// It may step; a step back counts as standing still.
    Wall,
    /// Nothing that depends on time can be decided.
    None,
}

/// The root context.
#[derive(Default)]
pub struct Root {
    shared: Option<Rc<Runtime>>,
    /// Earlier configurations, as long as requests that began under them go on.
    earlier: Vec<Weak<Runtime>>,
    held: Rc<PausedStreams>,
}

impl Context for Root {
    fn on_http_call_response(&mut self, call: u32, headers: usize, body: usize, trailers: usize) {
        self.held.answered(call, headers, body, trailers);
    }
}

impl RootContext for Root {
    fn on_configure(&mut self, size: usize) -> bool {
        let json = match host::plugin_configuration(size) {
            Ok(json) => json,
            Err(status) => {
                log::error!("spillway: the host does not give the configuration: {status:?}");
                return false;
            }
        };
        match Config::parse(&json) {
            Ok(config) => {
                let held = self.held.clone();
                let shared = Rc::new(Runtime::new(config, held));
                // Circuits that have outlived another VM or configuration need a look.
                if let (Some(mut engine), Some(now)) = (shared.engine(), shared.now()) {
                    shared.follow_up(&mut engine, now);
                }
                let earlier = self.shared.replace(shared);
                self.earlier.extend(earlier.as_ref().map(Rc::downgrade));
                true
            }
            Err(errors) => {
                for error in &errors {
                    log::error!("spillway: {error}");
                }
                false
            }
        }
    }

    fn on_tick(&mut self) {
        let Some(shared) = self.shared.clone() else {
            return;
        };
        let Some(now) = shared.now() else {
            return;
        };
        self.held.tick(now);
        self.earlier.retain(|earlier| earlier.strong_count() > 0);
        let earlier = self.earlier.iter().filter_map(Weak::upgrade);
        let wanted = earlier
            .chain([shared])
            .filter_map(|shared| shared.tick(now));
        let due = wanted.chain(self.held.next_due()).min();
        self.held.ticker.ticked(due, now);
    }

    fn create_http_context(&self, id: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Http::new(id, self.shared.clone())))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

impl Runtime {
    /// Probes what the host can do, once, and says so.
    fn new(config: Config, held: Rc<PausedStreams>) -> Runtime {
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
        let reporter = Reporter::default();
        let abilities = Rc::new(Abilities {
            reports_ends: Cell::new(false),
            held: held.clone(),
        });
        let mut engine = Engine::new(config, seed, records, abilities.clone(), now);
        reporter.report(&mut engine);
        Runtime {
            engine: RefCell::new(engine),
            clock,
            abilities,
            dialect: Dialect::default(),
            reporter,
            held,
        }
    }

    /// Hands on what a call has brought about, and asks for a tick if some of it can wait.
    pub fn follow_up(&self, engine: &mut Engine, now: Instant) {
        self.reporter.report(engine);
        if let Some(due) = engine.next_tick(now) {
            self.held.ticker.ask(due, now);
        }
    }

    /// Does what has waited for a tick, and returns when the next one is needed.
    fn tick(&self, now: Instant) -> Option<Instant> {
        let mut engine = self.engine()?;
        engine.tick(now);
        self.reporter.report(&mut engine);
        engine.next_tick(now)
    }

    /// The engine; absent if it is in use, which no callback should find.
    pub fn engine(&self) -> Option<RefMut<'_, Engine>> {
        let engine = self.engine.try_borrow_mut().ok();
        if engine.is_none() {
            self.reporter.internal_error("the engine is in use");
        }
        engine
    }

    /// The time; absent where the host has no clock.
    pub fn now(&self) -> Option<Instant> {
        let now = self.clock.now();
        if now.is_none() {
            self.reporter.internal_error("the host has no clock");
        }
        now
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
    }
}
