//! Inputs that make no sense: each names its line, what is there, and what is allowed.

use std::fs;

use super::import;

/// Exit code and messages of an import of one file.
fn output(system: &str, name: &str, text: &[u8]) -> (i32, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, text).unwrap();
    let output = import(system, &[path.to_str().unwrap()]);
    let prefix = format!("{}/", folder.path().display());
    (output.code, output.stderr.replace(&prefix, ""))
}

const CIRCUIT: &str = "resilience4j.circuitbreaker.instances.a";

#[test]
fn each_wrong_value_is_named_with_its_line() {
    let rows = [
        (
            "resilience4j",
            "slidingWindowSize: many",
            "slidingWindowSize is \"many\", allowed an integer from 0 on",
        ),
        (
            "resilience4j",
            "slidingWindowSize: -1",
            "slidingWindowSize is \"-1\", allowed an integer from 0 on",
        ),
        (
            "resilience4j",
            "failureRateThreshold: NaN",
            "failureRateThreshold is \"NaN\", allowed a number from 0 on",
        ),
        (
            "resilience4j",
            "failureRateThreshold: [50]",
            "failureRateThreshold is a list, allowed a number from 0 on",
        ),
        (
            "resilience4j",
            "waitDurationInOpenState: 5 parsecs",
            "waitDurationInOpenState is \"5 parsecs\", allowed a duration such as 500ms or 5s",
        ),
        (
            "resilience4j",
            "waitDurationInOpenState: 1e300",
            "waitDurationInOpenState is \"1e300\", allowed a duration such as 500ms or 5s",
        ),
        (
            "resilience4j",
            "slidingWindowType: COUNT",
            "slidingWindowType is \"COUNT\", allowed COUNT_BASED or TIME_BASED",
        ),
        (
            "resilience4j",
            "baseConfig: nowhere",
            "baseConfig is \"nowhere\", allowed the name of one of the configs of this module",
        ),
        (
            "resilience4j",
            "initialState: ajar",
            "initialState is \"ajar\", allowed CLOSED, OPEN, HALF_OPEN, DISABLED, FORCED_OPEN or METRICS_ONLY",
        ),
    ];
    for (system, line, expected) in rows {
        let text = format!("# first\n{CIRCUIT}:\n  {line}\n");
        let expected = format!("a.yml:3: {CIRCUIT}.{expected}\n");
        assert_eq!(
            output(system, "a.yml", text.as_bytes()),
            (2, expected),
            "{line}"
        );
    }
}

#[test]
fn all_errors_of_a_file_come_at_once() {
    let rules = br#"[
{"resource": "a", "grade": 3, "count": 1, "timeWindow": 1},
{"resource": "b", "grade": 1, "count": 7, "timeWindow": 1},
{"resource": "c", "grade": 0, "timeWindow": "soon"},
{"resource": "", "grade": 0, "count": 1, "timeWindow": 1}
]"#;
    let expected = "\
a.json:2: [0].grade is \"3\", allowed 0 (slow requests), 1 (error ratio) or 2 (error count)
a.json:3: [1].count is \"7\", allowed 0 to 1 for an error ratio
a.json:4: [2] has no count, required
a.json:4: [2].timeWindow is \"soon\", allowed a duration such as 500ms or 5s
a.json:5: [3].resource is empty, allowed the name of a resource
";
    assert_eq!(
        output("sentinel", "a.json", rules),
        (2, expected.to_owned())
    );
}

#[test]
fn what_is_no_yaml_at_all_names_the_line() {
    let rows: [(&str, &[u8], &str); 6] = [
        ("a.yml", b"a: 1\nb: [1\n", "a.yml:2: is not YAML or JSON: "),
        (
            "a.yml",
            b"a: 1\na: 2\n",
            "a.yml:2: a is given twice, first in line 1",
        ),
        ("a.yml", b"a: \xff\n", "a.yml:1: is not UTF-8"),
        (
            "a.yml",
            b"a: 1\n[b]: 2\n",
            "a.yml:2: a list is a key, allowed are scalars",
        ),
        ("a.yml", b"a: *b\n", "a.yml:1: is not YAML or JSON: "),
        (
            "a.properties",
            b"a=\\u00zz\n",
            "a.properties:1: is not a property: ",
        ),
    ];
    for (name, text, expected) in rows {
        let (code, messages) = output("hystrix", name, text);
        assert_eq!(code, 2, "{messages}");
        assert!(messages.starts_with(expected), "{expected}\n{messages}");
    }
}

#[test]
fn aliases_cannot_blow_a_file_up() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let items = vec![format!("*a{}", level - 1); 10].join(", ");
        text.push_str(&format!("a{level}: &a{level} [{items}]\n"));
    }
    let (code, messages) = output("hystrix", "a.yml", text.as_bytes());
    assert_eq!(code, 2);
    assert!(
        messages.contains("has too many values, by its aliases"),
        "{messages}"
    );
}

#[test]
fn a_file_without_anything_to_import_says_so() {
    let (code, messages) = output("hystrix", "a.yml", b"server:\n  port: 80\n");
    assert_eq!(code, 1);
    let expected = "\
a.yml: 1 unrelated
  1-2  unrelated      server: no setting of Hystrix
host-sim: nothing to import in a.yml
";
    assert_eq!(messages, expected);
}

#[test]
fn a_file_that_is_not_there_is_bad_input() {
    let output = import("hystrix", &["nowhere.yml", "hystrix/timeout.yml"]);
    assert_eq!((output.code, output.stdout.as_str()), (2, ""));
    assert!(
        output.stderr.starts_with("nowhere.yml: cannot be read: "),
        "{}",
        output.stderr
    );
}

#[test]
fn values_out_of_range_are_clamped_and_both_are_shown() {
    let text =
        format!("{CIRCUIT}:\n  slidingWindowSize: 20000\n  minimumNumberOfCalls: ${{CALLS}}\n");
    let (code, messages) = output("resilience4j", "a.yml", text.as_bytes());
    assert_eq!(code, 0);
    assert!(messages.contains("20000 is clamped to 10000"), "{messages}");
    assert!(
        messages.contains("${CALLS} has no default here"),
        "{messages}"
    );
}
