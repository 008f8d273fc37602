//! Fallbacks of every type, on every occasion, for every shape of request: one table, in a real
//! Envoy and in the simulator, against what each cell must be.
//!
//! Each entry under test stands before a fixed answer, so that it shows where one that cannot
//! answer leaves it to the next.

mod buffers;
mod cells;
mod in_place;
mod memory;
mod others;
mod real;
mod security;
mod sharing;
mod simulated;
mod ticks;
mod transcoder;
mod waits;

use cells::{Cell, all};

#[tokio::test]
async fn every_type_on_every_occasion_answers_every_shape_as_it_must() {
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

/// What is asked of a cell: its policy's counters, once for all of its shapes.
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
