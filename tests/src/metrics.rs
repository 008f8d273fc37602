//! Envoy's metrics as Prometheus would read them.
//!
//! The tests read the Prometheus page and not Envoy's own names, since users build alerts on
//! labels, and labels exist only if the shipped `stats_tags` are right.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::LazyLock;

use regex::Regex;

static LINE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^([A-Za-z_:][A-Za-z0-9_:]*)(?:\{(.*)\})? (\S+)$").expect("a valid pattern")
});

static LABEL: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r#"(\w+)="((?:[^"\\]|\\.)*)""#).expect("a valid pattern"));

/// One line of the page.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    pub name: String,
    pub labels: BTreeMap<String, String>,
    pub value: f64,
}

/// All series at one point in time.
#[derive(Clone, Debug)]
pub struct Metrics(Vec<Series>);

impl Metrics {
    /// Parses the text format. Comments and unknown lines are skipped.
    pub fn parse(page: &str) -> Self {
        Self(page.lines().filter_map(series).collect())
    }

    /// The sum of all series of this name with these labels; 0 if there is none, since a counter
    /// that never moved is not on the page.
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        self.named(name)
            .filter(|series| series.carries(labels))
            .map(|series| series.value)
            .sum::<f64>() as u64
    }

    /// All series of this name.
    pub fn named(&self, name: &str) -> impl Iterator<Item = &Series> {
        self.0.iter().filter(move |series| series.name == name)
    }

    /// All series whose names start with this prefix.
    pub fn beginning(&self, prefix: &str) -> impl Iterator<Item = &Series> {
        self.0
            .iter()
            .filter(move |series| series.name.starts_with(prefix))
    }
}

impl Series {
    fn carries(&self, labels: &[(&str, &str)]) -> bool {
        labels
            .iter()
            .all(|(name, value)| self.labels.get(*name).is_some_and(|found| found == value))
    }
}

impl fmt::Display for Series {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}{:?} {}", self.name, self.labels, self.value)
    }
}

fn series(line: &str) -> Option<Series> {
    let parts = LINE.captures(line)?;
    let labels = LABEL
        .captures_iter(parts.get(2).map_or("", |labels| labels.as_str()))
        .map(|label| (label[1].to_owned(), label[2].to_owned()))
        .collect();
    Some(Series {
        name: parts[1].to_owned(),
        labels,
        value: parts[3].parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::Metrics;

    const PAGE: &str = "# TYPE hits_total counter\n\
        hits_total{policy=\"a\",to=\"open\"} 3\n\
        hits_total{policy=\"a\",to=\"closed\"} 2\n\
        plain 7\n";

    #[test]
    fn a_series_is_found_by_name_and_labels() {
        let metrics = Metrics::parse(PAGE);
        assert_eq!(
            metrics.value("hits_total", &[("policy", "a"), ("to", "open")]),
            3
        );
        assert_eq!(metrics.value("plain", &[]), 7);
    }

    #[test]
    fn labels_left_out_are_summed_over() {
        assert_eq!(
            Metrics::parse(PAGE).value("hits_total", &[("policy", "a")]),
            5
        );
    }

    #[test]
    fn what_is_absent_counts_nothing() {
        assert_eq!(
            Metrics::parse(PAGE).value("hits_total", &[("policy", "b")]),
            0
        );
    }
}
