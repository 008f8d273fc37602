//! What is kept of a run: counts, percentiles, states of circuits, the last events.
//!
//! Everything here has a fixed size or a cap, so that memory does not grow with the
//! time that is simulated: time is cut into a bounded number of buckets, latencies go
//! into histograms, the trace is a ring. The digest alone sees every event.

mod circuits;
mod names;
mod reasons;
mod series;
mod tally;
mod trace;

pub use circuits::{Band, Circuit, Circuits, State, Transition};
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
    /// New configurations that came, and whether the plugin took them.
    pub updates: Vec<(Time, bool)>,
    /// Lines that the plugin logged as errors, the first few.
    pub errors: Vec<LogLine>,
    /// How many there were.
    pub errors_total: u64,
    /// The end of the last thing that happened.
    pub end: Time,
}

/// A stretch of time with a tally of its own.
pub struct Window {
    pub from: Time,
    pub to: Time,
    /// The group of clients that it is about; all if missing.
    pub source: Option<usize>,
    pub tally: Tally,
}

/// Enough to see what is wrong; the same error tends to come a million times.
const ERRORS_MAX: usize = 20;

/// Digits to which percentiles are exact; the buckets' are drawn, not read.
const DIGITS: u8 = 3;

impl Record {
    /// The empty record of a run that takes `duration`.
    pub fn new(names: Names, duration: Span) -> Record {
        let clusters = names.clusters.len();
        Record {
            trace: Trace::new(),
            total: Tally::new(clusters, DIGITS),
            series: Series::new(clusters, duration),
            windows: Vec::new(),
            circuits: Circuits::default(),
            reasons: Reasons::default(),
            updates: Vec::new(),
            errors: Vec::new(),
            errors_total: 0,
            end: Time::ZERO,
            names,
        }
    }

    /// Adds a stretch of time to tally, for all clients or for one group of them.
    pub fn window(&mut self, from: Time, to: Time, source: Option<usize>) {
        let tally = Tally::new(self.names.clusters.len(), DIGITS);
        self.windows.push(Window {
            from,
            to,
            source,
            tally,
        });
    }

    /// Something happened.
    pub fn note(&mut self, at: Time, what: What) {
        self.end = at;
        self.trace.push(Entry { at, what });
    }

    /// Counts at `at`, wherever it belongs.
    pub fn count(&mut self, at: Time, count: impl FnMut(&mut Tally)) {
        self.count_where(at, |of| of.is_none(), count);
    }

    /// Counts at `at` what a client of the group at `source` did or got.
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

    /// Takes in a line of the plugin's log.
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
