use std::path::Path;
use std::thread;

use crate::commands::{assert_valid, host_sim, host_sim_in, module};

#[test]
fn a_run_is_printed_as_tables_and_a_timeline() {
    insta::assert_snapshot!(host_sim(&["run", "held.scenario.yaml"]).all());
}

#[test]
fn a_plugin_that_would_crash_envoy_ends_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let scenario = format!(
        "duration: 1s\n\
         plugin: {{module: {}}}\n\
         clusters: {{items: {{}}}}\n\
         traffic: [{{rate: 10, requests: [{{headers: {{x-witness: log close 0}}}}]}}]\n",
        module("witness")
    );
    std::fs::write(folder.path().join("it.scenario.yaml"), scenario).unwrap();
    for command in ["run", "test"] {
        let output = host_sim_in(folder.path(), &[command, "it.scenario.yaml"]);
        assert_eq!(output.code, 1, "{}", output.all());
        let why = "the module closed the stream from proxy_on_log or proxy_on_done, which crashes \
                   Envoy";
        assert!(output.all().contains(why), "{}", output.all());
    }
}

#[test]
fn a_failed_expectation_is_printed_with_the_events_around_it() {
    insta::assert_snapshot!(host_sim(&["run", "failed.scenario.json"]).all());
}

#[test]
fn json_output_matches_its_schema() {
    let document = host_sim(&["run", "--json", "tripped.scenario.yaml"]).json();
    assert_valid(&document, "report");
    assert_eq!(document["version"], 1);
    assert_eq!(document["circuits"][0]["policy"], "demo");
    let opened = &document["transitions"][0];
    assert_eq!(
        (&opened["from"], &opened["to"]),
        (&"closed".into(), &"open".into())
    );
    let rejected = document["total"]["outcomes"]["fallback"].as_u64().unwrap();
    assert!(rejected > 50, "{rejected}");
    let total: u64 = document["timeline"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["requests"].as_u64().unwrap())
        .sum();
    assert_eq!(document["total"]["requests"], total);
}

#[test]
fn every_scenario_matches_the_scenario_schema() {
    let schema = host_sim(&["schema", "scenario"]).json();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let (policies, retries) = (root.join("policies"), root.join("tests/scenarios/retries"));
    let mut seen = 0;
    for folder in [crate::commands::folder(), policies, retries] {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if !path.display().to_string().contains(".scenario.") {
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            let value: serde_json::Value = serde_saphyr::from_str(&text).unwrap();
            let errors: Vec<_> = validator
                .iter_errors(&value)
                .map(|it| it.to_string())
                .collect();
            assert!(errors.is_empty(), "{}: {errors:?}", path.display());
            seen += 1;
        }
    }
    assert!(seen > 5, "{seen}");
}

/// The digest is the same on every machine, in debug and release builds, and in concurrent runs.
#[test]
fn the_same_seed_gives_the_same_digest_everywhere() {
    let digest = |arguments: &[&str]| {
        let arguments = [&["run", "--json", "held.scenario.yaml"], arguments].concat();
        host_sim(&arguments).json()["digest"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    thread::scope(|scope| {
        let runs: Vec<_> = (0..4).map(|_| scope.spawn(|| digest(&[]))).collect();
        for run in runs {
            assert_eq!(run.join().unwrap(), "46da3af7ce2e33e4a1fd29cbc3b975b3");
        }
    });
    assert_eq!(digest(&["--seed", "1"]), digest(&[]));
    assert_ne!(digest(&["--seed", "2"]), digest(&[]));
}

#[test]
fn a_run_with_the_filter_is_reproducible() {
    let digest = || host_sim(&["run", "--json", "tripped.scenario.yaml"]).json()["digest"].clone();
    assert_eq!(digest(), digest());
}

#[test]
fn policies_are_updated_under_traffic_and_a_rejected_one_changes_nothing() {
    let document = host_sim(&["run", "--json", "updated.scenario.yaml"]).json();
    let accepted: Vec<_> = document["updates"].as_array().unwrap().iter().collect();
    assert_eq!(accepted.len(), 2);
    assert_eq!(
        (&accepted[0]["accepted"], &accepted[1]["accepted"]),
        (&true.into(), &false.into())
    );
}

/// Runs a module other than the shipped one, which calls a cluster about each request.
#[test]
fn calls_of_plugins_see_the_latency_and_faults_of_clusters() {
    let module = Path::new(env!("CARGO_BIN_EXE_host-sim"))
        .ancestors()
        .nth(2)
        .unwrap();
    let module = module.join("wasm32-wasip1/release/probe.wasm");
    let run = |kind: &str, fault: &str| {
        let folder = tempfile::tempdir().unwrap();
        let scenario = folder.path().join("auth.yaml");
        let text = format!(
            "plugin: {{module: '{}', configuration: 'plugin {kind} auth'}}\n\
             duration: 5s\n\
             clusters: {{auth: {{latency: 5ms}}, up: {{latency: 10ms}}}}\n\
             routes: [{{cluster: up}}]\n\
             traffic: [{{rate: 20}}]\n\
             faults: [{fault}]\n",
            module.display(),
        );
        std::fs::write(&scenario, text).unwrap();
        let document = host_sim(&["run", "--json", scenario.to_str().unwrap()]).json();
        let total = &document["total"];
        let latency = total["latency_ms"]["p50"].as_f64().unwrap();
        let callouts = total["upstreams"]["auth"]["callouts"].as_u64().unwrap();
        (
            total["success_percent"].as_f64().unwrap(),
            latency.round(),
            callouts,
        )
    };
    let (success, latency, callouts) = run("auth", "");
    assert_eq!((success, latency), (100.0, 15.0));
    assert!(callouts > 50, "{callouts}");
    // The plugin denies the request with a 403, which is not an error.
    assert_eq!(run("auth", "{cluster: auth, fault: refused}").1, 0.0);
    assert_eq!(run("auth", "{cluster: auth, fault: hang}").1, 500.0);
    assert_eq!(run("auth", "{cluster: auth, fault: unhealthy}").0, 0.0);
    assert_eq!(run("grpc_auth", "").1, 15.0);
    assert_eq!(
        run("grpc_auth", "{cluster: auth, fault: {grpc_status: 7}}").1,
        5.0
    );
}

#[test]
fn a_scenario_that_cannot_run_states_the_reason() {
    let rows: [&[&str]; 8] = [
        &["run", "nowhere.yaml"],
        &["run", "wrong.yaml"],
        &["run", "no-wasm.yaml"],
        &["run", "refused.yaml"],
        &["run", "refused.yaml", "--module", "nowhere.wasm"],
        &["run", "held.scenario.yaml", "--report", "nowhere/page.html"],
        &["test", "."],
        &["run"],
    ];
    let mut report = String::new();
    for row in rows {
        let output = host_sim(row);
        report += &format!(
            "$ host-sim {}\nexit code: {}\n{}\n",
            row.join(" "),
            output.code,
            output.stderr
        );
    }
    insta::assert_snapshot!(report);
}
