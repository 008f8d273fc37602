//! Sets of statuses and of events, and what a policy needs because of them.

use super::*;

#[test]
fn a_timeout_is_a_failure_too_but_not_the_other_way_round() {
    let set = |on: &str| {
        let policy = policy(&format!(
            r#""fallback": [{{"type": "respond", "on": {on}}}]"#
        ));
        policy.fallback[0].on
    };
    let rows = [
        (r#"["open"]"#, [true, false, false], false),
        (r#"["failure"]"#, [false, true, true], true),
        (r#"["timeout"]"#, [false, false, true], true),
        (r#"["open", "timeout"]"#, [true, false, true], true),
        (
            r#"["open", "failure", "timeout"]"#,
            [true, true, true],
            true,
        ),
    ];
    for (on, expected, wants_response) in rows {
        let set = set(on);
        let found = [On::Open, On::Failure, On::Timeout].map(|on| set.contains(on));
        assert_eq!(found, expected, "{on}");
        assert_eq!(set.wants_response(), wants_response, "{on}");
    }
}

#[test]
fn only_fields_that_a_response_to_a_failure_echoes_are_saved() {
    let rows = [
        (r#""on": ["open"], "body": "{path}""#, false),
        (
            r#""on": ["failure"], "body": "{policy} {retry_after}""#,
            false,
        ),
        (r#""on": ["failure"], "body": "{path}""#, true),
        (r#""on": ["timeout"], "grpc_message": "{request_id}""#, true),
        (r#""on": ["failure"], "headers": {"x": "{path}"}"#, true),
        (r#""on": ["failure"], "variants": {"plain": "x"}"#, true),
    ];
    for (fields, expected) in rows {
        let policy = policy(&format!(r#""fallback": [{{"type": "respond", {fields}}}]"#));
        assert_eq!(policy.echoes_request_later(), expected, "{fields}");
    }
}

#[test]
fn a_set_of_statuses_contains_exactly_the_inserted_ranges() {
    let rows = [
        (500, 599),
        (0, 0),
        (63, 64),
        (64, 127),
        (100, 999),
        (503, 503),
        (0, 999),
    ];
    for (low, high) in rows {
        let mut set = StatusSet::default();
        set.insert(low, high);
        for status in 0..1_100 {
            let within = (low..=high).contains(&status);
            assert_eq!(set.contains(status), within, "{status} of {low}-{high}");
        }
    }
}
