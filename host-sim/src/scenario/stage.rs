//! A scenario without its policy, to run other policies on.
//!
//! Everything that belongs to the scenario's own policy is removed before it is checked: the
//! policy, its updates and the expectations about it. A missing policy file is therefore not an
//! error. The settings of the plugin stay as they are in the scenario.

use std::path::Path;

use serde_json::Value;

use super::{PluginSpec, Scenario, ScenarioError};

/// A scenario without its policy.
#[derive(Clone, Debug)]
pub struct Stage {
    /// Has an empty policy, which keeps the plugin's other settings.
    scenario: Scenario,
}

impl Stage {
    /// Reads the scenario in the file at `path`, with or without a policy.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, or the rest of it is not valid.
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

    /// Returns the scenario without a plugin.
    pub fn bare(&self) -> Scenario {
        Scenario {
            plugin: None,
            ..self.scenario.clone()
        }
    }

    /// Returns the scenario with `policy` as the plugin's configuration.
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
