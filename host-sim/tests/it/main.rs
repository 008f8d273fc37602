//! Integration tests of the simulator: the host, the commands and the shipped policies.
//!
//! They form a single binary, so that wasmtime is linked once. The tests of the host check the
//! claims of `FIDELITY.md` about Envoy: they load guests, feed events and compare effects.

mod calls;
mod check;
mod commands;
mod contexts;
mod deploy;
mod events;
mod failure;
mod grpc;
mod hang;
mod hostile;
mod hostile_clients;
mod import;
mod library;
mod loading;
mod log_phase;
mod maps;
mod metrics;
mod pause;
mod plugins;
mod policy_ranges;
mod policy_schema;
mod properties;
mod proxy;
mod replay;
mod replies;
mod shared;
mod spillway;
mod threads;
mod updates;
mod workers;
