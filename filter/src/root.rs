//! The root context: receives configurations, and creates HTTP contexts.

use std::rc::{Rc, Weak};

use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::ContextType;
use spillway_core::policy::Config;
use spillway_core::policy::parse::error::PolicyError;

use crate::host;
use crate::http::Http;
use crate::replay::paused::{CallSizes, PausedStreams};
use crate::runtime::{Host, Runtime};

/// The root context.
#[derive(Default)]
pub(crate) struct Root {
    runtime: Option<Rc<Runtime>>,
    /// Earlier configurations, as long as requests that began under them continue.
    earlier: Vec<Weak<Runtime>>,
    host: Rc<Host>,
    paused: Rc<PausedStreams>,
}

/// Parses a configuration that this module can carry out.
fn configuration(json: &[u8]) -> Result<Config, Vec<PolicyError>> {
    let config = Config::parse(json)?;
    if cfg!(feature = "lite") {
        let errors = config.beyond_lite();
        if !errors.is_empty() {
            return Err(errors);
        }
    }
    Ok(config)
}

impl Context for Root {
    #[cfg(not(feature = "lite"))]
    fn on_http_call_response(&mut self, call: u32, headers: usize, body: usize, trailers: usize) {
        let sizes = CallSizes {
            headers,
            body,
            trailers,
        };
        self.paused.answered(call, &sizes);
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
        match configuration(&json) {
            Ok(config) => {
                let runtime = Rc::new(Runtime::new(config, self.host.clone()));
                // Circuits that another VM or configuration left open may need ticks.
                if let (Some(mut engine), Some(now)) = (runtime.engine(), runtime.now()) {
                    runtime.follow_up(&mut engine, now);
                }
                let earlier = self.runtime.replace(runtime);
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
        let Some(runtime) = self.runtime.clone() else {
            return;
        };
        let Some(now) = runtime.now() else {
            return;
        };
        if !cfg!(feature = "lite") {
            self.paused.tick(now);
        }
        self.earlier.retain(|earlier| earlier.strong_count() > 0);
        let earlier = self.earlier.iter().filter_map(Weak::upgrade);
        let wanted = earlier.chain([runtime]).filter_map(|it| it.tick(now));
        let due = wanted.chain(self.paused.poll_timeout()).min();
        self.host.ticker.ticked(due, now);
    }

    fn create_http_context(&self, id: u32) -> Option<Box<dyn HttpContext>> {
        let http = Http::new(id, self.runtime.clone(), self.paused.clone());
        Some(Box::new(http))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}
