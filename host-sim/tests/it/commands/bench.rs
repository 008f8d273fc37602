use std::fs;

use serde_json::Value;

use crate::commands::{host_sim, module};

/// Hostcalls of a request on the steady path: a closed circuit and the default breaker. The
/// filter reads the clock twice, the cluster, the request headers, the response's status and
/// Envoy's response details. The counter of requests rises with the next tick.
const HOSTCALLS: [(&str, f64); 4] = [
    ("clock_time_get", 2.0),
    ("proxy_get_header_map_pairs", 1.0),
    ("proxy_get_header_map_value", 1.0),
    ("proxy_get_property", 2.0),
];

/// Limit for hostcalls that are not made for each request. Workers synchronize every 100 ms,
/// which is every hundredth request at a thousand requests a second.
const SHARED_MAX: f64 = 0.011;

/// Wasm instructions per request, by the short path. About 5,150 are needed.
const FUEL_MAX: f64 = 5_250.0;

/// Checks that each request makes these hostcalls, and others hardly ever.
fn check_hostcalls(costs: &Value, planned: &[(&str, f64)]) {
    let calls = costs["hostcalls"].as_object().unwrap();
    for (name, planned) in planned {
        let each = calls[*name].as_f64().unwrap();
        assert!((*planned..=planned + SHARED_MAX).contains(&each), "{costs}");
    }
    for (name, each) in calls {
        let is_planned = planned.iter().any(|(planned, _)| planned == name);
        assert!(
            is_planned || each.as_f64().unwrap() <= SHARED_MAX,
            "{costs}"
        );
    }
}

#[test]
fn a_request_on_the_steady_path_costs_no_more_than_its_ceilings() {
    let costs = host_sim(&["bench", "--requests", "500", "--json"]).json();
    let filter = &costs["spillway"];
    check_hostcalls(filter, &HOSTCALLS);
    let fuel = filter["fuel"].as_f64().unwrap();
    assert!((100.0..FUEL_MAX).contains(&fuel), "{costs}");
    assert_eq!(costs["no filter"]["fuel"], 0.0);
}

/// With a slow threshold, the clock is also read when the response begins. Waiting requests
/// cost no hostcall.
const SLOW_CLOCKS: f64 = 3.0;

/// Wasm instructions that a slow threshold adds to a request, including the third clock read. The
/// queue of waiting requests takes 430 of them.
const SLOW_FUEL_MAX: f64 = 700.0;

