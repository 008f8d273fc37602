//! The log of plugins and the host.

use crate::sim::clock::Time;

/// A line of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    pub at: Time,
    /// The worker thread. `None` for the main thread.
    pub worker: Option<usize>,
    pub level: LogLevel,
    /// The plugin's text, without Envoy's prefix.
    pub text: String,
}

/// Severity of a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    Trace,
    Debug,
    #[default]
    Info,
    Warn,
    Error,
    Critical,
}

impl LogLevel {
    /// Returns Envoy's name of the level.
    pub fn name(self) -> &'static str {
        match self {
            LogLevel::Trace => "trace",
            LogLevel::Debug => "debug",
            LogLevel::Info => "info",
            LogLevel::Warn => "warning",
            LogLevel::Error => "error",
            LogLevel::Critical => "critical",
        }
    }

    /// Returns the level with this number in the ABI.
    pub(crate) fn from_number(number: u32) -> Option<LogLevel> {
        use LogLevel::{Critical, Debug, Error, Info, Trace, Warn};
        let levels = [Trace, Debug, Info, Warn, Error, Critical];
        levels.get(usize::try_from(number).ok()?).copied()
    }
}
