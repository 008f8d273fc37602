//! Scenarios: a policy, the world around it, and expectations.
//!
//! A scenario is one file, in YAML or JSON (a subset of YAML). [`file`](mod@file) reads it into
//! plain data, this module checks and converts it, [`play`] runs it and [`expect`] judges the run.
//! Every problem of a file is reported with its path, line and column. A [`Stage`] is a scenario
//! without its policy, to run other policies on.

mod check;
pub mod error;
pub mod expect;
pub mod file;
pub mod log;
pub mod play;
mod stage;

use std::path::{Path, PathBuf};

use crate::model::world::Plan;
use crate::proxy::FailurePolicy;
use crate::sim::clock::Time;

pub use error::{Problem, ScenarioError};
pub use expect::Expectation;
pub use stage::Stage;

use file::{File, PluginFile};

/// A checked scenario.
#[derive(Clone, Debug)]
pub struct Scenario {
    pub name: String,
    pub description: String,
    pub plan: Plan,
    /// `None` if the proxy has no filter.
    pub plugin: Option<PluginSpec>,
    /// How much of a message a pause may buffer. 0 is no limit.
    pub per_connection_buffer_limit_bytes: u32,
    pub expectations: Vec<Expectation>,
}

/// The plugin of a scenario, without its module.
#[derive(Clone, Debug)]
pub struct PluginSpec {
    /// The module. `None` for the shipped one.
    pub module: Option<PathBuf>,
    pub name: String,
    pub root_id: String,
    pub vm_id: String,
    pub vm_configuration: Vec<u8>,
    pub configuration: Vec<u8>,
    pub failure_policy: FailurePolicy,
    pub allow_on_headers_stop_iteration: bool,
    pub fuel: Option<u64>,
    /// Environment variables, as `NAME=value`.
    pub environment: Vec<String>,
}

/// Suffix of the name of a scenario file, before `.yaml` or `.json`.
pub const SUFFIX: &str = ".scenario";

impl Scenario {
    /// Reads the scenario in the file at `path`.
    ///
    /// # Errors
    ///
    /// If the file, or a file that it names, cannot be read or is not valid.
    pub fn read(path: &Path) -> Result<Scenario, ScenarioError> {
        Scenario::read_changed(path, |_| ())
    }

    /// Reads the scenario in the file at `path`, after `change` has edited it.
    fn read_changed(
        path: &Path,
        change: impl FnOnce(&mut File),
    ) -> Result<Scenario, ScenarioError> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| ScenarioError::unreadable(path, &error.to_string()))?;
        let folder = path.parent().unwrap_or(Path::new("."));
        Scenario::parse_changed(&text, folder, change)
            .map(|scenario| scenario.named_after(path))
            .map_err(|problems| ScenarioError::new(path, problems))
    }

    /// Parses a scenario. The files that it names are relative to `folder`.
    ///
    /// # Errors
    ///
    /// All problems of the scenario.
    pub fn parse(text: &str, folder: &Path) -> Result<Scenario, Vec<Problem>> {
        Scenario::parse_changed(text, folder, |_| ())
    }

    fn parse_changed(
        text: &str,
        folder: &Path,
        change: impl FnOnce(&mut File),
    ) -> Result<Scenario, Vec<Problem>> {
        let mut file = error::deserialize::<File>(text).map_err(|problem| vec![problem])?;
        change(&mut file);
        let mut problems = check::check(&file);
        let mut report = |path: String, text: String| problems.push((path, text));
        let expectations = expect::compile(&file.expect, &mut report);
        let plugin = plugin(&file, folder, &mut report);
        let updates = updates(&file, folder, &mut report);
        if !problems.is_empty() {
            let problem = |(path, what): (String, String)| Problem::at(text, &path, what);
            return Err(problems.into_iter().map(problem).collect());
        }
        Ok(Scenario {
            name: file.name.clone().unwrap_or_default(),
            description: file.description.clone().unwrap_or_default(),
            per_connection_buffer_limit_bytes: file.per_connection_buffer_limit_bytes,
            plan: plan(file, updates, &expectations),
            plugin,
            expectations,
        })
    }

    fn named_after(mut self, path: &Path) -> Scenario {
        if self.name.is_empty() {
            let stem = path.file_stem().unwrap_or_default().to_string_lossy();
            self.name = stem.strip_suffix(SUFFIX).unwrap_or(&stem).to_owned();
        }
        self
    }
}

impl PluginSpec {
    /// Returns the shipped plugin with a policy.
    pub(crate) fn shipped(policy: Vec<u8>) -> PluginSpec {
        let file = PluginFile::default();
        PluginSpec::new(file, Some(policy), Path::new(""), "", &mut |_, _| ())
    }

