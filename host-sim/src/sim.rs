//! The kernel of a simulation. It knows nothing of wasm.

pub mod clock;
