//! Runs a proxy-wasm module as Envoy would, under a virtual clock.
//!
//! The entry point is [`proxy`], a host without any input or output. Events go in with the time
//! at which they happen, effects come out, and the caller plays the rest of the world: clients,
//! router and upstreams. The same events cause the same effects on every computer, since
//! nothing here reads a clock, a socket or a random source.
//!
//! Each line may use only what stands after it: `main > command > {report, serve} > trial > scenario >
//! model > {record, prometheus} > proxy > {sim, framing, headers, grpc}`.

pub mod command;
pub mod framing;
mod grpc;
pub mod headers;
pub mod model;
pub mod prometheus;
pub mod proxy;
pub mod record;
pub mod report;
pub mod scenario;
mod serve;
pub mod sim;
pub mod trial;
