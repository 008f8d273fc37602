//! The subcommands, one file each.
//!
//! Results go to stdout, messages to stderr. Scripts rely on the exit code: 0 for success, 1 if an
//! expectation or a policy failed or the plugin would crash Envoy, 2 if the command or one of its files is not valid, and 3 if the
//! simulator does not model a call of the plugin.

pub mod bench;
pub mod check;
pub mod compare;
pub mod deploy;
pub mod import;
mod module;
mod progress;
pub mod replay;
pub mod request;
pub mod run;
pub mod schema;
pub mod serve;
pub mod test;

use std::fmt;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use crate::proxy::Halt;
use crate::scenario::ScenarioError;
use crate::scenario::play::PlayError;

/// Why a command failed.
#[derive(Debug)]
pub enum Failure {
    /// An expectation or a policy failed. The details are printed already.
    Failed,
    /// A policy is rejected.
    Policy(String),
    /// The command or one of its files is not valid.
    Usage(String),
    /// The plugin made a call that the simulator does not model.
    Simulator(String),
}

impl Failure {
    /// Returns the exit code.
    pub fn code(&self) -> ExitCode {
        ExitCode::from(match self {
            Failure::Failed | Failure::Policy(_) => 1,
            Failure::Usage(_) => 2,
            Failure::Simulator(_) => 3,
        })
    }
}

impl Failure {
    /// Returns the failure of a run that could not go on. A crash is the plugin's fault.
    fn of_halt(halt: &Halt, text: String) -> Failure {
        match halt {
            Halt::Crash(_) => Failure::Policy(text),
            Halt::Unmodelled(_) => Failure::Simulator(text),
        }
    }

    /// Adds the name of the policy to a failure that the policy caused.
    fn of_policy(self, policy: &dyn fmt::Display) -> Failure {
        match self {
            Failure::Policy(text) => Failure::Policy(format!("{policy}: {text}")),
            Failure::Simulator(text) => Failure::Simulator(format!("{policy}: {text}")),
            other => other,
        }
    }
}

/// Reads a file that the command was given.
fn read_file(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path)
        .map_err(|error| Failure::Usage(format!("{}: cannot be read: {error}", path.display())))
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Failed => Ok(()),
            Failure::Policy(text) | Failure::Usage(text) | Failure::Simulator(text) => {
                f.write_str(text)
            }
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        Failure::Usage(format!("cannot write: {error}"))
    }
}

impl From<ScenarioError> for Failure {
    fn from(error: ScenarioError) -> Failure {
        Failure::Usage(error.to_string())
    }
}

impl From<PlayError> for Failure {
    fn from(error: PlayError) -> Failure {
        let text = error.to_string();
        match error {
            PlayError::Policy(_) => Failure::Policy(text),
            PlayError::Load(_) | PlayError::Request(_) | PlayError::Empty => Failure::Usage(text),
            PlayError::Stopped { why, .. } => Failure::of_halt(&why, text),
        }
    }
}
