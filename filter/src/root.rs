//! The root context: configuration in, HTTP contexts out.

use std::cell::{Cell, RefCell, RefMut};
use std::rc::Rc;

use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::ContextType;
use spillway_core::engine::Engine;
use spillway_core::policy::Config;
use spillway_core::time::Instant;

use crate::facts::Dialect;
use crate::host::{self, MetricKind};
use crate::http::Http;
use crate::report::Reporter;

/// What one configuration has in common: requests that began under it end under
/// it, even if another has taken over by then.
pub struct Shared {
    engine: RefCell<Engine>,
    clock: Clock,
    /// Whether the host says how streams end. Some never do, and none says so before
    /// the first has ended.
    pub host_logs: Cell<bool>,
    /// How the host names clusters and routes.
    pub dialect: Dialect,
    /// Where events go.
    pub reporter: Reporter,
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
    shared: Option<Rc<Shared>>,
}

impl Context for Root {}

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
                self.shared = Some(Rc::new(Shared::new(config)));
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

    fn create_http_context(&self, _context_id: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Http::new(self.shared.clone())))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

impl Shared {
    /// Probes what the host can do, once, and says so.
    fn new(config: Config) -> Shared {
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
        log::info!(
            "spillway: {} policies; the host has clock: {clock:?}, metrics: {metrics}, \
             properties: {properties}",
            config.policies.len()
        );
        let seed = host::random_word()
            .or_else(|_| host::wall_time().map(|since_1970| since_1970.as_ns()))
            .unwrap_or_default();
        Shared {
            engine: RefCell::new(Engine::new(config, seed)),
            clock,
            host_logs: Cell::new(false),
            dialect: Dialect::default(),
            reporter: Reporter::default(),
        }
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
        let now = match self.clock {
            Clock::Monotonic => host::monotonic_time().ok(),
            Clock::Wall => host::wall_time()
                .ok()
                .map(|since_1970| Instant::from_ns(since_1970.as_ns())),
            Clock::None => None,
        };
        if now.is_none() {
            self.reporter.internal_error("the host has no clock");
        }
        now
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let engine = self.engine.get_mut();
        engine.retire();
        self.reporter.report(engine);
    }
}
