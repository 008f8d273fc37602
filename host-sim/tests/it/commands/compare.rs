use std::path::PathBuf;

use serde_json::Value;

use crate::commands::{CommandOutput, assert_valid, browser, host_sim};

const DEMO: &str = "../../../policies/demo.json";
const CLEAN: &str = "../policies/clean.json";

fn compare(policies: &[&str], scenario: &str, more: &[&str]) -> CommandOutput {
    let arguments = [&["compare"], policies, &["--scenario", scenario], more];
    host_sim(&arguments.concat())
}

/// Compares the policies and returns the runs as JSON.
fn runs(policies: &[&str], scenario: &str) -> Vec<Value> {
    let document = compare(policies, scenario, &["--json"]).json();
    document["runs"].as_array().unwrap().clone()
}

/// Writes the page of a comparison to a temporary directory.
fn page(policies: &[&str], scenario: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("page.html");
    let output = compare(policies, scenario, &["--report", file.to_str().unwrap()]);
    assert_eq!(output.code, 0, "{}", output.all());
    (folder, file)
}

#[test]
fn policies_are_compared_with_each_other_and_with_no_policy() {
    let output = compare(&["none", CLEAN, DEMO], "tripped.scenario.yaml", &[]);
    insta::assert_snapshot!(output.all());
}

#[test]
fn the_same_policy_twice_gives_equal_columns() {
    let output = compare(&[DEMO, DEMO], "tripped.scenario.yaml", &[]);
    assert_eq!(output.code, 0, "{}", output.all());
    let table = output.stdout.split("\n\n").nth(1).unwrap();
    let (titles, rows) = table.split_once('\n').unwrap();
    assert_eq!(titles.trim_start().split("  ").last(), Some("demo (2)"));
    for row in rows.lines() {
        // Names of measures contain single spaces only; columns are separated by more.
        let cells: Vec<_> = row.split("  ").filter(|cell| !cell.is_empty()).collect();
        assert_eq!(cells.len(), 3, "{row}");
        assert_eq!(cells[1].trim(), cells[2].trim(), "{row}");
    }
    let runs = runs(&[DEMO, DEMO], "tripped.scenario.yaml");
    assert_eq!(runs[0], runs[1]);
}

#[test]
fn json_output_matches_its_schema() {
    let arguments = ["--json", "--seed", "7"];
    let document = compare(&["none", DEMO], "tripped.scenario.yaml", &arguments).json();
    assert_valid(&document, "comparison");
    assert_eq!(document["version"], 1);
    assert_eq!(document["scenario"], "tripped");
    assert_eq!(document["seed"], 7);
    assert_eq!(document["duration_s"], 8.0);
    let (none, demo) = (&document["runs"][0], &document["runs"][1]);
    assert_eq!(none["policy"], "none");
    assert_eq!(demo["policy"], DEMO);
    assert_eq!(none["total"]["calls"], demo["total"]["calls"]);
    assert_eq!(none["circuits_opened"], 0);
    assert_eq!(none["metrics"], serde_json::json!({}));
    assert!(demo["circuits_opened"].as_u64().unwrap() > 0);
}

/// A column shows what `run` shows for the same policy.
#[test]
fn a_compared_run_equals_a_run_with_that_policy() {
    let alone = host_sim(&["run", "--json", "tripped.scenario.yaml"]).json();
    let compared = runs(&["none", DEMO], "tripped.scenario.yaml");
    for field in ["digest", "total", "reasons", "metrics"] {
        assert_eq!(alone[field], compared[1][field], "{field}");
    }
    let alone = host_sim(&["run", "--json", "held.scenario.yaml"]).json();
    let compared = runs(&[DEMO, "none"], "held.scenario.yaml");
    assert_eq!(alone["digest"], compared[1]["digest"]);
    assert_ne!(alone["digest"], compared[0]["digest"]);
}

/// The scenario's updates disable its policy while the circuit is open.
#[test]
fn the_policies_of_the_scenario_are_ignored() {
    let errors = |run: &Value| run["total"]["outcomes"]["error"].as_u64().unwrap();
    let alone = host_sim(&["run", "--json", "updated.scenario.yaml"]).json();
    let compared = runs(&[DEMO, "none"], "updated.scenario.yaml");
    assert!(errors(&alone) > 200 && errors(&compared[0]) < 200);
    assert!(errors(&compared[1]) > errors(&alone));
    // The rejected policy of one scenario and the failed expectation of the other are ignored.
    let output = compare(&[DEMO, "none"], "refused.yaml", &[]);
    assert_eq!(output.code, 0, "{}", output.all());
    let output = compare(&[DEMO, "none"], "failed.scenario.json", &[]);
    assert_eq!(output.code, 0, "{}", output.all());
}

