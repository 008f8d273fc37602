//! Statistics collected during a run: counts, percentiles, circuit states, the last events.
//!
//! Everything here has a fixed size or a cap, so memory does not grow with the simulated time:
//! time is divided into a bounded number of buckets, latencies go into histograms, and the trace
//! is a ring buffer. Only the digest covers every event.

mod circuits;
mod effects;
mod names;
mod reasons;
mod series;
mod tally;
mod trace;

pub use circuits::{Band, Circuit, Circuits, State, Transition};
pub use effects::{Effects, Recorded};
pub use names::Names;
pub use reasons::{Reason, Reasons};
pub use series::{Bucket, Series};
pub use tally::{ClusterTally, Outcome, Tally};
pub use trace::{Entry, Failure, Trace, What};

use crate::proxy::{LogLevel, LogLine};
use crate::sim::clock::Time;
use crate::sim::span::Span;

/// The record of one run.
pub struct Record {
    pub names: Names,
    pub trace: Trace,
    pub total: Tally,
    pub series: Series,
    pub windows: Vec<Window>,
    pub circuits: Circuits,
    pub reasons: Reasons,
    /// What the policy did to the requests of a recording.
    pub effects: Effects,
    /// New configurations, and whether the plugin accepted them.
    pub updates: Vec<(Time, bool)>,
    /// The first lines that the plugin logged as errors.
    pub errors: Vec<LogLine>,
    /// Number of lines that the plugin logged as errors.
    pub errors_total: u64,
    /// The time of the last event.
    pub end: Time,
}

/// A period with its own tally.
pub struct Window {
    pub from: Time,
    pub to: Time,
    /// The group of clients. `None` means all clients.
    pub source: Option<usize>,
    pub tally: Tally,
}

/// Enough to see what is wrong: the same error tends to occur a million times.
const ERRORS_MAX: usize = 20;

/// Digits to which percentiles are exact. Those of the buckets are only plotted and need fewer.
const DIGITS: u8 = 3;

impl Record {
    /// Creates an empty record of a run of length `duration`.
    pub fn new(names: Names, duration: Span) -> Record {
        let clusters = names.clusters.len();
        Record {
            trace: Trace::new(),
            total: Tally::new(clusters, DIGITS),
            series: Series::new(clusters, duration),
            windows: Vec::new(),
            circuits: Circuits::default(),
            reasons: Reasons::default(),
            effects: Effects::default(),
            updates: Vec::new(),
            errors: Vec::new(),
            errors_total: 0,
            end: Time::ZERO,
            names,
        }
    }

    /// Adds a period to tally, for all clients or for one group of them.
    pub fn window(&mut self, from: Time, to: Time, source: Option<usize>) {
        let tally = Tally::new(self.names.clusters.len(), DIGITS);
        self.windows.push(Window {
            from,
            to,
            source,
            tally,
        });
    }

    /// Adds an event.
    pub fn note(&mut self, at: Time, what: What) {
        self.end = at;
        self.trace.push(Entry { at, what });
    }

    /// Counts something at `at` in every tally that covers it.
    pub fn count(&mut self, at: Time, count: impl FnMut(&mut Tally)) {
        self.count_where(at, |of| of.is_none(), count);
    }

    /// Counts something at `at` that concerns a client of the group `source`.
    pub fn count_of(&mut self, at: Time, source: usize, count: impl FnMut(&mut Tally)) {
        self.count_where(at, |of| of.is_none_or(|it| it == source), count);
    }

    fn count_where(
        &mut self,
        at: Time,
        wanted: impl Fn(Option<usize>) -> bool,
        mut count: impl FnMut(&mut Tally),
    ) {
        count(&mut self.total);
        count(self.series.at(at));
        for window in &mut self.windows {
            if window.from <= at && at < window.to && wanted(window.source) {
                count(&mut window.tally);
            }
        }
    }

    /// Adds a line of the plugin's log.
    pub fn log(&mut self, line: LogLine) {
        self.note(line.at, What::log(&line.text));
        if let Some(transition) = self.circuits.read(&line) {
            self.note(line.at, What::Transition(transition));
        }
        if line.level >= LogLevel::Error {
            self.errors_total += 1;
            if self.errors.len() < ERRORS_MAX {
                self.errors.push(line);
            }
        }
    }
}