#[test]
fn counting_waiting_requests_costs_no_hostcall_and_few_instructions() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("policy.json");
    let cost = |breaker: &str| {
        let policy = format!(r#"{{"policies": [{{"name": "p", "circuit_breaker": {breaker}}}]}}"#);
        fs::write(&path, policy).unwrap();
        let path = path.display().to_string();
        let output = host_sim(&["bench", "--requests", "500", "--json", "--policy", &path]);
        output.json()["spillway"].clone()
    };
    let plain = cost("{}");
    let early = cost(r#"{"slow_threshold": "1s"}"#);
    let late = cost(r#"{"slow_threshold": "1s", "slow_rate_threshold": 0}"#);
    assert_eq!(early["hostcalls"], late["hostcalls"]);
    let clocks = early["hostcalls"]["clock_time_get"].as_f64().unwrap();
    assert!(
        (SLOW_CLOCKS..=SLOW_CLOCKS + SHARED_MAX).contains(&clocks),
        "{early}"
    );
    let fuel = |cost: &Value| cost["fuel"].as_f64().unwrap();
    let more = fuel(&early) - fuel(&plain);
    assert!((100.0..SLOW_FUEL_MAX).contains(&more), "{early}, {plain}");
}

/// Hostcalls of a request under a policy with retries. All headers are read instead of one,
/// the number of retries and the retry conditions are written, and the number of attempts is
/// read.
const RETRY_HOSTCALLS: [(&str, f64); 5] = [
    ("clock_time_get", 2.0),
    ("proxy_get_header_map_pairs", 1.0),
    ("proxy_get_header_map_value", 1.0),
    ("proxy_get_property", 3.0),
    ("proxy_replace_header_map_value", 2.0),
];

#[test]
fn retries_cost_three_hostcalls_and_a_per_try_timeout_a_fourth() {
    let folder = tempfile::tempdir().unwrap();
    let calls = |retry: &str| {
        let path = folder.path().join("policy.json");
        let breaker = r#""circuit_breaker": {}"#;
        let policy = format!(r#"{{"policies": [{{"name": "p", {breaker}, "retry": {retry}}}]}}"#);
        fs::write(&path, policy).unwrap();
        let path = path.display().to_string();
        let output = host_sim(&["bench", "--requests", "500", "--json", "--policy", &path]);
        output.json()["spillway"]["hostcalls"].clone()
    };
    let plain = calls("{}");
    for (name, planned) in RETRY_HOSTCALLS {
        let each = plain[name].as_f64().unwrap();
        assert!(
            (planned..=planned + 2.0 * SHARED_MAX).contains(&each),
            "{plain}"
        );
    }
    let total = |calls: &Value| -> f64 {
        let calls = calls.as_object().unwrap().values();
        calls.map(|each| each.as_f64().unwrap()).sum()
    };
    let planned: f64 = HOSTCALLS.iter().map(|(_, each)| each).sum();
    assert!(
        total(&plain) <= planned + 3.0 + 10.0 * SHARED_MAX,
        "{plain}"
    );
    let timed = calls(r#"{"per_try_timeout": "1s"}"#);
    assert!(
        total(&timed) <= planned + 4.0 + 10.0 * SHARED_MAX,
        "{timed}"
    );
}

/// Policies that do more than count, with the wasm instructions of a request under them: with the
/// full module, and with the lite one unless that refuses the policy. The last ones reject it.
const OTHERS: [(&str, f64, Option<f64>); 5] = [
    (r#""retry": {}"#, 8_750.0, Some(8_250.0)),
    (r#""timeout": "2s""#, 6_050.0, Some(5_600.0)),
    (
        r#""fallback": [{"type": "respond", "on": ["open", "failure"], "json": {}}]"#,
        6_900.0,
        None,
    ),
    (r#""mode": "forced_open""#, 12_150.0, Some(11_700.0)),
    (
        r#""mode": "forced_open", "fallback": [{"type": "respond", "on": ["open"], "json": {}}]"#,
        10_750.0,
        Some(10_300.0),
    ),
];

/// Hostcalls of a rejected request. The filter reads the clock, the cluster and the request's
/// headers, counts the rejection and the fallback, sets the filter state for access logs, and
/// sends the response. It asks nothing when the request ends.
const REJECTED_HOSTCALLS: [(&str, f64); 6] = [
    ("clock_time_get", 1.0),
    ("proxy_get_header_map_pairs", 1.0),
    ("proxy_get_property", 1.0),
    ("proxy_increment_metric", 2.0),
    ("proxy_send_local_response", 1.0),
    ("proxy_set_property", 1.0),
];

#[test]
fn policies_that_do_more_than_count_cost_no_more_than_their_ceilings() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("policy.json");
    let cost = |module_name: &str| {
        let (module, path) = (module(module_name), path.display().to_string());
        let args = ["--requests", "500", "--json", "--module", &module];
        let output = host_sim(&[&["bench", "--policy", &path], &args[..]].concat());
        output.json()[module_name].clone()
    };
    for (fields, full_max, lite_max) in OTHERS {
        let policy =
            format!(r#"{{"policies": [{{"name": "p", "circuit_breaker": {{}}, {fields}}}]}}"#);
        fs::write(&path, policy).unwrap();
        let modules = [("spillway", Some(full_max)), ("spillway-lite", lite_max)];
        for (module, max) in modules {
            let Some(max) = max else {
                continue;
            };
            let costs = cost(module);
            let fuel = costs["fuel"].as_f64().unwrap();
            assert!((100.0..max).contains(&fuel), "{module} {fields}: {costs}");
            if fields.contains("forced_open") {
                check_hostcalls(&costs, &REJECTED_HOSTCALLS);
            }
        }
    }
}

#[test]
fn an_empty_sdk_filter_is_measured_for_comparison() {
    let empty = empty_filter();
    let output = host_sim(&["bench", "--requests", "500", "--json", "--empty", &empty]);
    let costs = output.json();
    let (empty, filter) = (&costs["empty filter"], &costs["spillway"]);
    assert_eq!(empty["hostcalls"].as_object().unwrap().len(), 0, "{costs}");
    let mut callbacks = filter["callbacks"].clone();
    let ticks = callbacks.as_object_mut().unwrap().remove("proxy_on_tick");
    assert!(ticks.unwrap().as_f64().unwrap() <= SHARED_MAX, "{costs}");
    // The SDK's exports are there in the empty filter, with or without a use.
    let mut of_empty = empty["callbacks"].clone();
    of_empty.as_object_mut().unwrap().remove("proxy_on_done");
    assert_eq!(of_empty, callbacks, "{costs}");
}

fn empty_filter() -> String {
    module("empty")
}

/// Wasm instructions per request with the lite module. About 4,780 are needed.
const LITE_FUEL_MAX: f64 = 4_860.0;

/// Callbacks of a request, however large its bodies are.
const LITE_CALLBACKS: [&str; 4] = [
    "proxy_on_context_create",
    "proxy_on_delete",
    "proxy_on_log",
    "proxy_on_request_headers",
];

#[test]
fn the_lite_module_has_four_callbacks_and_the_same_hostcalls() {
    let costs = |name: &str| {
        let path = module(name);
        let output = host_sim(&["bench", "--requests", "500", "--json", "--module", &path]);
        output.json()[name].clone()
    };
    let (full, lite) = (costs("spillway"), costs("spillway-lite"));
    let mut callbacks = lite["callbacks"].clone();
    callbacks.as_object_mut().unwrap().remove("proxy_on_tick");
    let expected: Value = LITE_CALLBACKS.iter().map(|name| (*name, 1.0)).collect();
    assert_eq!(callbacks, expected);
    assert_eq!(lite["hostcalls"], full["hostcalls"]);
    let fuel = lite["fuel"].as_f64().unwrap();
    assert!((100.0..LITE_FUEL_MAX).contains(&fuel), "{lite}");
}

#[test]
fn the_cost_is_shown_as_a_table() {
    let output = host_sim(&["bench", "--requests", "500"]);
    assert_eq!(output.code, 0, "{}", output.all());
    for word in [
        "per request",
        "no filter",
        "spillway",
        "fuel",
        "proxy_on_log",
    ] {
        assert!(output.stdout.contains(word), "{}", output.all());
    }
}

/// Wasm instructions of a request whose response may be stored, but was stored a moment ago.
/// Of these, two hashes of the URL, and the count of the request, take 2,000. If failures use the
/// fallback too, the filter also inspects the response headers.
const STALE: [(&str, f64); 2] = [
    (r#"["open"]"#, 12_800.0),
    (r#"["open", "failure"]"#, 17_600.0),
];

#[test]
fn a_recently_stored_response_costs_little() {
    let folder = tempfile::tempdir().unwrap();
    for (on, fuel_max) in STALE {
        let path = folder.path().join("policy.json");
        let stale = format!(r#"{{"type": "stale", "on": {on}, "shared": true}}"#);
        // With this interval, no response is stored again during the measurement.
        let policy = format!(
            r#"{{"policies": [{{"name": "p", "circuit_breaker": {{}}, "fallback": [{stale}]}}],
                "sync": {{"interval": "5s"}}}}"#
        );
        fs::write(&path, policy).unwrap();
        let path = path.display().to_string();
        let output = host_sim(&["bench", "--requests", "500", "--json", "--policy", &path]);
        let costs = &output.json()["spillway"];
        let fuel = costs["fuel"].as_f64().unwrap();
        assert!((100.0..fuel_max).contains(&fuel), "{on}: {costs}");
        // The cluster, the route, and the response details, at the headers and at the end.
        let looks = if on.contains("failure") { 2.0 } else { 1.0 };
        let calls = &costs["hostcalls"];
        for (name, planned) in [
            ("proxy_get_header_map_pairs", 1.0),
            ("proxy_get_header_map_value", looks),
            ("proxy_get_property", 2.0 + looks),
        ] {
            let each = calls[name].as_f64().unwrap();
            assert!(
                (planned..=planned + SHARED_MAX).contains(&each),
                "{on}: {costs}"
            );
        }
        for name in [
            "proxy_get_shared_data",
            "proxy_set_shared_data",
            "proxy_get_buffer_bytes",
        ] {
            let each = calls[name].as_f64().unwrap_or(0.0);
            assert!(each <= SHARED_MAX, "{on}: {costs}");
        }
    }
}
