//! The deterministic kernel: time, the event queue, randomness.

pub mod clock;
pub mod queue;
pub mod rng;
pub mod span;
