//! The subcommands, a file each.
//!
//! stdout is data, stderr is talk. The exit code is a contract with scripts: 0 all
//! is well, 1 an expectation or a policy failed, 2 the command or a file that it was
//! given makes no sense, 3 the simulator does not model what the plugin asked for.

pub mod bench;
pub mod check;
pub mod compare;
mod module;
mod progress;
pub mod run;
pub mod schema;
pub mod test;

use std::fmt;
use std::io;
use std::process::ExitCode;

use crate::scenario::ScenarioError;
use crate::scenario::play::PlayError;

/// A command that did not do what it was asked.
#[derive(Debug)]
pub enum Failure {
    /// An expectation or a policy failed; what there is to say, was said.
    Failed,
    /// A policy is refused.
    Policy(String),
    /// The command, or what it was given, makes no sense.
    Usage(String),
    /// The plugin asked for what is not modelled.
    Simulator(String),
}

impl Failure {
    /// Its exit code.
    pub fn code(&self) -> ExitCode {
        ExitCode::from(match self {
            Failure::Failed | Failure::Policy(_) => 1,
            Failure::Usage(_) => 2,
            Failure::Simulator(_) => 3,
        })
    }
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
            PlayError::Load(_) | PlayError::Request(_) => Failure::Usage(text),
            PlayError::Stopped { .. } => Failure::Simulator(text),
        }
    }
}
