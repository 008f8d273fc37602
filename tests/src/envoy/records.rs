//! Parsers for the log and the access log.

use regex::Regex;
use serde_json::Value;

pub(super) fn matching(log: &str, pattern: &str) -> Vec<String> {
    let pattern = Regex::new(pattern).expect("a regular expression");
    log.lines()
        .filter(|line| pattern.is_match(line))
        .map(str::to_owned)
        .collect()
}

/// The filter's JSON lines follow the prefix that Envoy gives each line of its log.
pub(super) fn transitions(log: &str) -> Vec<Value> {
    let objects = log
        .lines()
        .filter_map(|line| line.find("{\"").map(|at| &line[at..]));
    objects
        .filter_map(|text| serde_json::from_str::<Value>(text).ok())
        .filter(|object| object["event"] == "transition")
        .collect()
}

/// Returns one object per complete line. The last line may be incomplete.
pub(super) fn objects(text: &str) -> Vec<Value> {
    text.lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{matching, transitions};

    const LOG: &str = "[2026-01-01 00:00:00.000][7][info][main] [source/a.cc:1] starting\n\
        [2026-01-01 00:00:00.001][9][warning][wasm] [source/b.cc:2] wasm log spillway: \
        {\"event\":\"transition\",\"from\":\"closed\",\"to\":\"open\"}\n\
        [2026-01-01 00:00:00.002][9][warning][wasm] [source/b.cc:2] {\"event\":\"other\"}\n";

    #[test]
    fn a_transition_is_found_behind_envoys_prefix() {
        let found = transitions(LOG);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0]["to"], "open");
    }

    #[test]
    fn lines_are_found_by_pattern() {
        assert_eq!(matching(LOG, r"\[wasm\]").len(), 2);
    }
}
