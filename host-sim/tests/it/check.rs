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
fn warnings_fail_and_say_where_why_and_what_to_do() {
    insta::assert_snapshot!(host_sim(&["check", "idle.json"]));
}

#[test]
fn notes_alone_do_not_fail() {
    insta::assert_snapshot!(host_sim(&["check", "noted.json"]));
}

#[test]
fn errors_of_the_policy_are_listed_all_at_once() {
    insta::assert_snapshot!(host_sim(&["check", "wrong.json"]));
}

#[test]
fn programs_get_the_same_as_json() {
    insta::assert_snapshot!(host_sim(&[
        "check",
        "--json",
        "clean.json",
        "idle.json",
        "wrong.json"
    ]));
}

#[test]
fn what_is_no_json_or_not_there_is_a_usage_error_and_the_rest_is_still_checked() {
    insta::assert_snapshot!(host_sim(&[
        "check",
        "torn.json",
        "nowhere.json",
        "noted.json"
    ]));
}

#[test]
fn the_schema_that_lies_beside_policies_is_passed_over() {
    insta::assert_snapshot!(host_sim(&["check", "../../../policies/schema.json"]));
}
