//! The root context: receives configurations, and creates HTTP contexts.

use std::rc::{Rc, Weak};

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

impl Root {
    /// Replaces the configuration, which has `size` bytes. Returns false if it is not accepted.
    pub(crate) fn configure(&mut self, size: usize) -> bool {
        let json = match host::plugin_configuration(size) {
            Ok(json) => json,
            Err(status) => {
                log::error!("spillway: the host does not give the configuration: {status:?}");
                return false;
            }
        };
        match configuration(&json) {
            Ok(config) => {
                if let Some(earlier) = &self.runtime {
                    earlier.reporter.end();
                }
                let hash = spillway_core::fingerprint(&json);
                let runtime = Rc::new(Runtime::new(config, hash, self.host.clone()));
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

    /// Does what has waited for the timer.
    pub(crate) fn tick(&mut self) {
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

    /// Notes the response to a call. Returns false if neither this configuration nor an earlier
    /// one sent events by it.
    pub(crate) fn events_answered(&self, call: u32, sizes: &CallSizes) -> bool {
        let earlier = self.earlier.iter().filter_map(Weak::upgrade);
        let mut all = self.runtime.iter().cloned().chain(earlier);
        all.any(|runtime| runtime.events_answered(call, sizes.headers > 0))
    }

    /// Creates the context of a request under the current configuration.
    pub(crate) fn stream(&self, id: u32) -> Http {
        Http::new(id, self.runtime.clone(), self.paused.clone())
    }

    /// Returns the paused streams of all configurations.
    pub(crate) fn paused(&self) -> Weak<PausedStreams> {
        Rc::downgrade(&self.paused)
    }
}
