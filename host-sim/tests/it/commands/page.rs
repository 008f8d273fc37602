use std::path::PathBuf;

use crate::commands::{browser, host_sim};

/// Writes the page of a scenario to a temporary directory.
fn page(scenario: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("page.html");
    host_sim(&["run", scenario, "--report", file.to_str().unwrap()]);
    (folder, file)
}

#[test]
fn the_page_shows_the_run_and_logs_no_error() {
    let (_folder, file) = page("tripped.scenario.yaml");
    let shown = browser::load(&file);
    assert_eq!(shown.console, Vec::<String>::new());
    for part in [
        "<h1>tripped</h1>",
        "id=\"states\"",
        "id=\"outcomes\"",
        "id=\"latency\"",
        "id=\"upstreams\"",
        "id=\"load\"",
        "circuit · demo [items]",
        "fault · items: refused",
        "class=\"band open\"",
        "class=\"band fault\"",
        "class=\"column fallback\"",
        "closed_to_open",
    ] {
        let part = part.replace("closed_to_open", "<td>closed</td><td>open</td>");
        assert!(shown.dom.contains(&part), "no {part} in the page");
    }
}

#[test]
fn the_page_loads_no_other_resource() {
    let (_folder, file) = page("tripped.scenario.yaml");
    let text = std::fs::read_to_string(file).unwrap();
    for word in ["http://", "https://", "src=", "@import", "url("] {
        assert!(!text.contains(word), "{word} in the page");
    }
}

#[test]
fn every_plot_has_a_title_and_a_description() {
    let (_folder, file) = page("held.scenario.yaml");
    let text = std::fs::read_to_string(file).unwrap();
    let plots = text.matches("<svg class=\"plot\"").count();
    assert!(plots >= 5, "{plots}");
    assert_eq!(text.matches("role=\"img\"").count(), plots);
    assert_eq!(text.matches("-desc\">").count(), plots);
}

#[test]
fn light_and_dark_schemes_look_different() {
    let (_folder, file) = page("held.scenario.yaml");
    let (light, dark) = (
        browser::picture(&file, "light"),
        browser::picture(&file, "dark"),
    );
    assert!(light.len() > 20_000 && dark.len() > 20_000);
    assert_ne!(light, dark);
}

#[test]
fn names_from_a_scenario_are_escaped_in_the_page() {
    let folder = tempfile::tempdir().unwrap();
    let scenario = folder.path().join("a.yaml");
    let text = "{name: '<script>alert(1)</script>', duration: 1s, clusters: {'\"><b>': {}}, \
                traffic: [{rate: 50, name: '</style>'}]}";
    std::fs::write(&scenario, text).unwrap();
    let file = folder.path().join("page.html");
    let output = host_sim(&[
        "run",
        scenario.to_str().unwrap(),
        "--report",
        file.to_str().unwrap(),
    ]);
    assert_eq!(output.code, 0, "{}", output.all());
    let text = std::fs::read_to_string(file).unwrap();
    assert!(!text.contains("<script>alert") && !text.contains("\"><b>"));
}