#[test]
fn the_page_shows_all_policies_and_logs_no_error() {
    let (_folder, file) = page(&["none", CLEAN, DEMO], "tripped.scenario.yaml");
    let shown = browser::load(&file);
    assert_eq!(shown.console, Vec::<String>::new());
    for part in [
        "<h1>tripped</h1>",
        "<h2>none</h2>",
        "<h2>clean</h2>",
        "<h2>demo</h2>",
        "<a href=\"#policy-3\">demo</a>",
        "<th scope=\"row\">circuits opened</th>",
        "id=\"outcomes-1\"",
        "id=\"latency-2\"",
        "id=\"states-3\"",
        "circuit · default [items]",
        "circuit · demo [items]",
        "fault · items: refused",
        "class=\"column fallback\"",
    ] {
        assert!(shown.dom.contains(part), "no {part} in the page");
    }
    let text = std::fs::read_to_string(&file).unwrap();
    for word in ["http://", "https://", "src=", "@import", "url("] {
        assert!(!text.contains(word), "{word} in the page");
    }
    assert_eq!(text.matches("<svg class=\"plot\"").count(), 9);
    assert_ne!(
        browser::picture(&file, "light"),
        browser::picture(&file, "dark")
    );
}

#[test]
fn plots_of_one_kind_have_the_same_axes() {
    let (_folder, file) = page(&["none", DEMO], "tripped.scenario.yaml");
    let text = std::fs::read_to_string(file).unwrap();
    let labels = |id: &str| {
        let (_, plot) = text.split_once(&format!("id=\"{id}\"")).unwrap();
        let (plot, _) = plot.split_once("</svg>").unwrap();
        let labels = plot.split("<text class=\"label\"").skip(1);
        let label = |it: &str| it.split_once("</text>").unwrap().0.to_owned();
        labels.map(label).collect::<Vec<_>>()
    };
    for kind in ["outcomes", "latency"] {
        let first = labels(&format!("{kind}-1"));
        assert!(first.len() > 8, "{first:?}");
        assert_eq!(first, labels(&format!("{kind}-2")));
    }
}

#[test]
fn an_impossible_comparison_states_the_reason() {
    let tripped = "tripped.scenario.yaml";
    let rows: [(&[&str], &str, &[&str]); 9] = [
        (&["none", "../policies/wrong.json"], tripped, &[]),
        (&["../policies/torn.json", DEMO], tripped, &[]),
        (&["none", "nowhere.json"], tripped, &[]),
        (&["none", DEMO], "nowhere.yaml", &[]),
        (&["none", DEMO], "wrong.yaml", &[]),
        (&["none", DEMO], "no-wasm.yaml", &[]),
        (&["none", DEMO], tripped, &["--report", "nowhere/page.html"]),
        (&[DEMO], tripped, &[]),
        (&["none"; 7], tripped, &[]),
    ];
    let mut report = String::new();
    for (policies, scenario, more) in rows {
        let output = compare(policies, scenario, more);
        assert_eq!(output.stdout, "");
        report += &format!(
            "$ host-sim compare {} --scenario {scenario} {}\nexit code: {}\n{}\n",
            policies.join(" "),
            more.join(" "),
            output.code,
            output.stderr
        );
    }
    insta::assert_snapshot!(report.replace(" \n", "\n"));
}

const OUTAGE: &str = "../../../tests/scenarios/outage";

/// Compares a minute of outage without a filter, with a breaker alone, and with a stale cache.
#[test]
fn a_breaker_fails_fast_in_an_outage_and_a_stale_cache_hides_it() {
    let file = |name: &str| format!("{OUTAGE}/{name}");
    let (breaker, stale) = (file("breaker.json"), file("stale.json"));
    let runs = runs(&["none", &breaker, &stale], &file("outage.yaml"));
    let succeeded = |run: &Value| {
        let total = &run["total"];
        let share = |name: &str| total[name].as_f64().unwrap();
        share("calls_succeeded") * 100.0 / share("calls_ended")
    };
    let p99 = |run: &Value| run["total"]["latency_ms"]["p99"].as_f64().unwrap();
    let seen: Vec<(f64, f64)> = runs.iter().map(|run| (succeeded(run), p99(run))).collect();
    let [none, breaker, stale] = seen[..] else {
        panic!("{seen:?}");
    };
    // Half of the run is an outage, in which callers wait for a second at first.
    assert!(
        (45.0..55.0).contains(&none.0) && none.1 >= 1_000.0,
        "{seen:?}"
    );
    assert!(
        (45.0..55.0).contains(&breaker.0) && breaker.1 < 200.0,
        "{seen:?}"
    );
    assert!(stale.0 > 99.0 && stale.1 < 200.0, "{seen:?}");
}

/// Compares the shipped policies for a service that hangs. The others count requests when they
/// end, and callers give up before that.
#[test]
fn only_a_policy_that_does_not_wait_for_callers_notices_a_hang() {
    // Opened circuits, and callers that gave up: at least and at most.
    let rows = [
        ("none", 0..=0, 400..=9_999),
        ("../../../policies/resilience4j.json", 0..=0, 400..=9_999),
        ("../../../policies/hystrix.json", 1..=9, 0..=0),
        ("../../../policies/hang.json", 1..=9, 0..=150),
    ];
    let runs = runs(
        &rows.each_ref().map(|row| row.0),
        "../../../policies/hang.scenario.yaml",
    );
    for ((policy, opened, gave_up), run) in rows.iter().zip(&runs) {
        let seen = run["circuits_opened"].as_u64().unwrap();
        assert!(opened.contains(&seen), "{policy}: {seen}");
        let seen = run["total"]["outcomes"]["gave_up"].as_u64().unwrap();
        assert!(gave_up.contains(&seen), "{policy}: {seen}");
    }
}
