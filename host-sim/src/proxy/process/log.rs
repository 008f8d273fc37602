//! What plugins and the host log.

use crate::sim::clock::Time;

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    pub at: Time,
    /// The worker thread; none for the main thread.
    pub worker: Option<usize>,
    pub level: LogLevel,
    /// The plugin's text, without what Envoy puts in front of it.
    pub text: String,
}

/// How grave a line is.
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
    /// The level with this number in the ABI.
    pub(crate) fn from_number(number: u32) -> Option<LogLevel> {
        use LogLevel::{Critical, Debug, Error, Info, Trace, Warn};
        let levels = [Trace, Debug, Info, Warn, Error, Critical];
        levels.get(usize::try_from(number).ok()?).copied()
    }
}