    /// Returns the plugin of a file. Its module is relative to `folder`. `policy` replaces its
    /// configuration. Reports problems at `path`.
    pub(crate) fn new(
        file: PluginFile,
        policy: Option<Vec<u8>>,
        folder: &Path,
        path: &str,
        report: Report<'_>,
    ) -> PluginSpec {
        let mut bytes = |value: Option<serde_json::Value>, field: &str| match value {
            Some(value) => content(&value, folder, &format!("{path}.{field}"), report),
            None => Vec::new(),
        };
        let configuration = bytes(file.configuration, "configuration");
        let vm_configuration = bytes(file.vm_configuration, "vm_configuration");
        let module = file.module.map(|module| folder.join(module));
        let stem = module.as_deref().and_then(Path::file_stem);
        let default = stem.map_or(SHIPPED.into(), |stem| stem.to_string_lossy().into_owned());
        let name = file.name.unwrap_or(default);
        let failure_policy = match module {
            Some(_) => FailurePolicy::Closed,
            None => FailurePolicy::Reload,
        };
        let variable = |(name, value): (String, String)| format!("{name}={value}");
        PluginSpec {
            module,
            root_id: file.root_id,
            vm_id: file.vm_id.unwrap_or_else(|| name.clone()),
            name,
            vm_configuration,
            configuration: policy.unwrap_or(configuration),
            failure_policy: file.failure_policy.map_or(failure_policy, Into::into),
            allow_on_headers_stop_iteration: file.allow_on_headers_stop_iteration,
            fuel: file.fuel,
            environment: file.environment.into_iter().map(variable).collect(),
        }
    }
}

/// Name of the shipped plugin, and of its VM.
const SHIPPED: &str = "spillway";

/// Reports a problem at a path.
pub(crate) type Report<'a> = &'a mut dyn FnMut(String, String);

fn plan(file: File, updates: Vec<(Time, Vec<u8>)>, expectations: &[Expectation]) -> Plan {
    Plan {
        routes: file.routes(),
        include_attempt_count: file.include_request_attempt_count,
        suppress_envoy_headers: file.suppress_envoy_headers,
        seed: file.seed,
        workers: file.workers as usize,
        duration: file.duration,
        clusters: file.clusters.into_iter().collect(),
        traffic: file.traffic,
        faults: file.faults,
        updates,
        marks: expect::marks(expectations),
    }
}

fn plugin(file: &File, folder: &Path, report: Report<'_>) -> Option<PluginSpec> {
    let plugin = file.plugin.clone().unwrap_or_default();
    if file.policy.is_none() && plugin.module.is_none() {
        return None;
    }
    let policy = file.policy.as_ref();
    let policy = policy.map(|policy| policy_bytes(policy, folder, "policy", report));
    Some(PluginSpec::new(plugin, policy, folder, "plugin", report))
}

/// Returns what a field says: its text, the content of the file that it names after `@`, or a
/// value as JSON.
pub(crate) fn content(
    value: &serde_json::Value,
    folder: &Path,
    path: &str,
    report: Report<'_>,
) -> Vec<u8> {
    let serde_json::Value::String(text) = value else {
        return value.to_string().into_bytes();
    };
    match text.strip_prefix('@') {
        None => text.clone().into_bytes(),
        Some(name) => std::fs::read(folder.join(name)).unwrap_or_else(|error| {
            report(path.to_owned(), format!("cannot read {name}: {error}"));
            Vec::new()
        }),
    }
}

fn updates(file: &File, folder: &Path, report: Report<'_>) -> Vec<(Time, Vec<u8>)> {
    let update = |(number, update): (usize, &file::Update)| {
        let path = format!("updates[{number}].policy");
        let at = Time::ZERO + update.at;
        (at, policy_bytes(&update.policy, folder, &path, report))
    };
    file.updates.iter().enumerate().map(update).collect()
}

/// Returns a policy: the content of the file that a string names, or an inline object.
fn policy_bytes(
    policy: &serde_json::Value,
    folder: &Path,
    path: &str,
    report: Report<'_>,
) -> Vec<u8> {
    match policy {
        serde_json::Value::String(name) => {
            std::fs::read(folder.join(name)).unwrap_or_else(|error| {
                report(path.to_owned(), format!("cannot read {name}: {error}"));
                Vec::new()
            })
        }
        serde_json::Value::Object(_) => policy.to_string().into_bytes(),
        _ => {
            let wanted = "is neither the name of a policy file nor a policy";
            report(path.to_owned(), wanted.to_owned());
            Vec::new()
        }
    }
}

#[cfg(test)]
mod tests;
