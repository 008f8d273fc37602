//! A recorded log beside its replay, and what the replay assumes.

use crate::record::{Outcome, Recorded};
use crate::report::comparison::Comparison;
use crate::report::grouped;
use crate::report::tuning::Tuning;
use crate::scenario::log::{Survey, wall_clock};
use crate::scenario::play::Run;
use crate::sim::clock::Time;
use crate::sim::span::Span;

/// A log, its replay, and the settings that were tried.
pub struct Replay {
    pub survey: Survey,
    /// The name of the log's format.
    pub format: &'static str,
    pub window: Span,
    /// The recorded run, then the replayed one.
    pub comparison: Comparison,
    pub tuning: Option<Tuning>,
}

/// Outcomes of the requests with one recorded result.
pub struct Row {
    pub name: &'static str,
    pub total: u64,
    /// Those that ended as recorded.
    pub passed: u64,
    pub rejected: u64,
    pub answered: u64,
}

impl Replay {
    /// Returns the replayed run.
    pub fn run(&self) -> Option<&Run> {
        self.comparison.runs.last().map(|it| &it.run)
    }

    /// Formats a time of the run as that of the log's clock.
    pub fn clock(&self, at: Time) -> String {
        wall_clock(self.survey.origin_ns.saturating_add(at.as_ns()))
    }

    /// Returns what became of the requests.
    pub fn rows(&self) -> Vec<Row> {
        let effects = self.run().map(|run| run.record.effects).unwrap_or_default();
        let row = |(name, recorded): (&'static str, Recorded)| {
            let total = effects.all(recorded);
            let rejected = effects.of(recorded, &[Outcome::Rejected]);
            let answered = effects.of(recorded, &[Outcome::Fallback]);
            Row {
                name,
                total,
                passed: total - rejected - answered,
                rejected,
                answered,
            }
        };
        let rows = [
            ("good", Recorded::Good),
            ("failed", Recorded::Bad),
            ("not known", Recorded::Unknown),
        ];
        rows.map(row).into()
    }

    /// Returns what was read, and what was not.
    pub fn source(&self) -> Vec<String> {
        let Survey {
            reading,
            origin_ns,
            duration,
            requests,
            ..
        } = &self.survey;
        let end = wall_clock(origin_ns.saturating_add(duration.as_ns()));
        let (lines, format) = (grouped(reading.lines), self.format);
        let mut said = vec![format!(
            "{lines} lines of {format}, {} requests, {} to {end}",
            grouped(*requests),
            wall_clock(*origin_ns)
        )];
        if reading.unreadable > 0 {
            said.push(format!("{} lines unreadable:", grouped(reading.unreadable)));
            let examples = reading.examples.iter();
            said.extend(examples.map(|(line, why)| format!("  line {line} {why}")));
        }
        if let Some(why) = &reading.cut_off {
            said.push(format!(
                "the log is cut off after line {}: {why}",
                reading.lines
            ));
        }
        if reading.late > 0 {
            said.push(format!(
                "{} requests left out: they began more than {} before the newest line (--window)",
                grouped(reading.late),
                self.window
            ));
        }
        said
    }

    /// Returns the assumptions that this log needs.
    pub fn assumptions(&self) -> Vec<String> {
        let survey = &self.survey;
        let mut said = vec![
            "A request that the policy lets pass ends as recorded, after the recorded time. So \
             does each of the proxy's retries."
                .to_owned(),
            "Requests have no body, and no headers but those in the log.".into(),
        ];
        let mut some = |count: u64, what: &str| {
            if count > 0 {
                said.push(format!("{} requests {what}", grouped(count)));
            }
        };
        some(
            survey.kept_away,
            "were kept from their upstream when the log was recorded. If the policy lets them \
             pass, they end like the latest earlier request that reached the same cluster.",
        );
        some(
            survey.replaced,
            "failed, and Spillway wrote a response of its own over them. They fail with 503, or \
             with the timeout that the log names.",
        );
        some(
            survey.left_out_total,
            "are left out: another filter answered them, or they had no cluster.",
        );
        some(
            survey.further_clusters,
            "are left out: the log has more than 256 clusters.",
        );
        said
    }
}
