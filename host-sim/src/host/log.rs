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
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
    Critical,
}
