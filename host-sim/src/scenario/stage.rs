//! A scenario without its policy, so that others can be played in its place.
//!
//! What belongs to the scenario's own policy is put aside and not even looked at: the
//! policy, the updates that would replace it while traffic flows, and the expectations,
//! which are about that policy alone. A policy file that is gone is thus no reason to
//! refuse the rest. How the proxy runs the plugin stays as the scenario says.

use std::path::Path;

use serde_json::Value;

use super::{PluginSpec, Scenario, ScenarioError};

/// Everything of a scenario but its policy.
#[derive(Clone, Debug)]
pub struct Stage {
    /// With an empty policy; it keeps the plugin's other settings.
    scenario: Scenario,
}

impl Stage {
    /// Reads the scenario in the file at `path`, with or without a policy.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, or what is left of it makes no sense.
    pub fn read(path: &Path) -> Result<Stage, ScenarioError> {
        let scenario = Scenario::read_changed(path, |file| {
            file.policy = Some(Value::Object(Default::default()));
            file.updates.clear();
            file.expect.clear();
            if let Some(plugin) = &mut file.plugin {
                plugin.configuration = None;
            }
        })?;
        Ok(Stage { scenario })
    }

    /// The scenario, as a file without a policy would have it.
    pub fn bare(&self) -> Scenario {
        Scenario {
            plugin: None,
            ..self.scenario.clone()
        }
    }

    /// The scenario with `policy` as its plugin's configuration.
    pub fn with(&self, policy: Vec<u8>) -> Scenario {
        let plugin = self.scenario.plugin.clone().map(|plugin| PluginSpec {
            configuration: policy,
            ..plugin
        });
        Scenario {
            plugin,
            ..self.scenario.clone()
        }
    }
}
