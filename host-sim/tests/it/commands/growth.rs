//! How memory and costs grow: the counts in the tables of `filter/PERFORMANCE.md`, with room for
//! small changes.

use std::fs;
use std::sync::LazyLock;

use serde_json::Value;

use crate::commands::{host_sim, module};

/// What `bench --growth` measures of both modules.
static MEASURED: LazyLock<Value> = LazyLock::new(|| {
    let lite = module("spillway-lite");
    host_sim(&["bench", "--growth", "--json", "--lite", &lite]).json()
});

const MODULES: [&str; 2] = ["spillway", "lite"];

/// What a VM has loaded, the most KiB of linear memory, and the most instructions to load it. The
/// last column says whether the lite module takes the policy.
const START: [(&str, u64, Option<u64>, bool); 9] = [
    ("idle, `circuit_breaker`", 384, Some(480_000), true),
    ("idle, and `slow_threshold`", 384, Some(480_000), false),
    ("idle, and `retry`", 384, Some(480_000), true),
    ("idle, and `stale`", 832, Some(600_000), false),
    ("1,000 keys", 1_088, None, true),
    ("10,000 policies", 28_000, Some(510_000_000), true),
    ("update: each is changed", 36_000, Some(650_000_000), true),
    (
        "update: each is replaced by another",
        46_000,
        Some(700_000_000),
        true,
    ),
    ("ten updates more", 52_000, None, true),
];

#[test]
fn memory_and_loads_stay_below_their_ceilings() {
    for module in MODULES {
        let rows = MEASURED[module]["start"].as_array().unwrap();
        let planned = START
            .iter()
            .filter(|(_, _, _, lite)| *lite || module != "lite");
        let planned: Vec<_> = planned.collect();
        assert_eq!(rows.len(), planned.len(), "{rows:?}");
        for (row, (what, kib_max, instructions_max, _)) in rows.iter().zip(planned) {
            assert_eq!(row["what"], *what);
            let kib = row["memory_kib"].as_u64().unwrap();
            assert!((64..=*kib_max).contains(&kib), "{module}: {row}");
            let instructions = row["instructions"].as_u64();
            assert_eq!(instructions.is_some(), instructions_max.is_some(), "{row}");
            assert!(instructions <= *instructions_max, "{module}: {row}");
        }
    }
}

/// What grows, and how much the largest row may have of what the smallest has, in percent: for a
/// known key, and for a new one. The last column says whether the lite module takes the policy.
const GROWTH: [(&str, u64, Option<u64>, bool); 6] = [
    ("policies, by cluster", 110, Some(110), true),
    ("policies, by path", 200, Some(125), true),
    // One key alone is always the one that was found last, and there is a slot for the first.
    ("keys", 170, Some(520), true),
    // The host hands over all headers.
    ("request headers", 200, None, true),
    ("workers", 101, None, true),
    // Without any stored, each response is looked at. At ten thousand the sets are full.
    ("stored responses", 100, Some(250), false),
];

#[test]
fn a_request_costs_hardly_more_however_much_there_is() {
    for module in MODULES {
        for (grows, known_percent, new_percent, lite) in GROWTH {
            let rows = rows(module, grows);
            assert_eq!(rows.is_empty(), module == "lite" && !lite);
            let (Some(least), Some(most)) = (rows.first(), rows.last()) else {
                continue;
            };
            let of = |row: &Value, cost: &str| row[cost].as_u64();
            let is_within = |cost, percent: Option<u64>| match (of(least, cost), of(most, cost)) {
                (Some(least), Some(most)) => Some(most * 100) <= percent.map(|it| least * it),
                (None, None) => percent.is_none(),
                _ => false,
            };
            assert!(is_within("instructions", Some(known_percent)), "{rows:?}");
            assert!(is_within("first", new_percent), "{rows:?}");
        }
    }
}

/// The most instructions of one tick: of five hundred circuits that it merges, and as many gauges
/// that it looks at.
const TICK_MAX: u64 = 1_600_000;

/// Hostcalls of a request that only stores or counts, and reads a cluster or route.
const HOSTCALLS_MAX: u64 = 9;

#[test]
fn ticks_and_hostcalls_are_bounded_whatever_the_size() {
    for module in MODULES {
        for (grows, ..) in GROWTH {
            for row in rows(module, grows) {
                let tick = row["tick"].as_u64().unwrap();
                assert!((1_000..=TICK_MAX).contains(&tick), "{module}: {row}");
                let calls = row["hostcalls"].as_u64().unwrap();
                // Without any stored, each response is looked at.
                let more = if row["size"] == 0 { 5 } else { 0 };
                assert!((1..=HOSTCALLS_MAX + more).contains(&calls), "{row}");
            }
        }
    }
}

/// Memory of a key, whose name has 12 bytes.
const KEY_BYTES_MAX: u64 = 640;

#[test]
fn memory_grows_with_keys_and_not_with_requests() {
    for module in MODULES {
        for row in rows(module, "keys") {
            let (size, kib) = (&row["size"], row["memory_kib"].as_u64().unwrap());
            let kib_max = 448 + size.as_u64().unwrap() * KEY_BYTES_MAX / 1_024;
            assert!(kib <= kib_max, "{module}: {row}, allowed {kib_max}");
        }
    }
}

fn rows(module: &str, grows: &str) -> Vec<&'static Value> {
    let all = MEASURED[module]["growth"].as_array().unwrap();
    all.iter().filter(|row| row["grows"] == grows).collect()
}

#[test]
fn growth_takes_no_policy_and_needs_a_document_with_its_markers() {
    for (argument, value) in [
        ("--policy", "p.json"),
        ("--empty", "e.wasm"),
        ("--requests", "5"),
    ] {
        let output = host_sim(&["bench", "--growth", argument, value]);
        assert_eq!(output.code, 2, "{}", output.all());
        assert!(
            output.stderr.contains("cannot be used with"),
            "{}",
            output.all()
        );
    }
    for argument in ["--write", "--lite"] {
        let output = host_sim(&["bench", argument, "file"]);
        assert_eq!(output.code, 2, "{}", output.all());
        assert!(output.stderr.contains("--growth"), "{}", output.all());
    }
}

/// The parser's limit of nesting is 128, and the policy itself has five levels.
const NESTED_MOST: usize = 120;

#[test]
fn the_stack_is_large_enough_for_the_most_nested_policy() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("policy.json");
    let path_text = path.display().to_string();
    for name in ["spillway", "spillway-lite"] {
        let module = module(name);
        for (open, close) in [("[", "]"), (r#"{"a":"#, "}")] {
            for (levels, accepted) in [(NESTED_MOST, true), (128, false), (100_000, false)] {
                let value = format!("{}1{}", open.repeat(levels), close.repeat(levels));
                let entry = format!(
                    r#"{{"type": "respond", "on": ["open"], "status": 200, "json": {value}}}"#
                );
                let policy = format!(
                    r#"{{"policies": [{{"name": "p", "circuit_breaker": {{}}, "fallback": [{entry}]}}]}}"#
                );
                fs::write(&path, policy).unwrap();
                let arguments = ["bench", "--requests", "1", "--module", &module];
                let output = host_sim(&[&arguments[..], &["--policy", &path_text]].concat());
                assert_eq!(output.code, i32::from(!accepted), "{}", output.all());
                let refused = output
                    .stderr
                    .contains("Failed to configure base Wasm plugin");
                assert_eq!(refused, !accepted, "{}", output.all());
            }
        }
    }
}
