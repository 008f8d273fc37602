//! What a host is started with, and why it may refuse.

use std::fmt;

use crate::proxy::module::{LoadError, Module};
use crate::proxy::process::Unmodelled;
use crate::proxy::process::log::LogLevel;

/// What a host is started with.
#[derive(Clone, Debug)]
pub struct Setup {
    /// None: everything passes, as without a filter.
    pub plugin: Option<Plugin>,
    /// Worker threads, at least 1.
    pub workers: usize,
    /// Seeds all that is random: `random_get` of the guests, waiting times.
    pub seed: u64,
    /// The wall clock at time 0 of the run, in nanoseconds since 1970.
    pub wall_start_ns: u64,
    /// The monotonic clock at time 0 of the run, in nanoseconds.
    pub monotonic_start_ns: u64,
    /// Lines below it are not kept.
    pub log_level: LogLevel,
}

/// 2026-01-01T00:00:00Z.
const WALL_START_NS: u64 = 1_767_225_600_000_000_000;
/// An hour: guests that subtract from their first reading must not meet the zero.
const MONOTONIC_START_NS: u64 = 3_600_000_000_000;

impl Default for Setup {
    fn default() -> Setup {
        Setup {
            plugin: None,
            workers: 1,
            seed: 0,
            wall_start_ns: WALL_START_NS,
            monotonic_start_ns: MONOTONIC_START_NS,
            log_level: LogLevel::Info,
        }
    }
}

/// A plugin, as a filter's configuration names it.
#[derive(Clone, Debug)]
pub struct Plugin {
    pub module: Module,
    pub name: String,
    pub root_id: String,
    /// Plugins with the same one share their data; empty is one, too.
    pub vm_id: String,
    pub vm_configuration: Vec<u8>,
    pub configuration: Vec<u8>,
    pub failure_policy: FailurePolicy,
    /// Whether a pause on headers still shows the plugin the body.
    pub allow_on_headers_stop_iteration: bool,
    /// How much work one callback may be, in wasm instructions; none for the
    /// default, which only an endless loop reaches.
    pub fuel_per_callback: Option<u64>,
}

impl Plugin {
    /// A plugin with Envoy's defaults.
    pub fn new(module: Module, configuration: impl Into<Vec<u8>>) -> Plugin {
        Plugin {
            module,
            name: "plugin".into(),
            root_id: String::new(),
            vm_id: String::new(),
            vm_configuration: Vec::new(),
            configuration: configuration.into(),
            failure_policy: FailurePolicy::Closed,
            allow_on_headers_stop_iteration: false,
            fuel_per_callback: None,
        }
    }
}

/// What becomes of requests on a worker whose virtual machine has failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FailurePolicy {
    /// 503, for ever.
    #[default]
    Closed,
    /// They pass without the filter; but the stream that failed the machine is
    /// answered 503.
    Open,
    /// 503 until the machine is started anew, at the earliest about a second after
    /// its last start.
    Reload,
}

/// Why a plugin does not start.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StartError {
    /// The module does not load.
    Load(LoadError),
    /// The plugin said no to its configuration, or failed over it.
    Configuration(String),
    /// The plugin asked for what the host does not model.
    Unmodelled(Unmodelled),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Load(error) => error.fmt(f),
            StartError::Configuration(text) => f.write_str(text),
            StartError::Unmodelled(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for StartError {}

impl From<LoadError> for StartError {
    fn from(error: LoadError) -> StartError {
        StartError::Load(error)
    }
}
