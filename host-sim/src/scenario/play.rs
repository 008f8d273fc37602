//! Runs a scenario.

use std::fmt;

use crate::model::recorded::Recording;
use crate::model::spec::Fault;
use crate::model::template::BadPlaceholder;
use crate::model::world::{Stopped, World};
use crate::proxy::{Halt, Host, LogLevel, MetricKind, Module, Plugin, Setup, StartError};
use crate::record::Record;
use crate::scenario::expect::{Judge, Verdict};
use crate::scenario::{PluginSpec, Scenario};
use crate::sim::clock::Time;
use crate::sim::span::Span;

/// A completed run.
pub struct Run {
    pub name: String,
    pub description: String,
    pub seed: u64,
    pub workers: usize,
    pub duration: Span,
    pub record: Record,
    pub verdicts: Vec<Verdict>,
    /// The plugin's counters and gauges, by name.
    pub metrics: Vec<(String, u64)>,
    /// When each fault of the scenario begins and ends.
    pub faults: Vec<(Time, Option<Time>)>,
    /// Number of requests still in flight at the end of the run.
    pub unfinished: usize,
}

/// Why a scenario did not run to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlayError {
    /// The module does not load.
    Load(String),
    /// The plugin refuses its configuration.
    Policy(String),
    /// A request of the scenario cannot be built.
    Request(String),
    /// No request was sent.
    Empty,
    /// The plugin made a call at `at` that the simulator does not model, or one that crashes Envoy.
    Stopped { at: Time, why: Halt },
}

impl fmt::Display for PlayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PlayError::Load(why) => write!(f, "the module does not load: {why}"),
            PlayError::Policy(why) => write!(f, "the plugin refuses its configuration: {why}"),
            PlayError::Request(text) => write!(f, "{text:?} is not a placeholder"),
            PlayError::Empty => {
                f.write_str("sent no request: traffic has a rate too low for the duration, or none")
            }
            PlayError::Stopped { at, why } => write!(f, "stopped at {at}: {why}"),
        }
    }
}

impl std::error::Error for PlayError {}

impl Run {
    /// Returns whether all expectations are met.
    pub fn held(&self) -> bool {
        self.verdicts.iter().all(|verdict| verdict.held)
    }

    /// Returns the digest of all events as hexadecimal digits.
    pub fn digest(&self) -> String {
        format!("{:032x}", self.record.trace.digest())
    }
}

/// Runs `scenario` with `module` as its plugin, from `seed`. Calls `progress` often with the time
/// of the run.
///
/// # Errors
///
/// If the plugin does not start, or makes a call that the simulator does not model.
pub fn play(
    scenario: &Scenario,
    module: Option<&Module>,
    seed: u64,
    progress: &mut dyn FnMut(Time),
) -> Result<Run, PlayError> {
    run(scenario, module, seed, None, progress)
}

/// Runs `scenario` with the requests of a recording.
///
/// # Errors
///
/// As [`play`].
pub fn replay(
    scenario: &Scenario,
    module: Option<&Module>,
    recording: Box<dyn Recording>,
    progress: &mut dyn FnMut(Time),
) -> Result<Run, PlayError> {
    run(
        scenario,
        module,
        scenario.plan.seed,
        Some(recording),
        progress,
    )
}

fn run(
    scenario: &Scenario,
    module: Option<&Module>,
    seed: u64,
    recording: Option<Box<dyn Recording>>,
    progress: &mut dyn FnMut(Time),
) -> Result<Run, PlayError> {
    let mut plan = scenario.plan.clone();
    plan.seed = seed;
    let (workers, duration) = (plan.workers, plan.duration);
    let spec = scenario.plugin.as_ref();
    let setup = Setup {
        plugin: spec.zip(module).map(|(spec, module)| plugin(spec, module)),
        workers,
        seed,
        per_connection_buffer_limit_bytes: scenario.per_connection_buffer_limit_bytes,
        ..Setup::default()
    };
    let host = start(setup)?;
    let mut world = World::new(plan, host)?;
    let is_replay = recording.is_some();
    if let Some(recording) = recording {
        world.replay(recording);
    }
    let mut judge = Judge::new(&scenario.expectations, progress);
    judge.prepare(&mut world.record);
    let ran = world.run(&mut judge);
    ran.map_err(|Stopped { at, why }| PlayError::Stopped { at, why })?;
    if world.record.total.requests == 0 && !is_replay {
        return Err(PlayError::Empty);
    }
    let verdicts = judge.verdicts(&world);
    let metrics = world.host.metrics().iter();
    let plain = metrics.filter(|(_, kind, _)| *kind != MetricKind::Histogram);
    Ok(Run {
        name: scenario.name.clone(),
        description: scenario.description.clone(),
        seed,
        workers,
        duration,
        verdicts,
        metrics: plain.map(|(name, _, value)| (lossy(name), value)).collect(),
        faults: scenario.plan.faults.iter().map(period).collect(),
        unfinished: world.unfinished(),
        record: world.record,
    })
}

/// Starts the host. If the plugin refuses its configuration, its log lines become part of the
/// error: those of every level, from a second start that ends like the first.
fn start(setup: Setup) -> Result<Host, PlayError> {
    let talkative = Setup {
        log_level: LogLevel::Trace,
        ..setup.clone()
    };
    Host::start(setup, Time::ZERO).map_err(|error| {
        let mut error = PlayError::from(error);
        if let PlayError::Policy(why) = &mut error {
            let mut log = Vec::new();
            // The error is known already.
            let _ = Host::start_with_log(talkative, Time::ZERO, &mut log);
            let lines = log
                .iter()
                .map(|line| format!("\n  {}", line.text.trim_end()));
            why.extend(lines);
        }
        error
    })
}

fn period(fault: &Fault) -> (Time, Option<Time>) {
    (Time::ZERO + fault.from, fault.to.map(|to| Time::ZERO + to))
}

fn lossy(name: &[u8]) -> String {
    String::from_utf8_lossy(name).into_owned()
}

/// Returns the plugin of a specification with its module.
pub(crate) fn plugin(spec: &PluginSpec, module: &Module) -> Plugin {
    Plugin {
        name: spec.name.clone(),
        root_id: spec.root_id.clone(),
        vm_id: spec.vm_id.clone(),
        vm_configuration: spec.vm_configuration.clone(),
        failure_policy: spec.failure_policy,
        allow_on_headers_stop_iteration: spec.allow_on_headers_stop_iteration,
        fuel_per_callback: spec.fuel,
        environment: spec.environment.clone(),
        ..Plugin::new(module.clone(), spec.configuration.clone())
    }
}

impl From<StartError> for PlayError {
    fn from(error: StartError) -> PlayError {
        match error {
            StartError::Load(why) => PlayError::Load(why.to_string()),
            StartError::Configuration(why) => PlayError::Policy(why),
            StartError::Halt(why) => PlayError::Stopped {
                at: Time::ZERO,
                why,
            },
        }
    }
}

impl From<BadPlaceholder> for PlayError {
    fn from(BadPlaceholder(text): BadPlaceholder) -> PlayError {
        PlayError::Request(text)
    }
}
