//! The results, and whether they are good enough.

use std::fmt;
use std::time::Duration;

use crate::h2load::{Protocol, Sent};

pub(crate) const HEADINGS: &str = "| protocol | requests | failed | requests/s | median | 99 % | longest | peak memory |\n\
     | --- | --- | --- | --- | --- | --- | --- | --- |";

/// Results of one protocol.
pub(crate) struct Report {
    protocol: Protocol,
    time: Duration,
    us: Vec<u32>,
    failed: usize,
    /// Successes by the filter's own metric.
    pub counted: u64,
    pub peak_kib: u64,
}

impl Report {
    pub(crate) fn new(protocol: Protocol) -> Self {
        Self {
            protocol,
            time: Duration::ZERO,
            us: Vec::new(),
            failed: 0,
            counted: 0,
            peak_kib: 0,
        }
    }

    pub(crate) fn add(&mut self, sent: Sent) {
        self.time += sent.time;
        self.us.extend(sent.us);
        self.failed += sent.failed;
    }

    /// Number of responses with status 200.
    pub(crate) fn answered(&self) -> u64 {
        self.us.len() as u64
    }

    fn rate(&self) -> u64 {
        (self.us.len() as f64 / self.time.as_secs_f64()) as u64
    }

    /// The time within which this share of the responses came, in milliseconds.
    fn quantile_ms(&self, share: f64) -> f64 {
        let mut sorted = self.us.clone();
        sorted.sort_unstable();
        let at = (sorted.len().saturating_sub(1) as f64 * share) as usize;
        sorted.get(at).map_or(0.0, |us| f64::from(*us) / 1e3)
    }

    /// What is wrong with the results.
    pub(crate) fn problems(&self, rate_min: u64) -> Vec<String> {
        let (name, answered) = (self.protocol.name(), self.answered());
        let mut problems = Vec::new();
        if self.failed > 0 {
            problems.push(format!("{name}: {} requests failed", self.failed));
        }
        if self.counted != answered {
            let counted = self.counted;
            problems.push(format!(
                "{name}: the filter counted {counted} successes of {answered}"
            ));
        }
        if self.rate() < rate_min {
            let rate = self.rate();
            problems.push(format!(
                "{name}: {rate} requests per second, expected at least {rate_min}"
            ));
        }
        problems
    }
}

impl Protocol {
    fn name(self) -> &'static str {
        match self {
            Protocol::Http1 => "HTTP/1.1",
            Protocol::Http2 => "HTTP/2",
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [median, most, longest] = [0.5, 0.99, 1.0].map(|share| self.quantile_ms(share));
        write!(
            out,
            "| {} | {} | {} | {} | {median:.1} ms | {most:.1} ms | {longest:.1} ms | {} MiB |",
            self.protocol.name(),
            self.us.len() + self.failed,
            self.failed,
            self.rate(),
            self.peak_kib / 1024
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let mut report = Report::new(Protocol::Http2);
        report.add(Sent {
            time: Duration::from_secs(2),
            us: (1..=1000).map(|n| n * 10).collect(),
            failed: 0,
        });
        report.counted = 1000;
        report.peak_kib = 50 * 1024;
        report
    }

    #[test]
    fn good_results_have_no_problem() {
        assert_eq!(report().problems(500), [""; 0]);
        let row = "| HTTP/2 | 1000 | 0 | 500 | 5.0 ms | 9.9 ms | 10.0 ms | 50 MiB |";
        assert_eq!(report().to_string(), row);
    }

    #[test]
    fn each_shortfall_is_a_problem() {
        let rows = [
            (3, 1000, 500, "HTTP/2: 3 requests failed"),
            (
                0,
                999,
                500,
                "HTTP/2: the filter counted 999 successes of 1000",
            ),
            (
                0,
                1000,
                501,
                "HTTP/2: 500 requests per second, expected at least 501",
            ),
        ];
        for (failed, counted, rate_min, problem) in rows {
            let report = Report {
                failed,
                counted,
                ..report()
            };
            assert_eq!(report.problems(rate_min), [problem]);
        }
    }
}
