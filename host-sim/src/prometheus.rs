//! The metrics of a process as a page for Prometheus, equal to Envoy's `/stats/prometheus`.
//!
//! Dashboards and alerts that were written for Envoy must work here too. So names, labels, types
//! and order are Envoy's, also where they are of no use: two metrics whose names differ in a dot
//! and a dash become two families of one name, and bytes that are not UTF-8 stay in names.

mod names;
mod tags;

use crate::proxy::{Histogram, MetricKind, Metrics};
use names::{by_segment, full_name, prometheus_name};
use tags::Tags;

/// Envoy's default limits of the buckets of histograms, with the texts of its page.
const LIMITS: [(f64, &str); 19] = [
    (0.5, "0.5"),
    (1.0, "1"),
    (5.0, "5"),
    (10.0, "10"),
    (25.0, "25"),
    (50.0, "50"),
    (100.0, "100"),
    (250.0, "250"),
    (500.0, "500"),
    (1_000.0, "1000"),
    (2_500.0, "2500"),
    (5_000.0, "5000"),
    (10_000.0, "10000"),
    (30_000.0, "30000"),
    (60_000.0, "60000"),
    (300_000.0, "300000"),
    (600_000.0, "600000"),
    (1_800_000.0, "1800000"),
    (3_600_000.0, "3600000"),
];

/// Returns the page. It is UTF-8 if all names of the plugin's metrics are.
pub fn page(metrics: &Metrics) -> Vec<u8> {
    let mut page = Page(Vec::new());
    for (kind, name) in [
        (MetricKind::Counter, "counter"),
        (MetricKind::Gauge, "gauge"),
    ] {
        let of_kind = metrics.iter().filter(|(_, found, _)| *found == kind);
        for family in families(of_kind.map(|(name, _, value)| (name, value))) {
            page.write([b"# TYPE ", &*family.name, b" ", name.as_bytes()]);
            for series in family.series {
                page.sample(&family.name, "", &series.labels, &series.value.to_string());
            }
        }
    }
    for family in families(metrics.histograms()) {
        page.write([b"# TYPE ", &family.name, b" histogram"]);
        for series in family.series {
            page.histogram(&family.name, &series.labels, series.value);
        }
    }
    page.0
}

/// All metrics of one kind that differ in tags only.
struct Family<V> {
    /// The name for Prometheus.
    name: Vec<u8>,
    series: Vec<Series<V>>,
}

struct Series<V> {
    /// The complete name.
    name: Vec<u8>,
    /// The name without tags.
    family: Vec<u8>,
    labels: Vec<u8>,
    value: V,
}

/// Groups metrics by their names without tags. Families that cannot have a name for Prometheus are
/// left out.
fn families<'a, V>(metrics: impl Iterator<Item = (&'a [u8], V)>) -> Vec<Family<V>> {
    let tags = Tags::shipped();
    let mut all: Vec<Series<V>> = metrics
        .map(|(name, value)| series(tags, name, value))
        .collect();
    all.sort_by(|a, b| by_segment(&a.family, &b.family).then_with(|| by_segment(&a.name, &b.name)));
    let mut families: Vec<(Vec<u8>, Vec<Series<V>>)> = Vec::new();
    for series in all {
        match families.last_mut() {
            Some((family, of_family)) if *family == series.family => of_family.push(series),
            _ => families.push((series.family.clone(), vec![series])),
        }
    }
    let named = families.into_iter().filter_map(|(family, series)| {
        Some(Family {
            name: prometheus_name(&family)?,
            series,
        })
    });
    named.collect()
}

fn series<V>(tags: &Tags, name: &[u8], value: V) -> Series<V> {
    let name = full_name(name);
    let (family, labels) = tags.extracted(&name);
    Series {
        name,
        family,
        labels,
        value,
    }
}

/// Text of the page so far.
struct Page(Vec<u8>);

impl Page {
    fn write<const N: usize>(&mut self, parts: [&[u8]; N]) {
        parts.iter().for_each(|part| self.0.extend_from_slice(part));
        self.0.push(b'\n');
    }

    fn sample(&mut self, name: &[u8], suffix: &str, labels: &[u8], value: &str) {
        let (suffix, value) = (suffix.as_bytes(), value.as_bytes());
        self.write([name, suffix, b"{", labels, b"} ", value]);
    }

    fn histogram(&mut self, name: &[u8], labels: &[u8], histogram: &Histogram) {
        let comma: &[u8] = if labels.is_empty() { b"" } else { b"," };
        let count = histogram.count();
        let buckets = LIMITS.map(|(limit, text)| (text, histogram.count_to(limit)));
        for (limit, count) in buckets.into_iter().chain([("+Inf", count)]) {
            let labels = [labels, comma, b"le=\"", limit.as_bytes(), b"\""].concat();
            self.sample(name, "_bucket", &labels, &count.to_string());
        }
        self.sample(name, "_sum", labels, &histogram.sum().to_string());
        self.sample(name, "_count", labels, &count.to_string());
    }
}

#[cfg(test)]
mod tests;
