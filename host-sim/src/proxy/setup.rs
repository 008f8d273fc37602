//! What a host starts with, and why it may not start.

use std::collections::BTreeMap;
use std::fmt;

use crate::proxy::module::{LoadError, Module};
use crate::proxy::process::halt::Halt;
use crate::proxy::process::log::LogLevel;
use crate::proxy::process::status::Status;

/// What a host starts with.
#[derive(Clone, Debug)]
pub struct Setup {
    /// `None` to pass everything through, as without a filter.
    pub plugin: Option<Plugin>,
    /// Worker threads, at least 1.
    pub workers: usize,
    /// Seed of all random numbers: `random_get` of the guests, and waiting times.
    pub seed: u64,
    /// Wall clock at time 0 of the run, in nanoseconds since 1970.
    pub wall_start_ns: u64,
    /// Monotonic clock at time 0 of the run, in nanoseconds.
    pub monotonic_start_ns: u64,
    /// Lines below this level are dropped.
    pub log_level: LogLevel,
    /// Whether everything that guests do is kept for [`Host::take_tape`](super::Host::take_tape).
    pub tape: bool,
    /// Clusters that plugins may call from their start on. [`Host::cluster`](super::Host::cluster)
    /// changes them.
    pub clusters: Vec<String>,
    /// Properties by their path, whose segments are separated by NUL. They replace those that
    /// the host knows.
    pub properties: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Results of hostcalls that the host does not model, by their names in
    /// [`Unmodelled::name`](crate::proxy::Unmodelled::name). Without one, such a call ends the run.
    pub stubs: BTreeMap<String, Result<(), Status>>,
    /// How much of a message a pause may buffer, in each direction. 0 is no limit.
    pub per_connection_buffer_limit_bytes: u32,
}

/// Envoy's default of `per_connection_buffer_limit_bytes`.
pub const BUFFER_LIMIT_BYTES: u32 = 1024 * 1024;

/// 2026-01-01T00:00:00Z.
const WALL_START_NS: u64 = 1_767_225_600_000_000_000;
/// One hour. A guest may subtract from its first reading, which must not underflow.
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
            tape: false,
            clusters: Vec::new(),
            properties: BTreeMap::new(),
            stubs: BTreeMap::new(),
            per_connection_buffer_limit_bytes: BUFFER_LIMIT_BYTES,
        }
    }
}

/// A plugin, as the filter's configuration declares it.
#[derive(Clone, Debug)]
pub struct Plugin {
    pub module: Module,
    pub name: String,
    pub root_id: String,
    /// Plugins with the same VM id share their data. An empty id is an id, too.
    pub vm_id: String,
    pub vm_configuration: Vec<u8>,
    pub configuration: Vec<u8>,
    pub failure_policy: FailurePolicy,
    /// Whether the plugin still sees the body while it pauses on headers.
    pub allow_on_headers_stop_iteration: bool,
    /// Limit of one callback, in wasm instructions. `None` for the default, which only an
    /// endless loop reaches.
    pub fuel_per_callback: Option<u64>,
    /// Environment variables of the VM, as `NAME=value`.
    pub environment: Vec<String>,
}

impl Plugin {
    /// Creates a plugin with Envoy's defaults.
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
            environment: Vec::new(),
        }
    }
}

/// What happens to requests on a worker whose VM has failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FailurePolicy {
    /// They get a 503, forever.
    #[default]
    Closed,
    /// They bypass the filter. The stream that made the VM fail still gets a 503.
    Open,
    /// They get a 503 until the VM restarts, about a second after its last start at the
    /// earliest.
    Reload,
}

/// Why a plugin does not start.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StartError {
    /// The module does not load.
    Load(LoadError),
    /// The plugin rejected its configuration, or trapped while it was configured.
    Configuration(String),
    /// The plugin made a hostcall that the host does not model, or one that crashes Envoy.
    Halt(Halt),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Load(error) => error.fmt(f),
            StartError::Configuration(text) => f.write_str(text),
            StartError::Halt(halt) => halt.fmt(f),
        }
    }
}

impl std::error::Error for StartError {}

impl From<LoadError> for StartError {
    fn from(error: LoadError) -> StartError {
        StartError::Load(error)
    }
}
