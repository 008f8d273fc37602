use crate::commands::host_sim;

#[test]
fn scenarios_under_a_path_run_and_are_reported_in_order() {
    insta::assert_snapshot!(host_sim(&["test", ".", "--jobs", "3"]).all());
}

#[test]
fn met_expectations_are_a_success() {
    let output = host_sim(&["test", "held.scenario.yaml", "tripped.scenario.yaml"]);
    assert_eq!(output.code, 0, "{}", output.all());
}

#[test]
fn the_shipped_policies_meet_the_expectations_of_their_scenarios() {
    let output = host_sim(&["test", "../../../policies"]);
    assert_eq!(output.code, 0, "{}", output.all());
    assert!(
        output.stdout.contains("hystrix.scenario.yaml"),
        "{}",
        output.all()
    );
}

#[test]
fn retries_meet_the_expectations_of_their_scenarios() {
    let output = host_sim(&["test", "../../../tests/scenarios"]);
    assert_eq!(output.code, 0, "{}", output.all());
    for name in ["storm-plain", "storm-envoy-budget", "chain-plain"] {
        let file = format!("{name}.scenario.yaml");
        assert!(output.stdout.contains(&file), "{}", output.all());
    }
}

#[test]
fn results_are_written_as_junit_xml() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("results.xml");
    let output = host_sim(&[
        "test",
        "failed.scenario.json",
        "wrong.yaml",
        "--junit",
        file.to_str().unwrap(),
    ]);
    assert_eq!(output.code, 2, "{}", output.all());
    let text = std::fs::read_to_string(file).unwrap();
    // The durations differ between runs.
    let parts = text.split(" time=\"");
    let timeless: Vec<_> = parts
        .enumerate()
        .map(|(place, part)| match part.split_once('"') {
            Some((_, rest)) if place > 0 => rest,
            _ => part,
        })
        .collect();
    insta::assert_snapshot!(timeless.concat());
}
