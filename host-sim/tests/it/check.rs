//! `host-sim check` as its users see it: text, JSON and exit codes.

use std::path::Path;
use std::process::Command;

/// Runs `host-sim` in the directory of the sample policies.
fn host_sim(arguments: &[&str]) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/policies");
    let output = Command::new(env!("CARGO_BIN_EXE_host-sim"))
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap();
    format!(
        "exit code: {}\n----- stdout\n{}----- stderr\n{}",
        output.status.code().unwrap(),
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap()
    )
}

#[test]
fn a_clean_policy_passes() {
    insta::assert_snapshot!(host_sim(&["check", "clean.json"]));
}

#[test]
fn a_warning_fails_and_states_its_path_reason_and_fix() {
    insta::assert_snapshot!(host_sim(&["check", "idle.json"]));
}

#[test]
fn notes_alone_do_not_fail() {
    insta::assert_snapshot!(host_sim(&["check", "noted.json"]));
}

#[test]
fn all_errors_of_a_policy_are_listed() {
    insta::assert_snapshot!(host_sim(&["check", "wrong.json"]));
}

#[test]
fn json_output_has_the_same_findings() {
    insta::assert_snapshot!(host_sim(&[
        "check",
        "--json",
        "clean.json",
        "idle.json",
        "wrong.json"
    ]));
}

#[test]
fn a_missing_or_invalid_file_is_a_usage_error_and_other_files_are_still_checked() {
    insta::assert_snapshot!(host_sim(&[
        "check",
        "torn.json",
        "nowhere.json",
        "noted.json"
    ]));
}

#[test]
fn the_schema_file_is_skipped() {
    insta::assert_snapshot!(host_sim(&["check", "../../../policies/schema.json"]));
}
