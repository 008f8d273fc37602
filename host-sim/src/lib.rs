//! Runs a proxy-wasm module as Envoy would, under a virtual clock.
//!
//! [`proxy`] is the way in: a host without any input or output of its own. Events go
//! in with the time at which they happen, effects come out, and the caller plays the
//! rest of the world: clients, router, upstreams. The same events give the same
//! effects on every machine, since nothing here reads a clock, a socket or a random
//! source.

pub mod command;
mod grpc;
pub mod headers;
pub mod model;
pub mod proxy;
pub mod record;
pub mod report;
pub mod scenario;
pub mod sim;
