//! The kind of a code block, and whether it is valid.

use serde_json::Value;

use super::markdown::Block;
use super::sandbox::Sandbox;

/// Kinds of code blocks.
pub(super) enum Example {
    Commands,
    /// Commands of the guide to a rollout: see [`super::rollout`].
    Rollout,
    /// Commands that start `host-sim serve` and use it, or what it prints: see [`super::serve`].
    Serve,
    /// What the commands before it print.
    Output,
    Policy,
    Scenario,
    /// A line of the proxy's log: see [`super::proxy`].
    LogLine,
    /// A part of Envoy's configuration: see [`super::proxy`].
    EnvoyConfig,
    /// A Kubernetes resource that no tool at hand can validate.
    Resource,
}

impl Example {
    /// Returns the kind of a block by its language and the word after it.
    ///
    /// # Errors
    ///
    /// A block that nothing would check.
    pub(super) fn of(block: &Block) -> Result<Self, String> {
        Ok(match (block.language.as_str(), block.argument.as_str()) {
            ("sh", argument) if argument.starts_with("rollout ") => Self::Rollout,
            ("sh" | "text", "serve") => Self::Serve,
            ("sh", _) => Self::Commands,
            ("text", "") => Self::Output,
            ("json", "log") => Self::LogLine,
            ("json", _) => Self::Policy,
            ("yaml", "envoy") => Self::EnvoyConfig,
            ("yaml", "istio") => Self::Resource,
            ("yaml", name) if name.ends_with(".yaml") => Self::Scenario,
            (language, argument) => {
                return Err(format!(
                    "nothing checks blocks of {language:?} {argument:?}"
                ));
            }
        })
    }

    /// Checks an example that is not a command, and saves it under its name.
    ///
    /// # Errors
    ///
    /// Why it is not valid.
    pub(super) fn check(&self, block: &Block, sandbox: &Sandbox) -> Result<(), String> {
        match self {
            Self::Policy => {
                let name = match block.argument.as_str() {
                    "" => "example.json",
                    name => name,
                };
                sandbox.write(name, &block.text);
                success(sandbox, &format!("host-sim check {name}"))
            }
            Self::Scenario => {
                sandbox.write(&block.argument, &block.text);
                success(sandbox, &format!("host-sim test {}", block.argument))
            }
            Self::LogLine => match serde_json::from_str::<Value>(&block.text) {
                Ok(line) if line["event"].is_string() => Ok(()),
                Ok(_) => Err("is a log line without an event".into()),
                Err(error) => Err(error.to_string()),
            },
            Self::Resource => {
                let resource = yaml(&block.text)?;
                let fields = ["apiVersion", "kind", "metadata", "spec"];
                match fields.iter().find(|field| resource[**field].is_null()) {
                    Some(field) => Err(format!("is a resource without {field}")),
                    None => Ok(()),
                }
            }
            Self::EnvoyConfig => yaml(&block.text).map(|_| ()),
            Self::Commands | Self::Rollout | Self::Serve | Self::Output => Ok(()),
        }
    }
}

/// Parses an example in YAML.
///
/// # Errors
///
/// Returns the reason if it is not valid YAML.
pub(super) fn yaml(text: &str) -> Result<Value, String> {
    serde_saphyr::from_str(text).map_err(|error| error.to_string())
}

fn success(sandbox: &Sandbox, line: &str) -> Result<(), String> {
    let output = sandbox.run(line);
    if output.status.success() {
        return Ok(());
    }
    let (stdout, stderr) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    Err(format!("{line} fails:\n{stdout}{stderr}"))
}
