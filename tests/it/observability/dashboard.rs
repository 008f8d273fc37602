//! The shipped dashboard as Grafana reads it: panels, their places, and queries with variables.

use std::collections::BTreeSet;

use regex::Regex;
use serde_json::Value;
use spillway_tests::places;
use spillway_tests::prometheus::Range;

/// Columns of Grafana's grid.
const COLUMNS: u64 = 24;

/// What Grafana puts in place of its variables, for a scrape every 250 ms. It takes at least four
/// scrapes for a rate.
const SUBSTITUTES: [(&str, &str); 4] = [
    ("$__rate_interval", "2s"),
    ("$__range", "60s"),
    ("$policy", ".*"),
    ("$instance", ".*"),
];

/// The dashboard.
pub(super) struct Dashboard(Value);

/// A panel, or a row, which has a title and a place alone.
pub(super) struct Panel {
    pub title: String,
    /// `timeseries`, `stat`, `state-timeline`, `table` or `text`.
    pub kind: String,
    pub place: Place,
    pub targets: Vec<Target>,
    /// The text of a panel without queries.
    pub text: String,
    /// `fieldConfig.defaults`: unit, thresholds and mappings.
    pub defaults: Value,
    pub overrides: Value,
}

/// A place on the grid.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub x: u64,
    pub y: u64,
    pub w: u64,
    pub h: u64,
}

/// A query of a panel.
pub(super) struct Target {
    expression: String,
    pub legend: String,
}

/// A series with the name that its legend gives it.
pub(super) struct Named {
    pub name: String,
    pub points: Vec<(f64, f64)>,
    pub labels: Value,
}

impl Dashboard {
    pub(super) fn shipped() -> Self {
        let text = places::shipped("deploy/observability/dashboard.json");
        Self(serde_json::from_str(&text).expect("JSON"))
    }

    /// The panels, rows included.
    pub(super) fn panels(&self) -> Vec<Panel> {
        self.raw().iter().map(panel).collect()
    }

    fn raw(&self) -> &Vec<Value> {
        self.0["panels"].as_array().expect("panels")
    }

    /// What would make Grafana refuse the dashboard, or show it badly.
    pub(super) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let mut ids = BTreeSet::new();
        let panels = self.panels();
        for (at, (raw, panel)) in self.raw().iter().zip(&panels).enumerate() {
            let title = &panel.title;
            if !ids.insert(raw["id"].to_string()) {
                problems.push(format!("{title}: another panel has its id"));
            }
            if panel.place.x + panel.place.w > COLUMNS {
                problems.push(format!("{title}: wider than the grid"));
            }
            let others = panels.iter().skip(at + 1);
            for other in others.filter(|other| panel.place.overlaps(other.place)) {
                problems.push(format!("{title}: overlaps {}", other.title));
            }
            if !["row", "text"].contains(&panel.kind.as_str()) {
                problems.extend(problems_of_queries(raw, panel));
            }
        }
        problems.extend(self.unknown_variables());
        if self.0["schemaVersion"].as_u64() < Some(36) || !self.0["uid"].is_string() {
            problems.push("the dashboard has no uid or an old schema".into());
        }
        problems
    }

    /// Variables in queries and links that the dashboard does not define.
    fn unknown_variables(&self) -> Vec<String> {
        let defined = self.0["templating"]["list"].as_array().expect("variables");
        let defined: Vec<&str> = defined
            .iter()
            .filter_map(|it| it["name"].as_str())
            .collect();
        let text = self.0.to_string();
        let used = Regex::new(r"\$\{?([a-z_]+)\}?").expect("a pattern");
        let unknown = used
            .captures_iter(&text)
            .filter(|used| !used[1].starts_with("__") && !defined.contains(&&used[1]));
        unknown
            .map(|used| format!("there is no variable {}", &used[1]))
            .collect()
    }
}

impl Place {
    fn overlaps(self, other: Self) -> bool {
        let apart = self.x + self.w <= other.x
            || other.x + other.w <= self.x
            || self.y + self.h <= other.y
            || other.y + other.h <= self.y;
        !apart
    }
}

impl Target {
    /// The expression with all variables substituted.
    pub(super) fn query(&self) -> String {
        let substitute = |text: String, (name, value): (&str, &str)| text.replace(name, value);
        SUBSTITUTES
            .into_iter()
            .fold(self.expression.clone(), substitute)
    }

    /// Names a series by the legend.
    pub(super) fn named(&self, series: Range) -> Named {
        let labels = series.labels.as_object().into_iter().flatten();
        let name = labels.fold(self.legend.clone(), |name, (label, value)| {
            let value = value.as_str().unwrap_or_default();
            name.replace(&format!("{{{{{label}}}}}"), value)
        });
        Named {
            name,
            points: series.points,
            labels: series.labels,
        }
    }
}

fn problems_of_queries(raw: &Value, panel: &Panel) -> Vec<String> {
    let mut problems = Vec::new();
    let title = &panel.title;
    if raw["description"].as_str().is_none_or(str::is_empty) {
        problems.push(format!("{title}: no description"));
    }
    if panel.targets.is_empty() {
        problems.push(format!("{title}: no query"));
    }
    if ["timeseries", "stat"].contains(&panel.kind.as_str()) && panel.defaults["unit"].is_null() {
        problems.push(format!("{title}: no unit"));
    }
    let targets = raw["targets"].as_array().into_iter().flatten();
    for source in targets.chain([raw]).map(|of| &of["datasource"]["uid"]) {
        if source != "${datasource}" {
            problems.push(format!("{title}: another data source"));
        }
    }
    problems
}

fn panel(raw: &Value) -> Panel {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let number = |name: &str| raw["gridPos"][name].as_u64().expect("a place");
    let targets = raw["targets"].as_array().into_iter().flatten();
    Panel {
        title: text(&raw["title"]),
        kind: text(&raw["type"]),
        place: Place {
            x: number("x"),
            y: number("y"),
            w: number("w"),
            h: number("h"),
        },
        targets: targets
            .map(|target| Target {
                expression: text(&target["expr"]),
                legend: text(&target["legendFormat"]),
            })
            .collect(),
        text: text(&raw["options"]["content"]),
        defaults: raw["fieldConfig"]["defaults"].clone(),
        overrides: raw["fieldConfig"]["overrides"].clone(),
    }
}
