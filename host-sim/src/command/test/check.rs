//! One expectation of a scenario, or all of one request of a plugin test.

use crate::report::text::{Hue, Paint};
use crate::scenario::expect::Verdict;
use crate::trial::{Transcript, Trial, expect};

/// A check and its result.
pub(super) struct Check {
    pub name: String,
    /// What does not hold. Empty if all holds.
    pub failures: Vec<String>,
    /// The events around a failure.
    pub around: Vec<String>,
}

impl Check {
    /// Returns the check of one expectation of a scenario.
    pub(super) fn of_scenario(verdict: &Verdict) -> Check {
        let failure = format!("expected {}, seen {}", verdict.expected, verdict.seen);
        Check {
            name: verdict.text.clone(),
            failures: (!verdict.held).then_some(failure).into_iter().collect(),
            around: verdict.around.clone(),
        }
    }

    /// Returns a check for each request of a plugin test.
    pub(super) fn of_plugin_test(trial: &Trial, transcript: &Transcript) -> Vec<Check> {
        let steps = trial.steps.iter().zip(&transcript.steps).enumerate();
        let check = |(at, (step, seen)): (usize, (&crate::trial::Step, _))| {
            let misses = expect::judge(&step.expect, seen);
            let name = step.name.clone();
            Check {
                name: name.unwrap_or_else(|| format!("requests[{at}]")),
                failures: misses.iter().map(ToString::to_string).collect(),
                around: seen
                    .lines()
                    .map(|(level, text)| line(level, text))
                    .collect(),
            }
        };
        steps.map(check).collect()
    }

    /// Whether all of it holds.
    pub(super) fn held(&self) -> bool {
        self.failures.is_empty()
    }

    /// Returns a failure as text.
    pub(super) fn text(&self, paint: Paint) -> String {
        let mut text = format!("  {}  {}\n", paint.hue(Hue::Bad, "FAILED"), self.name);
        for line in self.failures.iter().chain(&self.around) {
            text += &format!("    {line}\n");
        }
        text
    }
}

fn line(level: crate::proxy::LogLevel, text: &str) -> String {
    format!("[{}] {}", level.name(), text.trim_end())
}
