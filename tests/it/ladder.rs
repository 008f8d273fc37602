//! Fallbacks of every type, on every occasion, for every shape of request: one table, run in a real
//! Envoy and in the simulator and compared with the expected cells.
//!
//! Each entry under test is followed by a fixed response, which shows when the entry is skipped.

mod buffers;
mod cells;
mod in_place;
mod memory;
mod others;
mod real;
mod security;
mod sharing;
mod simulated;
mod storing;
mod ticks;
mod transcoder;
mod waits;

use cells::{Cell, all};

#[tokio::test]
async fn every_fallback_type_responds_as_documented_to_every_request_shape() {
    let cells = all();
    let real = real::run(&cells).await;
    let simulated = simulated::run(&cells);
    let mut wrong = Vec::new();
    for (at, cell) in cells.iter().enumerate() {
        let expected = cell.expected();
        for (host, seen) in [("Envoy", &real[at]), ("host-sim", &simulated[at])] {
            if *seen != expected {
                wrong.push(format!("{cell} in {host}:\n  {seen:?}\n  {expected:?}"));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} cells:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

/// The counters of a policy, checked once for all of its shapes.
fn counted(cells: &[Cell], policy: &str) -> Vec<String> {
    let mut counts = std::collections::BTreeMap::<String, u64>::new();
    for cell in cells.iter().filter(|cell| cell.policy() == policy) {
        for name in cell.counts() {
            *counts.entry(name).or_default() += 1;
        }
    }
    counts
        .into_iter()
        .map(|(name, count)| format!("{name} {count}"))
        .collect()
}
