//! The shipped dashboard, alerts and recording rules, against a real Prometheus that scrapes a real
//! Envoy during an outage, and one that scrapes `host-sim serve`.
//!
//! Every query has to show something, since a query that is wrong is an empty panel or an alert
//! that never fires. The dashboard is drawn as well, with the charts of [`picture`] in place of
//! Grafana's, into `target/dashboard.html` and `target/dashboard.png`.

mod chart;
mod dashboard;
mod outage;
mod picture;
mod rules;

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use spillway_tests::prometheus::Range;
use spillway_tests::{Browser, Prometheus, eventually, places};
use tokio::time::timeout;

use dashboard::{Dashboard, Named, Panel};
use outage::Outage;

/// How long the rules may take to see what has happened. Shorter than the patience of
/// [`eventually`], so that a failing test names the rules.
const SETTLING: Duration = Duration::from_secs(10);

/// Points of a series over the time of the outage.
const STEPS: u32 = 120;

/// Queries that show nothing in this outage, by panel and legend, with the reason.
const QUIET: [(&str, &str, &str); 7] = [
    ("Internal errors", "", "the filter has none"),
    (AT_ZERO, "internal errors", "the filter has none"),
    (AT_ZERO, "stale overflowed", "the recordings have room"),
    (AT_ZERO, "merges given up", "there is one worker"),
    (AT_ZERO, "records discarded", "the records are sound"),
    (AT_ZERO, "events dropped", "no collector is configured"),
    ("Stale responses", "evicted", "the store has room"),
];

const AT_ZERO: &str = "What should stay at 0";

/// Alerts that this outage does not raise, with the reason.
const SILENT: [(&str, &str); 1] = [("SpillwayInternalErrors", "the filter has none")];

#[tokio::test]
async fn an_outage_shows_in_every_panel_and_raises_the_alerts() {
    let outage = Outage::in_envoy().await;
    let (drawn, problems) = panels(&outage).await;
    // First the picture, which shows what is wrong.
    draw(picture::page(&drawn, outage.span())).await;
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
    rules_have_results(&outage.prometheus).await;
}

#[tokio::test]
async fn host_sim_serve_shows_the_same_outage_in_every_panel_and_alert() {
    let outage = Outage::in_host_sim().await;
    let (_, problems) = panels(&outage).await;
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
    rules_have_results(&outage.prometheus).await;
}

/// The panels with their series, and what is wrong with these.
async fn panels(outage: &Outage) -> (Vec<(Panel, Vec<Named>)>, Vec<String>) {
    let mut panels = Vec::new();
    let mut problems = Vec::new();
    for panel in Dashboard::shipped().panels() {
        let mut shown = Vec::new();
        for target in &panel.targets {
            let query = target.query();
            let series = outage.prometheus.range(&query, outage.span(), STEPS).await;
            problems.extend(problem(&panel, &target.legend, &series));
            shown.extend(series.into_iter().map(|series| target.named(series)));
        }
        panels.push((panel, shown));
    }
    (panels, problems)
}

/// What is wrong with the result of a query, if anything.
fn problem(panel: &Panel, legend: &str, series: &[Range]) -> Option<String> {
    let name = format!("{}, {legend:?}", panel.title);
    let mut values = series.iter().flat_map(|series| &series.points);
    let moved = values.any(|(_, value)| *value > 0.0);
    let quiet = QUIET
        .iter()
        .any(|(title, of, _)| (*title, *of) == (panel.title.as_str(), legend));
    match (quiet, series.is_empty(), moved) {
        (false, true, _) => Some(format!("{name}: no data")),
        (false, false, false) => Some(format!("{name}: all values are 0")),
        (true, _, true) => Some(format!("{name}: expected to show nothing")),
        _ => None,
    }
}

/// Waits until every recording rule has a result, and every alert but the silent ones is pending
/// or firing.
async fn rules_have_results(prometheus: &Prometheus) {
    let mut wrong = Vec::new();
    let seen = eventually("results of all rules", async || {
        wrong.clear();
        for rule in rules::evaluated(prometheus).await {
            let silent = SILENT.iter().any(|(name, _)| *name == rule.name);
            if rule.has_result(prometheus).await == silent {
                wrong.push(rule.name);
            }
        }
        wrong.is_empty()
    });
    let in_time = timeout(SETTLING, seen).await;
    assert!(in_time.is_ok(), "not as expected: {wrong:?}");
}

/// Draws a page in a browser, as the picture to look at.
async fn draw(page: String) {
    let target = places::target();
    let file = target.join("dashboard.html");
    fs::write(&file, page).expect("a writable folder");
    let mut browser = Browser::open(&format!("file://{}", file.display())).await;
    browser.look(1480, "light").await;
    assert_eq!(browser.complaints().await, [] as [String; 0]);
    let titles = browser.texts("h3").await;
    assert!(titles.len() >= 25, "{titles:?}");
    let picture = browser.picture().await;
    assert!(picture.starts_with(b"\x89PNG"));
    fs::write(target.join("dashboard.png"), picture).expect("a writable folder");
}

#[test]
fn the_dashboard_fits_its_grid_and_its_queries_their_variables() {
    let problems = Dashboard::shipped().problems();
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

#[test]
fn every_alert_has_a_severity_a_runbook_and_a_unit_test() {
    let tests = places::shipped("deploy/observability/alerts_test.yml");
    let alerts = rules::alerts();
    assert!(alerts.len() >= 8);
    for alert in &alerts {
        let name = alert["alert"].as_str().expect("a name");
        assert!(tests.contains(&format!("alertname: {name}\n")), "{name}");
        let severity = alert["labels"]["severity"].as_str();
        assert!(
            severity.is_some_and(|it| ["critical", "warning", "info"].contains(&it)),
            "{name}"
        );
        for annotation in ["summary", "description", "runbook"] {
            assert!(alert["annotations"][annotation].is_string(), "{name}");
        }
    }
    let names: BTreeSet<&str> = alerts
        .iter()
        .filter_map(|it| it["alert"].as_str())
        .collect();
    assert_eq!(names.len(), alerts.len(), "two alerts of one name");
}
