//! The deterministic kernel: time, the queue of what is to happen, randomness.

pub mod clock;
pub mod queue;
pub mod rng;
pub mod span;
